//! Protocols with one request a connection.

use std::io::{Read as _, Write as _};

use super::{Gate, TestProcess, head_and_body, read_to_end, test_application};
use crate::protocol::params::Params;
use crate::server::stream::tests::Protocol;

fn params(path: &str, length: usize) -> Params {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut params = Params::new();
    params.push(b"CONTENT_LENGTH", length.to_string().as_bytes());
    params.push(b"REQUEST_METHOD", if length > 0 { b"POST" } else { b"GET" });
    params.push(b"SCRIPT_NAME", path.as_bytes());
    params.push(b"QUERY_STRING", query.as_bytes());
    params.push(b"SERVER_PROTOCOL", b"HTTP/1.1");
    params
}

/// Makes a head of this protocol.
pub(super) fn head(protocol: Protocol, path: &str, length: usize) -> Vec<u8> {
    encode(protocol, &params(path, length))
}

/// A head with a cookie of this size.
pub(super) fn head_of(protocol: Protocol, path: &str, cookie: usize) -> Vec<u8> {
    let mut params = params(path, 0);
    params.push(b"HTTP_COOKIE", &vec![b'c'; cookie]);
    encode(protocol, &params)
}

fn encode(protocol: Protocol, params: &Params) -> Vec<u8> {
    let mut wire = Vec::new();
    match protocol {
        #[cfg(feature = "scgi")]
        Protocol::Scgi => crate::protocol::scgi::encode(params, &mut wire).unwrap(),
        #[cfg(feature = "uwsgi")]
        Protocol::Uwsgi => crate::protocol::uwsgi::encode(params, &mut wire).unwrap(),
        #[cfg(feature = "fastcgi")]
        Protocol::FastCgi => unreachable!("it has several requests a connection"),
    }
    wire
}

pub(super) const SINGLE: &[Protocol] = &[
    #[cfg(feature = "scgi")]
    Protocol::Scgi,
    #[cfg(feature = "uwsgi")]
    Protocol::Uwsgi,
];

fn status(protocol: Protocol, status: &str) -> String {
    match protocol {
        #[cfg(feature = "uwsgi")]
        Protocol::Uwsgi => format!("HTTP/1.1 {status}"),
        _ => format!("Status: {status}"),
    }
}

#[test]
fn requests_and_bodies_of_all_sizes() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    for &protocol in SINGLE {
        for size in [0, 1, 1000, 65_536, 131_072, 700_001] {
            for mut stream in harness.both(protocol) {
                let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
                stream.write_all(&head(protocol, "/echo", size)).unwrap();
                stream.write_all(&body).unwrap();
                let (answer, ended) = read_to_end(&mut stream);
                ended.unwrap();
                let (head, echo) = head_and_body(&answer);
                let expected = format!(
                    "{}\r\nContent-Type: text/plain\r\nContent-Length: {size}",
                    status(protocol, "200 OK")
                );
                assert_eq!(head, expected);
                assert!(echo == body, "{size}");
            }
        }
    }
}

#[test]
fn half_closed_behind_the_request() {
    let gate = Gate::default();
    let harness = TestProcess::open(test_application(&gate));
    let mut arrived = 0;
    for &protocol in SINGLE {
        for path in ["/gate", "/echo", "/stream?100"] {
            for mut stream in harness.both(protocol) {
                let body = if path == "/echo" { &b"a body"[..] } else { b"" };
                stream.write_all(&head(protocol, path, body.len())).unwrap();
                stream.write_all(body).unwrap();
                stream.half_close();
                if path == "/gate" {
                    arrived += 1;
                    gate.until_arrived(arrived);
                    gate.open();
                }
                let (answer, ended) = read_to_end(&mut stream);
                ended.unwrap();
                let length = head_and_body(&answer).1.len();
                assert_eq!(
                    length,
                    [7, 6, 1000][["/gate", "/echo", "/stream?100"]
                        .iter()
                        .position(|known| *known == path)
                        .unwrap()]
                );
            }
        }
    }
}

#[test]
fn byte_by_byte() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    for &protocol in SINGLE {
        let mut stream = harness.tcp(protocol);
        for byte in [&head(protocol, "/echo", 5)[..], b"bytes"].concat() {
            stream.write_all(&[byte]).unwrap();
        }
        let (answer, _) = read_to_end(&mut stream);
        assert_eq!(head_and_body(&answer).1, b"bytes");
    }
}

#[test]
fn full_duplex() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    for &protocol in SINGLE {
        for mut stream in harness.both(protocol) {
            let mut params = params("/duplex", 50);
            params.push(b"SERVER_SOFTWARE", b"lighttpd/1.4.76");
            stream.write_all(&encode(protocol, &params)).unwrap();
            let mut all = Vec::new();
            for round in 1..=5 {
                stream.write_all(b"0123456789").unwrap();
                while !all.ends_with(&b"0123456789".repeat(round)) {
                    let mut buffer = [0; 4096];
                    let read = stream.read(&mut buffer).unwrap();
                    assert!(read > 0);
                    all.extend_from_slice(&buffer[..read]);
                }
            }
        }
    }
}

/// Of more than sockets and memory hold nothing comes back before all has been sent, as it is with
/// mod_proxy_scgi and mod_proxy_uwsgi.
#[test]
fn an_echo_to_a_client_that_sends_all_before_it_reads() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    for &protocol in SINGLE {
        for mut stream in harness.both(protocol) {
            let body: Vec<u8> = (0..5_000_000).map(|i| (i % 251) as u8).collect();
            stream.write_all(&head(protocol, "/duplex", body.len())).unwrap();
            stream.write_all(&body).unwrap();
            let (answer, ended) = read_to_end(&mut stream);
            ended.unwrap();
            assert!(head_and_body(&answer).1 == body);
        }
    }
}

