//! The client against a server in this test, which sends exactly the bytes it is told to.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use httpd_testkit::{BodyEnd, ClientError, ClientErrorKind, Connection, Response};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Takes one connection, reads the head of a request and calls `serve`.
fn server(
    serve: impl FnOnce(&mut TcpStream) + Send + 'static,
) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        serve(&mut stream);
        head
    });
    (addr, thread)
}

fn try_exchange(method: &str, answer: &[u8]) -> Result<Response, ClientError> {
    let answer = answer.to_vec();
    let (addr, thread) = server(move |stream| stream.write_all(&answer).unwrap());
    let mut connection = Connection::open(addr, TIMEOUT);
    let response = connection.request(method, "/").try_send();
    thread.join().unwrap();
    response
}

fn exchange(method: &str, answer: &str) -> Response {
    try_exchange(method, answer.as_bytes()).unwrap()
}

fn refused(answer: &str) -> ClientErrorKind {
    try_exchange("GET", answer.as_bytes()).unwrap_err().kind()
}

fn why(response: &Response) -> &str {
    match &response.end {
        BodyEnd::Truncated(why) => why,
        end => panic!("{end:?}: {response:?}"),
    }
}

#[test]
fn a_length_is_complete_or_truncated() {
    let whole = exchange("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!((whole.text(), &whole.end), ("hello", &BodyEnd::Length));
    assert!(whole.end.is_complete());
    let cut = exchange("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell");
    assert_eq!((cut.text(), why(&cut)), ("hell", "Eof after 4 of 5"));
    assert!(cut.end.is_truncated() && !cut.end.is_complete());
}

#[test]
fn chunks_are_complete_or_truncated_at_every_byte() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "5;x=y\r\nhello\r\n06\r\n world\r\n0\r\nA: 1\r\nb: 2\r\n\r\n";
    let whole = exchange("GET", &format!("{HEAD}{body}"));
    assert_eq!((whole.text(), &whole.end), ("hello world", &BodyEnd::Chunked));
    assert_eq!((whole.trailer("a"), whole.trailer("B")), (Some("1"), Some("2")));
    for length in 0..body.len() {
        let cut = exchange("GET", &format!("{HEAD}{}", &body[..length]));
        assert!(cut.end.is_truncated(), "{length} bytes: {cut:?}");
        assert!("hello world".starts_with(cut.text()), "{length} bytes: {cut:?}");
        assert!(cut.trailers.is_empty(), "{length} bytes: {cut:?}");
    }
}

#[test]
fn chunks_without_trailers() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let response = exchange("GET", answer);
    assert_eq!((response.text(), &response.end), ("x", &BodyEnd::Chunked));
    assert!(response.trailers.is_empty());
}

#[test]
fn nonsense_within_chunks_is_an_error() {
    for body in ["x\r\n", "-1\r\nx", "5 5\r\nhello\r\n", "1\r\nxy\r\n0\r\n\r\n", "\r\n", "1\nx\n"] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}\r\n\r\n");
        assert_eq!(refused(&answer), ClientErrorKind::Malformed, "{body:?}");
    }
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    let response = exchange("GET", "HTTP/1.1 200 OK\r\n\r\nhello");
    assert_eq!((response.text(), &response.end), ("hello", &BodyEnd::Close));
    assert!(!response.end.is_complete() && !response.end.is_truncated());
}

#[test]
fn a_reset_is_not_a_close() {
    let (addr, thread) = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap();
        // The client says that it has read this far, so that the reset does not overtake it.
        stream.read_exact(&mut [0]).unwrap();
        // Closing with unread bytes resets.
        stream.peek(&mut [0]).unwrap();
    });
    let mut connection = Connection::open(addr, TIMEOUT);
    connection.write("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(connection.read_head().status, 200);
    assert_eq!(connection.read_exact(5), b"hello");
    connection.write("12");
    thread.join().unwrap();
    assert!(connection.is_closed());
    // The same through a whole response.
    let (addr, thread) = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap();
        stream.peek(&mut [0]).unwrap();
    });
    let mut connection = Connection::open(addr, TIMEOUT);
    connection.write("GET / HTTP/1.1\r\n\r\nunread");
    thread.join().unwrap();
    let response = connection.read_response();
    assert_eq!(why(&response), "reset instead of a close");
}

#[test]
fn some_responses_have_no_body() {
    let sized = "Content-Length: 5\r\n\r\n";
    assert_eq!(exchange("HEAD", &format!("HTTP/1.1 200 OK\r\n{sized}")).end, BodyEnd::Length);
    assert_eq!(exchange("GET", "HTTP/1.1 204 No Content\r\n\r\n").end, BodyEnd::Length);
    let not_modified = exchange("GET", &format!("HTTP/1.1 304 Not Modified\r\n{sized}"));
    assert_eq!((not_modified.header("content-length"), not_modified.body.len()), (Some("5"), 0));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(exchange("HEAD", chunked).end, BodyEnd::Length);
}

#[test]
fn interim_responses_are_listed() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n\
                  HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let response = exchange("GET", answer);
    assert_eq!((response.status, &*response.interim), (200, [100, 103].as_slice()));
    assert_eq!(response.header("link"), None);
    let switched = exchange("GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
    assert_eq!((switched.status, switched.end), (101, BodyEnd::Length));
}

