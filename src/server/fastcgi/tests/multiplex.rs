//! Several requests at once over one connection.

use std::thread;
use std::time::Duration;

use super::super::multiplexer::QUEUE;
use super::Client;
use super::client::{head, request};
use crate::gateway::{Application as _, Environ, StartResponse, app_fn};
use crate::protocol::fastcgi::{ProtocolStatus, RecordKind, Role, put_stream, put_stream_end};
use crate::server::stream::tests::Protocol;
use crate::server::stream::tests::{Gate, TestProcess, test_application};

#[test]
fn one_is_answered_while_another_waits() {
    let gate = Gate::default();
    let harness = TestProcess::open(test_application(&gate));
    for (round, stream) in harness.both(Protocol::FastCgi).into_iter().enumerate() {
        let mut client = Client::new(stream);
        client.send(&request(1, "/gate", b""));
        gate.until_arrived(round + 1);
        if round == 0 {
            for id in 2..20 {
                client.send(&request(id, "/hello", b""));
                assert_eq!(client.answer(id).text(), "Hello, world\n");
            }
            gate.open();
        }
        assert_eq!(client.answer(1).text(), "through");
    }
}

#[test]
fn two_interleaved_record_by_record() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    let mut client = Client::new(harness.tcp(Protocol::FastCgi));
    let (one, two) = (request(1, "/echo", b"the first"), request(2, "/echo", b"the second"));
    let records = |mut wire: &[u8]| {
        let mut all = Vec::new();
        while let Some(record) = crate::protocol::fastcgi::split(wire).unwrap() {
            all.push(wire[..record.size()].to_vec());
            wire = &wire[record.size()..];
        }
        all
    };
    for (one, two) in records(&one).iter().zip(&records(&two)) {
        client.send(one);
        client.send(two);
    }
    assert_eq!(client.answer(2).text(), "the second");
    assert_eq!(client.answer(1).text(), "the first");
}

/// More than an inbox holds, of both.
#[test]
fn two_uploads_at_once() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    for stream in harness.both(Protocol::FastCgi) {
        let mut client = Client::new(stream);
        let pieces = 200;
        let length = Some(pieces * 8000);
        client.send(&head(1, Role::RESPONDER, true, "/echo", length));
        client.send(&head(2, Role::RESPONDER, true, "/count", length));
        for piece in 0..pieces {
            client.stdin(1, &[piece as u8; 8000]);
            client.stdin(2, &[b'b'; 8000]);
        }
        client.stdin(2, b"");
        client.stdin(1, b"");
        assert_eq!(client.answer(2).text(), (pieces * 8000).to_string());
        let answer = client.answer(1);
        let expected: Vec<u8> = (0..pieces).flat_map(|piece| [piece as u8; 8000]).collect();
        assert!(answer.body() == expected);
    }
}

/// An unread input fills its inbox, and delays the data behind it until it is read.
#[test]
fn an_inbox_that_is_full() {
    let gate = Gate::default();
    let harness = TestProcess::open(test_application(&gate));
    let mut client = Client::new(harness.unix(Protocol::FastCgi));
    let size = 1_500_000;
    client.send(&head(1, Role::RESPONDER, true, "/gate", None));
    // From now on the connection has several requests, so no request holds it alone.
    client.send(&head(2, Role::RESPONDER, true, "/gate-read", Some(size)));
    let mut rest = Vec::new();
    put_stream_end(&mut rest, RecordKind::STDIN, 1);
    put_stream(&mut rest, RecordKind::STDIN, 2, &vec![b'x'; size]);
    put_stream_end(&mut rest, RecordKind::STDIN, 2);
    rest.extend(request(3, "/hello", b""));
    let mut writer = match &client.stream {
        crate::server::stream::tests::Stream::Unix(stream) => stream.try_clone().unwrap(),
        crate::server::stream::tests::Stream::Tcp(_) => unreachable!("it is a Unix socket"),
    };
    let sender = thread::spawn(move || std::io::Write::write_all(&mut writer, &rest).unwrap());
    gate.until_arrived(2);
    gate.open();
    assert_eq!(client.answer(1).text(), "through");
    assert_eq!(client.answer(2).body().len(), size);
    assert_eq!(client.answer(3).text(), "Hello, world\n");
    sender.join().unwrap();
}

