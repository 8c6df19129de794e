//! Web servers that want no more of a request, or leave.

use std::time::Duration;

use super::Client;
use super::client::{head, request};
use crate::protocol::fastcgi::{ProtocolStatus, Role};
use crate::server::stream::tests::Protocol;
use crate::server::stream::tests::{Gate, TestProcess, test_application};

#[test]
fn an_abort_while_the_body_comes() {
    let gate = Gate::default();
    let harness = TestProcess::open(test_application(&gate));
    let mut client = Client::new(harness.tcp(Protocol::FastCgi));
    client.send(&head(1, Role::RESPONDER, true, "/gate-read", Some(1000)));
    client.stdin(1, b"some of it");
    gate.until_arrived(1);
    client.abort(1);
    gate.open();
    gate.until_noted("read failed: ClientGone");
    let end = client.answer(1).end.unwrap();
    assert_eq!((end.app_status, end.protocol_status), (1, ProtocolStatus::REQUEST_COMPLETE));
    assert_eq!(client.ask("/hello", b"").text(), "Hello, world\n");
}

#[test]
fn an_abort_while_the_application_answers() {
    let gate = Gate::default();
    let harness = TestProcess::open(test_application(&gate));
    let mut client = Client::new(harness.unix(Protocol::FastCgi));
    client.send(&request(1, "/gate-write", b""));
    gate.until_arrived(1);
    client.abort(1);
    gate.open();
    // The application writes until it gets the signal.
    let answer = client.answer(1);
    assert_eq!(answer.end.unwrap().app_status, 1);
    gate.until_noted("write failed: ClientGone");
    assert_eq!(client.ask("/hello", b"").text(), "Hello, world\n");
}

#[test]
fn an_abort_within_the_head() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    let mut client = Client::new(harness.unix(Protocol::FastCgi));
    let wire = request(1, "/hello", b"");
    client.send(&wire[..40]);
    client.send(&wire[40..wire.len() - 16]);
    client.abort(1);
    assert!(client.answer(1).stdout.is_empty());
    // Later input for it is passed over.
    client.send(&wire[wire.len() - 8..]);
    client.abort(77);
    assert_eq!(client.ask("/hello", b"").text(), "Hello, world\n");
}

#[test]
fn the_connection_goes_away() {
    let gate = Gate::default();
    let harness = TestProcess::open(test_application(&gate));
    for (round, stream) in harness.both(Protocol::FastCgi).into_iter().enumerate() {
        let mut client = Client::new(stream);
        client.send(&request(1, "/gate-write", b""));
        client.send(&head(2, Role::RESPONDER, true, "/gate-read", Some(1000)));
        if round == 0 {
            gate.until_arrived(2);
            drop(client);
            gate.open();
        } else {
            client.until_stdout(1, 10_000);
            // Not before the second one runs: it would never be begun.
            gate.until_arrived(4);
            drop(client);
        }
        gate.until_noted("write failed: ClientGone");
        gate.until_noted("read failed: ClientGone");
        gate.forget_notes();
    }
    let mut client = Client::new(harness.tcp(Protocol::FastCgi));
    assert_eq!(client.ask("/hello", b"").text(), "Hello, world\n");
}

/// They are counted no more when their time is up: others are not refused for them.
#[test]
fn heads_that_never_come_whole() {
    let harness = TestProcess::open_with(test_application(&Gate::default()), |limits, timeouts| {
        (limits.connections, timeouts.head) = (4, Duration::from_millis(50));
    });
    for _ in 0..6 {
        let mut client = Client::new(harness.tcp(Protocol::FastCgi));
        // The BEGIN_REQUEST alone.
        client.send(&head(1, Role::RESPONDER, true, "/hello", None)[..16]);
        client.until_closed(1);
    }
    let mut client = Client::new(harness.tcp(Protocol::FastCgi));
    assert_eq!(client.ask("/hello", b"").text(), "Hello, world\n");
}
