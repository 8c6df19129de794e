//! Hazards 30 to 33: what a client says of itself. NUL in a URL, escaped slashes, headers that
//! pose as others, addresses from proxies.

use httpd_testkit::{Response, Server};

use crate::support::{quirks, stock};

/// Returns a value of the environ in `/environ`.
fn value(response: &Response, key: &str) -> Option<String> {
    let mark = format!("\"{key}\": \"");
    let text = response.text();
    let from = text.find(&mark)? + mark.len();
    let end = text[from..].find("\"\n").or_else(|| text[from..].find("\",\n"))?;
    let end = end.min(text[from..].find("\",\n").unwrap_or(end));
    Some(text[from..from + end].to_owned())
}

#[test]
fn h30_a_nul_in_the_url_reaches_no_application() {
    let server = stock().conf("AllowEncodedSlashes NoDecode").start();
    for path in
        ["/%00", "/hello%00", "/probe/environ%00", "/probe/environ/%00/x", "/probe/%00environ"]
    {
        let response = server.get(path);
        assert!(matches!(response.status, 400 | 404), "{path}: {response:?}");
        assert!(
            !response.text().contains("REQUEST_METHOD") && !response.text().contains("Hello,"),
            "{path}: {response:?}"
        );
    }
    // In a query it is the application's to decode.
    let response = server.get("/probe/environ?a=%00");
    assert_eq!(value(&response, "QUERY_STRING").as_deref(), Some("a=%00"));
}

/// Paths with what `PATH_INFO` must be for them: `None` where httpd refuses them itself.
const PATHS: [(&str, [Option<&str>; 3]); 9] = [
    // AllowEncodedSlashes            Off                  On                     NoDecode
    ("/probe/environ/a%2Fb", [None, Some("/environ/a/b"), Some("/environ/a%2Fb")]),
    ("/probe/environ/a%2fb", [None, Some("/environ/a/b"), Some("/environ/a%2fb")]),
    ("/probe/environ/a%252Fb", [Some("/environ/a%2Fb"); 3]),
    ("/probe/environ//a///b", [Some("/environ/a/b"); 3]),
    ("/probe/environ/a/%2e%2e/b", [Some("/environ/b"); 3]),
    ("/probe/environ/./a/%2e/b", [Some("/environ/a/b"); 3]),
    ("/probe/environ/x/../../environ/b", [Some("/environ/b"); 3]),
    ("/probe/environ/%ff%C3%A4", [Some("/environ/\\\\xff\u{e4}"); 3]),
    ("/probe/environ/a%20b%3Fc;d", [Some("/environ/a b?c;d"); 3]),
];

#[test]
fn h31_a_path_is_decoded_once_and_its_raw_form_is_kept() {
    for (column, mode) in ["Off", "On", "NoDecode"].into_iter().enumerate() {
        let server = stock().conf(&format!("AllowEncodedSlashes {mode}")).start();
        for (target, expected) in PATHS {
            let response = server.get(target);
            match expected[column] {
                None => assert_eq!(response.status, 404, "{mode} {target}: {response:?}"),
                Some(path_info) => {
                    assert_eq!(response.status, 200, "{mode} {target}: {response:?}");
                    let found = value(&response, "PATH_INFO");
                    assert_eq!(found.as_deref(), Some(path_info), "{mode} {target}");
                    let raw = value(&response, "REQUEST_URI");
                    assert_eq!(raw.as_deref(), Some(target), "{mode} {target}");
                    let mount = value(&response, "SCRIPT_NAME");
                    assert_eq!(mount.as_deref(), Some("/probe"), "{mode} {target}");
                }
            }
        }
        // No way out of the root, nor around a section.
        for target in [
            "/probe/environ/../../../../etc/passwd",
            "/..%2f..%2fetc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
        ] {
            let response = server.get(target);
            assert!(matches!(response.status, 400 | 404), "{mode} {target}: {response:?}");
        }
    }
}

#[test]
fn h31_slashes_stay_where_they_are_not_merged() {
    let server = stock().conf("MergeSlashes Off").start();
    let response = server.get("/probe/environ//a///b");
    assert_eq!(value(&response, "PATH_INFO").as_deref(), Some("/environ//a///b"));
}