/// A request that reads, while the input of another has no room, finds nothing and does not search
/// for ever.
#[test]
fn a_request_beside_one_whose_inbox_is_full_finds_nothing() {
    let (gate, polls) = (Gate::default(), Gate::default());
    let (waiting, polling) = (test_application(&gate), test_application(&polls));
    let application = app_fn(move |environ: Environ<'_>, start_response: StartResponse<'_>| {
        let polls = environ.path_info() == b"/poll";
        if polls {
            polling.call(environ, start_response)
        } else {
            waiting.call(environ, start_response)
        }
    });
    let harness = TestProcess::open(application);
    let mut client = Client::new(harness.unix(Protocol::FastCgi));
    let size = 400_000;
    client.send(&head(1, Role::RESPONDER, true, "/gate-read", Some(size)));
    gate.until_arrived(1);
    client.send(&head(2, Role::RESPONDER, true, "/poll", Some(1)));
    polls.until_noted("asked 1 times");
    let mut body = Vec::new();
    put_stream(&mut body, RecordKind::STDIN, 1, &vec![b'x'; size]);
    // It returns once the inbox is full or almost so.
    client.send(&body);
    polls.forget_notes();
    polls.until_noted("0000 times");
    gate.open();
    client.stdin(1, b"");
    assert_eq!(client.answer(1).body().len(), size);
    client.stdin(2, b"b");
    client.stdin(2, b"");
    polls.open();
    assert_eq!(client.answer(2).text(), "b");
}

/// A request reads the connection until the input of another has no room. What comes once there is
/// room again is read.
#[test]
fn a_request_goes_on_behind_one_whose_inbox_was_full() {
    let gate = Gate::default();
    let harness = TestProcess::open(test_application(&gate));
    let mut other = Client::new(harness.unix(Protocol::FastCgi));
    let mut hellos = || {
        (0..5).for_each(|_| assert_eq!(other.ask("/hello", b"").text(), "Hello, world\n"));
    };
    for round in 1..=20 {
        gate.shut();
        let mut client = Client::new(harness.unix(Protocol::FastCgi));
        let size = QUEUE + 64 * 1024;
        client.send(&head(2, Role::RESPONDER, true, "/gate-read", Some(size)));
        gate.until_arrived(round);
        client.send(&head(1, Role::RESPONDER, true, "/duplex", Some(2)));
        client.stdin(1, b"a");
        let begun = client.until_stdout(1, 1);
        // Meanwhile the request with id 1 waits for input: most often it is the one that reads.
        hellos();
        let mut body = Vec::new();
        put_stream(&mut body, RecordKind::STDIN, 2, &vec![b'x'; size]);
        put_stream_end(&mut body, RecordKind::STDIN, 2);
        client.send(&body);
        // Meanwhile it fills the inbox.
        hellos();
        gate.open();
        assert_eq!(client.answer(2).body().len(), size);
        client.stdin(1, b"b");
        assert!(client.until_stdout(1, begun + 1) > begun);
        client.stdin(1, b"");
        assert_eq!(client.answer(1).text(), "ab");
    }
}

/// A request that is refused while its input is in the way of another's.
#[test]
fn a_refused_upload_leaves_the_connection_to_others() {
    let harness = TestProcess::open_with(test_application(&Gate::default()), |_, times| {
        // Any thread but the one that read it takes it up too late.
        times.queue = Duration::ZERO;
    });
    for stream in harness.both(Protocol::FastCgi) {
        let mut client = Client::new(stream);
        let size = 1_000_000;
        let mut wire = head(1, Role::RESPONDER, true, "/count", Some(3));
        put_stream(&mut wire, RecordKind::STDIN, 1, b"ab");
        wire.extend(head(2, Role::RESPONDER, true, "/count", Some(size)));
        put_stream(&mut wire, RecordKind::STDIN, 2, &vec![b'x'; size]);
        put_stream_end(&mut wire, RecordKind::STDIN, 2);
        put_stream(&mut wire, RecordKind::STDIN, 1, b"c");
        put_stream_end(&mut wire, RecordKind::STDIN, 1);
        client.send(&wire);
        assert_eq!(client.answer(1).text(), "3");
        assert!(client.answer(2).head().contains("504"), "a request that nobody took up in time");
    }
}

