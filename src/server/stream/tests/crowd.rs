//! More connections than anybody needs.

use std::io::{Read as _, Write as _};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::harness::{LONG, PROTOCOLS};
use super::{Gate, Stream, TestProcess, test_application};
use crate::os::resident_bytes;
use crate::server::stream::tests::Protocol;

/// Both ends of so many connections are in this process.
const CROWD: usize = 10_000;

fn request(protocol: Protocol) -> Vec<u8> {
    request_of(protocol, 1000)
}

/// Returns a request whose head has a little more than so many bytes.
fn request_of(protocol: Protocol, size: usize) -> Vec<u8> {
    match protocol {
        #[cfg(feature = "fastcgi")]
        Protocol::FastCgi => {
            use crate::protocol::fastcgi::{
                RecordKind, Role, put_begin, put_params, put_stream_end,
            };
            let mut params = crate::protocol::params::Params::new();
            params.push(b"REQUEST_METHOD", b"GET");
            params.push(b"SCRIPT_NAME", b"/hello");
            params.push(b"HTTP_COOKIE", &vec![b'c'; size]);
            let mut wire = Vec::new();
            put_begin(&mut wire, 1, Role::RESPONDER, true);
            put_params(&mut wire, 1, &params).unwrap();
            put_stream_end(&mut wire, RecordKind::STDIN, 1);
            wire
        }
        #[cfg(any(feature = "scgi", feature = "uwsgi"))]
        _ => super::single::head_of(protocol, "/hello", size),
    }
}

fn hello(stream: &mut Stream, protocol: Protocol) {
    stream.write_all(&request(protocol)).unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.contains("Hello, world"), "{answer}");
}

/// Raises RLIMIT_NOFILE for this many connections. Returns the number that fits.
pub(super) fn room_for(connections: usize) -> usize {
    let wanted = 2 * connections as u64 + 1000;
    let limits = getrlimit(Resource::Nofile);
    let most = limits.maximum.unwrap_or(u64::MAX).max(wanted);
    let raised = Rlimit { current: Some(wanted), maximum: Some(most) };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        return connections;
    }
    // A process that may not raise the limit gets as many as there can be.
    let maximum = limits.maximum.unwrap_or(wanted);
    let raised = Rlimit { current: Some(maximum), maximum: limits.maximum };
    setrlimit(Resource::Nofile, raised).expect("the soft limit up to the hard one");
    connections.min((maximum as usize).saturating_sub(1000) / 2)
}

/// Connections that send nothing, that stop within their heads, and that are kept.
#[test]
fn idle_and_stalled_connections_cost_little() {
    let crowd = room_for(CROWD);
    let harness = TestProcess::open_with(test_application(&Gate::default()), |limits, times| {
        limits.connections = crowd + 10;
        times.head = std::time::Duration::from_secs(600);
    });
    for protocol in PROTOCOLS {
        hello(&mut harness.unix(protocol), protocol);
    }
    let before = resident_bytes().unwrap();
    let wires = PROTOCOLS.map(request);
    let held: Vec<Stream> = (0..crowd)
        .map(|index| {
            let protocol = index % PROTOCOLS.len();
            let mut stream = harness.unix(PROTOCOLS[protocol]);
            match index / PROTOCOLS.len() % 3 {
                0 => {}
                1 => stream.write_all(&wires[protocol][..wires[protocol].len() - 2]).unwrap(),
                _ => {
                    if PROTOCOLS[protocol].name() == "fastcgi" {
                        hello(&mut stream, PROTOCOLS[protocol]);
                    } else {
                        stream.write_all(&wires[protocol][..1]).unwrap();
                    }
                }
            }
            stream
        })
        .collect();
    for protocol in PROTOCOLS {
        for _ in 0..20 {
            hello(&mut harness.unix(protocol), protocol);
        }
    }
    let grown = resident_bytes().unwrap().saturating_sub(before);
    let each = grown / crowd as u64;
    assert!(each < 8 * 1024, "{each} bytes a connection, of which 1 KiB is a head");
    drop(held);
}

/// Unfinished heads of all connections have a bound; small ones are read beyond it.
#[test]
fn half_heads_have_a_bound() {
    const HEAD: usize = 50 * 1024;
    for protocol in PROTOCOLS {
        let harness = TestProcess::open_with(test_application(&Gate::default()), |limits, _| {
            (limits.head, limits.heads) = (64 * 1024, 4 * HEAD);
        });
        let wire = request_of(protocol, HEAD);
        // FastCGI's last records end the head and the input.
        let half = &wire[..wire.len() - if protocol.name() == "fastcgi" { 17 } else { 2 }];
        let mut held: Vec<Stream> = (0..10).map(|_| harness.unix(protocol)).collect();
        // A connection without room is closed, maybe while the head is written.
        held.iter_mut().for_each(|stream| drop(stream.write_all(half)));
        harness.line_with(&["RUST0060", protocol.name(), "204800 bytes"]);
        let start = std::time::Instant::now();
        let mut closed = 0;
        while closed < 6 {
            assert!(start.elapsed() < LONG, "{closed} of 10 half heads are closed");
            let log = harness.log();
            closed = log.lines().filter(|line| line.contains("RUST0060")).count();
            std::thread::yield_now();
        }
        assert!(closed <= 7, "{closed} of 10 half heads are closed");
        hello(&mut harness.unix(protocol), protocol);
        drop(held);
        // Their room is given back.
        let mut stream = harness.unix(protocol);
        stream.write_all(half).unwrap();
        stream.write_all(&wire[half.len()..]).unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.contains("Hello, world"), "{answer}");
    }
}

/// Opens as many as are allowed; the next waits until one of them has gone, and a line says so
/// once.
#[test]
fn no_more_connections_than_allowed() {
    let harness = TestProcess::open_with(test_application(&Gate::default()), |limits, _| {
        limits.connections = 3
    });
    for protocol in PROTOCOLS {
        let mut held: Vec<Stream> = (0..3).map(|_| harness.tcp(protocol)).collect();
        harness.line_with(&["RUST0055", "3 connections", "--max-connections"]);
        let mut next = harness.tcp(protocol);
        next.write_all(&request(protocol)).unwrap();
        hello(&mut held[0], protocol);
        drop(held);
        let mut answer = vec![0; 4096];
        let read = next.read(&mut answer).unwrap();
        assert!(String::from_utf8_lossy(&answer[..read]).contains("Hello, world"));
    }
}

#[cfg(feature = "fastcgi")]
#[test]
fn addresses_that_may_not_connect() {
    let harness =
        TestProcess::open_for(test_application(&Gate::default()), |_, _| {}, &["192.0.2.1"]);
    let mut stream = harness.tcp(Protocol::FastCgi);
    assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0);
    harness.line_with(&["RUST0052", "peer 127.0.0.1", "FCGI_WEB_SERVER_ADDRS"]);
    // A Unix socket's peer has no address.
    hello(&mut harness.unix(Protocol::FastCgi), Protocol::FastCgi);
    let harness =
        TestProcess::open_for(test_application(&Gate::default()), |_, _| {}, &["::ffff:127.0.0.1"]);
    hello(&mut harness.tcp(Protocol::FastCgi), Protocol::FastCgi);
}
