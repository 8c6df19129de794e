//! Hazards 7 and 8: a panic stays within its request, and what breaks late looks broken.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use httpd_testkit::{BodyEnd, Builder, Server, mpm_tests};

use crate::support::{HELLO, INCLUDES, quirks, send, stock};

mpm_tests! {
    fn h07_a_panic_is_a_500_and_no_more(mpm) {
        let server = quirks()
            .mpm(mpm)
            .children(1)
            .file("htdocs/sorry.html", "sorry\n")
            .conf("ErrorDocument 500 /sorry.html")
            .allow_log("the probe was asked for a panic")
            .start();
        let pid = server.get("/quirks/pid").text().to_owned();
        for _ in 0..3 {
            let response = server.get("/probe/panic");
            assert_eq!((response.status, response.text()), (500, "sorry\n"));
            assert_eq!(response.end, BodyEnd::Length);
            assert_eq!(server.get("/quirks/pid").text(), pid, "another process answers");
        }
        let line = server.wait_log("RUST0002");
        assert!(line.contains("probe/fail.rs:"), "the place is missing: {line}");
    }
}

#[test]
fn h07_no_callback_lets_a_panic_out() {
    let server = quirks()
        .children(1)
        .conf("RustAppAlias /broken broken")
        .conf("<Location /quirks/run>\nQuirksPanic fixups\n</Location>")
        .conf("<Location /own>\nSetHandler something\nQuirksPanic handler\n</Location>")
        // Settings of a file, unlike those of the configuration, are merged for each request.
        .conf("<Directory {htdocs}/merge>\nAllowOverride All\n</Directory>")
        .file("htdocs/merge/a.txt", "merged\n")
        .file("htdocs/merge/.htaccess", "QuirksPanic merge\n")
        .file("htdocs/read/a.txt", "read\n")
        .file("htdocs/read/.htaccess", "QuirksPanic directive\n")
        .allow_log("a panic in a")
        .allow_log("a configuration record that holds here could not be made")
        .allow_log("the grenade went off")
        .allow_log("QuirksPanic panicked; see the log")
        .start();
    let pid = server.get("/quirks/pid").text().to_owned();
    for (path, status, log) in [
        ("/quirks/run", 500, "RUST0001: a hook panicked"),
        ("/own", 500, "a panic in a handler"),
        ("/merge/a.txt", 500, "RUST0001: the callback merge configuration"),
        ("/read/a.txt", 500, "RUST0001: the callback directive"),
        ("/broken", 500, "RUST0007: application broken cannot be built"),
        ("/quirks/grenade", 200, "RUST0001: the end of a response's bytes panicked"),
    ] {
        let response = server.get(path);
        assert_eq!(response.status, status, "{path}: {response:?}");
        assert_eq!(response.end, BodyEnd::Length, "{path}");
        server.wait_log(log);
        assert_eq!(server.get("/quirks/pid").text(), pid, "{path}: another process answers");
    }
    assert_eq!(server.get("/quirks/grenade").body, [b'x'; 1000]);
}

#[test]
fn h07_a_panic_in_a_directive_stops_configtest() {
    let test = quirks().conf("QuirksPanic directive").configtest();
    assert!(!test.ok, "{}", test.output);
    for part in ["QuirksPanic panicked", "RUST0001", "a panic in a directive", "quirks.rs:"] {
        assert!(test.output.contains(part), "{part}: {}", test.output);
    }
}

