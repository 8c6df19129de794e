//! Mounts: which URLs they take, what comes before them, and what the application sees.

use httpd_testkit::Server;

use crate::support::{stock, value};

const HELLO: &str = "Hello, world\n";

#[track_caller]
fn environ(server: &Server, target: &str, expected: &[(&str, Option<&str>)]) {
    let response = server.get(target);
    for (key, expected) in expected {
        assert_eq!(value(&response, key).as_deref(), *expected, "{target} {key}: {response:?}");
    }
}

fn status(server: &Server, target: &str) -> u16 {
    server.get(target).status
}

#[test]
fn whole_segments() {
    let server = stock()
        .conf("RustAppAlias /shop hello")
        .conf("RustAppAlias /slash/ hello")
        .conf("RustAppAlias \"/a b\u{e4}\" hello")
        .start();
    for target in [
        "/shop",
        "/shop/",
        "/shop/x",
        "/shop/x/y?z",
        "//shop",
        "/x/../shop",
        "/%73hop",
        "/slash",
        "/slash/",
        "/slash/x",
        "/a%20b%c3%a4",
        "/a%20b%c3%a4/x",
    ] {
        let response = server.get(target);
        assert_eq!((response.status, response.text()), (200, HELLO), "{target}");
    }
    for target in ["/shopping", "/sho", "/Shop", "/x/shop", "/slashes", "/a%20b", "/"] {
        assert_eq!(status(&server, target), 404, "{target}");
    }
}

/// The environ's keys about the path, by mount and target.
#[test]
pub(crate) fn script_name_and_path_info() {
    let server = stock()
        .conf("RustAppAlias /p/q probe")
        .conf("RustAppAliasMatch \"^/m/(?i)X+\" probe")
        .conf("RustAppAliasMatch ^/n/[a-z]+/ probe")
        .start();
    let all = |script_name, path_info, mount_point| {
        [
            ("SCRIPT_NAME", Some(script_name)),
            ("PATH_INFO", Some(path_info)),
            ("mod_rust.mount_point", Some(mount_point)),
            ("SCRIPT_FILENAME", Some("rust:probe")),
        ]
    };
    environ(&server, "/p/q/environ", &all("/p/q", "/environ", "/p/q"));
    environ(&server, "/p/q/environ/", &all("/p/q", "/environ/", "/p/q"));
    environ(&server, "/p/q/environ/%41//b", &all("/p/q", "/environ/A/b", "/p/q"));
    environ(&server, "/m/xXx/environ/y", &all("/m/xXx", "/environ/y", "/m/xXx"));
    environ(&server, "/n/abc/environ", &all("/n/abc", "/environ", "/n/abc"));
}

/// The table in docs/directives.md. Without one of its paths in PATH_INFO the probe says which
/// there are.
#[test]
pub(crate) fn regular_expressions_as_documented() {
    let mounted = |expression: &str| {
        let server = stock().conf(&format!("RustAppAliasMatch {expression} probe")).start();
        move |target: &str| server.get(target)
    };
    for (expression, targets) in [
        ("^/v[0-9]+", ["/v1/environ/users", "/v22/environ"]),
        ("^/v[0-9]+/", ["/v1/environ/users", "/v22/environ"]),
    ] {
        let get = mounted(expression);
        for target in targets {
            let response = get(target);
            let (script_name, _) = target.split_once("/environ").expect("it has that");
            let path_info = &target[script_name.len()..];
            assert_eq!(value(&response, "SCRIPT_NAME").as_deref(), Some(script_name), "{target}");
            assert_eq!(value(&response, "PATH_INFO").as_deref(), Some(path_info), "{target}");
        }
    }
    for (expression, taken, others) in [
        ("^/v[0-9]+", ["/v1beta", "/v1beta/environ"], ["/v/environ", "/x/v1/environ"]),
        ("\\.rsp$", ["/a/b.rsp", "/environ.rsp"], ["/a/b.rsp/environ", "/a/brsp"]),
        ("^/$", ["/", "//"], ["/environ", "/x"]),
    ] {
        let get = mounted(expression);
        for target in taken {
            let text = get(target).text().to_owned();
            assert!(text.contains("below the mount point"), "{expression} {target}: {text}");
        }
        for target in others {
            let text = get(target).text().to_owned();
            assert!(text.contains("<title>404 Not Found</title>"), "{expression} {target}: {text}");
        }
    }
}

#[test]
pub(crate) fn the_root() {
    let server = stock()
        .load("alias")
        .load("dir")
        .file("htdocs/x.txt", "a file")
        .file("static/x.txt", "a static file")
        .conf("Alias /static {root}/static\n<Directory {root}/static>\nRequire all granted\n</Directory>")
        .conf("RustAppAlias /hello hello")
        .conf("RustAppAlias / probe")
        .start();
    environ(
        &server,
        "/environ/x",
        &[
            ("SCRIPT_NAME", Some("")),
            ("PATH_INFO", Some("/environ/x")),
            ("mod_rust.mount_point", Some("")),
        ],
    );
    assert_eq!(server.get("/hello").text(), HELLO);
    assert_eq!(server.get("/static/x.txt").text(), "a static file");
    // Files below the document root are not httpd's any more.
    for target in ["/", "/x.txt"] {
        let response = server.get(target);
        assert!(response.text().contains("below the mount point"), "{target}: {response:?}");
    }
}

