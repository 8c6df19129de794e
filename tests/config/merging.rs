//! Tests how lines in several places are merged: the virtual host over the main server, the inner
//! section over the outer one, each directive by itself.

use httpd_testkit::Server;

use crate::support::{stock, value};

/// Returns whether the application at `target` gets Authorization as a key.
fn passed(server: &Server, host: &str, target: &str) -> bool {
    let response = server
        .request("GET", target)
        .header("Host", host)
        .header("Authorization", "Basic eA==")
        .send();
    value(&response, "HTTP_AUTHORIZATION").is_some()
}

/// Returns whether the server's page replaces a 404 of the application.
fn overridden(server: &Server, host: &str, target: &str) -> bool {
    let response = server.request("GET", target).header("Host", host).send();
    assert_eq!(response.status, 404, "{response:?}");
    response.text() == "the server's own"
}

#[test]
pub(crate) fn the_flag_of_the_innermost_section_applies() {
    let server = stock()
        .conf("ErrorDocument 404 \"the server's own\"")
        .conf("RustAppAlias /probe probe")
        .conf("RustPassAuthorization On")
        .conf("<Location /probe/environ/off>\nRustPassAuthorization Off\n</Location>")
        .conf("<Location /probe/environ/off/on>\nRustPassAuthorization On\n</Location>")
        .conf("<If \"%{QUERY_STRING} == 'off'\">\nRustPassAuthorization Off\n</If>")
        .conf("<VirtualHost 127.0.0.1:{port}>\nServerName first.test\n</VirtualHost>")
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName off.test\nRustPassAuthorization Off\n\
             <Location /probe/environ/own>\nRustPassAuthorization On\n</Location>\n</VirtualHost>",
        )
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName override.test\nRustErrorOverride On\n\
             <Location /probe/status/404>\nRustMapHeadToGet On\n</Location>\n</VirtualHost>",
        )
        .start();
    for (host, target, expected) in [
        ("first.test", "/probe/environ", true),
        ("first.test", "/probe/environ/off", false),
        ("first.test", "/probe/environ/off/x", false),
        ("first.test", "/probe/environ/off/on", true),
        ("first.test", "/probe/environ?off", false),
        // <If> comes after <Location>.
        ("first.test", "/probe/environ/off/on?off", false),
        ("off.test", "/probe/environ", false),
        ("off.test", "/probe/environ/own", true),
        // Sections of the main server come before those of the virtual host, and after what stands
        // in it outside of sections.
        ("off.test", "/probe/environ/off/on", true),
        // Another directive of the same virtual host changes nothing of this one.
        ("override.test", "/probe/environ", true),
    ] {
        assert_eq!(passed(&server, host, target), expected, "{host} {target}");
    }
    assert!(!overridden(&server, "first.test", "/probe/status/404"));
    // A section about something else keeps what holds around it.
    assert!(overridden(&server, "override.test", "/probe/status/404"));
}

#[test]
pub(crate) fn files_on_disk_too() {
    let server = stock()
        .file("htdocs/a/x.txt", "a file")
        .file("htdocs/a/b/x.txt", "a file")
        .file("htdocs/a/b/y.txt", "a file")
        .conf("<Directory {htdocs}/a>\nRustApp probe\nRustPassAuthorization On\n</Directory>")
        .conf("<Directory {htdocs}/a/b>\nRustPassAuthorization Off\n</Directory>")
        .conf("<Files y.txt>\nRustPassAuthorization On\n</Files>")
        .conf("<Location /a/b/x.txt/environ/on>\nRustPassAuthorization On\n</Location>")
        .start();
    for (target, expected) in [
        ("/a/x.txt/environ", true),
        ("/a/b/x.txt/environ", false),
        ("/a/b/y.txt/environ", true),
        ("/a/b/x.txt/environ/on", true),
    ] {
        assert_eq!(passed(&server, "localhost", target), expected, "{target}");
    }
}

#[test]
pub(crate) fn the_application_of_the_innermost_section_answers() {
    let server = stock()
        .file("htdocs/a/b/c/x.txt", "a file")
        .conf("<Directory {htdocs}/a>\nRustApp hello\n</Directory>")
        .conf("<Directory {htdocs}/a/b>\nRustApp probe\n</Directory>")
        .conf("<Directory {htdocs}/a/b/c>\nRustApp Off\n</Directory>")
        .conf("<Location /a/b/c/again>\nRustApp hello\n</Location>")
        .conf("<If \"%{QUERY_STRING} == 'off'\">\nRustApp Off\n</If>")
        .conf("<VirtualHost 127.0.0.1:{port}>\nServerName first.test\n</VirtualHost>")
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName own.test\n\
             <Directory {htdocs}/a/b/c>\nRustApp hello\n</Directory>\n</VirtualHost>",
        )
        .start();
    let text = |host: &str, target: &str| {
        let response = server.request("GET", target).header("Host", host).send();
        response.text().lines().next().unwrap_or_default().to_owned()
    };
    for (host, target, expected) in [
        ("first.test", "/a/none", "Hello, world"),
        ("first.test", "/a/b/none", "there is no such path; below the mount point there are:"),
        ("first.test", "/a/b/c/x.txt", "a file"),
        ("first.test", "/a/b/c/again", "Hello, world"),
        ("own.test", "/a/b/c/x.txt", "Hello, world"),
    ] {
        assert_eq!(text(host, target), expected, "{host} {target}");
    }
    assert_eq!(server.get("/a/none?off").status, 404);
    assert_eq!(server.get("/a/b/c/x.txt?off").text(), "a file");
}
