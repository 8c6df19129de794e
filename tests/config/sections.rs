//! Tests `RustApp` in the sections of the configuration: the requests that it applies to, the
//! application's view of them, and its removal.

use httpd_testkit::{Builder, Server};

use crate::support::{stock, value};

const HELLO: &str = "Hello, world\n";

#[track_caller]
fn answers(server: &Server, expected: &[(&str, u16, &str)]) {
    for (target, status, text) in expected {
        let response = server.get(target);
        assert_eq!(response.status, *status, "{target}: {response:?}");
        assert!(response.text().contains(text), "{target}: {response:?}");
    }
}

#[test]
pub(crate) fn applies_to_what_its_section_does() {
    let server = stock()
        .load("dir")
        .file("htdocs/folder/x.txt", "a file")
        .file("htdocs/folder/y.rsp", "a file")
        .file("htdocs/folder/deep/x.txt", "a file")
        .file("htdocs/match-1/x.txt", "a file")
        .file("htdocs/free/x.txt", "a file")
        .file("htdocs/free/y.rsp", "a file")
        .file("htdocs/free/z.rsp2", "a file")
        .conf("<Directory {htdocs}/folder>\nRustApp hello\n</Directory>")
        .conf("<Directory {htdocs}/folder/deep>\nRustApp Off\n</Directory>")
        .conf("<DirectoryMatch /match-[0-9]>\nRustApp hello\n</DirectoryMatch>")
        .conf("<Files *.rsp>\nRustApp hello\n</Files>")
        .conf("<FilesMatch \"\\.rsp2$\">\nRustApp hello\n</FilesMatch>")
        .conf("<Location /place>\nRustApp hello\n</Location>")
        .conf("<Location /place/off>\nRustApp Off\n</Location>")
        .conf("<LocationMatch ^/m[0-9]+$>\nRustApp hello\n</LocationMatch>")
        .conf("<Location /wild/*/x>\nRustApp hello\n</Location>")
        .conf("<If \"req('X-If') == 'yes'\">\nRustApp hello\n</If>")
        .start();
    answers(
        &server,
        &[
            ("/folder/x.txt", 200, HELLO),
            // Its folder has to be there, it itself need not.
            ("/folder/none", 200, HELLO),
            ("/folder/deep/x.txt", 200, "a file"),
            ("/folder/deep/none", 404, ""),
            ("/match-1/x.txt", 200, HELLO),
            ("/free/x.txt", 200, "a file"),
            ("/free/y.rsp", 200, HELLO),
            ("/free/none.rsp", 200, HELLO),
            ("/free/z.rsp2", 200, HELLO),
            ("/place", 200, HELLO),
            ("/place/x/y", 200, HELLO),
            ("/place/off", 404, ""),
            ("/places", 404, ""),
            ("/m123", 200, HELLO),
            ("/m123/x", 404, ""),
            ("/wild/any/x", 200, HELLO),
            ("/wild/x", 404, ""),
        ],
    );
    let response = server.request("GET", "/free/x.txt").header("X-If", "yes").send();
    assert_eq!(response.text(), HELLO);
    // Every method is the application's, TRACE excepted.
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        assert_eq!(server.request(method, "/folder/x.txt").send().text(), HELLO, "{method}");
    }
    let trace = server.request("TRACE", "/folder/x.txt").send();
    assert_eq!(trace.header("content-type"), Some("message/http"));
}

#[test]
pub(crate) fn folders_are_mod_dirs() {
    let server = stock()
        .load("dir")
        .file("htdocs/app/index.html", "an index")
        .file("htdocs/app/below/x.txt", "a file")
        .conf("<Directory {htdocs}/app>\nDirectoryIndex index.html\n</Directory>")
        .conf(
            "<Directory {htdocs}/app/below>\nDirectoryIndex disabled\nRustApp hello\n</Directory>",
        )
        .conf("<Location /virtual/>\nRustApp hello\n</Location>")
        .start();
    let redirected = server.get("/app/below");
    assert_eq!(redirected.status, 301);
    assert_eq!(redirected.header("location"), Some(&*server.url("/app/below/")));
    answers(&server, &[("/app/", 200, "an index"), ("/app/below/", 200, HELLO)]);
    answers(&server, &[("/virtual/", 200, HELLO)]);
}

#[test]
pub(crate) fn the_application_sees_the_file() {
    let server = stock()
        .file("htdocs/app/x.txt", "a file")
        .conf("<Directory {htdocs}/app>\nRustApp probe\n</Directory>")
        .conf("<Location /place>\nRustApp probe\n</Location>")
        .start();
    let root = server.root().display().to_string();
    for (target, script_name, path_info, file) in [
        ("/app/x.txt/environ", "/app/x.txt", "/environ", "/htdocs/app/x.txt"),
        ("/app/x.txt/environ/a%20b//c?d=e", "/app/x.txt", "/environ/a b/c", "/htdocs/app/x.txt"),
        ("/app/none/environ", "/app/none", "/environ", "/htdocs/app/none"),
        ("/place/environ/x", "/place", "/environ/x", "/htdocs/place"),
    ] {
        let response = server.get(target);
        let file = format!("{root}{file}");
        for (key, expected) in [
            ("SCRIPT_NAME", script_name),
            ("PATH_INFO", path_info),
            ("SCRIPT_FILENAME", &file),
            ("mod_rust.application", "probe"),
            ("mod_rust.mount_point", script_name),
        ] {
            assert_eq!(value(&response, key).as_deref(), Some(expected), "{target} {key}");
        }
    }
}

