//! Memory of the children after many requests: what a request leaves behind would show.

use std::time::Duration;

use httpd_testkit::{Mpm, Server, mpm_tests, proc};

/// So many requests of each kind: path, and whether it has a body.
const KINDS: [(&str, bool, u32); 5] = [
    ("/hello", false, 60_000),
    ("/probe/echo", true, 15_000),
    ("/probe/stream?chunks=3&size=300", false, 10_000),
    ("/probe/wait?ms=0", false, 10_000),
    ("/probe/environ", false, 5_000),
];

/// Sends requests with h2load, of which each must be answered with a 2xx.
fn load(server: &Server, path: &str, with_body: bool, requests: u32) {
    let (url, requests) = (server.url(path), requests.to_string());
    let body = server.root().join("htdocs/body").display().to_string();
    let mut args = vec!["--h1", "-n", &*requests, "-c", "4", "-t", "1", &*url];
    if with_body {
        args.extend(["-d", &*body]);
    }
    let output = server.run("h2load", &args);
    let expected = format!("status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx");
    assert!(output.text().contains(&expected), "{path}: {output:?}");
}

/// Private memory of all children together, in KiB.
fn memory(server: &Server) -> u64 {
    server.children_pids().into_iter().map(|pid| proc::anon_kib(pid).unwrap()).sum()
}

mpm_tests! {
    fn a_hundred_thousand_requests_leave_nothing(mpm) {
        let server = Server::builder()
            .mpm(mpm)
            .module("mod_rust.so")
            .conf("RustAppAlias /hello hello\nRustAppAlias /probe probe")
            .conf("CustomLog /dev/null \"%h\"")
            .children(if mpm == Mpm::Prefork { 4 } else { 1 })
            // With every thread busy, event would close connections that are kept alive.
            .threads(16)
            .log_level("warn")
            .file("htdocs/body", "b".repeat(2000))
            .patience(Duration::from_secs(60))
            .start();
        // What a request costs is not the MPM's: the whole of it on one of them.
        let part = if mpm == Mpm::Event { 1 } else { 4 };
        for (path, with_body, requests) in KINDS {
            load(&server, path, with_body, requests / part / 5);
        }
        let (before, children) = (memory(&server), server.children_pids());
        for (path, with_body, requests) in KINDS {
            load(&server, path, with_body, requests / part);
        }
        let after = memory(&server);
        println!("{mpm}: {before} KiB before, {after} KiB after");
        assert_eq!(server.children_pids(), children, "a child has been replaced");
        // Four bytes a request would be as much on event.
        assert!(after < before + 400 * children.len() as u64, "{before} KiB, {after} KiB");
    }
}
