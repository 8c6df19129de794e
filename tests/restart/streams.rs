//! Graceful restarts under load with requests that wait, event streams and WebSockets: none is lost.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use httpd_testkit::{Connection, Mpm, Server};

use crate::load::{Fate, Load, Target};
use crate::targets::Gateway;
use crate::websocket::{CLOSE, CLOSED, ECHO, HELLO, connect_to};

const CLIENTS: usize = 24;
const STREAMS: usize = 8;

/// Requests that wait without a thread.
const TARGETS: &[Target] = &[
    Target {
        method: "GET",
        path: "/probe/wait?ms=300",
        body: None,
        answer: |response| response.body == b"waited 300 ms\n",
        allowed: &[],
    },
    Target {
        method: "GET",
        path: "/probe/wait?ms=5",
        body: None,
        answer: |response| response.body == b"waited 5 ms\n",
        allowed: &[],
    },
    Target {
        method: "GET",
        path: "/hello",
        body: None,
        answer: |response| response.body == b"Hello, world\n",
        allowed: &[],
    },
];

/// The number of streams and WebSockets that have come to their end, and of the messages.
#[derive(Debug, Default)]
struct Ends {
    streams: AtomicU64,
    sockets: AtomicU64,
    messages: AtomicU64,
}

/// Reads an event stream to its end, which must look whole, and begins again.
fn listen(server: &Server, over: &AtomicBool, ends: &Ends) {
    while !over.load(Ordering::Relaxed) {
        let mut events = server.connect();
        events.write("GET /live/events HTTP/1.1\r\nHost: x\r\n\r\n");
        let response = events.try_read_response("GET").expect("a whole stream");
        assert!(response.end.is_complete(), "{response:?}");
        ends.streams.fetch_add(1, Ordering::Relaxed);
    }
}

/// Talks over a WebSocket until the application closes it, and joins again.
fn talk(server: &Server, over: &AtomicBool, ends: &Ends) {
    while !over.load(Ordering::Relaxed) {
        let mut socket = connect_to(server, "/live/chat", HELLO);
        while let Some(said) = frame(&mut socket) {
            assert_eq!(said, ECHO[2..]);
            ends.messages.fetch_add(1, Ordering::Relaxed);
        }
        socket.write(CLOSE);
        ends.sockets.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads a message; `None` at the end of the WebSocket.
fn frame(socket: &mut Connection) -> Option<Vec<u8>> {
    let head = socket.read_exact(2);
    if head == CLOSED {
        return None;
    }
    assert_eq!(head[0], ECHO[0]);
    Some(socket.read_exact(usize::from(head[1])))
}

fn restarts_lose_nothing(restarts: u64) {
    let server = Gateway::Embedded
        .server(Mpm::Event)
        .module("mod_live.so")
        .conf("RustAppAlias /live live\nAsyncRequestWorkerFactor 100")
        .start();
    let (over, ends) = (AtomicBool::new(false), Ends::default());
    let tally = std::thread::scope(|scope| {
        /// Ends the streams with the load, also where that panics.
        struct End<'s>(&'s Server, &'s AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.1.store(true, Ordering::Relaxed);
                self.0.graceful();
            }
        }
        for _ in 0..STREAMS {
            scope.spawn(|| listen(&server, &over, &ends));
            scope.spawn(|| talk(&server, &over, &ends));
        }
        let _end = End(&server, &over);
        Load::run(&server, TARGETS, CLIENTS, |load| {
            for _ in 0..restarts {
                load.wait_for_answers(60);
                server.graceful();
            }
            load.wait_for_answers(60);
        })
    });
    println!("{restarts} restarts: {ends:?}\n{tally}");
    for fate in [Fate::Refused, Fate::Cut, Fate::Wrong, Fate::Hung] {
        assert_eq!(tally.count(fate), 0, "{fate:?}\n{tally}");
    }
    assert_eq!(server.error_log().matches("RUST0045").count(), 0);
    for count in [&ends.streams, &ends.sockets, &ends.messages] {
        assert!(count.load(Ordering::Relaxed) >= restarts, "{ends:?}");
    }
}

#[test]
fn five_graceful_restarts_lose_no_stream() {
    restarts_lose_nothing(5);
}

#[test]
#[ignore = "takes minutes"]
fn two_hundred_graceful_restarts_lose_no_stream() {
    restarts_lose_nothing(200);
}
