//! Peers that are late or slow.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use super::harness::PROTOCOLS;
use super::{Gate, Stream, TestProcess, head_and_body, read_to_end, test_application};
use crate::server::stream::tests::Protocol;

const SHORT: Duration = Duration::from_millis(300);

/// Returns the beginning of a request for this path, and its rest. A body of `length` bytes
/// follows, of which one byte is in the beginning.
fn request(protocol: Protocol, path: &str, length: usize) -> (Vec<u8>, Vec<u8>) {
    let body = vec![b'b'; length];
    match protocol {
        #[cfg(feature = "fastcgi")]
        Protocol::FastCgi => {
            use crate::protocol::fastcgi::{RecordKind, put_begin, put_params, put_stream};
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let mut params = crate::protocol::params::Params::new();
            params.push(b"REQUEST_METHOD", b"POST");
            params.push(b"SCRIPT_NAME", path.as_bytes());
            params.push(b"QUERY_STRING", query.as_bytes());
            params.push(b"CONTENT_LENGTH", length.to_string().as_bytes());
            let mut wire = Vec::new();
            put_begin(&mut wire, 1, crate::protocol::fastcgi::Role::RESPONDER, true);
            put_params(&mut wire, 1, &params).unwrap();
            let mut rest = Vec::new();
            if length > 0 {
                put_stream(&mut wire, RecordKind::STDIN, 1, &body[..1]);
                put_stream(&mut rest, RecordKind::STDIN, 1, &body[1..]);
            }
            crate::protocol::fastcgi::put_stream_end(&mut rest, RecordKind::STDIN, 1);
            (wire, rest)
        }
        #[cfg(any(feature = "scgi", feature = "uwsgi"))]
        _ => {
            let mut wire = super::single::head(protocol, path, length);
            if length == 0 {
                let rest = wire.split_off(20);
                return (wire, rest);
            }
            wire.push(b'b');
            (wire, body[1..].to_vec())
        }
    }
}

pub(super) fn ask(stream: &mut Stream, protocol: Protocol, path: &str) {
    let (begin, rest) = request(protocol, path, 0);
    stream.write_all(&begin).unwrap();
    stream.write_all(&rest).unwrap();
}

#[test]
fn heads_that_do_not_come() {
    let harness =
        TestProcess::open_with(test_application(&Gate::default()), |_, times| times.head = SHORT);
    for protocol in PROTOCOLS {
        for door in [TestProcess::tcp, TestProcess::unix] {
            let mut stream = door(&harness, protocol);
            let (begin, _) = request(protocol, "/hello", 0);
            stream.write_all(&begin[..begin.len().min(12)]).unwrap();
            assert!(read_to_end(&mut stream).0.is_empty());
        }
        let unit = ["RUST0053", "[warn]", protocol.name(), "no whole request head within 300ms"];
        harness.line_with(&[&unit[..], &["--head-timeout", "peer 127.0.0.1:"]].concat());
        for mut stream in harness.both(protocol) {
            assert!(read_to_end(&mut stream).0.is_empty());
        }
        harness.line_with(&["RUST0053", "[info]", protocol.name(), "it sent nothing within 300ms"]);
    }
}

#[test]
fn bodies_that_do_not_come() {
    let harness =
        TestProcess::open_with(test_application(&Gate::default()), |_, times| times.body = SHORT);
    for protocol in PROTOCOLS {
        for mut stream in harness.both(protocol) {
            let (begin, _) = request(protocol, "/count", 10);
            stream.write_all(&begin).unwrap();
            let mut answer = String::new();
            while !answer.contains(" 408 Request Timeout") {
                let mut some = vec![0; 4096];
                let read = stream.read(&mut some).unwrap();
                assert!(read > 0, "{answer}");
                answer.push_str(&String::from_utf8_lossy(&some[..read]));
            }
        }
    }
}

#[test]
fn responses_that_are_not_taken() {
    let harness = TestProcess::open_with(test_application(&Gate::default()), |limits, times| {
        times.send = SHORT;
        limits.threads = 1;
    });
    for protocol in PROTOCOLS {
        for door in [TestProcess::tcp, TestProcess::unix] {
            let mut stream = door(&harness, protocol);
            ask(&mut stream, protocol, "/large?50000000");
            // Not one thread is held while it is waited for.
            let mut other = harness.unix(protocol);
            ask(&mut other, protocol, "/hello");
            let mut some = [0; 512];
            assert!(other.read(&mut some).unwrap() > 0);
            let peer = if stream.is_tcp() { "peer 127.0.0.1" } else { "peer process" };
            harness.line_with(&["RUST0056", protocol.name(), peer, "300ms (--send-timeout)"]);
            let (all, _) = read_to_end(&mut stream);
            assert!(all.len() < 50_000_000);
        }
    }
}

/// More slow readers than threads: others are served meanwhile, and they get all in the end.
#[test]
fn slow_readers() {
    const SIZE: usize = 3_000_000;
    let harness =
        TestProcess::open_with(test_application(&Gate::default()), |limits, _| limits.threads = 2);
    for protocol in PROTOCOLS {
        let mut slow: Vec<Stream> = (0..12)
            .map(|_| {
                let mut stream = harness.tcp(protocol);
                ask(&mut stream, protocol, &format!("/large?{SIZE}"));
                stream
            })
            .collect();
        for _ in 0..20 {
            let mut other = harness.unix(protocol);
            ask(&mut other, protocol, "/hello");
            let mut some = [0; 512];
            assert!(other.read(&mut some).unwrap() > 0);
        }
        for stream in &mut slow {
            let mut came = 0;
            let mut buffer = vec![0; 256 * 1024];
            while came < SIZE {
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0, "only {came} bytes came");
                came += read;
            }
        }
    }
}

/// More readers that read nothing than there may be waiting threads: a fast client is served at
/// once.
#[test]
fn slow_readers_hold_no_threads() {
    const SIZE: usize = 512 * 1024;
    let readers = super::crowd::room_for(600);
    let harness = TestProcess::open_with(test_application(&Gate::default()), |limits, _| {
        limits.threads = 4;
        limits.connections = readers + 100;
    });
    for protocol in PROTOCOLS {
        let slow: Vec<Stream> = (0..readers)
            .map(|_| {
                let mut stream = harness.unix(protocol);
                ask(&mut stream, protocol, &format!("/large?{SIZE}"));
                stream
            })
            .collect();
        let start = std::time::Instant::now();
        for _ in 0..20 {
            let mut other = harness.unix(protocol);
            ask(&mut other, protocol, "/hello");
            let mut some = [0; 512];
            assert!(other.read(&mut some).unwrap() > 0);
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(15), "{}: {took:?}", protocol.name());
        for mut stream in slow.into_iter().step_by(100) {
            let (mut came, mut buffer) = (0, vec![0; 64 * 1024]);
            while came < SIZE {
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0, "{}: only {came} bytes came", protocol.name());
                came += read;
            }
        }
    }
}

#[cfg(feature = "fastcgi")]
#[test]
fn a_kept_connection_that_is_not_used() {
    let harness = TestProcess::open_with(test_application(&Gate::default()), |_, times| {
        times.keep_alive = SHORT
    });
    for mut stream in harness.both(Protocol::FastCgi) {
        ask(&mut stream, Protocol::FastCgi, "/hello");
        let (answer, ended) = read_to_end(&mut stream);
        ended.unwrap();
        assert!(head_and_body(&answer).1.starts_with(b"Hello, world\n"));
    }
    harness.line_with(&["RUST0053", "[debug]", "no other request within 300ms (--keep-alive)"]);
}
