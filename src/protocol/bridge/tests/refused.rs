//! Refused frames, with the offset and the words of each error.

use super::*;

/// Makes a frame with its header for `payload`.
fn frame_of(kind: Kind, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_header(&mut out, kind, flags, payload.len() as u32);
    out.extend_from_slice(payload);
    out
}

/// Encodes `message`, with `bytes` written at `at`.
fn with(message: &Message<'_>, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = encoded(message);
    out[at..][..bytes.len()].copy_from_slice(bytes);
    out
}

#[track_caller]
fn says(bytes: &[u8], text: &str) {
    assert_eq!(refusal(bytes).to_string(), text);
}

#[test]
fn each_kind_comes_from_one_side() {
    each_sample(|message| {
        let bytes = encoded(&message);
        let wrong = match kind_of(&bytes).sent_by() {
            Peer::Child => Peer::Daemon,
            Peer::Daemon => Peer::Child,
        };
        let error = split(&bytes, wrong, &LIMITS).unwrap_err();
        assert_eq!((error.problem(), error.offset()), (&Problem::WrongPeer(wrong), 4));
        // Refused once the header is there.
        assert_eq!(split(&bytes[..HEADER], wrong, &LIMITS), Err(error));
    });
    let error = split(&frame_of(Kind::Continue, 0, b""), Peer::Child, &LIMITS).unwrap_err();
    let text = "bridge frame CONTINUE, byte 4: sent by an httpd child, but only a daemon process \
                sends it";
    assert_eq!(error.to_string(), text);
}

#[test]
fn unknown_kinds_flags_and_reserved_bytes() {
    for number in (0..=u8::MAX).filter(|&number| Kind::of(number).is_none()) {
        let header = [0, 0, 0, 0, number, 0, 0, 0];
        for peer in [Peer::Child, Peer::Daemon] {
            let error = split(&header, peer, &LIMITS).unwrap_err();
            assert_eq!(error.problem(), &Problem::UnknownKind(number));
            assert_eq!(error.frame(), None);
        }
    }
    let error = Header::decode(&[0, 0, 0, 0, 7, 0, 0, 0], Peer::Child, &LIMITS).unwrap_err();
    let text = "bridge frame, byte 4: kind 7 is unknown; allowed are 1, 2, 3, 4, 5, 6, 16, 17, 18, \
                19, 20, 21, 22, 23, 24, 25, 26, 32, 33";
    assert_eq!(error.to_string(), text);
    for kind in Kind::ALL {
        let (length, _) = LIMITS.of(kind);
        for flags in 0..=u8::MAX {
            let header = Header { kind, flags, length };
            let found = Header::decode(&header.encode(), kind.sent_by(), &LIMITS);
            if flags & !kind.flags() == 0 {
                assert_eq!(found, Ok(header));
            } else {
                let error = found.unwrap_err();
                assert_eq!((error.problem(), error.offset()), (&Problem::Flags(flags), 5));
            }
        }
        for at in [6, 7] {
            let mut header = Header { kind, flags: 0, length }.encode();
            header[at] = 1;
            let error = Header::decode(&header, kind.sent_by(), &LIMITS).unwrap_err();
            assert!(matches!(error.problem(), Problem::Reserved(_)), "{error}");
        }
    }
    says(
        &frame_of(Kind::Body, 2, b""),
        "bridge frame BODY, byte 5: flags are 0x02; allowed are the bits of 0x01",
    );
}

#[test]
fn payloads_keep_their_limits() {
    let limits = FrameLimits { head: 1000, data: 100, log: 200, control: 50 };
    for kind in Kind::ALL {
        let (least, most) = limits.of(kind);
        let decode = |length| {
            let header = Header { kind, flags: 0, length };
            Header::decode(&header.encode(), kind.sent_by(), &limits)
        };
        assert!(decode(least).is_ok() && decode(most).is_ok(), "{kind}");
        for length in [least.wrapping_sub(1), most + 1, u32::MAX] {
            let error = decode(length).unwrap_err();
            assert_eq!(error.problem(), &Problem::Length { found: length, least, most });
            assert_eq!((error.offset(), error.frame()), (0, Some(kind)));
        }
    }
    says(
        &frame_of(Kind::InputFailed, 0, b""),
        "bridge frame INPUT_FAILED, byte 0: its payload has 0 bytes; allowed are 1 to 1",
    );
}