/// The client sends all of a large body before it reads, as mod_proxy_scgi does: the answer, which
/// is there long before, must not get lost.
#[test]
fn an_early_answer_is_read_late() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    for &protocol in SINGLE {
        for mut stream in harness.both(protocol) {
            let size = 2_000_000;
            stream.write_all(&head(protocol, "/early", size)).unwrap();
            stream.write_all(&vec![b'x'; size]).unwrap();
            let (answer, ended) = read_to_end(&mut stream);
            ended.unwrap();
            let (head, body) = head_and_body(&answer);
            assert!(head.starts_with(&status(protocol, "403 Forbidden")), "{head}");
            assert_eq!(body, b"no");
        }
    }
}

/// The body comes slowly, for longer than a client may be silent: as long as it comes, nothing
/// breaks.
#[test]
fn an_early_answer_to_a_slow_body() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    for &protocol in SINGLE {
        let mut stream = harness.tcp(protocol);
        stream.write_all(&head(protocol, "/early", 12)).unwrap();
        for _ in 0..12 {
            std::thread::sleep(std::time::Duration::from_millis(250));
            stream.write_all(b"x").unwrap();
        }
        let (answer, ended) = read_to_end(&mut stream);
        ended.unwrap();
        assert_eq!(head_and_body(&answer).1, b"no");
    }
}

#[test]
fn failed_and_broken_responses() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    for &protocol in SINGLE {
        for path in ["/fail", "/panic"] {
            let mut stream = harness.unix(protocol);
            stream.write_all(&head(protocol, path, 0)).unwrap();
            let (answer, _) = read_to_end(&mut stream);
            let (head, _) = head_and_body(&answer);
            assert!(head.starts_with(&status(protocol, "500")), "{head}");
        }
        for mut stream in harness.both(protocol) {
            stream.write_all(&head(protocol, "/broken?100", 0)).unwrap();
            let (answer, ended) = read_to_end(&mut stream);
            assert!(ended.is_err(), "it looks whole: {answer:?}");
        }
    }
}

/// However the request came, and though the application has read all of it.
#[test]
fn a_broken_response_is_a_reset() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    let sizes = [0, 1, 2, 100, 16 * 1024, 40_000, 300_000];
    for (&protocol, size) in SINGLE.iter().flat_map(|p| sizes.map(|size| (p, size))) {
        for at_once in [true, false] {
            for mut stream in harness.both(protocol) {
                let body = vec![b'b'; size];
                let (first, last) = body.split_at(if at_once { 0 } else { size / 2 });
                let head = head(protocol, "/broken?100", size);
                if at_once {
                    stream.write_all(&[&head, last].concat()).unwrap();
                } else {
                    stream.write_all(&head).unwrap();
                    stream.write_all(first).unwrap();
                    stream.write_all(last).unwrap();
                }
                let (answer, ended) = read_to_end(&mut stream);
                assert!(ended.is_err(), "{size} bytes, at once: {at_once}: {answer:?}");
            }
        }
    }
}

#[test]
fn a_body_that_is_cut() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    for &protocol in SINGLE {
        for mut stream in harness.both(protocol) {
            stream.write_all(&head(protocol, "/echo", 100)).unwrap();
            stream.write_all(b"ten bytes.").unwrap();
            stream.half_close();
            let (answer, _) = read_to_end(&mut stream);
            let (head, _) = head_and_body(&answer);
            assert!(head.starts_with(&status(protocol, "400")), "{head}");
        }
    }
}

#[test]
fn a_client_that_leaves() {
    let gate = Gate::default();
    let harness = TestProcess::open(test_application(&gate));
    let mut arrived = 0;
    for &protocol in SINGLE {
        for mut stream in harness.both(protocol) {
            stream.write_all(&head(protocol, "/gate-write", 0)).unwrap();
            arrived += 1;
            gate.until_arrived(arrived);
            drop(stream);
            gate.open();
            gate.until_noted("write failed: ClientGone");
            gate.forget_notes();
        }
    }
}

#[test]
fn violations_cost_the_connection_and_say_what() {
    let harness =
        TestProcess::open_with(test_application(&Gate::default()), |limits, _| limits.head = 2000);
    for &protocol in SINGLE {
        let long = head(protocol, &format!("/{}", "x".repeat(3000)), 0);
        for (wire, says) in [
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "byte 0"),
            (long, "2000"),
            (
                vec![5, 0, 0, 0],
                if protocol.name() == "uwsgi" { "modifier1 is 5" } else { "byte 0" },
            ),
        ] {
            for mut stream in harness.both(protocol) {
                stream.write_all(&wire).unwrap();
                let (answer, _) = read_to_end(&mut stream);
                assert!(answer.is_empty());
            }
            harness.line_with(&["RUST0054", protocol.name(), "peer 127.0.0.1:", says]);
        }
        let mut stream = harness.unix(protocol);
        stream.write_all(&head(protocol, "/hello", 0)[..9]).unwrap();
        drop(stream);
        harness.line_with(&[
            "RUST0054",
            protocol.name(),
            "within a request head, of which 9 bytes",
        ]);
    }
}