#[test]
fn many_in_one_breath() {
    let harness = TestProcess::open(test_application(&Gate::default()));
    for stream in harness.both(Protocol::FastCgi) {
        let mut client = Client::new(stream);
        let mut wire = Vec::new();
        for id in 1..=300_u16 {
            wire.extend(request(id, "/echo", format!("body of {id}").as_bytes()));
        }
        client.send(&wire);
        for id in (1..=300).rev() {
            assert_eq!(client.answer(id).text(), format!("body of {id}"));
        }
    }
}

/// The bytes of the second request are read with those of the first, and wait in the process.
#[test]
fn a_request_behind_another_waits_so_long_for_a_thread() {
    let gate = Gate::default();
    let longest = Duration::from_millis(200);
    let harness = TestProcess::open_with(test_application(&gate), |limits, timeouts| {
        (limits.threads, timeouts.queue) = (1, longest);
    });
    let mut client = Client::new(harness.unix(Protocol::FastCgi));
    client.send(&[request(1, "/gate", b""), request(2, "/hello", b"")].concat());
    gate.until_arrived(1);
    thread::sleep(longest * 2);
    gate.open();
    assert_eq!(client.answer(1).text(), "through");
    let late = client.answer(2);
    assert!(late.head().contains("504 Gateway Timeout"), "{}", late.head());
    assert_eq!(late.end.unwrap().protocol_status, ProtocolStatus::REQUEST_COMPLETE);
    harness.line_with(&["RUST0026", "fastcgi", "200ms (--queue-timeout)", "504"]);
    // The next one is served.
    client.send(&request(3, "/hello", b""));
    assert_eq!(client.answer(3).text(), "Hello, world\n");
}

/// The connection is closed behind those that run beside a response that broke off.
#[test]
fn one_breaks_and_another_is_answered() {
    let gate = Gate::default();
    let harness = TestProcess::open(test_application(&gate));
    let mut client = Client::new(harness.unix(Protocol::FastCgi));
    client.send(&request(1, "/gate", b""));
    gate.until_arrived(1);
    client.send(&request(2, "/broken?10", b""));
    client.until_stdout(2, 10);
    gate.open();
    assert_eq!(client.answer(1).text(), "through");
    assert!(client.until_closed(2).end.is_none());
}

#[test]
fn too_many() {
    let gate = Gate::default();
    let harness = TestProcess::open_with(test_application(&gate), |limits, _| {
        (limits.connections, limits.threads) = (3, 3);
    });
    let mut client = Client::new(harness.tcp(Protocol::FastCgi));
    for id in 1..=3 {
        client.send(&request(id, "/gate", b""));
    }
    gate.until_arrived(3);
    // No thread is free to read on: the gate opens when the others are in the queue.
    client.send(&head(4, Role::RESPONDER, true, "/hello", None));
    gate.open();
    for id in 1..=3 {
        assert_eq!(client.answer(id).text(), "through");
    }
    client.stdin(4, b"");
    assert_eq!(client.answer(4).text(), "Hello, world\n");
    for id in 1..=4 {
        client.send(&head(id, Role::RESPONDER, true, "/hello", None));
    }
    assert_eq!(client.answer(4).end.unwrap().protocol_status, ProtocolStatus::OVERLOADED);
    for id in 1..=3 {
        client.stdin(id, b"");
        assert_eq!(client.answer(id).text(), "Hello, world\n");
    }
    harness.line_with(&["RUST0057", "fastcgi 127.0.0.1:", "3 requests", "--max-connections"]);
}