/// In a section that applies to a mount, it replaces the mount's application.
#[test]
pub(crate) fn over_a_mount() {
    let server = stock()
        .load("setenvif")
        .conf("RustAppAlias /probe probe")
        .conf("RustAppAlias /hello hello")
        .conf("<Location /probe/instead>\nRustApp hello\n</Location>")
        .conf("<Location /probe/off>\nRustApp Off\n</Location>")
        .conf("<Location /hello/probe>\nRustApp probe\n</Location>")
        .conf("<If \"%{QUERY_STRING} == 'instead'\">\nRustApp hello\n</If>")
        .conf("<Location /probe/taken>\nSetHandler server-status\n</Location>")
        .conf("<Location /probe/none>\nSetHandler None\n</Location>")
        // On disk there is nothing that a Directory could be about.
        .conf("<Directory />\nRustApp Off\n</Directory>")
        .start();
    answers(
        &server,
        &[
            ("/probe/environ", 200, "REQUEST_METHOD"),
            ("/probe/instead", 200, HELLO),
            ("/probe/instead/more", 200, HELLO),
            ("/probe/off", 404, "Not Found"),
            ("/probe/off/more", 404, "Not Found"),
            ("/probe/environ?instead", 200, HELLO),
            // The handler is not loaded, and the file does not exist.
            ("/probe/taken", 404, ""),
        ],
    );
    // The mount's SCRIPT_NAME, though the section is about a part of it.
    let response = server.get("/hello/probe/environ");
    assert_eq!(response.status, 404, "{response:?}");
    assert!(response.text().contains("there is no such path; below the mount point"));
}

/// The handler's name alone is not an application's.
#[test]
pub(crate) fn the_handler_alone_is_none() {
    let server = stock()
        .load("rewrite")
        .load("actions")
        .file("htdocs/x.txt", "a file")
        .file("htdocs/y.txt", "a file")
        .file("htdocs/z.txt", "a file")
        .conf("<Location /x.txt>\nSetHandler rust-app\n</Location>")
        .conf("RewriteEngine On\nRewriteRule ^/y\\.txt$ - [H=rust-app]")
        .conf("RewriteRule ^/z\\.txt$ - [H=rust-app]\n<Files z.txt>\nRustApp hello\n</Files>")
        .start();
    answers(
        &server,
        &[("/x.txt", 200, "a file"), ("/y.txt", 200, "a file"), ("/z.txt", 200, HELLO)],
    );
}

/// Modules in front of an application work as for any handler.
#[test]
pub(crate) fn access_control_comes_first() {
    let builder = |section: &str| -> Builder {
        stock()
            .load("authn_core")
            .load("auth_basic")
            .load("authn_file")
            .load("authz_user")
            .load("authz_host")
            .file("htdocs/app/x.txt", "a file")
            .file("passwords", "otto:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
            .conf("RustAppAlias /mount probe")
            .conf(section)
    };
    let guard = "AuthType Basic\nAuthName r\nAuthBasicProvider file\n\
                 AuthUserFile {root}/passwords\nRequire valid-user";
    for (section, target) in [
        (format!("<Location /mount>\n{guard}\n</Location>"), "/mount/environ"),
        (
            format!("<Directory {{htdocs}}/app>\nRustApp probe\n{guard}\n</Directory>"),
            "/app/x.txt/environ",
        ),
    ] {
        let server = builder(&section).start();
        let refused = server.get(target);
        assert_eq!(refused.status, 401);
        assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"r\""));
        let response =
            server.request("GET", target).header("Authorization", "Basic b3R0bzpzZWNyZXQ=").send();
        assert_eq!(value(&response, "REMOTE_USER").as_deref(), Some("otto"));
        assert_eq!(value(&response, "AUTH_TYPE").as_deref(), Some("Basic"));
        assert_eq!(value(&response, "HTTP_AUTHORIZATION"), None);
    }
    let server = builder("<Location /mount>\nRequire all denied\n</Location>").start();
    answers(&server, &[("/mount/environ", 403, "Forbidden")]);
    let server = builder("<If \"%{HTTP_USER_AGENT} == 'bad'\">\nRequire all denied\n</If>").start();
    assert_eq!(server.get("/mount/environ").status, 200);
    let refused = server.request("GET", "/mount/environ").header("User-Agent", "bad").send();
    assert_eq!(refused.status, 403);
}
