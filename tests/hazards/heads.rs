//! Hazards 8, 21, 23, 28 and 31: heads that httpd changes. These are error documents, statuses
//! without a body, impossible lengths, and a head that replaces another.

use httpd_testkit::{BodyEnd, Builder};

use crate::support::{HELLO, quirks, send};

/// The mounts: the application `quirks` in both modes.
const MODES: [&str; 2] = ["/quirks", "/grouped"];

fn modes() -> Builder {
    quirks().conf(
        "RustDaemonProcess grouped processes=1\n\
         RustAppAlias /grouped quirks process-group=grouped\n\
         <Location /grouped>\n</Location>",
    )
}

#[test]
fn h08_an_error_before_anything_has_gone_out_is_an_error_page() {
    let server = modes()
        .file("htdocs/sorry.html", "sorry\n")
        .conf("ErrorDocument 500 /sorry.html")
        .allow_log("a late error")
        .start();
    for mode in MODES {
        for length in ["", "&length=12", "&length=1000"] {
            let path = format!("{mode}/late?n=1&ready{length}");
            let response = server.get(&path);
            assert_eq!((response.status, response.text()), (500, "sorry\n"), "{path}");
            assert_eq!(response.header("content-type"), Some("text/html"), "{path}: {response:?}");
            let old = send(&server, format!("GET {path} HTTP/1.0\r\n\r\n")).read_response();
            assert_eq!((old.status, old.text()), (500, "sorry\n"), "{path}: HTTP/1.0");
        }
        // A part that has gone out cannot be taken back.
        let response = server.get(&format!("{mode}/late?n=30000&ready"));
        assert!(response.status == 200 && response.end.is_truncated(), "{mode}: {response:?}");
    }
    server.wait_log("answering 500");
}

#[test]
fn h21_an_error_document_answers_behind_an_internal_redirect() {
    let server = modes()
        .load("rewrite")
        .file("htdocs/sorry.html", "sorry\n")
        .file("htdocs/deep/.keep", "")
        .conf("ErrorDocument 404 /sorry.html\nErrorDocument 500 /sorry.html")
        .conf("<LocationMatch ^/(quirks|grouped)>\nRustErrorOverride On\n</LocationMatch>")
        .conf(
            "<Directory {htdocs}/deep>\nOptions +FollowSymLinks\nRewriteEngine On\n\
             RewriteRule ^(quirks|grouped)/(.*)$ /$1/$2\n</Directory>",
        )
        .allow_log("a late error")
        .start();
    for mode in MODES {
        for (target, status) in [
            ("respond?status=404&body=own", 404),
            ("respond?status=500", 500),
            ("late?n=1&ready", 500),
        ] {
            for path in [format!("{mode}/{target}"), format!("/deep{mode}/{target}")] {
                let response = server.get(&path);
                assert_eq!((response.status, response.text()), (status, "sorry\n"), "{path}");
            }
        }
    }
}

#[test]
fn h21_an_overridden_error_keeps_what_makes_sense_of_it() {
    let server = modes()
        .conf("<LocationMatch ^/(quirks|grouped)>\nRustErrorOverride On\n</LocationMatch>")
        .start();
    for mode in MODES {
        for (status, name, value) in
            [(405, "Allow", "GET"), (503, "Retry-After", "7"), (401, "WWW-Authenticate", "Basic")]
        {
            let path =
                format!("{mode}/respond?status={status}&h-{name}={value}&h-X-Own=1&body=zebra");
            let response = server.get(&path);
            assert_eq!(response.status, status, "{path}: {response:?}");
            let kept = response.headers(name);
            // httpd adds the methods that it answers itself, in the order of a hash table.
            let has_value = |kept: &str| kept.split(',').any(|part| part.trim() == value);
            assert!(kept.len() == 1 && has_value(kept[0]), "{path}: {response:?}");
            assert_eq!(response.header("X-Own"), None, "{path}: {response:?}");
            assert!(!response.text().contains("zebra"), "{path}: {response:?}");
        }
    }
}

#[test]
fn h23_a_205_has_length_zero() {
    let server = modes().allow_log("RUST0010").start();
    for mode in MODES {
        for more in ["&body=HTTP/1.1%20200", "&body=abc&stream", "&body=abc&h-Content-Length=3", ""]
        {
            let path = format!("{mode}/respond?status=205{more}");
            let mut connection = server.connect();
            let response = connection.request("GET", &path).send();
            assert_eq!(response.status, 205, "{path}: {response:?}");
            assert_eq!(response.header("content-length"), Some("0"), "{path}: {response:?}");
            assert_eq!((response.end, response.body.len()), (BodyEnd::Length, 0), "{path}");
            assert_eq!(connection.request("GET", "/hello").send().text(), HELLO, "{path}");
        }
    }
}

#[test]
fn h28_a_length_beyond_what_httpd_can_say_is_refused() {
    let server = modes().allow_log("RUST0006").start();
    for mode in MODES {
        for length in ["9223372036854775808", "18446744073709551615"] {
            for path in [
                format!("{mode}/respond?status=200&h-Content-Length={length}"),
                format!("{mode}/late?n=0&end&length={length}"),
            ] {
                for method in ["HEAD", "GET"] {
                    let response = server.request(method, &path).send();
                    assert_eq!(response.status, 500, "{method} {path}: {response:?}");
                    let length = response.header("content-length").unwrap_or("0");
                    assert!(!length.starts_with('-'), "{method} {path}: {response:?}");
                }
            }
        }
    }
    server.wait_log("too large; expected at most 9223372036854775807");
}

#[test]
fn h28_a_head_replaces_another_as_a_whole() {
    let server = modes().start();
    for mode in MODES {
        let response = server.get(&format!("{mode}/replace"));
        assert_eq!((response.status, response.text()), (503, "sorry\n"), "{mode}: {response:?}");
        assert_eq!(response.header("X-Second"), Some("2"), "{mode}: {response:?}");
        assert_eq!(response.header("X-First"), None, "{mode}: {response:?}");
        assert_eq!(response.header("Content-Type"), None, "{mode}: {response:?}");
    }
}

#[test]
fn h31_accept_path_info_off_refuses_what_follows_the_mount() {
    let server = modes()
        .conf("<LocationMatch ^/(quirks|grouped)>\nAcceptPathInfo Off\n</LocationMatch>")
        .conf("RustAppAlias /root hello\n<Location /root>\nAcceptPathInfo Off\n</Location>")
        .start();
    assert_eq!(server.get("/root").text(), HELLO);
    for path in ["/root/", "/root/more", "/quirks/respond?status=200", "/grouped/say"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.get("/hello/more").status, 200);
}
