//! Services in a real httpd: an axum `Router` (examples/axum.rs), with each MPM, in httpd's children
//! and in a process group.

mod checks;
mod filters;
mod resources;

use std::time::{Duration, Instant};

use httpd_testkit::{Builder, Mpm, Server, mpm_tests, proc};

fn embedded(mpm: Mpm) -> Builder {
    Server::builder().module("mod_axum.so").mpm(mpm).conf("RustAppAlias /api api")
}

fn daemon(mpm: Mpm) -> Builder {
    let builder = Server::builder().module("mod_axum.so").mpm(mpm);
    builder
        .conf("RustDaemonProcess services threads=4")
        .conf("RustAppAlias /api api process-group=services")
}

macro_rules! in_both_modes {
    ($($check:ident)+) => {
        mpm_tests! {
            $(fn $check(mpm) {
                checks::$check(embedded(mpm));
                checks::$check(daemon(mpm));
            })+
        }
    };
}

in_both_modes! {
    routes_and_extractors
    environ_in_every_task
    bodies_both_ways
    duplex_answers_while_the_client_sends
    streams_from_a_task
    tracing_goes_to_the_error_log
    the_environ_is_there_when_the_last_byte_goes
    a_client_that_leaves_ends_the_wait
}

/// A service that waits for a thread which asks for the environ gets no answer, and does not hang.
#[test]
fn a_joined_thread_that_asks_for_the_environ() {
    let server = embedded(Mpm::Event).allow_log("RUST0019").start();
    assert_eq!(server.get("/api/joined/SCRIPT_NAME").status, 404);
    server.wait_log("RUST0019");
    // In daemon mode the environ has been sent.
    let server = daemon(Mpm::Event).start();
    assert_eq!(server.get("/api/joined/SCRIPT_NAME").text(), "/api");
}

/// A client that has shut down its sending side counts as gone, and may still read. Its response
/// must not look complete.
#[test]
fn a_half_closed_client_gets_nothing_that_looks_whole() {
    for server in [embedded(Mpm::Event).start(), daemon(Mpm::Event).start()] {
        for target in ["/api/wait/2000", "/api/slow/50"] {
            let mut connection = server.connect();
            let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            connection.write(request).close_write();
            if let Ok(response) = connection.try_read_response("GET") {
                assert!(response.end.is_truncated(), "{target}: {response:?}");
            }
        }
    }
}

/// Trailers of a response need a protocol in which httpd sends them.
#[test]
fn trailers_over_http2() {
    for builder in [embedded(Mpm::Event), daemon(Mpm::Event)] {
        let server = builder.tls(true).http2(true).start();
        let url = server.tls_url("/api/stream/3");
        let output = server.run("nghttp", &["--no-verify-peer", "--verbose", &url]);
        assert!(output.text().contains("x-pieces: 3"), "{}", output.text());
    }
}

/// Returns the number of a process's threads that its runtime for services has.
fn runtime_threads(pid: i32) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    let names = threads.map(|thread| {
        std::fs::read_to_string(thread.expect("a thread").path().join("comm")).unwrap_or_default()
    });
    names.filter(|name| name.trim_end() == "mod_rust-rt").count()
}

#[test]
fn the_runtime_has_the_threads_that_it_is_given() {
    let usual = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
    for (directive, threads) in [("", usual), ("RustRuntimeThreads 5", 5)] {
        let server = embedded(Mpm::Event).children(1).conf(directive).start();
        assert_eq!(server.get("/api/wait/1").status, 200);
        assert_eq!(runtime_threads(server.children_pids()[0]), threads, "{directive}");
    }
    let builder = Server::builder().module("mod_axum.so").mpm(Mpm::Event);
    let server = builder
        .conf("RustRuntimeThreads 5\nRustDaemonProcess services runtime-threads=3")
        .conf("RustAppAlias /api api process-group=services")
        .start();
    assert_eq!(server.get("/api/wait/1").status, 200);
    assert_eq!(runtime_threads(server.group("services").wait_ready(1)[0]), 3);
    assert_eq!(runtime_threads(server.pid()), 0);
}

/// The parent never has a thread, nor a runtime: those are made in the processes that it forks.
#[test]
fn the_parent_has_one_thread() {
    for server in [embedded(Mpm::Event).start(), daemon(Mpm::Event).start()] {
        assert_eq!(server.get("/api/wait/1").status, 200);
        assert_eq!(proc::threads(server.pid()).expect("the parent is there"), 1);
        server.graceful();
        assert_eq!(server.get("/api/wait/1").status, 200);
        assert_eq!(proc::threads(server.pid()).expect("the parent is there"), 1);
    }
}

/// Asks for `/api/wait/<ms>` so many times at once. All are answered, and in less than `bound`.
fn wait_at_once(server: &Server, requests: usize, ms: u64, bound: Duration) {
    let started = Instant::now();
    let mut connections: Vec<_> = (0..requests).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.write(format!("GET /api/wait/{ms} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    for connection in &mut connections {
        let response = connection.read_response();
        let expected = format!("waited {ms} ms\n");
        assert_eq!((response.status, response.text()), (200, expected.as_str()), "{response:?}");
    }
    assert!(started.elapsed() < bound, "{:?}", started.elapsed());
}

/// Many wait at once on a thread each: all are answered, before they could be
/// one after another.
#[test]
fn waits_go_on_side_by_side() {
    let server = embedded(Mpm::Event).threads(20).start();
    wait_at_once(&server, 20, 2000, Duration::from_secs(40));
}

/// In a daemon process `threads=` bounds what runs, not what waits: one after the other on two
/// threads these would take 50 seconds.
#[test]
fn waits_do_not_hold_the_threads_of_a_process_group() {
    let server = Server::builder()
        .module("mod_axum.so")
        .mpm(Mpm::Event)
        .threads(110)
        .conf("RustDaemonProcess services threads=2")
        .conf("RustAppAlias /api api process-group=services")
        .start();
    let daemons = || server.group("services").pids();
    // One that serves, and the one in reserve.
    server.wait_for("the daemon processes", || daemons().len() == 2);
    let before = daemons();
    for _ in 0..3 {
        wait_at_once(&server, 100, 1000, Duration::from_secs(50));
        // No request was taken for a hang, and the next is served at once.
        assert_eq!(server.get("/api").text(), "Hello, axum\n");
    }
    assert_eq!(daemons(), before);
    // A line is written after its response.
    server.wait_for("300 lines in the access log", || {
        let log = server.access_log();
        log.lines().filter(|line| line.contains("/api/wait/1000 HTTP/1.1\" 200 ")).count() == 300
    });
}
