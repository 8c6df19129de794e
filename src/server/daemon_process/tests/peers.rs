//! Tests peers that are not httpd children, or that violate the protocol.

use std::io::{Read as _, Write as _};

use super::{Ask, Ending, Peer, TestProcess};
use crate::gateway::{Body, Environ, Result, StartResponse};
use crate::protocol::bridge::{
    HEADER, Header, Kind, MAGIC, Message, Peer as Side, RefusalReason, put_control, put_hello,
    put_input_end, split,
};

fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("A", "b")])?;
    Ok(Body::from("hello"))
}

/// Returns the reply of the process to these bytes before it closes the connection.
fn refusal(harness: &TestProcess, bytes: &[u8]) -> RefusalReason {
    let mut stream = harness.connect_raw(0);
    stream.write_all(bytes).unwrap();
    let mut said = Vec::new();
    // Bytes that were sent and not read make the end of the connection an error.
    let _ = stream.read_to_end(&mut said);
    let frame = split(&said, Side::Daemon, &Default::default()).unwrap().expect("a REFUSED");
    let Message::Refused(refused) = frame.message().unwrap() else { panic!("{frame:?}") };
    refused.reason
}

fn greeting() -> Vec<u8> {
    let mut out = Vec::new();
    put_hello(&mut out, &super::harness::GROUP_TOKEN);
    out
}

#[test]
fn garbage_is_refused() {
    let (harness, _runner) = TestProcess::open(&["threads=2"], hello);
    let mut request = Vec::new();
    Ask::get("/").encode(&mut request, 1, 0);
    let with = |parts: &[&[u8]]| parts.concat();
    let mut other_token = Vec::new();
    put_hello(&mut other_token, b"another 16 bytes");
    let mut other_version = greeting();
    other_version[HEADER + MAGIC.len()] = 9;
    let mut body = Vec::new();
    put_input_end(&mut body);
    let huge = Header { kind: Kind::Request, flags: 0, length: u32::MAX }.encode();
    let daemons = Header { kind: Kind::End, flags: 0, length: 28 }.encode();
    for (bytes, reason) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], RefusalReason::Protocol),
        (&[0xff; 64], RefusalReason::Protocol),
        (&[0; 8], RefusalReason::Protocol),
        (&request, RefusalReason::Protocol),
        (&body, RefusalReason::Protocol),
        (&other_token, RefusalReason::Token),
        (&other_version, RefusalReason::Version),
        (&with(&[&greeting(), &huge]), RefusalReason::Protocol),
        (&with(&[&greeting(), &daemons]), RefusalReason::Protocol),
        (&with(&[&greeting(), &greeting()]), RefusalReason::Protocol),
        (&with(&[&greeting(), &body]), RefusalReason::Protocol),
        (&with(&[&greeting(), &[0xee; 100]]), RefusalReason::Protocol),
    ] {
        assert_eq!(refusal(&harness, bytes), reason, "{bytes:?}");
    }
    let line = harness.line_with("RUST0036");
    assert!(line.contains("harness") && line.contains("user"), "{line}");
    // There is an end of such lines, and none of serving.
    for _ in 0..50 {
        assert_eq!(refusal(&harness, b"nonsense"), RefusalReason::Protocol);
    }
    let lines = harness.lines();
    let told = lines.iter().filter(|(_, line)| line.contains("RUST0036")).count();
    assert!(told <= 12, "{told} lines");
    assert_eq!(harness.connect(0).get("/").text(), "hello");
    harness.until("the load", || harness.board.slots[0].is_idle());
    assert_eq!(harness.board.slots[0].requests_here(), 1);
}

#[test]
fn a_bad_request_of_a_good_peer_comes_off_the_load() {
    let (harness, _runner) = TestProcess::open(&["threads=1"], hello);
    let mut request = Vec::new();
    Ask::get("/").encode(&mut request, 1, 0);
    // The count of bytes of a field within.
    request[HEADER + 40] = 0xff;
    harness.board.acquire(0).unwrap();
    assert_eq!(refusal(&harness, &[greeting(), request].concat()), RefusalReason::Protocol);
    harness.until("the load", || harness.board.slots[0].is_idle());
}

