//! Requests of each kind, one after the other.

use std::io::Write as _;

use super::client::{head, request};
use super::{Answer, Client};
use crate::protocol::fastcgi::{
    ProtocolStatus, RecordKind, Role, put_begin, put_get_values, put_params, put_stream,
    put_stream_end,
};
use crate::server::stream::tests::Protocol;
use crate::server::stream::tests::{Gate, TestProcess, test_application};

fn harness() -> TestProcess {
    TestProcess::open(test_application(&Gate::default()))
}

fn is_complete(answer: &Answer) -> bool {
    let end = answer.end.expect("an END_REQUEST");
    answer.stdout_over
        && (end.app_status, end.protocol_status) == (0, ProtocolStatus::REQUEST_COMPLETE)
}

#[test]
fn hello_again_and_again_over_one_connection() {
    let harness = harness();
    for stream in harness.both(Protocol::FastCgi) {
        let mut client = Client::new(stream);
        for _ in 0..100 {
            let answer = client.ask("/hello", b"");
            assert_eq!(answer.text(), "Hello, world\n");
            assert!(is_complete(&answer));
            assert_eq!(answer.records, 1, "head and body go in one record");
            assert_eq!(
                answer.head(),
                "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13"
            );
        }
    }
}

#[test]
fn without_keep_conn_the_connection_is_closed() {
    let harness = harness();
    for stream in harness.both(Protocol::FastCgi) {
        let mut client = Client::new(stream);
        let mut wire = head(7, Role::RESPONDER, false, "/hello", None);
        put_stream_end(&mut wire, RecordKind::STDIN, 7);
        client.send(&wire);
        let answer = client.until_closed(7);
        assert!(is_complete(&answer));
        assert_eq!(answer.text(), "Hello, world\n");
    }
}

#[test]
fn bodies_of_all_sizes_there_and_back() {
    let harness = harness();
    for stream in harness.both(Protocol::FastCgi) {
        let mut client = Client::new(stream);
        for size in [1, 7, 8, 8191, 8192, 65_527, 65_528, 65_535, 65_536, 131_056, 1_000_001] {
            let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let answer = client.ask("/echo", &body);
            assert!(is_complete(&answer));
            assert!(answer.body() == body, "{size}");
            assert!(answer.longest <= 65_528);
            assert!(answer.records <= size / 65_528 + 2, "{size}: {} records", answer.records);
        }
    }
}

#[test]
fn byte_by_byte() {
    let harness = harness();
    let mut client = Client::new(harness.tcp(Protocol::FastCgi));
    for byte in request(3, "/echo", b"a body of some bytes") {
        client.send(&[byte]);
    }
    let answer = client.answer(3);
    assert!(is_complete(&answer));
    assert_eq!(answer.text(), "a body of some bytes");
}

#[test]
fn a_body_without_a_length() {
    let harness = harness();
    let mut client = Client::new(harness.unix(Protocol::FastCgi));
    client.send(&head(1, Role::RESPONDER, true, "/echo", None));
    for piece in ["one ", "two ", "three"] {
        client.stdin(1, piece.as_bytes());
    }
    client.stdin(1, b"");
    assert_eq!(client.answer(1).text(), "one two three");
}

#[test]
fn a_body_of_another_length_than_announced() {
    let harness = harness();
    let mut client = Client::new(harness.unix(Protocol::FastCgi));
    for (said, came) in [(10, 4), (3, 8)] {
        client.send(&head(1, Role::RESPONDER, true, "/echo", Some(said)));
        client.stdin(1, &vec![b'x'; came]);
        client.stdin(1, b"");
        let answer = client.answer(1);
        assert!(answer.head().starts_with("Status: 400"), "{}", answer.head());
    }
}

/// Each chunk comes back before the next is sent.
#[test]
fn full_duplex() {
    let harness = harness();
    for stream in harness.both(Protocol::FastCgi) {
        let mut client = Client::new(stream);
        client.send(&head(1, Role::RESPONDER, true, "/duplex", Some(50)));
        let mut came = 0;
        for _ in 0..5 {
            client.stdin(1, b"0123456789");
            came = client.until_stdout(1, came + 10);
        }
        client.stdin(1, b"");
        let answer = client.answer(1);
        assert!(answer.text().ends_with(&"0123456789".repeat(5)));
    }
}

