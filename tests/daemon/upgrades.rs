//! Connections that switch to another protocol through a daemon process: the WebSocket of the probe.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use httpd_testkit::{Builder, Mpm, Server, Signal, mpm_tests};

use crate::websocket::{
    CLOSE, CLOSED, HANDSHAKE, HELLO, close, connect, connect_to, echoes, exchange,
    exchange_through_tls,
};

/// No wait in these tests is as long, unless something hangs.
const LONG: Duration = Duration::from_secs(20);

/// Returns a server with the probe in one process of one thread, and room for some connections.
fn builder(mpm: Mpm, options: &str) -> Builder {
    of_module(mpm, options)
        .module("mod_rust.so")
        .conf("RustAppAlias /probe probe process-group=app")
}

fn of_module(mpm: Mpm, options: &str) -> Builder {
    let (children, threads) = if mpm == Mpm::Prefork { (8, 1) } else { (1, 8) };
    Server::builder()
        .mpm(mpm)
        .children(children)
        .threads(threads)
        .load("status")
        .load("reqtimeout")
        .conf("RequestReadTimeout header=1 body=1")
        .conf("Timeout 1")
        .conf("RustSlowRequests 1")
        .conf(&format!("RustDaemonProcess app processes=1 threads=1 {options}"))
        .conf("<Location /server-status>\nSetHandler server-status\n</Location>")
}

/// Returns the requests that wait in the group, by httpd's own page.
fn parked(server: &Server) -> u64 {
    let status = server.get("/server-status?auto");
    let line = "RustGroup[app]Parked: ";
    let value = status.text().lines().find_map(|found| found.strip_prefix(line));
    value.unwrap_or_else(|| panic!("{line}: {status:?}")).parse().expect("a number")
}

mpm_tests! {
    fn messages_go_both_ways(mpm) {
        let server = builder(mpm, "").start();
        let mut connection = connect(&server, HELLO);
        echoes(&mut connection);
        let mut other = connect(&server, b"");
        exchange(&mut connection);
        exchange(&mut other);
        close(connection);
        let line = server.wait_access_log("/probe/ws");
        assert!(line.contains("\"GET /probe/ws HTTP/1.1\" 101 "), "{line}");
        // The end of a client that says nothing.
        drop(other);
        server.wait_for("the end of both", || parked(&server) == 0);
        assert_eq!(server.get("/probe/bytes/3").body, [0, 1, 2]);
    }
}

/// Under the event MPM, connections hold no thread of httpd between two messages.
#[test]
fn thirty_are_open_beside_eight_threads() {
    const COUNT: u64 = 30;
    let server = builder(Mpm::Event, "").conf("AsyncRequestWorkerFactor 1000").start();
    let mut all: Vec<_> = (0..COUNT).map(|_| connect(&server, b"")).collect();
    for _ in 0..2 {
        for connection in &mut all {
            connection.write(HELLO);
            echoes(connection);
        }
        server.wait_for("the threads", || {
            let page = server.get("/server-status?auto");
            page.text().lines().any(|line| line == "BusyWorkers: 1")
        });
        assert_eq!(parked(&server), COUNT);
    }
}

mpm_tests! {
    fn messages_go_both_ways_through_tls(mpm) {
        exchange_through_tls(&builder(mpm, "").tls(true).start());
    }
}

mpm_tests! {
    /// Sends large messages faster than the echoes are read.
    fn large_messages_pass_in_both_directions_at_once(mpm) {
        const COUNT: usize = 64;
        const SIZE: usize = 128 * 1024;
        let server = builder(mpm, "").conf("Timeout 20").start();
        let mut client = TcpStream::connect(server.addr()).expect("a connection");
        client.set_read_timeout(Some(LONG)).expect("a time-out");
        client.set_write_timeout(Some(LONG)).expect("a time-out");
        client.write_all(HANDSHAKE.as_bytes()).expect("a write");
        let mut sender = client.try_clone().expect("a second descriptor");
        let data: Vec<u8> = (0..SIZE).map(|at| at as u8).collect();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("a whole head");
            head.push(byte[0]);
        }
        std::thread::scope(|scope| {
            let data = &data;
            scope.spawn(move || {
                // A mask of zeroes changes nothing.
                let header = [&[0x82, 0xff][..], &(SIZE as u64).to_be_bytes(), &[0; 4]].concat();
                for _ in 0..COUNT {
                    sender.write_all(&header).expect("a write");
                    sender.write_all(data).expect("a write");
                }
            });
            // Both sides fill all that is between them.
            std::thread::sleep(Duration::from_millis(300));
            for _ in 0..COUNT {
                let mut echo = vec![0; 10 + SIZE];
                client.read_exact(&mut echo).expect("an echo");
                assert_eq!(echo[..10], [&[0x82, 127][..], &(SIZE as u64).to_be_bytes()].concat());
                assert!(echo[10..] == *data);
            }
        });
        client.write_all(CLOSE).expect("a write");
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).expect("an end");
        assert_eq!(rest, CLOSED);
    }
}

