//! Requests and responses, whole, streamed, cut and broken.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;

use super::{PATIENCE, Server, expect, head};
use crate::gateway::{Body, Environ, Error, ErrorKind, Result, StartResponse, app_fn};
use crate::server::site::{Limits, Timeouts};

fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from("Hello, world\n"))
}

fn echo<'x>(mut environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from_input(environ.take_input()))
}

fn length<'x>(mut environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let body = environ.input().read_all(u64::MAX)?;
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from(body.len().to_string()))
}

#[test]
fn hellos_on_one_connection() {
    let server = Server::of(hello);
    let mut stream = server.connect();
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let head = head(&mut stream).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        assert!(head.contains("content-length: 13\r\n"), "{head}");
        expect(&mut stream, "Hello, world\n");
    }
    let answer = server.ask("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.to_ascii_lowercase().contains("content-length: 13\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_body_goes_both_ways_at_once() {
    let server = Server::of(echo);
    let mut stream = server.connect();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let head = head(&mut stream).to_ascii_lowercase();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    expect(&mut stream, "3\r\none\r\n");
    stream.write_all(b"5\r\nagain\r\n").unwrap();
    expect(&mut stream, "5\r\nagain\r\n");
    stream.write_all(b"0\r\n\r\n").unwrap();
    expect(&mut stream, "0\r\n\r\n");
}

#[test]
fn a_large_body_comes_whole() {
    let server = Server::of(length);
    let mut stream = server.connect();
    let size = 5 * 1024 * 1024;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b'x'; size]).unwrap();
    super::head(&mut stream);
    expect(&mut stream, &size.to_string());
}

#[test]
fn limits_and_bad_bodies() {
    let limits = Limits { body: Some(10), ..Limits::default() };
    let server = Server::with(length, limits, Timeouts::default());
    let post = |rest: &str| {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{rest}");
        server.ask(&request).lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(post("Content-Length: 10\r\n\r\n0123456789"), "HTTP/1.1 200 OK");
    assert_eq!(post("Content-Length: 11\r\n\r\n0123456789a"), "HTTP/1.1 413 Payload Too Large");
    let chunked = "Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n";
    assert_eq!(post(chunked), "HTTP/1.1 413 Payload Too Large");
    assert_eq!(post("Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "HTTP/1.1 400 Bad Request");
    let no_host = server.ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(no_host.starts_with("HTTP/1.1 400 "), "{no_host}");
    let slash = server.ask("GET /a%2Fb HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(slash.starts_with("HTTP/1.1 404 "), "{slash}");
}

#[test]
fn a_large_unread_body_ends_the_connection_openly() {
    let server = Server::of(hello);
    let answer = server.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nab");
    let answer = answer.to_ascii_lowercase();
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("hello, world\n"), "{answer}");
}

/// A reset would take the response from a client that still sends.
#[test]
fn a_client_may_send_on_after_the_response() {
    let server = Server::of(hello);
    let mut client = server.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nab";
    client.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("Hello, world\n"), "{answer}");
    for _ in 0..100 {
        client.write_all(&[b'x'; 1000]).unwrap();
    }
}

#[test]
fn a_silent_client_gets_408() {
    let timeouts = Timeouts { body: Duration::from_millis(50), ..Timeouts::default() };
    let server = Server::with(length, Limits::default(), timeouts);
    let answer = server
        .ask("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn broken_responses_look_broken() {
    let server = Server::of(app_fn(|environ, start_response| {
        let known = environ.query_string() == b"known";
        let mut pieces = vec![Err(Error::new("no more")), Ok(Bytes::from("some"))].into_iter();
        let headers: &[(&str, &str)] =
            if known { &[("Content-Length", "100")] } else { &[("X-Unknown", "1")] };
        start_response.start(200, headers.iter().copied())?;
        Ok(Body::from_chunks(std::iter::from_fn(move || pieces.next_back())))
    }));
    let answer = server.ask("GET /?known HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.to_ascii_lowercase().contains("content-length: 100"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nsome"), "{answer}");
    let answer = server.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.ends_with("4\r\nsome\r\n"), "{answer}");
}

#[test]
fn a_client_that_leaves_is_noticed() {
    let (seen, is_seen) = mpsc::channel();
    let server = Server::of(app_fn(move |mut environ, _| {
        let result = environ.input().fill_buf().map(<[u8]>::len).map_err(Error::from);
        seen.send(result.as_ref().map_err(Error::kind).copied()).unwrap();
        Err(Error::of(ErrorKind::ClientGone, "left"))
    }));
    let mut stream = server.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    let result = is_seen.recv_timeout(PATIENCE).unwrap();
    assert_eq!(result, Err(ErrorKind::ClientGone));
}

#[test]
fn a_slow_reader_delays_only_its_application() {
    let (wrote, is_written) = mpsc::channel();
    let server = Server::of(app_fn(move |_, start_response| {
        start_response.start(200, [("Content-Type", "text/plain")])?;
        let wrote = wrote.clone();
        let mut left = 200;
        Ok(Body::from_chunks(std::iter::from_fn(move || {
            left -= 1;
            let _ = wrote.send(left);
            (left >= 0).then(|| Ok(Bytes::from(vec![b'x'; 256 * 1024])))
        })))
    }));
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(is_written.recv_timeout(PATIENCE), Ok(199));
    let mut other = server.connect();
    other.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.len() > 200 * 256 * 1024);
    assert!(answer.ends_with(b"\r\n0\r\n\r\n"));
}