#[test]
fn every_length_is_exact() {
    each_sample(|message| {
        let bytes = encoded(&message);
        let opaque =
            matches!(kind_of(&bytes), Kind::Input | Kind::Body | Kind::Control | Kind::Reply);
        for length in (0..bytes.len() - HEADER).filter(|_| !opaque) {
            let mut cut = bytes[..HEADER + length].to_vec();
            cut[..4].copy_from_slice(&(length as u32).to_le_bytes());
            let error = refusal(&cut);
            assert!(error.offset() <= cut.len(), "{error}");
        }
        if !opaque {
            let mut long = bytes.clone();
            long.push(0);
            let length = (long.len() - HEADER) as u32;
            long[..4].copy_from_slice(&length.to_le_bytes());
            let error = refusal(&long);
            let expected = matches!(error.problem(), Problem::Trailing(1) | Problem::Length { .. });
            assert!(expected, "{error}");
        }
    });
}

#[test]
fn every_length_inside_is_checked() {
    let pairs = block(&[("name", "value"), ("x", "yz")]);
    let facts = RequestFacts {
        options: pairs.pairs(),
        server: b"server",
        target: b"/target",
        ticket: 1,
        ..RequestFacts::default()
    };
    let (variables, headers) = (pairs.pairs(), pairs.pairs());
    let request = encoded(&Message::Request(RequestHead { facts, variables, headers }));
    let good = frame(&request).unwrap().unwrap().message();
    assert!(good.is_ok());
    let number = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
    // Returns the offsets of the fields with a length before them.
    let (mut fields, mut at) = (Vec::new(), HEADER + 40);
    while at < request.len() {
        fields.push(at);
        at += 4 + number(at) as usize;
    }
    assert_eq!(fields.len(), 5);
    for &at in &fields {
        for wrong in [number(at) + 1, number(at) - 1, 0, u32::MAX, 1 << 31] {
            let mut changed = request.clone();
            changed[at..at + 4].copy_from_slice(&wrong.to_le_bytes());
            let error = refusal(&changed);
            assert!(error.offset() > HEADER, "{at} {wrong}: {error}");
        }
    }
    for block in [fields[0], fields[3], fields[4]].map(|at| at + 4) {
        for (at, pair) in [(block, (4, 5)), (block + 15, (1, 2))] {
            for (name, value) in [
                (pair.0 + 1, pair.1),
                (pair.0, pair.1 + 1),
                (pair.0, pair.1 - 1),
                (u16::MAX, pair.1),
                (pair.0, u32::MAX),
            ] {
                let mut changed = request.clone();
                changed[at..at + 2].copy_from_slice(&name.to_le_bytes());
                changed[at + 2..at + 6].copy_from_slice(&value.to_le_bytes());
                let error = refusal(&changed);
                let expected = matches!(error.problem(), Problem::Truncated { .. });
                assert!(expected && error.offset() >= block, "{name} {value}: {error}");
            }
        }
    }
}

#[test]
fn hello_is_of_this_version_and_knows_the_token() {
    let token = *b"0123456789abcdef";
    let hello = Message::Hello(Hello::new(token));
    let bytes = encoded(&hello);
    assert_eq!(bytes.len(), HEADER + HELLO);
    let Message::Hello(found) = frame(&bytes).unwrap().unwrap().message().unwrap() else {
        panic!("no HELLO");
    };
    assert!(found.knows(&token));
    for bit in 0..TOKEN * 8 {
        let mut other = token;
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(!found.knows(&other), "{bit}");
    }
    assert!(!format!("{found:?}").contains("48"), "the token is shown");
    says(
        &with(&hello, 8, b"GET / HT"),
        "bridge frame HELLO, byte 8: no bridge talks here; it begins with \"mod_rust\"",
    );
    let version = refusal(&with(&hello, 16, &[2, 1]));
    assert_eq!(
        version.to_string(),
        "bridge frame HELLO, byte 16: the peer speaks version 258 of the bridge; allowed is 2: \
         httpd and the daemon process have to run the same module"
    );
    assert_eq!(RefusalReason::of_error(&version), RefusalReason::Version);
    let reserved = refusal(&with(&hello, 18, &[0, 1]));
    assert_eq!(reserved.problem(), &Problem::Reserved(256));
    assert_eq!(RefusalReason::of_error(&reserved), RefusalReason::Protocol);
}

