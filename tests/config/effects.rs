//! Tests the effects of RustPassAuthorization, RustErrorOverride, RustMapHeadToGet and
//! RustEnableSendfile.

use httpd_testkit::{Response, mpm_tests};

use crate::support::{stock, value};

#[test]
pub(crate) fn authorization_is_a_key_where_it_is_passed() {
    let server = stock()
        .conf("RustAppAlias /probe probe")
        .conf("<Location /probe/environ/on>\nRustPassAuthorization On\n</Location>")
        .conf("<Location /probe/environ/cgi>\nCGIPassAuth On\n</Location>")
        .start();
    let ask = |target: &str| {
        server
            .request("GET", target)
            .header("authorization", "Basic b3R0bzpzZWNyZXQ=")
            .header("Proxy-Authorization", "Basic cHJveHk=")
            .send()
    };
    for (target, expected) in [
        ("/probe/environ", None),
        ("/probe/environ/on", Some("Basic b3R0bzpzZWNyZXQ=")),
        ("/probe/environ/cgi", Some("Basic b3R0bzpzZWNyZXQ=")),
    ] {
        let response = ask(target);
        assert_eq!(value(&response, "HTTP_AUTHORIZATION").as_deref(), expected, "{target}");
    }
    assert_eq!(value(&ask("/probe/environ/on"), "HTTP_PROXY_AUTHORIZATION"), None);
    // Without the header the key is absent.
    assert_eq!(value(&server.get("/probe/environ/on"), "HTTP_AUTHORIZATION"), None);
}

#[test]
pub(crate) fn error_statuses_get_the_servers_documents() {
    let server = stock()
        .module("mod_shop.so")
        .allow_log("asked for an error")
        .conf("ErrorDocument 401 \"own 401\"\nErrorDocument 404 /documents/404.txt")
        .conf("ErrorDocument 500 \"own 500\"\nErrorDocument 503 \"own 503\"")
        .file("htdocs/documents/404.txt", "the document")
        .conf("RustAppAlias /probe probe\nRustAppAlias /on probe\nRustAppAlias /closed closed")
        .conf("<Location /on>\nRustErrorOverride On\n</Location>")
        .conf("<Location /closed>\nRustErrorOverride On\n</Location>")
        .start();
    // Off: what the application says. On: the server's document, with the application's status.
    for (target, status, text) in [
        ("/probe/status/404", 404, "404 Not Found\n"),
        ("/probe/status/500", 500, "500 Internal Server Error\n"),
        ("/on/status/404", 404, "the document"),
        ("/on/status/500", 500, "own 500"),
        ("/on/status/503", 503, "own 503"),
        // Without a document of the administrator's, httpd's own page.
        ("/on/status/403", 403, "<title>403 Forbidden</title>"),
        ("/on/status/200", 200, "200 OK\n"),
        ("/on/status/399", 399, "399 has no name\n"),
        ("/on/status/302", 302, "302 Found\n"),
        // An error has no body of its own.
        ("/probe/error", 500, "own 500"),
        ("/on/error", 500, "own 500"),
        ("/closed", 503, "own 503"),
    ] {
        let response = server.get(target);
        assert_eq!(response.status, status, "{target}: {response:?}");
        assert!(response.text().contains(text), "{target}: {response:?}");
        assert!(response.end.is_complete(), "{target}: {response:?}");
    }
    let closed = server.get("/closed");
    assert_eq!(closed.header("retry-after"), Some("3600"), "{closed:?}");
    let head = server.request("HEAD", "/on/status/404").send();
    assert_eq!((head.status, head.body.len()), (404, 0));
    // The connection goes on.
    let mut connection = server.connect();
    for _ in 0..3 {
        assert_eq!(connection.request("GET", "/on/status/404").send().text(), "the document");
    }
    let response = connection.request("POST", "/on/status/404").body("a body").send();
    assert_eq!(response.text(), "the document");
    assert_eq!(connection.request("GET", "/probe/bytes/1").send().status, 200);
}

/// Without its challenge a 401 is none (RFC 9110, 15.5.2).
#[test]
pub(crate) fn a_401_keeps_its_challenge() {
    let server = stock()
        .module("mod_quirks.so")
        .conf("ErrorDocument 401 \"own 401\"")
        .conf("RustAppAlias /quirks quirks")
        .conf("RustErrorOverride On")
        .start();
    let challenges = "h-WWW-Authenticate=Basic%20realm%3D%22q%22&h-WWW-Authenticate=Bearer";
    let target = format!("/quirks/respond?status=401&{challenges}&h-X-Other=x&body=own");
    let response = server.get(&target);
    assert_eq!((response.status, response.text()), (401, "own 401"));
    assert_eq!(response.headers("www-authenticate"), ["Basic realm=\"q\"", "Bearer"]);
    assert_eq!(response.header("x-other"), None);
}

/// Status and headers, but for what differs from request to request.
fn head(response: &Response) -> (u16, Vec<(String, Vec<u8>)>) {
    let mut headers = response.headers.clone();
    headers
        .retain(|(name, _)| !["date", "transfer-encoding"].contains(&&*name.to_ascii_lowercase()));
    (response.status, headers)
}