/// The first that fits; a virtual host's own before the main server's.
#[test]
fn the_first_that_fits() {
    let server = stock()
        .conf("RustAppAlias /a/b hello")
        .conf("RustAppAlias /a probe")
        .conf("RustAppAlias /c probe")
        .conf("RustAppAlias /c/d hello")
        .conf("RustAppAliasMatch ^/e/ hello")
        .conf("RustAppAlias /e probe")
        .conf("<VirtualHost 127.0.0.1:{port}>\nServerName first.test\n</VirtualHost>")
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName own.test\nRustAppAlias /a hello\n\
             RustAppAlias /only hello\n</VirtualHost>",
        )
        .start();
    let text = |host: &str, target: &str| {
        let response = server.request("GET", target).header("Host", host).send();
        (response.status, response.text().contains(HELLO.trim()))
    };
    for (host, target, expected) in [
        ("first.test", "/a/b/environ", (200, true)),
        ("first.test", "/a/environ", (200, false)),
        ("first.test", "/c/d/environ", (404, false)),
        ("first.test", "/c/environ", (200, false)),
        ("first.test", "/e/environ", (200, true)),
        ("first.test", "/only", (404, false)),
        ("own.test", "/a/b/environ", (200, true)),
        ("own.test", "/a/environ", (200, true)),
        ("own.test", "/c/environ", (200, false)),
        ("own.test", "/only", (200, true)),
    ] {
        assert_eq!(text(host, target), expected, "{host} {target}");
    }
}

/// Modules that run before a mount do so in any order of LoadModule.
#[test]
fn others_that_map_urls() {
    let conf = "Redirect /a/redirect http://example.test/\n\
                Alias /a/alias {htdocs}/x.txt\n\
                ScriptAlias /a/script {htdocs}/x.txt\n\
                RewriteEngine On\n\
                RewriteRule ^/a/file {htdocs}/x.txt\n\
                RewriteRule ^/a/moved http://example.test/ [R=302]\n\
                RewriteRule ^/a/gone - [G]\n\
                RewriteRule ^/a/proxied http://127.0.0.1:{port}/x.txt [P]\n\
                RewriteRule ^/passed/(.*) /a/$1 [PT]\n\
                ProxyPass /a/proxy http://127.0.0.1:{port}/x.txt\n\
                ProxyPass /a/local !\n\
                RustAppAlias /a hello\n";
    let stock_modules = ["alias", "rewrite", "proxy", "proxy_http", "userdir", "vhost_alias"];
    for is_first in [true, false] {
        let mut builder = if is_first { stock() } else { httpd_testkit::Server::builder() };
        for name in stock_modules {
            builder = builder.load(name);
        }
        if !is_first {
            builder = builder.module("mod_rust.so");
        }
        let server = builder.file("htdocs/x.txt", "a file").conf(conf).start();
        for (target, status, text) in [
            ("/a", 200, HELLO),
            ("/a/redirect", 302, ""),
            ("/a/alias", 200, "a file"),
            ("/a/file", 200, "a file"),
            ("/a/moved", 302, ""),
            ("/a/gone", 410, ""),
            ("/a/proxied", 200, "a file"),
            ("/a/proxy", 200, "a file"),
            ("/a/local", 200, HELLO),
            ("/passed/x", 200, HELLO),
            ("/passed/alias", 200, "a file"),
        ] {
            let response = server.get(target);
            assert_eq!(response.status, status, "first {is_first} {target}: {response:?}");
            assert!(response.text().contains(text), "first {is_first} {target}: {response:?}");
        }
    }
}

/// mod_rewrite passes a request to a mount, with variables that it sets.
#[test]
pub(crate) fn rewritten_to_a_mount() {
    let server = stock()
        .load("rewrite")
        .conf("RustAppAlias /probe probe")
        .conf(
            "RewriteEngine On\nRewriteRule ^/old/(.*) /probe/environ/$1?from=$1 [PT,QSA,E=OLD:$1]\n\
             RewriteRule ^/probe/loop /probe/environ/looped [PT]",
        )
        .file("htdocs/dir/x.txt", "a file")
        .conf(
            "<Directory {htdocs}/dir>\nRewriteEngine On\n\
             RewriteRule ^(.*)$ /probe/environ/dir/$1 [E=DIR:yes]\n</Directory>",
        )
        .start();
    environ(
        &server,
        "/old/x?q=1",
        &[
            ("SCRIPT_NAME", Some("/probe")),
            ("PATH_INFO", Some("/environ/x")),
            ("QUERY_STRING", Some("from=x&q=1")),
            ("REQUEST_URI", Some("/old/x?q=1")),
            ("OLD", Some("x")),
        ],
    );
    environ(&server, "/probe/loop", &[("PATH_INFO", Some("/environ/looped"))]);
    // In a directory it is an internal redirect.
    environ(
        &server,
        "/dir/x.txt",
        &[
            ("PATH_INFO", Some("/environ/dir/x.txt")),
            ("REDIRECT_DIR", Some("yes")),
            ("REDIRECT_STATUS", Some("200")),
            ("REDIRECT_URL", Some("/dir/x.txt")),
        ],
    );
}
