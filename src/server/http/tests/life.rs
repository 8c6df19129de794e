//! Drains, idle connections, and clients that keep threads waiting.

use std::io::{Read as _, Write as _};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{HttpOptions, PATIENCE, Server, expect, head};
use crate::gateway::{Body, Environ, Result, StartResponse, app_fn};
use crate::server::site::{Limits, Timeouts};

fn length<'x>(mut environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let body = environ.input().read_all(u64::MAX)?;
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from(body.len().to_string()))
}

#[test]
fn a_drain_waits_for_requests_and_not_for_idle_connections() {
    let (entered, is_in) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    let may_leave = Arc::new(Mutex::new(may_leave));
    let server = Server::of(app_fn(move |environ, start_response| {
        if environ.path_info() == b"/slow" {
            entered.send(()).unwrap();
            may_leave.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        start_response.start(200, [("Content-Type", "text/plain")])?;
        Ok(Body::from("done"))
    }));
    let mut idle = server.connect();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    head(&mut idle);
    expect(&mut idle, "done");
    let mut slow = server.connect();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    is_in.recv_timeout(PATIENCE).unwrap();
    server.drain.ring();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "an idle connection stayed open");
    leave.send(()).unwrap();
    head(&mut slow);
    expect(&mut slow, "done");
    assert_eq!(slow.read(&mut [0]).unwrap(), 0);
    server.end();
}

#[test]
fn many_silent_uploads_hold_no_permit() {
    let server = Server::with(
        length,
        Limits { threads: 1, ..Limits::default() },
        Timeouts { graceful: Duration::ZERO, ..Timeouts::default() },
    );
    let mut uploads = Vec::new();
    for _ in 0..40 {
        let mut stream = server.connect();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na").unwrap();
        uploads.push(stream);
    }
    let answer = server.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\n0"), "{answer}");
    for mut stream in uploads {
        stream.write_all(b"b").unwrap();
        head(&mut stream);
        expect(&mut stream, "2");
    }
}

#[test]
fn a_head_that_never_ends_is_not_waited_for() {
    let timeouts = Timeouts { head: Duration::from_millis(50), ..Timeouts::default() };
    let server = Server::with(length, Limits::default(), timeouts);
    let begun = Instant::now();
    let answer = server.ask("GET / HTTP/1.1\r\nHost: ");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn http2_can_be_turned_off() {
    for http2 in [true, false] {
        let server = Server::start(
            length,
            Limits { threads: 1, ..Limits::default() },
            Timeouts::default(),
            HttpOptions { http2, ..HttpOptions::default() },
        );
        let mut stream = server.connect();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        // SETTINGS, or the end of the connection.
        let has_answer = matches!(stream.read(&mut [0]), Ok(1));
        assert_eq!(has_answer, http2);
        let answer = server.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
}
