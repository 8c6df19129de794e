//! Connections that switch to another protocol: the WebSocket of the probe.

use httpd_testkit::{Builder, Mpm, Server, mpm_tests};

use crate::support::{busy, waiting};
use crate::websocket::{
    CLOSE, CLOSED, ECHO, HANDSHAKE, HELLO, close, connect, connect_to, echoes, exchange,
    exchange_through_tls,
};

pub(crate) fn builder(mpm: Mpm, threads: usize) -> Builder {
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

mpm_tests! {
    fn messages_go_both_ways(mpm) {
        let server = builder(mpm, 3).start();
        let mut connection = connect(&server, HELLO);
        echoes(&mut connection);
        exchange(&mut connection);
        close(connection);
        let line = server.wait_access_log("/probe/ws");
        assert!(line.contains("\"GET /probe/ws HTTP/1.1\" 101 "), "{line}");
        // The end of a client that says nothing.
        drop(connect(&server, b""));
        assert_eq!(server.get("/probe/bytes/3").body, [0, 1, 2]);
    }
}

mpm_tests! {
    fn messages_go_both_ways_through_tls(mpm) {
        exchange_through_tls(&builder(mpm, 3).tls(true).start());
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

/// Returns the number of sockets that the children have twice: a task of the runtime has them, too.
fn taken_over(server: &Server) -> usize {
    let mut names = Vec::new();
    for pid in server.children_pids() {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the child's descriptors");
        // One that is closed meanwhile has no name.
        let open = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        let sockets = open.filter(|name| name.to_string_lossy().starts_with("socket:"));
        names.extend(sockets.map(|name| (pid, name)));
    }
    let all = names.len();
    names.sort();
    names.dedup();
    all - names.len()
}

#[test]
fn plain_sockets_are_taken_over() {
    let server = builder(Mpm::Event, 4).start();
    // The runtime has one of its own.
    assert_eq!(server.get("/probe/wait?ms=1").text(), "waited 1 ms\n");
    let before = taken_over(&server);
    let mut connections: Vec<_> = (0..50).map(|_| connect(&server, HELLO)).collect();
    for connection in &mut connections {
        echoes(connection);
        // The first visit without the handshake takes it.
        connection.write(HELLO);
        echoes(connection);
    }
    server.wait_for("the sockets", || taken_over(&server) == before + 50);
    // A client that sends no more, and one that breaks the connection.
    let mut last = connections.pop().unwrap();
    last.write(HELLO);
    last.close_write();
    echoes(&mut last);
    assert_eq!(last.read_to_end(), b"");
    let broken = connections.pop().unwrap();
    broken.reset();
    connections.into_iter().for_each(close);
    server.wait_for("their end", || taken_over(&server) == before && waiting(&server) == 0);
    // None is shut down before its client has read all of it.
    let mut connection = connect(&server, b"");
    connection.write([HELLO.repeat(10_000).as_slice(), CLOSE].concat());
    assert_eq!(connection.read_to_end(), [ECHO.repeat(10_000).as_slice(), CLOSED].concat());
}

#[test]
fn sockets_with_other_filters_are_not() {
    let dump = builder(Mpm::Event, 4).load("dumpio").conf("DumpIOInput On\nLogLevel dumpio:trace7");
    let server = dump.start();
    // The runtime has one of its own.
    assert_eq!(server.get("/probe/wait?ms=1").text(), "waited 1 ms\n");
    let before = taken_over(&server);
    let mut connection = connect(&server, HELLO);
    for _ in 0..3 {
        echoes(&mut connection);
        connection.write(HELLO);
    }
    echoes(&mut connection);
    assert_eq!(taken_over(&server), before);
    close(connection);
}

#[test]
fn requests_that_cannot_switch_are_told() {
    let server = builder(Mpm::Event, 4).start();
    let mut connection = server.connect();
    assert_eq!(connection.request("GET", "/probe/ws").send().status, 426);
    let old = HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0");
    connection.write(old);
    assert_eq!(connection.read_response().status, 501);
    // A request with a body: its bytes would be taken for the other protocol's.
    for body in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
        let mut connection = server.connect();
        connection.write(HANDSHAKE.replace("\r\n\r\n", &format!("\r\n{body}")));
        assert_eq!(connection.read_response().status, 501);
    }
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
