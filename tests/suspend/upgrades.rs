//! Connections that switch to another protocol: the WebSocket of the probe.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use httpd_testkit::{Builder, Connection, Mpm, Server, mpm_tests};

use crate::support::{busy, waiting};

/// The handshake of RFC 6455, section 1.3.
const HANDSHAKE: &str = "GET /probe/ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The masked "Hello" of RFC 6455, section 5.7, and its echo.
const HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
const ECHO: &[u8] = b"\x81\x05Hello";

const CLOSE: &[u8] = &[0x88, 0x80, 0, 0, 0, 0];
const CLOSED: &[u8] = b"\x88\x00";

fn builder(mpm: Mpm, threads: usize) -> Builder {
    let (children, threads) = if mpm == Mpm::Prefork { (threads, 1) } else { (1, threads) };
    let builder = Server::builder()
        .module("mod_rust.so")
        .mpm(mpm)
        .children(children)
        .threads(threads)
        .load("status")
        .load("reqtimeout")
        .conf("RequestReadTimeout header=1 body=1")
        .conf("Timeout 2")
        .conf("RustAppAlias /probe probe")
        .conf("<Location /server-status>\nSetHandler server-status\n</Location>");
    if mpm == Mpm::Event { builder.conf("AsyncRequestWorkerFactor 1000") } else { builder }
}

/// Sends the handshake, and `first` in the same packet.
fn connect(server: &Server, first: &[u8]) -> Connection {
    connect_to(server, "/probe/ws", first)
}

fn connect_to(server: &Server, target: &str, first: &[u8]) -> Connection {
    let mut connection = server.connect();
    connection.write([HANDSHAKE.replace("/probe/ws", target).as_bytes(), first].concat());
    let head = connection.read_head();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert_eq!((head.header("content-length"), head.header("transfer-encoding")), (None, None));
    connection
}

#[track_caller]
fn echoes(connection: &mut Connection) {
    assert_eq!(connection.read_exact(ECHO.len()), ECHO);
}

/// Closes the WebSocket, and reads to the end of the connection.
fn close(mut connection: Connection) {
    connection.write(CLOSE);
    assert_eq!(connection.read_to_end(), CLOSED);
}

mpm_tests! {
    fn messages_go_both_ways(mpm) {
        let server = builder(mpm, 3).start();
        let mut connection = connect(&server, HELLO);
        echoes(&mut connection);
        for _ in 0..100 {
            connection.write(HELLO);
            echoes(&mut connection);
        }
        // Many in one packet.
        connection.write(HELLO.repeat(10_000));
        for _ in 0..10_000 {
            echoes(&mut connection);
        }
        close(connection);
        let line = server.wait_access_log("/probe/ws");
        assert!(line.contains("\"GET /probe/ws HTTP/1.1\" 101 "), "{line}");
        // The end of a client that says nothing.
        drop(connect(&server, b""));
        assert_eq!(server.get("/probe/bytes/3").body, [0, 1, 2]);
    }
}

/// Reads from the client until `count` bytes have come.
fn read(output: &mut impl std::io::Read, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    output.read_exact(&mut bytes).expect("bytes");
    bytes
}

mpm_tests! {
    fn messages_go_both_ways_through_tls(mpm) {
        let server = builder(mpm, 3).tls(true).start();
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &server.tls_addr().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let (mut input, mut output) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
        input.write_all(HANDSHAKE.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(read(&mut output, 1));
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
        for _ in 0..100 {
            input.write_all(HELLO).unwrap();
            assert_eq!(read(&mut output, ECHO.len()), ECHO);
        }
        input.write_all(CLOSE).unwrap();
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, CLOSED);
        client.wait().unwrap();
    }
}

#[test]
fn idle_ones_hold_no_thread_and_outlast_the_timeout() {
    let server = builder(Mpm::Event, 4).start();
    let mut connections: Vec<_> = (0..200).map(|_| connect(&server, HELLO)).collect();
    connections.iter_mut().for_each(echoes);
    server.wait_for("the sockets that wait", || waiting(&server) == 200);
    server.wait_for("all threads but that of the page", || busy(&server) == 1);
    // Another request waits longer than any time-out here.
    assert_eq!(server.get("/probe/wait?ms=4500").text(), "waited 4500 ms\n");
    assert_eq!(waiting(&server), 200);
    for connection in &mut connections {
        connection.write(HELLO);
        echoes(connection);
    }
    connections.into_iter().for_each(close);
    server.wait_for("their end", || waiting(&server) == 0);
}

#[test]
fn requests_that_cannot_switch_are_told() {
    let server = builder(Mpm::Event, 4).start();
    let mut connection = server.connect();
    assert_eq!(connection.request("GET", "/probe/ws").send().status, 426);
    let old = HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0");
    connection.write(old);
    assert_eq!(connection.read_response().status, 501);
}

/// The example: axum's WebSocketUpgrade and Sse, unchanged.
#[test]
fn a_chat_ends_at_a_graceful_restart() {
    let builder = builder(Mpm::Event, 4).module("mod_live.so");
    let server = builder.conf("RustAppAlias /live live").start();
    assert!(server.get("/live/").text().contains("<title>Live</title>"));
    let mut events = server.connect();
    events.write("GET /live/events HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(events.read_head().header("content-type"), Some("text/event-stream"));
    assert_eq!(events.read_chunk().expect("a comment"), b": here\n\n");
    let mut talkers = [(); 3].map(|()| connect_to(&server, "/live/chat", b""));
    server.wait_for("all of them", || waiting(&server) == 4);
    talkers[1].write(HELLO);
    talkers.iter_mut().for_each(echoes);
    assert_eq!(events.read_chunk().expect("an event"), b"data: Hello\n\n");
    let child = server.children_pids();
    server.graceful();
    for mut talker in talkers {
        assert_eq!(talker.read_exact(CLOSED.len()), CLOSED);
        talker.write(CLOSE);
        assert_eq!(talker.read_to_end(), b"");
    }
    assert_eq!(events.read_chunk(), None, "the stream is whole");
    server.wait_for("the end of the child", || {
        server.children_pids().iter().all(|pid| !child.contains(pid))
    });
    echoes(&mut connect_to(&server, "/live/chat", HELLO));
}