mpm_tests! {
    /// Checks a filter that sets headers according to the body.
    fn a_head_has_the_headers_of_a_get_behind_deflate(mpm) {
        let server = stock()
            .mpm(mpm)
            .load("deflate")
            .load("filter")
            .load("substitute")
            .conf("RustAppAlias /probe probe\nRustAppAlias /plain probe")
            .conf("<Location /probe>\nSetOutputFilter DEFLATE\n</Location>")
            .conf("<Location /probe/status>\nSetOutputFilter SUBSTITUTE\nSubstitute s/a/aa/\n</Location>")
            .start();
        let ask = |method: &str, target: &str| {
            server.request(method, target).header("Accept-Encoding", "gzip").send()
        };
        for target in ["/probe/bytes/5000", "/probe/stream?chunks=3", "/probe/status/404",
            "/plain/bytes/5000", "/probe/discard"]
        {
            let (got, headed) = (ask("GET", target), ask("HEAD", target));
            assert_eq!(head(&got), head(&headed), "{target}");
            assert!(headed.body.is_empty(), "{target}");
        }
        assert_eq!(ask("HEAD", "/probe/bytes/5000").header("content-encoding"), Some("gzip"));
        assert_eq!(ask("HEAD", "/plain/bytes/5000").header("content-encoding"), None);
    }
}

/// Seen as a HEAD the body is not run; as a GET it is, and what it would panic with comes before its
/// head goes out.
#[test]
pub(crate) fn a_head_is_seen_as_the_setting_says() {
    let server = stock()
        .load("deflate")
        .load("filter")
        .allow_log("asked for a late panic")
        .conf("RustAppAlias /off probe\n<Location /off>\nRustMapHeadToGet Off\n</Location>")
        .conf("RustAppAlias /on probe\n<Location /on>\nRustMapHeadToGet On\n</Location>")
        .conf("RustAppAlias /auto probe")
        .conf("RustAppAlias /deflate probe\n<Location /deflate>\nSetOutputFilter DEFLATE\n</Location>")
        .start();
    for (mount, is_run) in [("/off", false), ("/on", true), ("/auto", false), ("/deflate", true)] {
        let response = server.request("HEAD", &format!("{mount}/panic-late?after=0")).send();
        assert_eq!(response.status, if is_run { 500 } else { 200 }, "{mount}");
        assert!(response.body.is_empty(), "{mount}");
    }
    for target in ["/off/stream?chunks=inf", "/off/events", "/auto/stream?chunks=inf"] {
        let response = server.request("HEAD", target).send();
        assert_eq!((response.status, response.body.len()), (200, 0), "{target}");
    }
}

/// Ways for a file to go out.
const WAYS: [(&str, &str); 5] = [
    ("/default", ""),
    ("/off", "RustEnableSendfile Off"),
    ("/on", "RustEnableSendfile On"),
    ("/on-without-mmap", "RustEnableSendfile On\nEnableMMAP Off"),
    ("/without-mmap", "EnableMMAP Off"),
];

mpm_tests! {
    fn files_with_and_without_sendfile(mpm) {
        let pattern: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        let mut builder = stock()
            .mpm(mpm)
            .tls(true)
            .file("files/large.bin", &pattern)
            .file("files/empty.bin", "")
            .conf("RustAppOption root {root}/files");
        for (mount, directives) in WAYS {
            builder = builder.conf(&format!(
                "RustAppAlias {mount} probe\n<Location {mount}>\n{directives}\n</Location>"
            ));
        }
        let server = builder.start();
        for (mount, _) in WAYS {
            let large = format!("{mount}/file?path=large.bin");
            let response = server.get(&large);
            assert_eq!(response.status, 200);
            assert_eq!(response.header("content-length"), Some("200000"));
            assert!(response.body == pattern, "{mount}");
            let mut connection = server.connect();
            for (range, expected) in [
                ("bytes=1000-1999", 1000..2000),
                ("bytes=-7", 199_993..200_000),
                ("bytes=0-0", 0..1),
            ] {
                let response = connection.request("GET", &large).header("Range", range).send();
                assert_eq!(response.status, 206, "{mount} {range}");
                assert!(response.body == pattern[expected], "{mount} {range}");
            }
            let tag = response.header("etag").expect("an ETag").to_owned();
            let again = connection.request("GET", &large).header("If-None-Match", tag).send();
            assert_eq!(again.status, 304, "{mount}");
            let empty = connection.request("GET", &format!("{mount}/file?path=empty.bin")).send();
            assert_eq!((empty.status, empty.body.len()), (200, 0), "{mount}");
            // Behind TLS the kernel cannot.
            let output = server.curl(&["--range", "1000-1999", &server.tls_url(&large)]);
            assert_eq!(output.status, Some(206), "{mount}: {output:?}");
            assert!(output.stdout == pattern[1000..2000], "{mount}");
        }
    }
}
