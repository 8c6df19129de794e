//! Requests that are refused: their answers, their lines in both logs, and the connection.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use super::{HttpOptions, PATIENCE, Server, expect, head};
use crate::gateway::{Body, Environ, Level, Result, StartResponse, app_fn};
use crate::server::site::{AccessFormat, AccessLog, Limits, Log, Timeouts};

fn length<'x>(mut environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let body = environ.input().read_all(u64::MAX)?;
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from(body.len().to_string()))
}

/// Answers without a look at the body.
fn done<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from("done"))
}

fn new(log: &Path) -> File {
    File::options().create(true).append(true).open(log).unwrap()
}

fn headers(count: usize) -> String {
    (0..count).map(|number| format!("X-{number}: a\r\n")).collect()
}

/// A refused request has its line in the access log, as one that an application answers.
#[test]
fn every_refusal_is_in_the_access_log() {
    let folder = tempfile::tempdir().unwrap();
    let (log, access) = (folder.path().join("log"), folder.path().join("access"));
    let limits = Limits { body: Some(10), head: 128 * 1024, ..Limits::default() };
    let short = Duration::from_millis(100);
    let timeouts = Timeouts { head: short, body: short, ..Timeouts::default() };
    let server = Server::logged(
        length,
        (limits, timeouts),
        (
            Log::to_file(new(&log), Level::Debug),
            Some(AccessLog::to_file(new(&access), AccessFormat::default())),
        ),
        HttpOptions::default(),
    );
    let get = |target: &str, rest: &str| format!("GET {target} HTTP/1.1\r\n{rest}\r\n");
    let long = "x".repeat(70_000);
    for (name, request, status, line) in [
        ("no Host", get("/a", ""), 400, "\"GET /a HTTP/1.1\" 400 "),
        ("an empty Host", get("/a", "Host:\r\n"), 400, "\"GET /a HTTP/1.1\" 400 "),
        ("a space", get("/b", "Host: a b\r\n"), 400, "\"GET /b HTTP/1.1\" 400 "),
        ("a slash", get("/c", "Host: a/b\r\n"), 400, "\"GET /c HTTP/1.1\" 400 "),
        ("userinfo", get("/d", "Host: u@a\r\n"), 400, "\"GET /d HTTP/1.1\" 400 "),
        ("a bad method", "G(T /e HTTP/1.1\r\n\r\n".to_owned(), 400, "\"- - -\" 400 -"),
        ("a sign", get("/f", "Host: a\r\nContent-Length: +1\r\n"), 400, "\"- - -\" 400 -"),
        ("a path", get("/a%2fb", "Host: a\r\n"), 404, "\"GET /a%2fb HTTP/1.1\" 404 "),
        ("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".into(), 405, "CONNECT a:80 "),
        ("half a head", "GET /g HTTP/1.1\r\nHo".to_owned(), 408, "\"- - -\" 408 -"),
        (
            "half a body",
            get("/h", "Host: a\r\nContent-Length: 2\r\n"),
            408,
            "GET /h HTTP/1.1\" 408",
        ),
        (
            "a long body",
            get("/i", "Host: a\r\nContent-Length: 11\r\n"),
            413,
            "GET /i HTTP/1.1\" 413",
        ),
        ("a long target", get(&format!("/{long}"), "Host: a\r\n"), 414, "\"- - -\" 414 -"),
        (
            "a long head",
            get("/j", &format!("X: {long}\r\nY: {long}\r\nHost: a\r\n")),
            431,
            "\"- - -\" 431 -",
        ),
        ("1,001 headers", get("/k", &format!("Host: a\r\n{}", headers(1000))), 431, "- - -\" 431"),
        (
            "1,000 headers",
            get("/l", &format!("Host: a\r\n{}", headers(999))),
            200,
            "/l HTTP/1.1\" 200",
        ),
    ] {
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        // A head that never ends has no answer.
        if name != "half a head" {
            let head = head(&mut stream);
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {head}");
        }
        let begun = Instant::now();
        let lines = loop {
            let lines = std::fs::read_to_string(&access).unwrap();
            if lines.contains(line) {
                break lines;
            }
            assert!(begun.elapsed() < PATIENCE, "{name}: no {line} in {lines}");
            std::thread::yield_now();
        };
        let line = lines.lines().last().unwrap();
        assert!(line.starts_with("127.0.0.1 - - ["), "{name}: {line}");
        std::fs::write(&access, "").unwrap();
    }
}