/// A record that could not be made does not admit a request that it might have denied.
#[test]
fn h07_a_panic_in_a_merge_fails_closed() {
    let server = quirks()
        .children(1)
        .conf("<Location /open>\nQuirksLocked Off\n</Location>")
        .conf("<Location /open/locked>\nQuirksLocked On\n</Location>")
        .conf("<Location /open/inner>\nQuirksLocked On\nQuirksPanic merge\n</Location>")
        // Neither what is said further in, nor the mount of an application, opens it again.
        .conf("<Location /open/inner/most>\nQuirksLocked Off\n</Location>")
        .conf("RustAppAlias /open/inner/app hello\nRustAppAlias /open/app hello")
        .conf("<Directory {htdocs}/open>\nAllowOverride All\n</Directory>")
        .file("htdocs/open/a.txt", "open\n")
        .file("htdocs/open/locked/a.txt", "locked\n")
        .file("htdocs/open/inner/a.txt", "inner\n")
        .file("htdocs/open/inner/most/a.txt", "innermost\n")
        .file("htdocs/open/written/a.txt", "written\n")
        .file("htdocs/open/written/.htaccess", "QuirksLocked On\nQuirksPanic merge\n")
        .file("htdocs/open/made/a.txt", "made\n")
        .file("htdocs/open/made/.htaccess", "QuirksPanic create\n")
        .allow_log("a panic in a")
        .allow_log("a configuration record that holds here could not be made")
        .allow_log("QuirksLocked has no record to go into")
        .start();
    let pid = server.get("/quirks/pid").text().to_owned();
    for (path, status) in [
        ("/open/a.txt", 200),
        ("/open/app", 200),
        ("/open/locked/a.txt", 403),
        ("/open/inner/a.txt", 500),
        ("/open/inner/app", 500),
        ("/open/inner/most/a.txt", 500),
        ("/open/written/a.txt", 500),
        // Makes the next record fail to be created, which is the one of the next request's .htaccess.
        ("/open/made/a.txt", 200),
        ("/open/written/a.txt", 500),
        ("/open/a.txt", 200),
    ] {
        for method in ["GET", "HEAD", "POST"] {
            // Files take no POST.
            if status == 200 && method == "POST" || path.contains("made") && method != "GET" {
                continue;
            }
            let response = server.request(method, path).send();
            assert_eq!(response.status, status, "{method} {path}: {response:?}");
        }
    }
    assert_eq!(server.get("/quirks/pid").text(), pid, "another process answers");
    let log = server.error_log();
    let says = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    // Each request is logged: 3 methods, 4 paths of a section that could not be merged.
    let merged = says("RUST0001: the callback merge configuration");
    let answered = says("could not be made; see its line in the log; answering 500");
    assert!(merged >= 12 && answered >= 12, "{merged} {answered}\n{log}");
    assert!(says("QuirksLocked has no record to go into") >= 1, "{log}");
}

#[test]
fn h07_a_record_that_cannot_be_made_stops_configtest() {
    for (lines, expected) in [
        // The record that the virtual host begins with is a merged one.
        (
            "<VirtualHost *:1>\nQuirksPanic merge\n</VirtualHost>",
            "RUST0108: module mod_quirks.c: its hooks, or a configuration record, could not be made",
        ),
        (
            "QuirksPanic create\n<Location /x>\nQuirksLocked On\n</Location>",
            "QuirksLocked has no record to go into: its creation panicked",
        ),
    ] {
        let test = quirks().conf(lines).configtest();
        assert!(!test.ok, "{lines}: {}", test.output);
        for part in [expected, "RUST0001: the callback ", "quirks.rs:"] {
            assert!(test.output.contains(part), "{lines}: {part}: {}", test.output);
        }
    }
    // Without its hooks the module would let everything through.
    let builder = Server::builder().module("mod_quirks.so");
    let test = builder.env("QUIRKS_PANIC", "applications").configtest();
    assert!(!test.ok, "{}", test.output);
    for part in ["RUST0108: module mod_quirks.c", "RUST0001: the callback register_hooks"] {
        assert!(test.output.contains(part), "{part}: {}", test.output);
    }
}

