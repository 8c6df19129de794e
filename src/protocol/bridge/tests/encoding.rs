//! The bytes themselves, and frames that cannot be made.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn the_bytes_are_those_of_the_specification() {
    let mut out = Vec::new();
    let mut head = HeadEncoder::begin(&mut out, 200, b"");
    head.header(&mut out, b"Content-Type", b"text/plain");
    let size = head.commit(&mut out, Some(13), false, &LIMITS).unwrap();
    put_body(&mut out, 13, false);
    out.extend_from_slice(b"Hello, world\n");
    let timing = Timing { queue_us: 1, application_us: 3, first_byte_us: 2 };
    put_end(&mut out, false, &timing);
    let mut expected = vec![46, 0, 0, 0, 17, 0, 0, 0]; // HEAD
    expected.extend([200, 0, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // status, length, reason
    expected.extend([28, 0, 0, 0, 12, 0, 10, 0, 0, 0]); // the block, one pair's lengths
    expected.extend(b"Content-Typetext/plain");
    expected.extend([13, 0, 0, 0, 18, 0, 0, 0]); // BODY
    expected.extend(b"Hello, world\n");
    expected.extend([28, 0, 0, 0, 20, 0, 0, 0]); // END
    expected.extend([0, 0, 0, 0]); // no trailers
    expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(out, expected);
    assert_eq!(size, HEADER + 46);

    let mut out = Vec::new();
    put_hello(&mut out, &[9; TOKEN]);
    let mut expected = vec![28, 0, 0, 0, 1, 0, 0, 0];
    expected.extend(b"mod_rust\x02\0\0\0");
    expected.extend([9; 16]);
    assert_eq!(out, expected);
}

#[test]
fn an_oversized_message_leaves_nothing() {
    let limits = FrameLimits { head: 100, data: 10, log: 40, control: 10 };
    let mut out = b"before".to_vec();
    let long = [b'x'; 200];
    let name = vec![b'n'; 65_536];
    let facts = RequestFacts { target: &long, ..RequestFacts::default() };
    let error = RequestEncoder::begin(&mut out, &facts).headers().finish(&limits).unwrap_err();
    let text = "bridge frame REQUEST: its payload has 260 bytes; allowed are 100";
    assert_eq!((error.to_string().as_str(), &out[..]), (text, &b"before"[..]));
    let mut request = RequestEncoder::begin(&mut out, &RequestFacts::default());
    request.variable(&name, b"");
    request.variable(b"a", b"b");
    let error = request.headers().finish(&limits).unwrap_err();
    let text = "bridge frame REQUEST: the name of a pair has 65536 bytes; allowed are 65535";
    assert_eq!((error.to_string().as_str(), &out[..]), (text, &b"before"[..]));
    let mut head = HeadEncoder::begin(&mut out, 200, b"");
    head.header(&mut out, b"a", &long);
    let error = head.commit(&mut out, None, true, &limits).unwrap_err();
    assert_eq!((error.frame(), error.length(), &out[..]), (Kind::Head, 225, &b"before"[..]));
    assert!(put_control(&mut out, "12345678901", &limits).is_err());
    assert!(put_reply(&mut out, &"x".repeat(101), &limits).is_err());
    assert!(put_redirect(&mut out, &long, false, &TIMING, &limits).is_err());
    assert!(Message::Body(&long, false).put(&mut out, &limits).is_err());
    assert!(Message::Input(&long).put(&mut out, &limits).is_err());
    assert_eq!(out, b"before");
    assert!(block(&[]).push(&name, b"").is_err());
}

#[test]
fn an_unfinished_message_leaves_nothing() {
    let mut out = b"before".to_vec();
    drop(RequestEncoder::begin(&mut out, &RequestFacts::default()));
    assert_eq!(out, b"before");
    drop(RequestEncoder::begin(&mut out, &RequestFacts::default()).headers());
    assert_eq!(out, b"before");
    drop(FieldsEncoder::end(&mut out, false, &TIMING));
    assert_eq!(out, b"before");
    let mut head = HeadEncoder::begin(&mut out, 200, b"OK");
    head.header(&mut out, b"a", b"b");
    head.abandon(&mut out);
    assert_eq!(out, b"before");
    // A callback of httpd's that panics in the middle.
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut request = RequestEncoder::begin(&mut out, &RequestFacts::default());
        request.variable(b"a", b"b");
        std::panic::resume_unwind(Box::new("as planned"));
    }));
    assert!(panicked.is_err());
    assert_eq!(out, b"before");
}

#[test]
fn long_texts_are_cut() {
    let limits = FrameLimits { log: 40, control: 10, ..LIMITS };
    let long = [b'x'; 200];
    let mut out = Vec::new();
    put_log(&mut out, Level::Info, &long, &limits);
    put_failed(&mut out, ErrorKind::Panic, 500, &long, false, &TIMING, &limits);
    let mut rest = &out[..];
    let mut lengths = Vec::new();
    while let Some(frame) = split(rest, Peer::Daemon, &limits).unwrap() {
        lengths.push(match frame.message().unwrap() {
            Message::Log(log) => log.text.len(),
            Message::Failed(failed) => {
                assert_eq!(failed.timing, TIMING);
                failed.message.len()
            }
            other => panic!("{other:?}"),
        });
        rest = &rest[frame.size..];
    }
    assert_eq!(lengths, [35, 9]);
    out.clear();
    put_refused(&mut out, RefusalReason::Full, b"too many", &limits);
    let refused = Message::Refused(Refused { reason: RefusalReason::Full, message: b"too " });
    assert_eq!(split(&out, Peer::Daemon, &limits).unwrap().unwrap().message().unwrap(), refused);
}

#[test]
fn a_request_goes_to_another_process() {
    each_sample(|message| {
        let Message::Request(mut request) = message else { return };
        let mut bytes = encoded(&message);
        stamp(&mut bytes, 123_456, 654_321, 77);
        request.facts.ticket = 123_456;
        request.facts.sent_us = 654_321;
        request.facts.incarnation = 77;
        assert_eq!(bytes, encoded(&Message::Request(request)));
    });
}
