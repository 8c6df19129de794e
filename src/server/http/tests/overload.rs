//! Silent, idle and slow clients, and more requests than there are threads.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{PATIENCE, Server, expect, head};
use crate::gateway::{Body, Environ, Result, StartResponse, app_fn};
use crate::server::site::{Limits, Timeouts};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// GET / of http://a, by HPACK's static table.
const FIELDS: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];

/// Makes the HEADERS of a stream: END_STREAM and END_HEADERS are 5.
fn headers(stream: u8, flags: u8) -> Vec<u8> {
    [&[0, 0, FIELDS.len() as u8, 1, flags, 0, 0, 0, stream], FIELDS].concat()
}

fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from("Hello, world\n"))
}

/// Reads to the end of the connection, and returns how long that took.
fn time_to_end(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    begun.elapsed()
}

#[test]
fn unfinished_heads_of_both_versions_are_closed() {
    let timeouts = Timeouts { head: Duration::from_millis(300), ..Timeouts::default() };
    let server = Server::with(hello, Limits::default(), timeouts);
    let unfinished = [
        Vec::new(),
        PREFACE[..10].to_vec(),
        b"GET / HTTP/1.1\r\nHost: ".to_vec(),
        [PREFACE, SETTINGS, &headers(1, 1)].concat(),
        [PREFACE, SETTINGS, &headers(1, 5)[..12]].concat(),
    ];
    for bytes in unfinished {
        let mut stream = server.connect();
        stream.write_all(&bytes).unwrap();
        let time = time_to_end(&mut stream);
        assert!(time < PATIENCE / 2, "{bytes:?}: {time:?}");
    }
}

/// Unfinished heads of all connections have a bound; small ones are read beyond it.
#[test]
fn half_heads_of_both_versions_have_a_bound() {
    let limits = Limits { head: 64 * 1024, heads: 200 * 1024, ..Limits::default() };
    let large = [b"GET / HTTP/1.1\r\nHost: a\r\nCookie: ", &[b'c'; 50 * 1024][..]].concat();
    // A few bytes, which HPACK may expand to as many as are allowed.
    let small = [PREFACE, SETTINGS, &headers(1, 1)].concat();
    for bytes in [large, small] {
        let server = Server::with(hello, limits, Timeouts::default());
        let half = |stream: &mut TcpStream| {
            stream.set_nonblocking(false).unwrap();
            stream.write_all(&bytes)
        };
        let mut held: Vec<_> = (0..10).map(|_| server.connect()).collect();
        held.iter_mut().for_each(|stream| drop(half(stream)));
        // Heads without room lose their connections.
        let is_open = |stream: &mut TcpStream| {
            stream.set_nonblocking(true).unwrap();
            let mut all = [0; 4096];
            loop {
                match stream.read(&mut all) {
                    Ok(1..) => {}
                    Ok(0) => return false,
                    Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
                }
            }
        };
        let end = Instant::now() + PATIENCE;
        let mut open = held.len();
        while open > 4 {
            assert!(Instant::now() < end, "{open} of 10 half heads have room");
            std::thread::yield_now();
            open = held.iter_mut().filter_map(|stream| is_open(stream).then_some(())).count();
        }
        assert!(open >= 3, "{open} of 10 half heads have room");
        let answer = server.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(answer.ends_with("Hello, world\n"), "{answer}");
    }
}

#[test]
fn kept_connections_of_both_versions_are_closed() {
    let timeouts = Timeouts {
        head: Duration::from_millis(100),
        keep_alive: Duration::from_millis(700),
        ..Timeouts::default()
    };
    let server = Server::with(hello, Limits::default(), timeouts);
    let http1 = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    for request in [http1, [PREFACE, SETTINGS, &headers(1, 5)].concat()] {
        let mut stream = server.connect();
        stream.write_all(&request).unwrap();
        let time = time_to_end(&mut stream);
        assert!(time >= Duration::from_millis(600), "closed by --head-timeout: {time:?}");
        assert!(time < PATIENCE / 2, "{time:?}");
    }
}

/// Returns a server of one thread, and functions that begin and release a request for `/hold`.
fn holding(limits: Limits, timeouts: Timeouts) -> (Server, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (release, hold) = mpsc::channel::<()>();
    let hold = Arc::new(Mutex::new(hold));
    let application = app_fn(move |environ, start_response| {
        if environ.path_info() == b"/hold" {
            begun.send(()).unwrap();
            let _ = hold.lock().unwrap().recv_timeout(PATIENCE);
        }
        start_response.start(200, [("Content-Type", "text/plain")])?;
        Ok(Body::from("done"))
    });
    (Server::with(application, Limits { threads: 1, ..limits }, timeouts), has_begun, release)
}