#[test]
fn h31_a_mount_cannot_be_reached_around_its_section() {
    let server = stock().conf("<Location /probe>\nRequire all denied\n</Location>").start();
    for target in [
        "/probe/environ",
        "//probe/environ",
        "/x/../probe/environ",
        "/%70robe/environ",
        "/./probe//environ",
        "/probe/%2e/environ",
    ] {
        let response = server.get(target);
        assert_eq!(response.status, 403, "{target}: {response:?}");
    }
    for target in ["/PROBE/environ", "/probe%2Fenviron", "/probe;x/environ", "/probe%00/environ"] {
        let response = server.get(target);
        assert!(matches!(response.status, 403 | 404 | 400), "{target}: {response:?}");
    }
}

#[test]
fn h32_headers_do_not_pose_as_others() {
    let server = quirks()
        .conf(
            "RustAppAlias /passed probe\n<Location /passed>\nRustPassAuthorization On\n</Location>",
        )
        .start();
    let ask = |path: &str| {
        server
            .request("GET", path)
            .header("Proxy", "http://evil:1/")
            .header("Authorization", "Basic c2VjcmV0")
            .header("Proxy-Authorization", "Basic c2VjcmV0")
            .header("X_Real_IP", "6.6.6.6")
            .header("X-Real-IP", "1.2.3.4")
            .header("X.Other", "dot")
            .header("Content_Length", "7")
            .header("Transfer_Encoding", "chunked")
            .send()
    };
    let response = ask("/probe/environ");
    for key in [
        "HTTP_PROXY",
        "HTTP_AUTHORIZATION",
        "HTTP_PROXY_AUTHORIZATION",
        "HTTP_X_OTHER",
        "HTTP_X.OTHER",
        "CONTENT_LENGTH",
        "HTTP_CONTENT_LENGTH",
        "HTTP_TRANSFER_ENCODING",
    ] {
        assert_eq!(value(&response, key), None, "{key}: {response:?}");
    }
    assert_eq!(value(&response, "HTTP_X_REAL_IP").as_deref(), Some("1.2.3.4"));
    assert!(
        !response.text().contains("6.6.6.6") && !response.text().contains("evil"),
        "{response:?}"
    );
    assert!(!response.text().contains("c2VjcmV0"), "{response:?}");
    // Only where it was asked for.
    let response = ask("/passed/environ");
    assert_eq!(value(&response, "HTTP_AUTHORIZATION").as_deref(), Some("Basic c2VjcmV0"));
    assert_eq!(value(&response, "HTTP_PROXY"), None);
    // The names distinguish the headers themselves.
    for (name, expected) in [("X-Real-IP", "1.2.3.4"), ("X_Real_IP", "6.6.6.6"), ("X-Real_IP", "")]
    {
        let expected = match expected {
            "" => "None\n".to_owned(),
            text => format!("Some({text:?})\n"),
        };
        assert_eq!(ask(&format!("/quirks/header?name={name}")).text(), expected);
    }
}

fn addresses(server: &Server, forwarded: &str) -> (Option<String>, Option<String>) {
    let response =
        server.request("GET", "/probe/environ").header("X-Forwarded-For", forwarded).send();
    (value(&response, "REMOTE_ADDR"), value(&response, "HTTP_X_FORWARDED_FOR"))
}

#[test]
fn h33_headers_of_trusted_proxies_apply() {
    let text = |text: &str| Some(text.to_owned());
    // No proxy is trusted, so it is a header like any other.
    let server = stock().start();
    assert_eq!(addresses(&server, "9.9.9.9"), (text("127.0.0.1"), text("9.9.9.9")));
    // Another one is trusted.
    let server = stock()
        .load("remoteip")
        .conf("RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 10.0.0.1")
        .start();
    assert_eq!(addresses(&server, "9.9.9.9"), (text("127.0.0.1"), text("9.9.9.9")));
    // This one is: the address is the last that no trusted proxy has, and the rest stays a claim.
    let server = stock()
        .load("remoteip")
        .conf("RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1 10.0.0.1")
        .start();
    assert_eq!(addresses(&server, "9.9.9.9"), (text("9.9.9.9"), None));
    assert_eq!(
        addresses(&server, "6.6.6.6, 9.9.9.9, 10.0.0.1"),
        (text("9.9.9.9"), text("6.6.6.6"))
    );
    assert_eq!(addresses(&server, "nonsense, 9.9.9.9"), (text("9.9.9.9"), text("nonsense")));
    // An address of our own cannot be claimed through it either: the first untrusted hop says so.
    assert_eq!(addresses(&server, "127.0.0.1, 9.9.9.9").0, text("9.9.9.9"));
    // The log has the same client.
    server.wait_access_log("9.9.9.9");
}