/// No time-out of a request, of its body or of a silent process ends it, and it is no slow request.
#[test]
fn silent_ones_outlast_all_time_outs() {
    let server = builder(Mpm::Event, "request-timeout=1 socket-timeout=1").start();
    let mut connections: Vec<_> = (0..4).map(|_| connect(&server, HELLO)).collect();
    connections.iter_mut().for_each(echoes);
    server.wait_for("all of them parked", || parked(&server) == 4);
    let began = Instant::now();
    let pids = server.group("app").pids();
    while began.elapsed() < Duration::from_millis(3500) {
        assert_eq!(server.get("/probe/bytes/3").body, [0, 1, 2]);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(parked(&server), 4);
    for connection in &mut connections {
        connection.write(HELLO);
        echoes(connection);
    }
    connections.into_iter().for_each(close);
    server.wait_for("their end", || parked(&server) == 0);
    assert_eq!(server.group("app").pids(), pids, "the process stays");
    assert!(!server.error_log().contains("/probe/ws"), "{}", server.error_log());
}

#[test]
fn requests_that_cannot_switch_are_told() {
    let server = builder(Mpm::Event, "").start();
    let mut connection = server.connect();
    assert_eq!(connection.request("GET", "/probe/ws").send().status, 426);
    connection.write(HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0"));
    assert_eq!(connection.read_response().status, 501);
    let mut connection = server.connect();
    connection.write(HANDSHAKE.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello"));
    assert_eq!(connection.read_response().status, 501);
}

/// Ends a client in both ways: it sends no more, or it is not there any more.
#[test]
fn the_end_of_the_client_is_the_end_of_the_request() {
    let server = builder(Mpm::Event, "").start();
    let mut half = connect(&server, HELLO);
    let mut whole = connect(&server, HELLO);
    echoes(&mut half);
    echoes(&mut whole);
    server.wait_for("both parked", || parked(&server) == 2);
    half.write(HELLO).close_write();
    // The last message before the end is answered.
    echoes(&mut half);
    assert_eq!(half.read_to_end(), b"");
    whole.reset();
    server.wait_for("their end", || parked(&server) == 0);
}

mpm_tests! {
    fn a_killed_process_closes_its_connections(mpm) {
        let builder = builder(mpm, "");
        let codes = ["RUST0031", "RUST0020", "RUST0021", "AH00052"];
        let server = codes.iter().fold(builder, |builder, code| builder.allow_log(code)).start();
        let mut connections = [(); 3].map(|()| connect(&server, HELLO));
        connections.iter_mut().for_each(echoes);
        server.signal(server.group("app").wait_ready(1)[0], Signal::KILL);
        for connection in &mut connections {
            // Nothing of HTTP's comes behind the bytes of the other protocol.
            assert_eq!(connection.read_to_end(), b"");
        }
        let mut next = connect(&server, HELLO);
        echoes(&mut next);
        close(next);
    }
}

mpm_tests! {
    /// The example: axum's WebSocketUpgrade, unchanged.
    fn a_chat_ends_at_a_graceful_restart(mpm) {
        let builder = of_module(mpm, "").module("mod_live.so");
        let server = builder.conf("RustAppAlias /live live process-group=app").start();
        let mut talkers = [(); 3].map(|()| connect_to(&server, "/live/chat", b""));
        server.wait_for("all of them", || parked(&server) == 3);
        talkers[1].write(HELLO);
        talkers.iter_mut().for_each(echoes);
        let before = server.group("app").pids();
        server.graceful();
        for mut talker in talkers {
            assert_eq!(talker.read_exact(CLOSED.len()), CLOSED);
            talker.write(CLOSE);
            assert_eq!(talker.read_to_end(), b"");
        }
        server.wait_for("the end of the process", || {
            server.group("app").pids().iter().all(|pid| !before.contains(pid))
        });
        echoes(&mut connect_to(&server, "/live/chat", HELLO));
    }
}

/// A process that is replaced gives up what does not look at its end.
#[test]
fn the_graceful_time_out_ends_it() {
    let builder = builder(Mpm::Event, "graceful-timeout=1");
    let codes = ["RUST0021", "RUST0031", "RUST0037"];
    let server = codes.iter().fold(builder, |builder, code| builder.allow_log(code)).start();
    let mut connection = connect(&server, HELLO);
    echoes(&mut connection);
    let of = server.group("app").wait_ready(1)[0];
    server.signal(of, Signal::USR1);
    assert_eq!(connection.read_to_end(), b"");
    server.wait_for("the end of the process", || !server.group("app").pids().contains(&of));
}
