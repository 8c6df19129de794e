//! Peers that break the protocol: it costs them the connection, and a line says what.

use std::io::Write as _;

use super::client::head;
use crate::protocol::fastcgi::{
    RecordHeader, RecordKind, Role, put_begin, put_header, put_params, put_stream, put_stream_end,
};
use crate::protocol::params::Params;
use crate::server::stream::tests::Protocol;
use crate::server::stream::tests::{Gate, TestProcess, read_to_end, test_application};

#[test]
fn each_ends_the_connection_with_its_line() {
    let gate = Gate::default();
    gate.open();
    let harness = TestProcess::open_with(test_application(&gate), |limits, _| limits.head = 4096);
    let mut twice = Vec::new();
    put_begin(&mut twice, 5, Role::RESPONDER, true);
    put_begin(&mut twice, 5, Role::RESPONDER, true);
    let mut early = Vec::new();
    put_begin(&mut early, 1, Role::RESPONDER, true);
    put_stream(&mut early, RecordKind::STDIN, 1, b"body");
    let mut oversize = Vec::new();
    put_begin(&mut oversize, 1, Role::RESPONDER, true);
    let mut params = Params::new();
    params.push(b"HTTP_X", &[b'x'; 5000]);
    put_params(&mut oversize, 1, &params).unwrap();
    let mut pair = Vec::new();
    put_begin(&mut pair, 1, Role::RESPONDER, true);
    put_stream(&mut pair, RecordKind::PARAMS, 1, &[9, 200, b'a']);
    put_stream_end(&mut pair, RecordKind::PARAMS, 1);
    let mut ours = Vec::new();
    put_header(&mut ours, &RecordHeader::new(RecordKind::STDOUT, 1, 0));
    let mut late = head(1, Role::RESPONDER, true, "/hello", None);
    put_stream(&mut late, RecordKind::PARAMS, 1, b"\x01\x01ab");
    for (what, wire, says) in [
        ("garbage", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "version 71"),
        ("another version", vec![2, 1, 0, 1, 0, 8, 0, 0], "version 2"),
        ("an id in use", twice, "request id 5 is in use"),
        ("STDIN before PARAMS", early, "STDIN"),
        ("an oversize head", oversize, "allowed are 4096 (--max-head)"),
        ("half a pair", pair, "name-value pair"),
        ("a record of ours", ours, "STDOUT"),
        ("PARAMS behind their end", late, "PARAMS"),
    ] {
        for mut stream in harness.both(Protocol::FastCgi) {
            stream.write_all(&wire).unwrap();
            let (answer, _) = read_to_end(&mut stream);
            assert!(answer.is_empty(), "{what}: {answer:?}");
        }
        harness.line_with(&["RUST0054", "[warn]", "fastcgi 127.0.0.1:", "peer 127.0.0.1:", says]);
    }
}