#[test]
fn flags_of_a_request_fit_its_body() {
    let request = |length, flags: u8| {
        let facts = RequestFacts { ticket: 1, length, ..RequestFacts::default() };
        let none = Pairs::default();
        let request = Message::Request(RequestHead { facts, variables: none, headers: none });
        with(&request, 5, &[flags])
    };
    for (length, flags, good) in [
        (Some(0), 0, true),
        (Some(0), flags::ERROR_OVERRIDE, true),
        (Some(0), flags::IGNORED, true),
        (Some(0), flags::BODY, false),
        (Some(0), flags::EXPECT, false),
        (Some(1), 0, false),
        (Some(1), flags::BODY, true),
        (None, flags::BODY | flags::EXPECT, true),
        (None, flags::EXPECT, false),
        (Some(0), 5 << 4, true),
        (Some(0), 6 << 4, false),
        (Some(0), flags::LEVEL, false),
    ] {
        let bytes = request(length, flags);
        let found = frame(&bytes).unwrap().unwrap().message();
        assert_eq!(found.is_ok(), good, "{length:?} {flags}: {found:?}");
    }
    says(
        &request(Some(3), flags::ERROR_OVERRIDE),
        "bridge frame REQUEST, byte 5: the byte of flags is 4; allowed is BODY (1) when the body's \
         length is not 0, EXPECT (2) only with BODY, UPGRADE (128) only without, and a level of 0 to \
         5 in bits 4 to 6",
    );
}

#[test]
fn a_head_is_fit_for_http() {
    let head = |status, reason: &'static [u8]| ResponseHead {
        status,
        length: None,
        reason,
        headers: Pairs::default(),
        flush: false,
    };
    for status in [0, 99, 100, 199, 600, u16::MAX] {
        let bytes = encoded(&Message::Head(head(status, b"")));
        let found = u64::from(status);
        let what = "the status";
        let problem = Problem::Value { what, found, allowed: "200 to 599" };
        assert_eq!((refusal(&bytes).problem(), refusal(&bytes).offset()), (&problem, 8));
    }
    says(
        &encoded(&Message::Head(head(200, b"OK\r\nX: y"))),
        "bridge frame HEAD, byte 22: the reason phrase has to be without control characters (RFC \
         9112, 4)",
    );
    for (name, value, at, text) in [
        ("", "a", 45, "a header's name has to be a token (RFC 9110, 5.6.2)"),
        ("a b", "", 45, "a header's name has to be a token (RFC 9110, 5.6.2)"),
        ("a", "\r\nb", 46, "a header's value has to be without control characters (RFC 9110, 5.5)"),
        ("a", "\0", 46, "a header's value has to be without control characters (RFC 9110, 5.5)"),
    ] {
        let block = block(&[("Fine", "yes"), (name, value)]);
        let headers = block.pairs();
        let head = encoded(&Message::Head(ResponseHead { headers, ..head(200, b"") }));
        says(&head, &format!("bridge frame HEAD, byte {at}: {text}"));
        let end = End { trailers: headers, close: false, timing: TIMING };
        let error = refusal(&encoded(&Message::End(end)));
        assert!(matches!(error.problem(), Problem::Bytes { .. }), "{error}");
        let status = StatusFrame { status: 404, headers, close: false, timing: TIMING };
        let error = refusal(&encoded(&Message::Status(status)));
        assert!(matches!(error.problem(), Problem::Bytes { .. }), "{error}");
    }
}

