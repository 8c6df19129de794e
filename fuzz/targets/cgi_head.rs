//! Anything as the head of a CGI response, in any pieces: no panic, the same head as in one piece.
//! What parses parses again when it is written, and what the writers make of anything they take
//! parses.
#![no_main]

use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use mod_rust::internal::gateway::header;
use mod_rust::internal::protocol::head::{
    CgiHead, HeadError, ParamLimits, ResponseKind, parse, write_end, write_header, write_length,
    write_local_redirect, write_status, write_status_line, write_variable,
};

/// Small, so that the limits themselves are met.
const LIMITS: ParamLimits = ParamLimits { head: 200, pairs: 6 };

/// Written heads may be longer than what was parsed.
const WIDE: ParamLimits = ParamLimits { head: 100_000, pairs: 1000 };

fuzz_target!(|given: &[u8]| {
    // The first byte selects the sizes of the pieces, or the test of the writers.
    let Some((&how, rest)) = given.split_first() else { return };
    match how {
        ..0x80 => parsed(rest, usize::from(how) + 1),
        0x80..0xc0 => written(rest),
        _ => redirected(rest),
    }
});

fn parsed(bytes: &[u8], piece: usize) {
    let whole = parse(bytes, &LIMITS);
    assert_eq!(in_pieces(bytes, piece), whole);
    match whole {
        Ok(None) => assert!(bytes.len() <= LIMITS.head, "more is wanted than there can be"),
        Ok(Some((head, size))) => {
            assert!(size <= LIMITS.head && bytes[size - 1] == b'\n');
            look(&head);
            again(&head);
        }
        Err(error) => assert!(error.offset() <= bytes.len() && !error.to_string().is_empty()),
    }
}

fn in_pieces(bytes: &[u8], piece: usize) -> Result<Option<(CgiHead<'_>, usize)>, HeadError> {
    let mut end = 0;
    loop {
        let found = parse(&bytes[..end], &LIMITS);
        if found != Ok(None) || end == bytes.len() {
            assert!(end <= LIMITS.head + piece);
            return found;
        }
        end = (end + piece).min(bytes.len());
    }
}

/// Nothing gets through that would be another field, or another response, for a client.
fn look(head: &CgiHead<'_>) {
    assert!((100..600).contains(&head.code()) && header::is_value(head.reason()));
    assert!(head.status().is_none_or(|status| status == head.code()));
    let mut count = 0;
    for (name, value) in head.headers() {
        assert!(header::is_token(name) && header::is_value(value));
        assert!(head.header(&name.to_ascii_uppercase()).is_some());
        assert!(!name.eq_ignore_ascii_case(b"status"));
        count += 1;
    }
    assert!(count <= LIMITS.pairs && head.variables().count() <= count);
    let local = head.response() == ResponseKind::LocalRedirect;
    assert!(!local || count == 1 && head.location().is_some_and(|it| it.starts_with(b"/")));
    assert_eq!(head.location(), head.header(b"Location"));
    let length = head.header(b"Content-Length").map(|it| String::from_utf8(it.to_vec()));
    assert_eq!(head.content_length(), length.map(|it| it.expect("digits").parse().expect("one")));
}

fn again(head: &CgiHead<'_>) {
    let mut out = Vec::new();
    let code = StatusCode::from_u16(head.code()).expect("100 to 599");
    if head.response() == ResponseKind::Nph {
        write_status_line(&mut out, code, Some(head.reason()));
    } else if head.status().is_some() {
        write_status(&mut out, code, Some(head.reason()));
    }
    head.headers().for_each(|(name, value)| write_header(&mut out, name, value));
    write_end(&mut out);
    let (found, size) = parse(&out, &WIDE).expect("good").expect("whole");
    assert_eq!((size, found.response(), found.code()), (out.len(), head.response(), head.code()));
    assert_eq!((found.status(), found.reason()), (head.status(), head.reason()));
    assert!(found.headers().eq(head.headers()));
}

/// Writes a response as a driver does; the gateway has checked its fields.
fn written(bytes: &[u8]) {
    let mut out = Vec::new();
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let code = bytes.first_chunk().map_or(200, |bytes| 200 + u16::from_le_bytes(*bytes) % 400);
    let code = StatusCode::from_u16(code).expect("200 to 599");
    let reason = lines.next().filter(|reason| header::is_value(reason));
    write_status(&mut out, code, reason);
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_at(line.iter().position(|it| *it == b':').unwrap_or(0));
        let refused = out.len();
        if name.first() == Some(&b'V') {
            match write_variable(&mut out, name, value) {
                Ok(()) => fields.push(([b"Variable-", name].concat(), value)),
                Err(error) => assert!(out.len() == refused && !error.to_string().is_empty()),
            }
        } else if header::check(name, value).is_ok()
            && ![&b"content-length"[..], b"content-type", b"location"]
                .contains(&&*name.to_ascii_lowercase())
        {
            write_header(&mut out, name, value);
            fields.push((name.to_vec(), value));
        }
    }
    write_length(&mut out, bytes.len() as u64);
    write_end(&mut out);
    let (head, size) = parse(&out, &WIDE).expect("what is written parses").expect("whole");
    assert_eq!((size, head.response()), (out.len(), ResponseKind::Document));
    assert_eq!((head.code(), head.content_length()), (code.as_u16(), Some(bytes.len() as u64)));
    let found = head.headers().map(|(name, value)| (name.to_vec(), value));
    let expected = fields.into_iter().map(|(name, value)| (name, value.trim_ascii()));
    let length = (b"Content-Length".to_vec(), bytes.len().to_string());
    assert!(found.eq(expected.chain([(length.0, length.1.as_bytes())])));
}

fn redirected(path: &[u8]) {
    let mut out = b"before".to_vec();
    match write_local_redirect(&mut out, path) {
        Err(error) => assert!(out == b"before" && !error.to_string().is_empty()),
        Ok(()) => {
            let (head, size) = parse(&out[6..], &WIDE).expect("good").expect("whole");
            assert_eq!((size, head.response()), (out.len() - 6, ResponseKind::LocalRedirect));
            assert_eq!(head.location(), Some(path.trim_ascii()));
        }
    }
}