#[test]
fn an_early_answer_leaves_the_connection_usable() {
    let harness = harness();
    for stream in harness.both(Protocol::FastCgi) {
        let mut client = Client::new(stream);
        client.send(&head(1, Role::RESPONDER, true, "/early", Some(300_000)));
        client.stdin(1, &[b'x'; 100_000]);
        let answer = client.answer(1);
        assert!(is_complete(&answer) && answer.head().starts_with("Status: 403"));
        client.stdin(1, &[b'x'; 200_000]);
        client.stdin(1, b"");
        assert_eq!(client.ask("/hello", b"").text(), "Hello, world\n");
    }
}

#[test]
fn authorizer_and_filter() {
    let harness = harness();
    let mut client = Client::new(harness.tcp(Protocol::FastCgi));
    client.send(&head(1, Role::AUTHORIZER, true, "/authorize", None));
    let answer = client.answer(1);
    assert!(is_complete(&answer));
    assert!(answer.head().contains("Variable-AUTH_METHOD: by hand"), "{}", answer.head());
    assert_eq!(answer.body(), b"");
    // lighttpd ends the stream that it does not send.
    client.stdin(1, b"");

    client.send(&head(2, Role::FILTER, true, "/echo", None));
    client.stdin(2, b"form data, ");
    client.stdin(2, b"");
    let mut wire = Vec::new();
    put_stream(&mut wire, RecordKind::DATA, 2, b"and the file");
    put_stream_end(&mut wire, RecordKind::DATA, 2);
    client.send(&wire);
    assert_eq!(client.answer(2).text(), "form data, and the file");
}

#[test]
fn management_records() {
    let harness = harness();
    let mut client = Client::new(harness.tcp(Protocol::FastCgi));
    let mut wire = Vec::new();
    put_get_values(&mut wire, &["FCGI_MPXS_CONNS", "FCGI_MAX_CONNS", "NO_SUCH"]).unwrap();
    client.send(&wire);
    let values = client.managed();
    assert!(values.starts_with("GetValuesResult"), "{values}");
    // A management record of a type that does not exist, and another with a request id.
    client.send(&[1, 99, 0, 0, 0, 3, 1, 0, 1, 2, 3, 0]);
    assert!(client.managed().contains("UnknownType(type 99)"));
    client.send(&[1, 99, 0, 5, 0, 3, 1, 0, 1, 2, 3, 0]);
    assert_eq!(client.ask("/hello", b"").text(), "Hello, world\n");
    assert!(client.management.is_empty());
}

#[test]
fn an_unknown_role() {
    let harness = harness();
    let mut client = Client::new(harness.tcp(Protocol::FastCgi));
    client.send(&head(4, Role(9), true, "/hello", None));
    let answer = client.answer(4);
    assert_eq!(answer.end.unwrap().protocol_status, ProtocolStatus::UNKNOWN_ROLE);
    client.stdin(4, b"");
    assert_eq!(client.ask("/hello", b"").text(), "Hello, world\n");
}

#[test]
fn failed_and_broken_responses() {
    let harness = harness();
    let mut client = Client::new(harness.unix(Protocol::FastCgi));
    for path in ["/fail", "/panic"] {
        let answer = client.ask(path, b"");
        assert!(is_complete(&answer) && answer.head().starts_with("Status: 500"), "{path}");
    }
    let answer = client.ask("/log", b"");
    assert!(answer.stderr.contains("a line for the log\n"), "{}", answer.stderr);
    assert!(answer.stderr.contains("[warn] a warning\n"), "{}", answer.stderr);
    assert!(
        answer.stderr.contains("[warn] odd \\u{1b}[1m\\n[error] forged\n"),
        "{}",
        answer.stderr
    );
    let answer = client.ask("/redirect", b"");
    assert!(answer.head().starts_with("Location: /hello"), "{}", answer.head());
    client.send(&request(1, "/broken?100", b""));
    let answer = client.until_closed(1);
    assert!(answer.end.is_none() && !answer.stdout_over);
    assert_eq!(answer.body().len(), 100);
}