/// A process that writes its own frames cannot say where httpd's response ends.
#[test]
fn headers_of_the_framing_and_the_connection() {
    let names = [
        "Connection",
        "Content-Length",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Transfer-Encoding",
        "Upgrade",
    ];
    for name in names {
        for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
            let block = block(&[("Fine", "yes"), (&name, "x")]);
            let headers = block.pairs();
            let text = "a header's name has to be none of the framing or the connection (RFC 9110, \
                        7.6.1 and 8.6)";
            let head =
                ResponseHead { status: 200, length: None, reason: b"", headers, flush: false };
            says(&encoded(&Message::Head(head)), &format!("bridge frame HEAD, byte 45: {text}"));
            let status = StatusFrame { status: 404, headers, close: false, timing: TIMING };
            says(
                &encoded(&Message::Status(status)),
                &format!("bridge frame STATUS, byte 33: {text}"),
            );
            let end = End { trailers: headers, close: false, timing: TIMING };
            let text =
                "a trailer's name has to be one that may follow the content (RFC 9110, 6.5.1)";
            says(&encoded(&Message::End(end)), &format!("bridge frame END, byte 31: {text}"));
        }
    }
    for name in ["Content-Type", "Content-Encoding", "Host", "set-cookie", "TRAILER"] {
        let block = block(&[(name, "x")]);
        let end = End { trailers: block.pairs(), close: false, timing: TIMING };
        assert!(matches!(refusal(&encoded(&Message::End(end))).problem(), Problem::Bytes { .. }));
    }
}

#[test]
fn other_values_that_there_are_not() {
    let redirect =
        |target| encoded(&Message::Redirect(Redirect { target, close: false, timing: TIMING }));
    let long = Some(1 << 63);
    let (reason, headers) = (&b""[..], Pairs::default());
    let long = ResponseHead { status: 200, length: long, reason, headers, flush: false };
    let reset = ResponseHead { status: 205, length: Some(165), ..long };
    for (bytes, text) in [
        (
            frame_of(Kind::Request, 0, &[0; 60]),
            "REQUEST, byte 8: the ticket is 0; allowed is 1 and above",
        ),
        (
            frame_of(Kind::InputFailed, 0, &[5]),
            "INPUT_FAILED, byte 8: the failure is 5; allowed is 1 to 4",
        ),
        (frame_of(Kind::Log, 0, &[0; 5]), "LOG, byte 8: the level is 0; allowed is 1 to 5"),
        (
            frame_of(Kind::Failed, 0, &[19; 31]),
            "FAILED, byte 8: the error's kind is 19; allowed is 1 to 18",
        ),
        (
            frame_of(Kind::Failed, 0, &[1; 31]),
            "FAILED, byte 9: the status is 257; allowed is 400 to 599",
        ),
        (
            frame_of(Kind::Refused, 0, &[0; 6]),
            "REFUSED, byte 8: the reason is 0; allowed is 1 to 7",
        ),
        (
            frame_of(Kind::File, 0, &[0xff; 16]),
            "FILE, byte 16: the length is 18446744073709551615; allowed is a number that ends \
             below 2^63 with the start",
        ),
        (
            encoded(&Message::Head(reset)),
            "HEAD, byte 10: the length is 165; allowed is 0 with status 205 (RFC 9110, 15.3.6)",
        ),
        (
            encoded(&Message::Head(long)),
            "HEAD, byte 10: the length is 9223372036854775808; allowed is a number below 2^63, or \
             2^64 - 1 for none",
        ),
        (
            redirect(b"/a\0b"),
            "REDIRECT, byte 12: the target has to be a path that begins with \"/\", without NUL",
        ),
        (
            redirect(b"http://a/"),
            "REDIRECT, byte 12: the target has to be a path that begins with \"/\", without NUL",
        ),
        (
            redirect(b""),
            "REDIRECT, byte 12: the target has to be a path that begins with \"/\", without NUL",
        ),
        (frame_of(Kind::Control, 0, b"ab\xff"), "CONTROL, byte 10: a command has to be UTF-8"),
        (frame_of(Kind::Reply, 0, b"\xff"), "REPLY, byte 8: an answer has to be UTF-8"),
        (
            frame_of(Kind::InputEnd, 0, &[3, 0, 0, 0, 1, 2, 3]),
            "INPUT_END, byte 12: a field of 6 bytes, but only 3 are left for it",
        ),
        (frame_of(Kind::InputEnd, 0, &[0; 6]), "INPUT_END, byte 12: 2 bytes behind its last field"),
    ] {
        says(&bytes, &format!("bridge frame {text}"));
    }
}
