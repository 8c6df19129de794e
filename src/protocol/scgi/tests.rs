use super::*;
use crate::protocol::params::PairError;

const LIMITS: ParamLimits = ParamLimits { head: 200, pairs: 5 };

/// Decodes the whole, after every part of it said that more is wanted or the same error.
fn decode_all(wire: &[u8], limits: &ParamLimits) -> Result<(ScgiHead, Params), ScgiError> {
    let mut params = Params::new();
    let whole = decode(wire, limits, &mut params);
    for end in 0..wire.len() {
        let part = decode(&wire[..end], limits, &mut Params::new());
        match whole {
            Ok(Some(head)) if end < head.size => assert_eq!(part, Ok(None), "{end}"),
            Ok(Some(_)) => assert_eq!(part, whole, "{end}"),
            _ => assert!(part == Ok(None) || part == whole, "{end}: {part:?}"),
        }
    }
    whole.map(|head| (head.expect("the head is whole"), params))
}

/// Makes a head of these headers.
fn netstring(headers: &[u8]) -> Vec<u8> {
    [format!("{}:", headers.len()).as_bytes(), headers, b","].concat()
}

#[test]
fn the_example_of_the_specification() {
    let wire =
        b"70:CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,\
        What is the answer to life?";
    let (head, params) = decode_all(wire, &LIMITS).unwrap();
    assert_eq!((head.size, head.content_length), (74, 27));
    assert_eq!(&wire[head.size..], b"What is the answer to life?");
    let expected = [
        (&b"CONTENT_LENGTH"[..], &b"27"[..]),
        (b"SCGI", b"1"),
        (b"REQUEST_METHOD", b"POST"),
        (b"REQUEST_URI", b"/deepthought"),
    ];
    assert_eq!(params.iter().collect::<Vec<_>>(), expected);
    let mut again = Vec::new();
    encode(&params, &mut again).unwrap();
    assert_eq!(again, &wire[..head.size]);
}

#[test]
fn encoded_heads_have_what_they_must() {
    let mut params = Params::new();
    let mut out = b"before".to_vec();
    encode(&params, &mut out).unwrap();
    assert_eq!(out, b"before24:CONTENT_LENGTH\x000\0SCGI\x001\0,");
    // CONTENT_LENGTH becomes the first header.
    params.push(b"A", b"");
    params.push(b"SCGI", b"1");
    params.push(b"CONTENT_LENGTH", b"18446744073709551615");
    out.clear();
    encode(&params, &mut out).unwrap();
    assert_eq!(out, netstring(b"CONTENT_LENGTH\x0018446744073709551615\0A\0\0SCGI\x001\0"));
    let (head, got) = decode_all(&out, &LIMITS).unwrap();
    assert_eq!((head.content_length, got.len()), (u64::MAX, 3));
    assert_eq!(got.get(b"A"), Some(&b""[..]));
}

#[test]
fn an_unsendable_head_leaves_nothing() {
    let cases: [(&[u8], &[u8], ScgiErrorKind); 6] = [
        (b"", b"", ScgiErrorKind::Pair(PairError::EmptyKey)),
        (b"A=", b"", ScgiErrorKind::Pair(PairError::KeyByte { at: 1, byte: b'=' })),
        (b"A\0", b"", ScgiErrorKind::Pair(PairError::KeyByte { at: 1, byte: 0 })),
        (b"A", b"1\0", ScgiErrorKind::Pair(PairError::ValueNul { at: 1 })),
        (b"CONTENT_LENGTH", b"", ScgiErrorKind::ContentLength),
        (b"SCGI", b"2", ScgiErrorKind::Scgi),
    ];
    for (key, value, kind) in cases {
        let mut params = Params::new();
        params.push(b"GOOD", b"1");
        params.push(key, value);
        let mut out = b"before".to_vec();
        let error = encode(&params, &mut out).unwrap_err();
        assert_eq!((error.kind(), out.as_slice()), (kind, &b"before"[..]));
    }
}

#[test]
fn netstrings_that_are_refused() {
    let cases: [(&[u8], usize, ScgiErrorKind); 10] = [
        (b":", 0, ScgiErrorKind::Length(b':')),
        (b"GET / HTTP/1.1\r\n", 0, ScgiErrorKind::Length(b'G')),
        (b"\x01\x01\0\x01", 0, ScgiErrorKind::Length(1)),
        (b"-1:", 0, ScgiErrorKind::Length(b'-')),
        (b"2x:", 1, ScgiErrorKind::Length(b'x')),
        (b"024:", 0, ScgiErrorKind::LeadingZero),
        (b"00:", 0, ScgiErrorKind::LeadingZero),
        (b"201:", 0, ScgiErrorKind::TooLong { most: 200 }),
        (b"99999999999999999999999999999999", 0, ScgiErrorKind::TooLong { most: 200 }),
        (b"3:A\0\0;", 5, ScgiErrorKind::Comma(b';')),
    ];
    for (wire, at, kind) in cases {
        let error = decode_all(wire, &LIMITS).unwrap_err();
        assert_eq!((error.offset(), error.kind()), (at, kind), "{}", wire.escape_ascii());
        assert!(error.to_string().starts_with(&format!("SCGI head, byte {at}: ")));
    }
    // The digits come to an end, with every limit.
    let limits = ParamLimits { head: usize::MAX, pairs: 1 };
    let most = usize::MAX;
    let error = decode(&[b'9'; 21], &limits, &mut Params::new()).unwrap_err();
    assert_eq!(error.kind(), ScgiErrorKind::TooLong { most });
    let wire = format!("{most}:CONTENT_LENGTH");
    assert_eq!(decode(wire.as_bytes(), &limits, &mut Params::new()), Ok(None));
}

