//! Hazards 19 to 21: subrequests, internal redirects, error documents.

use httpd_testkit::{BodyEnd, Server, mpm_tests};

use crate::support::{HELLO, INCLUDES, probe_at, quirks, send, stock};

/// Returns the number of calls of an application for a log line.
fn runs(server: &Server) -> usize {
    server.error_log().matches("the probe was asked for a log line").count()
}

mpm_tests! {
    fn h19_an_included_application_answers_within_the_page(mpm) {
        let server = quirks()
            .mpm(mpm)
            .load("include")
            .conf(INCLUDES)
            .conf("<Location /quirks>\nOptions +Includes\nSetOutputFilter INCLUDES\n</Location>")
            .file(
                "htdocs/page.shtml",
                "[<!--#include virtual=\"/hello\" -->]\n\
                 [<!--#include virtual=\"/probe/environ?a=b\" -->]\n",
            )
            .start();
        let page = server.get("/page.shtml");
        assert_eq!(page.status, 200);
        let text = page.text();
        assert!(text.starts_with(&format!("[{HELLO}]\n[{{")) && text.ends_with("}\n]\n"), "{text}");
        for part in [
            "\"SERVER_PROTOCOL\": \"INCLUDED\"",
            "\"QUERY_STRING\": \"a=b\"",
            "\"PATH_INFO\": \"/environ\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }

        // A page with a request body of its own, which is not the included application's to read.
        let body = "b".repeat(70_000);
        let page = "/quirks/respond?status=200&h-Content-Type=text/html\
                    &body=%5B<!--%23include%20virtual=%22/probe/discard%22%20-->%5D";
        let mut connection = server.connect();
        for _ in 0..2 {
            let response = connection.request("POST", page).body(body.clone()).send();
            assert_eq!(response.status, 200, "{response:?}");
            assert!(response.text().contains("\"length\": 0,"), "{response:?}");
        }
        assert_eq!(connection.request("GET", "/hello").send().text(), HELLO);
    }
}

#[test]
fn h19_an_error_in_an_included_application_is_a_part_of_the_page() {
    let server = stock()
        .load("include")
        .conf(INCLUDES)
        .file("htdocs/a.shtml", "[<!--#include virtual=\"/probe/panic\" -->]\n")
        .file("htdocs/b.shtml", "[<!--#include virtual=\"/probe/panic-late\" -->]\n")
        .allow_log("the probe was asked for a")
        .start();
    let page = server.get("/a.shtml");
    assert_eq!(
        (page.status, page.text()),
        (200, "[[an error occurred while processing this directive]]\n")
    );
    // It broke after its head: so must the page.
    let page = server.get("/b.shtml");
    assert!(page.end.is_truncated(), "{page:?}");
}

#[test]
fn h19_a_lookup_does_not_run_the_application() {
    let server = quirks()
        .load("include")
        .load("dir")
        .load("autoindex")
        .load("negotiation")
        .load("rewrite")
        .conf("AddOutputFilter INCLUDES .shtml\nAddLanguage en .en\nAddLanguage de .de")
        .conf("<Directory {htdocs}>\nOptions +Includes +Indexes +MultiViews\n</Directory>")
        // An application that cannot be built: to run it would be an error in the log.
        .conf("<Directory {htdocs}/list>\n<FilesMatch \\.(app|de\\.html)$>")
        .conf("RustApp broken\n</FilesMatch>\n</Directory>")
        .conf("<Directory {htdocs}/index>\nDirectoryIndex /probe/log\n</Directory>")
        .conf("RewriteEngine On\nRewriteCond /probe/log -U\nRewriteRule ^/check$ /hello [PT]")
        .file(
            "htdocs/size.shtml",
            "<!--#fsize virtual=\"/probe/log\" --> <!--#flastmod virtual=\"/probe/log\" -->\n",
        )
        .file("htdocs/list/a.app", "")
        .file("htdocs/list/page.en.html", "english\n")
        .file("htdocs/list/page.de.html", "deutsch\n")
        .file("htdocs/index/a", "")
        .start();
    assert_eq!(server.get("/size.shtml").status, 200);
    let list = server.get("/list/");
    assert!(list.text().contains("a.app"), "{list:?}");
    let page = server.request("GET", "/list/page").header("Accept-Language", "en").send();
    assert_eq!(page.text(), "english\n");
    assert_eq!(server.get("/check").text(), HELLO);
    assert_eq!(runs(&server), 0, "{}", server.error_log());
    // A directory's index is looked up and then run: once, with or without a body.
    assert_eq!(server.get("/index/").status, 200);
    assert_eq!(runs(&server), 1, "{}", server.error_log());
    let mut connection = server.connect();
    let posted = connection.request("POST", "/index/").body("x".repeat(100_000)).send();
    assert!(posted.end.is_complete(), "{posted:?}");
    assert!(runs(&server) <= 2, "{}", server.error_log());
}

mpm_tests! {
    fn h20_an_internal_redirect_is_a_get_that_reads_no_body(mpm) {
        let server = quirks()
            .mpm(mpm)
            .file("htdocs/a.txt", "a file\n")
            .conf("LimitInternalRecursion 5")
            .start();
        let internal = |to: &str| format!("/probe/internal?to={to}");
        for (to, status, text) in [
            ("/hello", 200, HELLO),
            ("/a.txt", 200, "a file\n"),
            ("/probe/status/418", 418, "418 I'm a teapot\n"),
            ("/missing", 404, ""),
            ("/probe/internal%3fto=/hello", 200, HELLO),
        ] {
            let response = server.get(&internal(to));
            assert_eq!(response.status, status, "{to}: {response:?}");
            assert!(text.is_empty() || response.text() == text, "{to}: {response:?}");
        }
        for chunked in [false, true] {
            // It may close the connection rather than read the body.
            let request = server.request("POST", &internal("/probe/environ"));
            let body = "GET /quirks/say HTTP/1.1\r\n\r\n".repeat(10_000);
            let response = if chunked {
                request.chunks(body.as_bytes().chunks(50_000).map(<[u8]>::to_vec)).send()
            } else {
                request.body(body).send()
            };
            let text = response.text();
            for part in [
                "\"REQUEST_METHOD\": \"GET\"",
                "\"REDIRECT_URL\": \"/probe/internal\"",
                "\"PATH_INFO\": \"/environ\"",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(!text.contains("\"CONTENT_LENGTH\""), "{text}");
        }
        // The next bytes on the connection are a request or nothing, never part of a body.
        for body in ["Content-Length: 31\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1f\r\n"] {
            let mut connection = send(
                &server,
                format!(
                    "POST {} HTTP/1.1\r\nHost: x\r\n{body}GET /quirks/say HTTP/1.1\r\n\r\n\r\n",
                    internal("/hello")
                ),
            );
            assert_eq!(connection.read_response().text(), HELLO);
            let rest = connection.close_write().read_to_end();
            assert!(!rest.escape_ascii().to_string().contains("said"), "{}", rest.escape_ascii());
        }
        let discarded = server.request("POST", &internal("/probe/discard")).body("abc").send();
        assert!(discarded.text().contains("\"length\": 0,"), "{discarded:?}");
        assert!(!server.access_log().contains("/quirks/say"), "{}", server.access_log());
    }

    fn h20_a_loop_of_internal_redirects_ends(mpm) {
        let server = quirks().mpm(mpm).conf("LimitInternalRecursion 5").start();
        let response = server.get("/quirks/again");
        assert_eq!((response.status, response.end), (500, BodyEnd::Length));
        server.wait_log("AH00124");
        assert_eq!(server.get("/hello").text(), HELLO);
    }
}

#[test]
fn h20_targets_of_internal_redirects() {
    let server = stock().allow_log("RUST0006").start();
    for to in ["hello", "http://example.org/", "/a%0d%0aX-B:%20c", "/a%00b", "/a%20b", "//", "*"] {
        let response = server.get(&format!("/probe/internal?to={to}"));
        assert!(matches!(response.status, 500 | 404), "{to}: {response:?}");
        assert!(response.header("x-b").is_none());
    }
}

#[test]
fn h21_the_applications_error_is_its_own_or_the_servers() {
    let server = stock()
        .file("htdocs/sorry.html", "sorry\n")
        .conf("ErrorDocument 404 /sorry.html\nErrorDocument 503 /sorry.html")
        .conf(&probe_at("/overridden", "RustErrorOverride On"))
        .start();
    assert_eq!(server.get("/missing").text(), "sorry\n");
    for status in [404, 503] {
        let own = server.get(&format!("/probe/status/{status}"));
        assert!(own.status == status && own.text().starts_with(&status.to_string()), "{own:?}");
        let overridden = server.get(&format!("/overridden/status/{status}"));
        assert_eq!((overridden.status, overridden.text()), (status, "sorry\n"));
        // An error that the application returns is the server's to answer in any case.
        let failed = server.get(&format!("/probe/error?status={status}"));
        assert_eq!((failed.status, failed.text()), (status, "sorry\n"));
    }
    assert_eq!(server.get("/overridden/status/200").text(), "200 OK\n");
}

mpm_tests! {
    fn h21_an_error_document_may_be_an_application(mpm) {
        let server = stock()
            .mpm(mpm)
            .conf("ErrorDocument 404 /probe/environ\nErrorDocument 500 /probe/error")
            .conf("ErrorDocument 503 /probe/panic\nErrorDocument 502 /probe/panic-late")
            .allow_log("the probe was asked for a")
            .start();
        let response = server.get("/missing?x=y");
        // An application says its status itself; the one that it stands in for is in its environ.
        assert_eq!(response.status, 200, "{response:?}");
        for part in [
            "\"REDIRECT_STATUS\": \"404\"",
            "\"REDIRECT_URL\": \"/missing\"",
            "\"REQUEST_METHOD\": \"GET\"",
            "\"PATH_INFO\": \"/environ\"",
        ] {
            assert!(response.text().contains(part), "{part}: {response:?}");
        }
        // A request follows an unread body on the connection.
        let mut connection = server.connect();
        let response = connection.request("POST", "/missing").body("y".repeat(100_000)).send();
        assert!(response.text().contains("\"REQUEST_METHOD\": \"GET\""), "{response:?}");
        assert_eq!(connection.request("GET", "/hello").send().text(), HELLO);

        // One that fails itself: httpd's own words, and no loop.
        for path in ["/probe/error", "/probe/error?status=503"] {
            let response = server.get(path);
            assert!(matches!(response.status, 500 | 503), "{path}: {response:?}");
            assert!(
                response.end == BodyEnd::Length && response.text().contains("Additionally"),
                "{response:?}"
            );
        }
        let errors = server.error_log().matches("the probe was asked for an error").count();
        assert_eq!(errors, 3, "two requests, and one error document: {}", server.error_log());
        // One that breaks late is visible all the same.
        let response = server.get("/probe/error?status=502");
        assert!(response.end.is_truncated(), "{response:?}");
        let mut connection =
            send(&server, "GET /probe/error?status=502 HTTP/1.1\r\nHost: x\r\n\r\n");
        connection.read_response();
        assert!(connection.is_closed());
    }
}