#[test]
fn a_long_stream_is_flushed_piece_by_piece() {
    let harness = harness();
    for stream in harness.both(Protocol::FastCgi) {
        let mut client = Client::new(stream);
        let answer = client.ask("/stream?500", b"");
        assert!(is_complete(&answer));
        assert_eq!(answer.body().len(), 5000);
        assert!(answer.records >= 400, "{} records", answer.records);
    }
}

/// nginx sends no more of the body once it has the response's head, and mod_proxy_fcgi may wait
/// while it sends a piece.
#[test]
fn an_echo_to_a_client_that_sends_all_before_it_reads() {
    let harness = harness();
    for (server, size) in [("nginx/1.26.0", 5_000_000), ("Apache", 5_000_000)] {
        for stream in harness.both(Protocol::FastCgi) {
            let mut client = Client::new(stream);
            let mut params = crate::protocol::params::Params::new();
            params.push(b"SERVER_SOFTWARE", server.as_bytes());
            params.push(b"REQUEST_METHOD", b"POST");
            params.push(b"SCRIPT_NAME", b"/duplex");
            params.push(b"CONTENT_LENGTH", size.to_string().as_bytes());
            let mut wire = Vec::new();
            put_begin(&mut wire, 1, Role::RESPONDER, true);
            put_params(&mut wire, 1, &params).unwrap();
            let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            put_stream(&mut wire, RecordKind::STDIN, 1, &body);
            put_stream_end(&mut wire, RecordKind::STDIN, 1);
            client.send(&wire);
            let answer = client.answer(1);
            assert!(is_complete(&answer) && answer.body() == body);
            assert_eq!(client.ask("/hello", b"").text(), "Hello, world\n");
        }
    }
}

/// nginx's body is taken in before the response begins. A length that nobody has told is bounded too.
#[test]
fn a_body_that_is_taken_in_has_its_bounds() {
    for (body, spool) in [(Some(300_000), u64::MAX), (None, 300_000)] {
        let house = TestProcess::open_with(test_application(&Gate::default()), |limits, _| {
            (limits.body, limits.spool) = (body, spool);
        });
        for stream in house.both(Protocol::FastCgi) {
            let mut client = Client::new(stream);
            let mut params = crate::protocol::params::Params::new();
            params.push(b"SERVER_SOFTWARE", b"nginx/1.26.0");
            params.push(b"REQUEST_METHOD", b"POST");
            params.push(b"SCRIPT_NAME", b"/stream");
            params.push(b"QUERY_STRING", b"100000");
            let mut wire = Vec::new();
            put_begin(&mut wire, 1, Role::RESPONDER, true);
            put_params(&mut wire, 1, &params).unwrap();
            client.send(&wire);
            wire.clear();
            put_stream(&mut wire, RecordKind::STDIN, 1, &[b'x'; 60_000]);
            let sent = (0..1000).take_while(|_| client.stream.write_all(&wire).is_ok()).count();
            assert!(sent < 1000, "{body:?} {spool}: 60 MB were taken in");
        }
    }
}

/// mod_proxy_fcgi goes on sending the body, and fails if the connection is closed meanwhile.
#[test]
fn an_early_answer_before_the_connection_is_closed() {
    let harness = harness();
    for stream in harness.both(Protocol::FastCgi) {
        let mut client = Client::new(stream);
        let size = 3_000_000;
        client.send(&head(1, Role::RESPONDER, false, "/early", Some(size)));
        let answer = client.answer(1);
        assert!(is_complete(&answer) && answer.head().starts_with("Status: 403"));
        client.stdin(1, &vec![b'x'; size]);
        client.stdin(1, b"");
        client.stream.half_close();
        client.until_closed(1);
    }
}

/// A body that comes slowly, for longer than a peer may be silent: as long as it comes, nothing
/// breaks.
#[test]
fn an_early_answer_to_a_slow_body() {
    let harness = harness();
    let [stream, _] = harness.both(Protocol::FastCgi);
    let mut client = Client::new(stream);
    client.send(&head(1, Role::RESPONDER, false, "/early", Some(12)));
    assert!(is_complete(&client.answer(1)));
    for _ in 0..12 {
        std::thread::sleep(std::time::Duration::from_millis(250));
        client.stdin(1, b"x");
    }
    client.stdin(1, b"");
    client.stream.half_close();
    client.until_closed(1);
}