#[test]
fn users_who_may_not() {
    let mut harness = TestProcess::new(&["threads=1"], 0, vec![std::sync::Arc::new(hello)]);
    let own = harness.uids.0[0];
    harness.uids = (vec![own + 1], vec![own + 2]);
    let _runner = harness.fork(0);
    harness.until_state(0, crate::process_group::ProcessState::Ready);
    // The process refuses the peer before it has sent anything.
    let mut said = Vec::new();
    harness.connect_raw(0).read_to_end(&mut said).unwrap();
    let frame = split(&said, Side::Daemon, &Default::default()).unwrap().unwrap();
    let Message::Refused(refused) = frame.message().unwrap() else { panic!("{frame:?}") };
    assert_eq!(refused.reason, RefusalReason::User);
    harness.line_with("may not connect");
}

#[test]
fn control_is_for_some_users() {
    let control = |command| {
        let mut out = greeting();
        put_control(&mut out, command, &Default::default()).unwrap();
        out
    };
    let mut harness = TestProcess::new(&["threads=1"], 0, vec![std::sync::Arc::new(hello)]);
    harness.uids.1.clear();
    let _runner = harness.fork(0);
    harness.until_state(0, crate::process_group::ProcessState::Ready);
    assert_eq!(refusal(&harness, &control("status")), RefusalReason::User);

    let (harness, runner) = TestProcess::open(&["threads=1"], hello);
    assert_eq!(harness.connect(0).get("/").text(), "hello");
    let mut peer = Peer::new(harness.connect_raw(0), harness.board, 0);
    peer.write(&control("status"));
    let Some(Ending::Reply(json)) = peer.answer().ending else { panic!() };
    assert!(json.contains("\"harness\"") && json.contains("\"ready\""), "{json}");
    let mut again = Vec::new();
    put_control(&mut again, "dance", &Default::default()).unwrap();
    peer.write(&again);
    let Some(Ending::Reply(json)) = peer.answer().ending else { panic!() };
    assert!(json.contains("unknown command"), "{json}");
    again.clear();
    put_control(&mut again, "drain 1", &Default::default()).unwrap();
    peer.write(&again);
    let Some(Ending::Reply(json)) = peer.answer().ending else { panic!() };
    assert!(json.contains("is here now, not 1"), "{json}");
    assert!(harness.board.slots[0].reason().is_none());
    // Without HELLO, as an administrator's tool has no token.
    let mut tool = Peer::new(harness.connect_raw(0), harness.board, 0);
    again.clear();
    put_control(&mut again, "status", &Default::default()).unwrap();
    tool.write(&again);
    assert!(matches!(tool.answer().ending, Some(Ending::Reply(_))));
    again.clear();
    let drain = format!("drain {}", std::process::id());
    put_control(&mut again, &drain, &Default::default()).unwrap();
    peer.write(&again);
    assert!(matches!(peer.answer().ending, Some(Ending::Reply(_))));
    // There is no other process, so this one continues until there is one.
    harness.until("its wish", || harness.board.slots[0].reason().is_some());
    assert!(runner.is_running());
    assert_eq!(harness.connect(0).get("/").text(), "hello");
    let second = harness.fork(1);
    harness.until_state(1, crate::process_group::ProcessState::Ready);
    assert!(matches!(
        runner.ended(),
        crate::server::daemon_process::Ended::Served { abandoned: 0, .. }
    ));
    assert_eq!(harness.connect(1).get("/").text(), "hello");
    drop(second);
}

#[test]
fn silent_peers_are_disconnected() {
    let (harness, _runner) = TestProcess::open(&["threads=1"], hello);
    let mut silent = harness.connect_raw(0);
    let mut slow = harness.connect_raw(0);
    slow.write_all(&greeting()[..20]).unwrap();
    let mut good = harness.connect(0);
    assert_eq!(good.get("/").text(), "hello");
    let mut said = Vec::new();
    assert_eq!(silent.read_to_end(&mut said).unwrap(), 0);
    let _ = slow.read_to_end(&mut said);
    assert!(said.is_empty());
    harness.line_with("HELLO in time");
    assert_eq!(good.get("/").text(), "hello");
}
