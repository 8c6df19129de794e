//! Streams without an end, when their child has to end: RustGracefulTimeout.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use httpd_testkit::{Builder, Connection, Mpm, Server, Signal, mpm_tests};

use crate::support::{begin, busy, waiting};
use crate::upgrades::builder;
use crate::websocket::{HELLO, connect_to, echoes};

/// The probe inside the httpd children, and in a process group.
const MOUNTS: [&str; 2] = ["/probe", "/daemon"];

/// Never ends, and does not look whether the process does: an event a minute.
const EVENTS: &str = "/events?ms=60000";

/// The same, of an application that is no service.
const STREAM: &str = "/stream?chunks=inf&size=1000&ms=10";

/// Begins a response, and returns when some of it has come.
fn stream(server: &Server, target: &str) -> Connection {
    let connection = begin(server, target);
    server.wait_for("the response", || !connection.is_idle());
    connection
}

/// Reads to the end of a response, and returns whether it is a visible break.
fn breaks_off(mut connection: Connection) -> bool {
    connection.try_read_response("GET").is_ok_and(|response| response.end.is_truncated())
}

fn wait_until_gone(server: &Server, children: &[i32]) {
    server.wait_for("the end of the children", || {
        server.children_pids().iter().all(|pid| !children.contains(pid))
    });
}

/// Returns a server that has the probe in a process group too.
fn with_daemon(mpm: Mpm) -> Builder {
    builder(mpm, 8)
        .conf("RustDaemonProcess app processes=1 threads=4 socket-timeout=60")
        .conf("RustAppAlias /daemon probe process-group=app")
}

/// Has streams without an end in an old child, and a request that is answered later.
fn end_with_their_child(builder: Builder, mount: &str) {
    let server = builder.conf("RustGracefulTimeout 2").start();
    let target = |rest: &str| format!("{mount}{rest}");
    let (events, steady) = (stream(&server, &target(EVENTS)), stream(&server, &target(STREAM)));
    let mut socket = connect_to(&server, &target("/ws"), HELLO);
    echoes(&mut socket);
    let mut wait = begin(&server, &target("/wait?ms=6000"));
    // Those, and that for the page.
    server.wait_for("the wait", || waiting(&server) + busy(&server) == 5);
    let old = server.children_pids();
    let asked = Instant::now();
    server.graceful();
    assert!(breaks_off(events), "the stream of a service");
    assert!(asked.elapsed() >= Duration::from_secs(2), "it had {:?}", asked.elapsed());
    assert!(breaks_off(steady), "the stream of another application");
    assert!(socket.is_closed());
    assert!(asked.elapsed() < Duration::from_secs(30), "they had {:?}", asked.elapsed());
    assert_eq!(wait.read_response().text(), "waited 6000 ms\n");
    drop(wait);
    wait_until_gone(&server, &old);
    assert_eq!(server.error_log().matches("RUST0045").count(), 3);
    stream(&server, &target(EVENTS));
}

mpm_tests! {
    fn endless_streams_end_with_their_child(mpm) {
        end_with_their_child(builder(mpm, 8), "/probe");
    }

    fn those_of_a_process_group_do_too(mpm) {
        end_with_their_child(with_daemon(mpm), "/daemon");
    }

    fn a_stream_that_is_told_ends_whole(mpm) {
        let builder = builder(mpm, 4).module("mod_live.so").conf("RustGracefulTimeout Off");
        let server = builder.conf("RustAppAlias /live live").start();
        let mut events = stream(&server, "/live/events");
        server.graceful();
        assert!(events.read_response().end.is_complete());
    }
}

#[test]
fn off_is_for_ever() {
    let server = builder(Mpm::Event, 4).conf("RustGracefulTimeout Off").start();
    let mut events = begin(&server, "/probe/events?ms=500");
    assert_eq!(events.read_head().status, 200);
    server.graceful();
    for _ in 0..8 {
        assert!(events.read_chunk().is_some());
    }
}

mpm_tests! {
    fn a_graceful_stop_ends_them(mpm) {
        let server = with_daemon(mpm).conf("RustGracefulTimeout 1").start();
        let all = MOUNTS.map(|mount| {
            let mut socket = connect_to(&server, &format!("{mount}/ws"), HELLO);
            echoes(&mut socket);
            (stream(&server, &format!("{mount}{EVENTS}")), socket)
        });
        server.signal(server.pid(), Signal::WINCH);
        for (events, mut socket) in all {
            assert!(breaks_off(events));
            assert!(socket.is_closed());
        }
    }

    /// An application that is no service, writes nothing, and does not look.
    fn a_silent_stream_of_a_process_group_ends(mpm) {
        let builder = with_daemon(mpm).conf("RustGracefulTimeout 1");
        let server = builder.allow_log("RUST0039").allow_log("RUST0037").start();
        let silent = stream(&server, "/daemon/stream?chunks=inf&size=1000&ms=60000");
        let (old, processes) = (server.children_pids(), server.group("app").pids());
        server.graceful();
        assert!(breaks_off(silent));
        wait_until_gone(&server, &old);
        server.wait_for("the end of its process", || {
            server.group("app").pids().iter().all(|pid| !processes.contains(pid))
        });
    }
}

/// A length says where a response ends.
#[test]
fn a_response_of_known_length_is_finished() {
    let builder = builder(Mpm::Event, 4).conf("Timeout 60");
    let server = builder.conf("RustGracefulTimeout 500ms").start();
    let mut download = begin(&server, "/probe/bytes/50000000");
    assert_eq!(download.read_head().status, 200);
    let old = server.children_pids();
    server.graceful();
    let mut rest = 50_000_000;
    while rest > 0 {
        let piece = rest.min(2_000_000);
        download.read_exact(piece);
        rest -= piece;
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(download);
    wait_until_gone(&server, &old);
}

/// A client that does not outlive its test.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A stream of HTTP/2 holds a thread of mod_http2's.
#[test]
fn streams_of_http_2() {
    for mount in MOUNTS {
        let builder = with_daemon(Mpm::Event).tls(true).http2(true);
        let server = builder.conf("RustGracefulTimeout 1").start();
        let url = server.tls_url(&format!("{mount}{EVENTS}"));
        let mut curl = Command::new("curl");
        curl.args(["-skN", "--http2", &url]).stdout(Stdio::piped());
        let mut client = Client(curl.spawn().expect("curl"));
        let mut first = [0; 6];
        client.0.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("an event");
        assert_eq!(&first, b"id: 1\n");
        let old = server.children_pids();
        server.graceful();
        wait_until_gone(&server, &old);
        assert!(!client.0.wait().expect("curl").success(), "{mount}: the stream looks whole");
    }
}