#[test]
fn h07_a_build_that_aborts_on_panic_is_refused() {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("panic-abort");
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("src/lib.rs"), "pub use mod_rust::Application;\n").unwrap();
    // The same versions, so that everything is on this machine already.
    fs::copy(kit.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let check = |strategy: &str| {
        let manifest = format!(
            "[package]\nname = \"aborting\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies.mod_rust]\npath = {kit:?}\ndefault-features = false\n\
             [profile.dev]\npanic = \"{strategy}\"\n[workspace]\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        let mut command = Command::new(env!("CARGO"));
        command.args(["check", "--quiet", "--offline"]).current_dir(&folder);
        command.env("CARGO_TARGET_DIR", folder.join("target")).env_remove("RUSTFLAGS");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (ok, said) = check("abort");
    assert!(!ok && said.contains("mod_rust needs panic = \"unwind\""), "{said}");
    let (ok, said) = check("unwind");
    assert!(ok, "{said}");
}

/// Responses that break after their head: chunked, of known length, short and long.
const LATE: [&str; 5] = [
    "/probe/panic-late?after=10",
    "/probe/panic-late?after=300000",
    "/probe/panic-late?after=10&length=11",
    "/probe/panic-late?after=300000&length=300001",
    // The application ends without a panic, but before what it promised.
    "/quirks/respond?status=200&h-Content-Length=11&body=ten-bytes-&stream",
];

fn late() -> Builder {
    quirks().allow_log("a late panic").allow_log("but the body ended after")
}

/// The responses that a module's own hooks leave unfinished: their paths, and what the log says.
const OWN: [(&str, &str); 3] = [
    ("/own/error", "a hook answered 502 after its response had begun; breaking the response off"),
    ("/own/fixups", "a panic in a fixups hook after output; breaking the response off"),
    ("/own/handler", "a panic in a handler after output; breaking the response off"),
];

/// An application's error that cannot be displayed, in embedded mode and in a process group.
const UNDISPLAYABLE: [&str; 2] =
    ["/quirks/undisplayable?n=100000", "/grouped/undisplayable?n=100000"];

fn own() -> Builder {
    let section = |name: &str, place: &str| {
        format!("<Location /own/{name}>\nSetHandler something\nQuirksPanic {place}\n</Location>")
    };
    quirks()
        .conf(&section("fixups", "fixups-output"))
        .conf(&section("handler", "handler-output"))
        .conf(&section("end", "handler-end"))
        .conf(&section("error", "handler-error"))
        .conf("RustDaemonProcess grouped\nRustAppAlias /grouped quirks process-group=grouped")
        .allow_log("after output")
        .allow_log("after its response had begun")
        .allow_log("a panic in a Display")
}

mpm_tests! {
    fn h08_a_hook_that_panics_after_output_breaks_the_response_off(mpm) {
        let server = own().mpm(mpm).start();
        for (path, log) in OWN {
            let mut connection = server.connect();
            let response = connection.request("GET", path).send();
            assert_eq!(response.status, 200, "{path}: {response:?}");
            assert!(response.end.is_truncated(), "{path}: {response:?}");
            assert!(connection.is_closed(), "{path}: the connection stays open");
            server.wait_log(log);
            let mut connection = send(&server, format!("GET {path} HTTP/1.0\r\n\r\n"));
            if let Ok(response) = connection.try_read_response("GET") {
                assert!(response.end.is_truncated(), "{path}: {response:?}");
            }
        }
        for path in UNDISPLAYABLE {
            let response = server.get(path);
            assert!(response.end.is_truncated(), "{path}: {response:?}");
            server.wait_log("(the error's Display panicked at");
        }
        // A response that was whole stays so, and the next one on the connection is its own.
        let mut connection = server.connect();
        let response = connection.request("GET", "/own/end").send();
        assert_eq!((response.status, &*response.body), (200, &[b'x'; 1000][..]), "{response:?}");
        assert_eq!(connection.request("GET", "/hello").send().text(), HELLO);
        server.wait_log("a panic in a handler after output; the response was complete");
    }
}

#[test]
fn h08_a_hook_that_panics_after_output_breaks_off_over_http_2_and_in_pages() {
    let server = own()
        .mpm(httpd_testkit::Mpm::Event)
        .tls(true)
        .http2(true)
        .load("include")
        .conf(INCLUDES)
        .file("htdocs/page.shtml", "before <!--#include virtual=\"/own/handler\" --> after\n")
        .start();
    for path in OWN.map(|(path, _)| path).into_iter().chain(UNDISPLAYABLE) {
        for args in
            [["--http2-prior-knowledge", &server.url(path)], ["--http2", &server.tls_url(path)]]
        {
            let output = server.curl(&args);
            assert!(matches!(output.exit, Some(92 | 18)), "{path}: {output:?}");
        }
    }
    let page = server.get("/page.shtml");
    assert!(page.end.is_truncated() || page.status == 502, "{page:?}");
    assert_eq!(server.get("/hello").text(), HELLO);
}

mpm_tests! {
    fn h08_a_late_error_is_visible_over_http_1_1(mpm) {
        let server = late().mpm(mpm).start();
        for path in LATE {
            let mut connection = server.connect();
            let response = connection.request("GET", path).send();
            assert_eq!(response.status, 200, "{path}: {response:?}");
            assert!(response.end.is_truncated(), "{path}: {response:?}");
            assert!(connection.is_closed(), "{path}: the connection stays open");
            // Another answer must not follow, which would be taken for the rest of the body.
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            let mut connection =
                send(&server, format!("{request}GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
            let came = connection.read_to_end();
            assert!(!came.escape_ascii().to_string().contains("Hello"), "{path}");
        }
        assert_eq!(server.get("/hello").text(), HELLO);
        // While nothing has gone out it is an error like any other.
        assert_eq!(server.get("/probe/panic-late?after=0").status, 500);
    }

    fn h08_a_late_error_is_visible_over_http_1_0(mpm) {
        let server = late().mpm(mpm).start();
        for path in LATE {
            for more in ["", "Connection: keep-alive\r\n"] {
                let mut connection = send(&server, format!("GET {path} HTTP/1.0\r\n{more}\r\n"));
                match connection.try_read_response("GET") {
                    Ok(response) => {
                        assert!(response.end.is_truncated(), "{path} {more}: {response:?}");
                    }
                    // A reset may overtake what was sent before it.
                    Err(error) => assert!(error.to_string().contains("Reset"), "{path}: {error}"),
                }
            }
        }
    }
}

#[test]
fn h08_a_late_error_is_visible_through_tls() {
    let server = late().tls(true).start();
    for path in LATE {
        let url = server.tls_url(path);
        let output = server.curl(&["--http1.1", &url]);
        assert_eq!((output.exit, output.status), (Some(18), Some(200)), "{path}: {output:?}");
        let output = server.curl(&["--http1.0", "--no-alpn", &url]);
        assert!(matches!(output.exit, Some(18 | 56)), "{path}: {output:?}");
    }
    let output = server.curl(&["--http1.1", &server.tls_url("/hello")]);
    assert_eq!((output.exit, output.text()), (Some(0), HELLO));
}

#[test]
fn h08_a_late_error_is_visible_over_http_2() {
    let server = late().mpm(httpd_testkit::Mpm::Event).tls(true).http2(true).start();
    for path in LATE {
        for args in
            [["--http2-prior-knowledge", &server.url(path)], ["--http2", &server.tls_url(path)]]
        {
            let output = server.curl(&args);
            // 92: the stream was reset; 18: it ended before its length.
            assert!(matches!(output.exit, Some(92 | 18)), "{path}: {output:?}");
        }
    }
    let output = server.curl(&["--http2", &server.tls_url("/hello")]);
    assert_eq!((output.version.as_deref(), output.text()), (Some("2"), HELLO));
}

#[test]
fn h08_a_late_error_is_visible_behind_filters_and_proxies() {
    let server = late()
        .load("filter")
        .load("deflate")
        .load("proxy")
        .load("proxy_http")
        .conf("ProxyPass /front http://127.0.0.1:{port}")
        .conf("<If \"%{HTTP:X-Squeeze} == 'yes'\">\nSetOutputFilter DEFLATE\n</If>")
        .start();
    for path in LATE {
        let squeezed = server
            .request("GET", path)
            .header("X-Squeeze", "yes")
            .header("Accept-Encoding", "gzip")
            .send();
        assert_eq!(squeezed.header("content-encoding"), Some("gzip"), "{path}: {squeezed:?}");
        assert!(squeezed.end.is_truncated(), "{path}: {squeezed:?}");
        let proxied = server.get(&format!("/front{path}"));
        // The proxy may answer itself for data that it had not passed on.
        assert!(proxied.end.is_truncated() || proxied.status == 502, "{path}: {proxied:?}");
    }
}

#[test]
fn h08_a_broken_response_is_not_cached() {
    for (provider, conf) in [
        ("socache", "CacheEnable socache /\nCacheSocache shmcb\nCacheSocacheMaxSize 500000"),
        ("disk", "CacheEnable disk /\nCacheRoot {root}/cache"),
    ] {
        let server = stock()
            .load("cache")
            .load("socache_shmcb")
            .load(&format!("cache_{provider}"))
            .conf(conf)
            .conf("CacheHeader On\nCacheStoreNoStore On\nCacheIgnoreNoLastMod On")
            .conf("CacheIgnoreQueryString Off\nCacheDefaultExpire 100")
            .conf("<Location /probe>\nHeader set Cache-Control max-age=100\n</Location>")
            .load("headers")
            .file("cache/.keep", "")
            .allow_log("a late panic")
            .start();
        let folder = server.root().join("cache");
        fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
        let cached = |server: &Server, path| {
            let response = server.get(path);
            (response.header("x-cache").unwrap_or("").starts_with("HIT"), response)
        };
        // A complete response is stored: otherwise the test would prove nothing.
        assert!(!cached(&server, "/probe/bytes/1000").0);
        assert!(cached(&server, "/probe/bytes/1000").0, "{provider} stores nothing");
        for path in ["/probe/panic-late?after=1000", "/probe/panic-late?after=1000&length=2000"] {
            for _ in 0..3 {
                let (hit, response) = cached(&server, path);
                assert!(!hit && response.end.is_truncated(), "{provider} {path}: {response:?}");
            }
        }
    }
}
