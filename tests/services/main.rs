//! Services in a real httpd: an axum `Router` (examples/axum.rs), with each MPM.

use std::time::{Duration, Instant};

use httpd_testkit::{BodyEnd, Builder, Mpm, Server, mpm_tests, proc};

fn api(mpm: Mpm) -> Builder {
    Server::builder().module("mod_axum.so").mpm(mpm).conf("RustAppAlias /api api")
}

mpm_tests! {
    fn routes_and_extractors(mpm) {
        let server = api(mpm).start();
        for target in ["/api", "/api/"] {
            let response = server.get(target);
            assert_eq!((response.status, response.text()), (200, "Hello, axum\n"), "{target}");
            assert_eq!(response.header("content-length"), Some("12"));
        }
        assert_eq!(server.get("/api/nowhere").status, 404);
        assert_eq!(server.get("/api/count").status, 405);
        assert_eq!(server.request("POST", "/api/count").send().status, 200);
        let head = server.request("HEAD", "/api/").send();
        assert_eq!((head.status, head.header("content-length")), (200, Some("12")));
        assert!(head.body.is_empty());
    }

    fn environ_in_every_task(mpm) {
        let server = api(mpm).load("env").conf("SetEnv COLOUR blue").start();
        let get = |name: &str| server.get(&format!("/api/environ/{name}"));
        assert_eq!(get("COLOUR").text(), "blue");
        assert_eq!(get("SCRIPT_NAME").text(), "/api");
        assert_eq!(get("PATH_INFO").text(), "/environ/PATH_INFO");
        assert_eq!(get("mod_rust.application").text(), "api");
        assert_eq!(get("NOTHING").status, 404);
    }

    fn bodies_both_ways(mpm) {
        let server = api(mpm).start();
        let body: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        for path in ["/api/echo", "/api/duplex"] {
            // axum's own limit for what it collects is 2 MB.
            let body = if path.ends_with("echo") { &body[..1_500_000] } else { &body[..] };
            let sent = server.request("POST", path).body(body).send();
            assert_eq!((sent.status, sent.body == body), (200, true), "{path}");
            let chunks = body.chunks(70_001).map(<[u8]>::to_vec);
            let sent = server.request("POST", path).chunks(chunks).send();
            assert_eq!((sent.status, sent.body == body), (200, true), "{path} in chunks");
        }
        let refused = server.request("POST", "/api/echo").body(vec![0; 2_500_000]).send();
        assert_eq!(refused.status, 413);
        assert_eq!(server.request("POST", "/api/echo").send().body, b"");
    }

    fn duplex_answers_while_the_client_sends(mpm) {
        let server = api(mpm).start();
        let mut connection = server.connect();
        connection.write("POST /api/duplex HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.write("4\r\nfour\r\n");
        assert_eq!(connection.read_head().status, 200);
        assert_eq!(connection.read_chunk().as_deref(), Some(&b"four"[..]));
        connection.write("5\r\nfiver\r\n");
        assert_eq!(connection.read_chunk().as_deref(), Some(&b"fiver"[..]));
        connection.write("0\r\n\r\n");
        assert_eq!(connection.read_chunk(), None);
    }

    fn streams_from_a_task(mpm) {
        let server = api(mpm).start();
        let response = server.get("/api/stream/500");
        let expected: String = (0..500).map(|piece| format!("piece {piece}\n")).collect();
        assert_eq!(response.text(), expected);
        assert_eq!(response.end, BodyEnd::Chunked);
    }

    fn tracing_goes_to_the_error_log(mpm) {
        let server = api(mpm).allow_log("traced").start();
        assert_eq!(server.get("/api/trace/me").status, 204);
        let line = server.wait_log("traced");
        assert!(line.contains("[axum:warn]") && line.contains("text=\"me\""), "{line}");
        assert!(line.contains("[client 127.0.0.1"), "{line}");
    }

    fn a_client_that_leaves_ends_the_wait(mpm) {
        let server = api(mpm).log_level("info axum:debug").start();
        let mut connection = server.connect();
        connection.write("GET /api/wait/60000 HTTP/1.1\r\nHost: x\r\n\r\n");
        // The request is under way when the service's runtime has its threads.
        server.wait_for("the request", || {
            server.children_pids().iter().any(|pid| {
                std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| {
                    tasks.flatten().any(|task| {
                        std::fs::read_to_string(task.path().join("comm"))
                            .is_ok_and(|name| name.starts_with("mod_rust-rt"))
                    })
                })
            })
        });
        let left = Instant::now();
        drop(connection);
        let line = server.wait_log("RUST0003");
        assert!(left.elapsed() < Duration::from_secs(1), "{:?}: {line}", left.elapsed());
    }
}

/// A client that has shut down its sending side counts as gone, and may still read: whatever it
/// gets must not look whole.
#[test]
fn a_half_closed_client_gets_nothing_that_looks_whole() {
    let server = api(Mpm::Event).start();
    for target in ["/api/wait/2000", "/api/slow/50"] {
        let mut connection = server.connect();
        connection.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).close_write();
        if let Ok(response) = connection.try_read_response("GET") {
            assert!(response.end.is_truncated(), "{target}: {response:?}");
        }
    }
}

/// Trailers of a response need a protocol in which httpd sends them.
#[test]
fn trailers_over_http2() {
    let server = api(Mpm::Event).tls(true).http2(true).start();
    let output =
        server.run("nghttp", &["--no-verify-peer", "--verbose", &server.tls_url("/api/stream/3")]);
    assert!(output.text().contains("x-pieces: 3"), "{}", output.text());
}

/// The parent never has a thread, nor a runtime: those are made in the children.
#[test]
fn the_parent_has_one_thread() {
    let server = api(Mpm::Event).start();
    assert_eq!(server.get("/api/wait/1").status, 200);
    assert_eq!(proc::threads(server.pid()).expect("the parent is there"), 1);
    server.graceful();
    assert_eq!(server.get("/api/wait/1").status, 200);
    assert_eq!(proc::threads(server.pid()).expect("the parent is there"), 1);
}

/// Many wait at once on a thread each: all are answered, in little more than the time of one.
#[test]
fn waits_go_on_side_by_side() {
    let server = api(Mpm::Event).threads(20).start();
    let started = Instant::now();
    let mut connections: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.write("GET /api/wait/400 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for connection in &mut connections {
        assert_eq!(connection.read_response().text(), "waited 400 ms\n");
    }
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}
