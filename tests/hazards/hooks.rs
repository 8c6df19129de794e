//! Hazard 18: the order of hooks is the modules' own wish, and not that of the LoadModule lines.

use httpd_testkit::{Builder, Server};

use crate::support::HELLO;

/// Modules that have a say in where a URL leads.
const OTHERS: [&str; 8] =
    ["alias", "rewrite", "userdir", "vhost_alias", "dir", "negotiation", "proxy", "proxy_http"];

/// Returns all modules, with the tested one at the front, at the end, and among them.
fn orders() -> [Builder; 3] {
    [0, OTHERS.len(), 3].map(|place| {
        let (before, after) = OTHERS.split_at(place);
        let builder = before.iter().fold(Server::builder(), |builder, name| builder.load(name));
        after.iter().fold(builder.module("mod_rust.so"), |builder, name| builder.load(name))
    })
}

const CONF: &str = r#"
RustAppAlias /hello hello
RustAppAlias /probe probe
RustAppAlias /~probe probe
<Location "/hello/closed">
    Require all denied
</Location>
RewriteEngine On
RewriteRule "^/old/(.*)$" "/hello/$1" [PT]
RewriteRule "^/hello/gone" "-" [G]
Alias "/files" "{htdocs}"
Alias "/probe/static" "{htdocs}"
ProxyPass "/hello/own" "!"
ProxyPass "/probe/proxied" "http://127.0.0.1:{port}/hello"
ProxyPass "/hello/far" "http://127.0.0.1:{port}/probe/status"
UserDir "{root}/users"
<Directory "{root}/users">
    Require all granted
</Directory>
"#;

#[test]
fn h18_the_order_of_loading_does_not_matter() {
    for builder in orders() {
        let server = builder
            .conf(CONF)
            .file("htdocs/a.txt", "a file\n")
            .file("users/probe/environ", "a user's file\n")
            .file("users/else/environ", "a user's file\n")
            .start();
        for (path, status, text) in [
            ("/hello", 200, HELLO),
            ("/old/x", 200, HELLO),
            ("/hello/gone", 410, ""),
            ("/hello/closed", 403, ""),
            ("/files/a.txt", 200, "a file\n"),
            // A URL that another module has claimed stays with it.
            ("/probe/static/a.txt", 200, "a file\n"),
            ("/probe/proxied", 200, HELLO),
            ("/hello/far/418", 418, "418 I'm a teapot\n"),
            ("/hello/own", 200, HELLO),
            ("/probe/status/299", 299, "299 has no name\n"),
            // A mount takes precedence over a user's home directory.
            ("/~probe/status/201", 201, "201 Created\n"),
            ("/~else/environ", 200, "a user's file\n"),
            ("/a.txt", 200, "a file\n"),
            ("/hello.txt", 404, ""),
        ] {
            let response = server.get(path);
            assert_eq!(response.status, status, "{path}: {response:?}\n{}", server.config());
            assert!(text.is_empty() || response.text() == text, "{path}: {response:?}");
        }
        let environ = server.get("/~probe/environ");
        assert!(environ.text().contains("\"SCRIPT_NAME\": \"/~probe\""), "{environ:?}");
    }
}

#[test]
fn h18_a_mount_comes_before_mass_virtual_hosting() {
    for builder in orders() {
        let server = builder
            .conf("RustAppAlias /probe probe\nVirtualDocumentRoot {root}/hosts/%0")
            .conf("<Directory {root}/hosts>\nRequire all granted\n</Directory>")
            .file("hosts/localhost/a.txt", "of the host\n")
            .start();
        let get = |path| server.request("GET", path).header("Host", "localhost").send();
        assert_eq!(get("/a.txt").text(), "of the host\n");
        assert_eq!(get("/probe/status/201").text(), "201 Created\n", "{}", server.config());
    }
}

#[test]
fn h18_httpd_sorts_the_hooks_alike() {
    for builder in orders() {
        let server = builder
            .load("info")
            .conf("<Location /server-info>\nSetHandler server-info\n</Location>")
            .start();
        // Each hook with the modules in the order in which httpd calls them.
        let page = server.get("/server-info?hooks");
        let page = page.text();
        let order = |hook: &str| -> Vec<&str> {
            let from = page.find(hook).unwrap_or_else(|| panic!("no {hook} in {page}"));
            let rest = &page[from..];
            let rest = &rest[..rest.find("</tt>").unwrap_or(rest.len())];
            let words = rest.split(|c: char| c.is_whitespace() || "<>".contains(c));
            words.filter(|word| word.ends_with(".c")).collect()
        };
        let place = |modules: &[&str], name: &str| {
            let found = modules.iter().position(|module| *module == name);
            found.unwrap_or_else(|| panic!("{name} is not in {modules:?}"))
        };
        let translate = order(">Translate Name:");
        let own = place(&translate, "mod_rust.c");
        for (name, is_before) in [
            ("mod_proxy.c", true),
            ("mod_alias.c", true),
            ("mod_rewrite.c", true),
            ("mod_userdir.c", false),
            ("mod_vhost_alias.c", false),
            ("core.c", false),
        ] {
            assert_eq!(place(&translate, name) < own, is_before, "{name} in {translate:?}");
        }
        // The directory walk is the last.
        let storage = order(">Map to Storage:");
        assert_eq!(storage.last(), Some(&"core.c"), "{storage:?}");
        place(&storage, "mod_rust.c");
    }
}