#[test]
fn the_queue_is_bounded_and_lost_clients_leave_it() {
    let limits = Limits { queue: 1, ..Limits::default() };
    let timeouts = Timeouts { head: Duration::from_millis(200), ..Timeouts::default() };
    let (server, has_begun, release) = holding(limits, timeouts);
    let get = |path: &str| {
        let mut stream = server.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        stream
    };
    let mut held = get("/hold");
    has_begun.recv_timeout(PATIENCE).unwrap();
    // Its client leaves, so the worker gives its slot to the next request.
    drop(get("/"));
    let mut refused = None;
    let mut queued = None;
    let end = Instant::now() + PATIENCE;
    while refused.is_none() {
        assert!(Instant::now() < end, "the queue has no bound");
        let mut stream = get("/");
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut first = [0; 12];
        match stream.read_exact(&mut first) {
            Ok(()) if queued.is_some() => refused = Some((first, stream)),
            Ok(()) => {}
            Err(_) => {
                assert!(queued.is_none(), "two wait");
                queued = Some(stream);
            }
        }
    }
    let (first, mut rest) = refused.unwrap();
    assert_eq!(&first, b"HTTP/1.1 503");
    rest.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(head(&mut rest).to_ascii_lowercase().contains("retry-after: 1\r\n"));
    release.send(()).unwrap();
    // Both waited longer than `--head-timeout`.
    for stream in [&mut held, queued.as_mut().unwrap()] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(head(stream).starts_with("HTTP/1.1 200 "));
        expect(stream, "done");
    }
}

#[test]
fn a_request_waits_so_long_for_a_thread() {
    let timeouts = Timeouts { queue: Duration::from_millis(200), ..Timeouts::default() };
    let (server, has_begun, release) = holding(Limits::default(), timeouts);
    let mut held = server.connect();
    held.write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    has_begun.recv_timeout(PATIENCE).unwrap();
    let answer = server.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("retry-after"), "{answer}");
    release.send(()).unwrap();
    assert!(head(&mut held).starts_with("HTTP/1.1 200 "), "its own time is not the queue's");
}

/// Applications finish although no client reads: over connections of HTTP/1, and over streams of
/// HTTP/2 without a window.
#[test]
fn slow_readers_hold_no_thread() {
    let (finished, is_finished) = mpsc::channel();
    let application = app_fn(move |environ, start_response| {
        start_response.start(200, [("Content-Type", "text/plain")])?;
        if environ.path_info() == b"/fast" {
            return Ok(Body::from("fast"));
        }
        let (finished, mut left) = (finished.clone(), 3);
        Ok(Body::from_chunks(std::iter::from_fn(move || {
            left -= 1;
            if left < 0 {
                let _ = finished.send(());
                return None;
            }
            Some(Ok(Bytes::from(vec![b'x'; 64 * 1024])))
        })))
    });
    let timeouts = Timeouts { graceful: Duration::ZERO, ..Timeouts::default() };
    let server = Server::with(application, Limits { threads: 2, ..Limits::default() }, timeouts);
    let mut readers = Vec::new();
    for _ in 0..50 {
        let mut stream = server.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        readers.push(stream);
    }
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    let no_window = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    let mut stream = server.connect();
    let mut bytes = [PREFACE, &no_window].concat();
    (0..50).for_each(|number| bytes.extend(headers(number * 2 + 1, 5)));
    stream.write_all(&bytes).unwrap();
    for count in 0..100 {
        is_finished.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{count} have finished"));
    }
    let answer = server.ask("GET /fast HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.ends_with("fast"), "{answer}");
    let mut last = readers.pop().unwrap();
    head(&mut last);
    let mut bytes = vec![0; 3 * 64 * 1024];
    last.read_exact(&mut bytes).unwrap();
}

#[test]
fn a_kept_connection_is_served_while_the_process_drains() {
    let timeouts = Timeouts { drain_idle: PATIENCE, ..Timeouts::default() };
    let server = Server::with(hello, Limits::default(), timeouts);
    let mut stream = server.connect();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request).unwrap();
    head(&mut stream);
    expect(&mut stream, "Hello, world\n");
    server.drain.ring();
    stream.write_all(request).unwrap();
    let head = head(&mut stream).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    expect(&mut stream, "Hello, world\n");
    drop(stream);
    server.end();
}