#[test]
fn no_response_is_an_error_of_its_kind() {
    assert_eq!(refused(""), ClientErrorKind::Closed);
    assert_eq!(refused("HTTP/1.1 200 OK\r\nContent-Len"), ClientErrorKind::Truncated);
    assert_eq!(refused("SSH-2.0-x\r\n\r\n"), ClientErrorKind::Malformed);
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(both), ClientErrorKind::Malformed);
    // A port that was free a moment ago.
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(Connection::try_open(addr, TIMEOUT).unwrap_err().kind(), ClientErrorKind::Io);
}

#[test]
fn silence_is_a_time_out_and_not_a_truncation() {
    for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"] {
        let (addr, thread) = server(move |stream| {
            stream.write_all(answer.as_bytes()).unwrap();
            // Silent until the client has gone.
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        });
        let mut connection = Connection::open(addr, Duration::from_millis(100));
        connection.write("GET / HTTP/1.1\r\n\r\n");
        let error = connection.try_read_response("GET").unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Timeout, "{answer:?}: {error}");
        drop(connection);
        thread.join().unwrap();
    }
}

#[test]
fn pipelined_responses_are_kept_apart() {
    let (addr, thread) = server(|stream| {
        let one = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";
        let two = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n";
        stream.write_all(format!("{one}{two}{one}").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let mut connection = Connection::open(addr, TIMEOUT);
    connection.write("GET / HTTP/1.1\r\n\r\n");
    let bodies: Vec<_> = (0..3).map(|_| connection.read_response().text().to_owned()).collect();
    assert_eq!(bodies, ["1", "2", "1"]);
    assert!(connection.is_closed());
    thread.join().unwrap();
}

#[test]
fn data_after_a_response_are_seen() {
    let (addr, thread) = server(|stream| {
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\nstray").unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let mut connection = Connection::open(addr, TIMEOUT);
    connection.write("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(connection.read_response().status, 204);
    assert!(!connection.is_idle());
    assert!(!connection.is_closed());
    assert_eq!(connection.read_exact(5), b"stray");
    assert!(connection.is_idle());
    connection.close_write();
    thread.join().unwrap();
}

#[test]
fn requests_are_sent_as_they_were_built() {
    let (addr, thread) = server(|stream| {
        let mut rest = [0; 36];
        stream.read_exact(&mut rest).unwrap();
        assert_eq!(&rest[..], b"3\r\nabc\r\n1\r\nd\r\n0\r\nDigest: x\r\nB: \xff\r\n\r\n");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let mut connection = Connection::open(addr, TIMEOUT);
    let request = connection.request("POST", "/a?b").header("X", "1").header("x", b"\xff");
    let request = request.chunks(["abc", "", "d"]).trailer("Digest", "x").trailer("B", b"\xff");
    assert_eq!(request.send().status, 200);
    let head = thread.join().unwrap();
    let wanted = format!(
        "POST /a?b HTTP/1.1\r\nX: 1\r\nx: \u{0}\r\nhost: localhost:{}\r\n\
         transfer-encoding: chunked\r\n\r\n",
        addr.port()
    );
    let wanted: Vec<_> = wanted.bytes().map(|b| if b == 0 { 0xff } else { b }).collect();
    assert_eq!(head.escape_ascii().to_string(), wanted.escape_ascii().to_string());
}

#[test]
fn an_answer_before_the_end_of_the_upload_is_read() {
    let (addr, thread) = server(|stream| {
        let answer = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
        stream.write_all(answer).unwrap();
        // Takes no byte of the body until the client has given up.
        stream.shutdown(Shutdown::Write).unwrap();
        let mut taken = 0;
        let mut buffer = vec![0; 65536];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            taken += count;
        }
        assert!(taken < 1 << 30, "{taken}");
    });
    let mut connection = Connection::open(addr, TIMEOUT);
    let endless = std::iter::repeat_with(|| vec![0; 65536]);
    let response = connection.request("POST", "/").chunks(endless).send();
    assert_eq!((response.status, response.text(), &response.end), (403, "no", &BodyEnd::Length));
    thread.join().unwrap();
}

#[test]
fn large_bodies_go_both_ways_at_once() {
    const SIZE: usize = 32 << 20;
    let (addr, thread) = server(|stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut buffer = vec![0; 65536];
        let mut left = SIZE;
        while left > 0 {
            let count = stream.read(&mut buffer).unwrap();
            stream.write_all(&buffer[..count]).unwrap();
            left -= count;
        }
    });
    let body: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
    let mut connection = Connection::open(addr, TIMEOUT);
    let mut came = Vec::new();
    let request = connection.request("POST", "/").body(body.clone());
    let response = request.send_with(|bytes| came.extend_from_slice(bytes));
    assert_eq!(response.end, BodyEnd::Length);
    assert!(came == body, "{} bytes of {SIZE}", came.len());
    thread.join().unwrap();
}

#[test]
fn chunks_can_be_read_one_by_one() {
    let (addr, thread) = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        for size in [1, 2] {
            // The next one only when the last was seen.
            stream.write_all(format!("{size}\r\n{}\r\n", "x".repeat(size)).as_bytes()).unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let mut connection = Connection::open(addr, TIMEOUT);
    connection.write("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(connection.read_head().header("transfer-encoding"), Some("chunked"));
    assert_eq!(connection.read_chunk().unwrap(), b"x");
    connection.write(".");
    assert_eq!(connection.read_chunk().unwrap(), b"xx");
    connection.write(".");
    assert_eq!(connection.read_chunk(), None);
    thread.join().unwrap();
}
