//! The end of a process.

use std::io::Write as _;
use std::time::Duration;

use super::harness::{LONG, PROTOCOLS};
use super::{Gate, TestProcess, read_to_end, test_application};

/// Returns a request without a body, with its last byte apart.
fn request(protocol: crate::server::stream::tests::Protocol, path: &str) -> Vec<u8> {
    match protocol {
        #[cfg(feature = "fastcgi")]
        crate::server::stream::tests::Protocol::FastCgi => {
            use crate::protocol::fastcgi::{
                RecordKind, Role, put_begin, put_params, put_stream_end,
            };
            let mut params = crate::protocol::params::Params::new();
            params.push(b"REQUEST_METHOD", b"GET");
            params.push(b"SCRIPT_NAME", path.as_bytes());
            let mut wire = Vec::new();
            put_begin(&mut wire, 1, Role::RESPONDER, true);
            put_params(&mut wire, 1, &params).unwrap();
            put_stream_end(&mut wire, RecordKind::STDIN, 1);
            wire
        }
        #[cfg(any(feature = "scgi", feature = "uwsgi"))]
        _ => super::single::head(protocol, path, 0),
    }
}

/// Running requests are answered, begun ones are served, idle connections are closed.
#[test]
fn requests_in_flight_are_answered() {
    let gate = Gate::default();
    let harness = TestProcess::open(test_application(&gate));
    let mut running = Vec::new();
    for protocol in PROTOCOLS {
        let mut stream = harness.tcp(protocol);
        stream.write_all(&request(protocol, "/gate")).unwrap();
        running.push(stream);
    }
    gate.until_arrived(running.len());
    let mut begun = Vec::new();
    for protocol in PROTOCOLS {
        let mut stream = harness.unix(protocol);
        let wire = request(protocol, "/hello");
        stream.write_all(&wire[..wire.len() - 3]).unwrap();
        begun.push((stream, wire));
    }
    #[cfg(feature = "fastcgi")]
    let mut kept = {
        use std::io::Read as _;
        let mut stream = harness.unix(crate::server::stream::tests::Protocol::FastCgi);
        stream
            .write_all(&request(crate::server::stream::tests::Protocol::FastCgi, "/hello"))
            .unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream
    };
    harness.drain();
    // It drains once the listeners are closed.
    while harness.try_tcp(PROTOCOLS[0]).is_ok() {
        std::thread::yield_now();
    }
    #[cfg(feature = "fastcgi")]
    assert!(read_to_end(&mut kept).0.is_empty());
    gate.open();
    for (mut stream, wire) in begun {
        stream.write_all(&wire[wire.len() - 3..]).unwrap();
        let (answer, ended) = read_to_end(&mut stream);
        ended.unwrap();
        assert!(String::from_utf8_lossy(&answer).contains("Hello, world"), "{answer:?}");
    }
    for mut stream in running {
        let (answer, ended) = read_to_end(&mut stream);
        ended.unwrap();
        assert!(String::from_utf8_lossy(&answer).contains("through"), "{answer:?}");
    }
    let log = harness.ended();
    assert!(!log.contains("RUST00"), "{log}");
}

/// A web server may use a kept connection at the moment of a drain: it is served until it was idle.
#[cfg(feature = "fastcgi")]
#[test]
fn a_kept_connection_is_served_until_it_is_idle() {
    use std::io::Read as _;
    let protocol = PROTOCOLS.into_iter().find(|protocol| protocol.name() == "fastcgi").unwrap();
    let harness = TestProcess::open_with(test_application(&Gate::default()), |_, times| {
        times.drain_idle = LONG;
    });
    let mut streams = harness.both(protocol);
    for round in 0..12 {
        for stream in &mut streams {
            stream.write_all(&request(protocol, "/hello")).unwrap();
            let mut answer = [0; 4096];
            let read = stream.read(&mut answer).unwrap();
            let answer = String::from_utf8_lossy(&answer[..read]);
            assert!(answer.contains("Hello, world"), "round {round}: {answer:?}");
        }
        if round == 0 {
            harness.drain();
            while harness.try_tcp(protocol).is_ok() {
                std::thread::yield_now();
            }
        }
    }
    drop(streams);
    let log = harness.ended();
    assert!(!log.contains("RUST00"), "{log}");
}

#[test]
fn requests_that_take_too_long_are_abandoned() {
    let gate = Gate::default();
    let harness = TestProcess::open_with(test_application(&gate), |_, times| {
        times.graceful = Duration::from_millis(200);
    });
    let mut stream = harness.tcp(PROTOCOLS[0]);
    stream.write_all(&request(PROTOCOLS[0], "/gate")).unwrap();
    gate.until_arrived(1);
    harness.drain();
    let log = harness.ended();
    assert!(log.contains("RUST0037") && log.contains("--graceful-timeout"), "{log}");
    gate.open();
}