/// A client does not fill the log: neither by many requests, nor by long ones.
#[test]
fn lines_about_refusals_are_few_and_short() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let all = (Limits::default(), Timeouts::default());
    let server = Server::logged(
        length,
        all,
        (Log::to_file(new(&log), Level::Info), None),
        HttpOptions::default(),
    );
    let path = "x".repeat(60_000);
    for _ in 0..60 {
        let answer = server.ask(&format!("GET /{path} HTTP/1.1\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let lines = std::fs::read_to_string(&log).unwrap();
    let count = lines.lines().filter(|line| line.contains("RUST0054")).count();
    assert!((1..=20).contains(&count), "{count} lines");
    assert!(lines.lines().all(|line| line.len() < 1024), "a line is long");
}

/// The queue's answers are refusals, too.
#[test]
fn a_full_queue_is_in_the_access_log() {
    let folder = tempfile::tempdir().unwrap();
    let access = folder.path().join("access");
    let (leave, may_leave) = mpsc::channel::<()>();
    let may_leave = Arc::new(Mutex::new(may_leave));
    let limits = Limits { threads: 1, queue: 0, ..Limits::default() };
    let (entered, is_in) = mpsc::channel();
    let server = Server::logged(
        app_fn(move |_, start_response| {
            entered.send(()).unwrap();
            may_leave.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            start_response.start(200, [("Content-Type", "text/plain")])?;
            Ok(Body::from("done"))
        }),
        (limits, Timeouts::default()),
        (
            Log::to_stderr(Level::Error),
            Some(AccessLog::to_file(new(&access), AccessFormat::default())),
        ),
        HttpOptions::default(),
    );
    let mut first = server.connect();
    first.write_all(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    is_in.recv_timeout(PATIENCE).unwrap();
    let answer = server.ask("GET /more HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let lines = std::fs::read_to_string(&access).unwrap();
    assert!(lines.contains("\"GET /more HTTP/1.1\" 503 "), "{lines}");
    leave.send(()).unwrap();
    head(&mut first);
}

/// An application that does not read a small body does not cost the client its connection.
#[test]
fn a_small_body_that_is_not_read_is_discarded() {
    let server = Server::of(done);
    let mut stream = server.connect();
    for round in 0..3 {
        let head_of = |rest: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}\r\n\r\n");
        stream.write_all(head_of("Content-Length: 5000").as_bytes()).unwrap();
        let answer = head(&mut stream).to_ascii_lowercase();
        assert!(!answer.contains("connection: close"), "round {round}: {answer}");
        expect(&mut stream, "done");
        // The body comes behind the response.
        stream.write_all(&[b'x'; 5000]).unwrap();
        stream.write_all(head_of("Transfer-Encoding: chunked").as_bytes()).unwrap();
        stream.write_all(b"3\r\none\r\n0\r\n\r\n").unwrap();
        head(&mut stream);
        expect(&mut stream, "done");
    }
    // A large one does, and the client is told.
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").unwrap();
    let answer = head(&mut stream).to_ascii_lowercase();
    assert!(answer.contains("connection: close"), "{answer}");
    expect(&mut stream, "done");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    // So does one that the client holds back until it is asked for.
    let mut stream = server.connect();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let answer = head(&mut stream).to_ascii_lowercase();
    assert!(
        answer.starts_with("http/1.1 200 ") && answer.contains("connection: close"),
        "{answer}"
    );
}
