//! Requests that wait for a thread.

use std::io::{Read as _, Write as _};
use std::thread::sleep;
use std::time::Duration;

use super::deadlines::ask;
use super::harness::PROTOCOLS;
use super::{Gate, Stream, TestProcess, test_application};

const SHORT: Duration = Duration::from_millis(300);

/// Reads until `text` has come.
fn until(stream: &mut Stream, text: &str) -> String {
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains(text) {
        let mut some = [0; 4096];
        let read = stream.read(&mut some).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&some[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request that waits for a thread is not a peer that sends nothing.
#[test]
fn a_queued_request_is_not_cut_by_the_head_timeout() {
    for protocol in PROTOCOLS {
        let gate = Gate::default();
        let harness = TestProcess::open_with(test_application(&gate), |limits, times| {
            limits.threads = 1;
            times.head = SHORT;
        });
        let mut running = harness.tcp(protocol);
        ask(&mut running, protocol, "/gate");
        gate.until_arrived(1);
        let mut queued = harness.both(protocol);
        for stream in &mut queued {
            ask(stream, protocol, "/hello");
        }
        sleep(SHORT * 4);
        gate.open();
        until(&mut running, "through");
        for stream in &mut queued {
            until(stream, "Hello, world");
        }
        assert!(!harness.log().contains("RUST0053"), "{}", harness.log());
    }
}

#[test]
fn a_request_that_waits_too_long_is_refused() {
    for protocol in PROTOCOLS {
        let gate = Gate::default();
        let harness = TestProcess::open_with(test_application(&gate), |limits, times| {
            limits.threads = 1;
            times.queue = SHORT;
        });
        let mut running = harness.tcp(protocol);
        ask(&mut running, protocol, "/gate");
        gate.until_arrived(1);
        for mut stream in harness.both(protocol) {
            ask(&mut stream, protocol, "/hello");
            let answer = until(&mut stream, "</html>");
            assert!(answer.contains("504 Gateway Timeout"), "{answer}");
            assert!(!answer.contains("Retry-After"), "{answer}");
        }
        harness.line_with(&["RUST0026", protocol.name(), "300ms (--queue-timeout)", "504"]);
        gate.open();
        until(&mut running, "through");
    }
}

#[test]
fn no_more_requests_wait_than_allowed() {
    for protocol in PROTOCOLS {
        let gate = Gate::default();
        let harness = TestProcess::open_with(test_application(&gate), |limits, times| {
            (limits.threads, limits.queue) = (1, 2);
            times.head = Duration::from_secs(2);
        });
        let mut running = harness.tcp(protocol);
        ask(&mut running, protocol, "/gate");
        gate.until_arrived(1);
        let mut queued = harness.both(protocol);
        for stream in &mut queued {
            ask(stream, protocol, "/hello");
        }
        // They have been seen.
        sleep(SHORT * 2);
        let mut next = harness.unix(protocol);
        ask(&mut next, protocol, "/hello");
        let answer = until(&mut next, "</html>");
        assert!(answer.contains("503 Service Unavailable"), "{answer}");
        assert!(answer.contains("Retry-After: 1\r\n"), "{answer}");
        harness.line_with(&["RUST0023", protocol.name(), "2 (--queue-size)"]);
        gate.open();
        until(&mut running, "through");
        for stream in &mut queued {
            until(stream, "Hello, world");
        }
    }
}

/// No thread works for a client that has left the queue.
#[test]
fn a_client_that_leaves_is_not_served() {
    for protocol in PROTOCOLS {
        let gate = Gate::default();
        let harness = TestProcess::open_with(test_application(&gate), |limits, times| {
            limits.threads = 1;
            times.head = Duration::from_secs(1);
        });
        let mut running = harness.tcp(protocol);
        ask(&mut running, protocol, "/gate");
        gate.until_arrived(1);
        for _ in 0..10 {
            let mut stream = harness.unix(protocol);
            ask(&mut stream, protocol, "/gate");
        }
        sleep(SHORT * 4);
        gate.open();
        until(&mut running, "through");
        let mut last = harness.unix(protocol);
        ask(&mut last, protocol, "/hello");
        last.flush().unwrap();
        until(&mut last, "Hello, world");
        assert_eq!(gate.arrived(), 1, "{}", protocol.name());
    }
}