#[test]
fn headers_that_are_refused() {
    let first = b"CONTENT_LENGTH\x001\0SCGI\x001\0".len();
    let pair = |error| ScgiErrorKind::Pair(error);
    let cases: [(&[u8], usize, ScgiErrorKind); 14] = [
        (b"", 0, ScgiErrorKind::First),
        (b"SCGI\x001\0CONTENT_LENGTH\x000\0", 0, ScgiErrorKind::First),
        (b"CONTENT_LENGTH\x000\0", 17, ScgiErrorKind::Scgi),
        (b"CONTENT_LENGTH\x000\0SCGI\x002\0", 24, ScgiErrorKind::Scgi),
        (b"CONTENT_LENGTH\0\0SCGI\x001\0", 15, ScgiErrorKind::ContentLength),
        (b"CONTENT_LENGTH\0+1\0SCGI\x001\0", 15, ScgiErrorKind::ContentLength),
        (b"CONTENT_LENGTH\x0018446744073709551616\0SCGI\x001\0", 15, ScgiErrorKind::ContentLength),
        (
            b"CONTENT_LENGTH\x001\0SCGI\x001\0CONTENT_LENGTH\x002\0",
            first + 15,
            ScgiErrorKind::ContentLengths,
        ),
        (b"CONTENT_LENGTH\x001\0SCGI\x001\0A", first, ScgiErrorKind::Unterminated),
        (b"CONTENT_LENGTH\x001\0SCGI\x001\0A\0", first, ScgiErrorKind::Unterminated),
        (b"CONTENT_LENGTH\x001\0SCGI\x001\0A\0b", first, ScgiErrorKind::Unterminated),
        (b"CONTENT_LENGTH\x001\0SCGI\x001\0\0b\0", first, pair(PairError::EmptyKey)),
        (
            b"CONTENT_LENGTH\x001\0SCGI\x001\0=\0b\0",
            first,
            pair(PairError::KeyByte { at: 0, byte: b'=' }),
        ),
        (
            b"CONTENT_LENGTH\x001\0SCGI\x001\0A\0\0B\0\0C\0\0D\0\0",
            first + 9,
            pair(PairError::TooMany { most: 5 }),
        ),
    ];
    for (headers, at, kind) in cases {
        let wire = netstring(headers);
        let at = at + wire.len() - headers.len() - 1;
        let error = decode_all(&wire, &LIMITS).unwrap_err();
        assert_eq!((error.offset(), error.kind()), (at, kind), "{}", headers.escape_ascii());
        assert!(error.to_string().starts_with(&format!("SCGI head, byte {at}: ")));
    }
}

#[test]
fn a_repeated_header_is_the_last() {
    let wire = netstring(b"CONTENT_LENGTH\x001\0SCGI\x001\0A\x001\0A\x002\0CONTENT_LENGTH\x001\0");
    let (head, params) = decode_all(&wire, &LIMITS).unwrap();
    assert_eq!((head.content_length, params.get(b"A")), (1, Some(&b"2"[..])));
}

#[test]
fn limits_at_their_borders() {
    let headers = b"CONTENT_LENGTH\x000\0SCGI\x001\0A\0b\0";
    let wire = netstring(headers);
    let exact = ParamLimits { head: headers.len(), pairs: 3 };
    assert!(decode_all(&wire, &exact).is_ok());
    let error = decode_all(&wire, &ParamLimits { head: headers.len() - 1, ..exact }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "SCGI head, byte 0: the netstring is too long; allowed are 27 bytes"
    );
    let error = decode_all(&wire, &ParamLimits { pairs: 2, ..exact }).unwrap_err();
    let text = "SCGI head, byte 27: too many variables; allowed are 2";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_warm_buffer_does_not_grow() {
    let wire = netstring(b"CONTENT_LENGTH\x000\0SCGI\x001\0A\0b\0");
    let mut params = Params::new();
    decode(&wire, &LIMITS, &mut params).unwrap();
    let held = params.size();
    for _ in 0..100 {
        decode(&wire, &LIMITS, &mut params).unwrap();
    }
    assert_eq!(params.size(), held);
}
