use super::*;
use crate::protocol::params::PairError;

const LIMITS: ParamLimits = ParamLimits { head: 400, pairs: 4 };

/// Decodes the whole, after every part of it said that more is wanted or the same error.
fn decode_all(wire: &[u8], limits: &ParamLimits) -> Result<(UwsgiHead, Params), UwsgiError> {
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

/// Makes a packet of this block.
fn packet(block: &[u8]) -> Vec<u8> {
    let [low, high] = (block.len() as u16).to_le_bytes();
    [&[0, low, high, 0][..], block].concat()
}

#[test]
fn round_trip() {
    let mut params = Params::new();
    params.push(b"A", b"");
    params.push(b"CONTENT_LENGTH", b"");
    params.push(b"B", &[7; 300]);
    let mut wire = Vec::new();
    encode(&params, &mut wire).unwrap();
    assert_eq!(&wire[..9], [0, 72, 1, 0, 1, 0, b'A', 0, 0]);
    let (head, got) = decode_all(&wire, &LIMITS).unwrap();
    let expected = UwsgiHead { size: wire.len(), content_length: None, modifier1: 0, modifier2: 0 };
    assert_eq!((head, got), (expected, params));
    // Behind it stands the body. modifier2 is not looked at.
    wire[3] = 9;
    wire.extend_from_slice(b"body");
    let (head, _) = decode_all(&wire, &LIMITS).unwrap();
    assert_eq!(head, UwsgiHead { modifier2: 9, ..expected });
    let (head, got) = decode_all(&[0, 0, 0, 0], &LIMITS).unwrap();
    assert_eq!((head.size, got.is_empty()), (4, true));
}

#[test]
fn the_largest_packet() {
    let mut params = Params::new();
    params.push(b"A", &vec![b'x'; 65_535 - 5]);
    let mut wire = Vec::new();
    encode(&params, &mut wire).unwrap();
    assert_eq!(wire.len(), 4 + 65_535);
    let limits = ParamLimits { head: 65_535, pairs: 1 };
    let mut got = Params::new();
    assert!(decode(&wire, &limits, &mut got).unwrap().is_some() && got == params);
    params.push(b"B", b"");
    wire.truncate(3);
    let error = encode(&params, &mut wire).unwrap_err();
    let kind = UwsgiErrorKind::TooLong { length: 65_540, most: 65_535 };
    assert_eq!((error.kind(), wire.len()), (kind, 3));
    params.push(b"A", &vec![b'x'; 65_536]);
    let error = encode(&params, &mut wire).unwrap_err();
    let kind = UwsgiErrorKind::TooLong { length: 65_536, most: 65_535 };
    assert_eq!((error.kind(), wire.len()), (kind, 3));
    let mut params = Params::new();
    params.push(b"A=", b"");
    let error = encode(&params, &mut wire).unwrap_err();
    let kind = UwsgiErrorKind::Pair(PairError::KeyByte { at: 1, byte: b'=' });
    assert_eq!((error.kind(), wire.len()), (kind, 3));
}

#[test]
fn other_protocols_are_recognised_by_their_first_byte() {
    for wire in [&b"G"[..], b"\x16\x03\x01", b"\x01\x01\0\x01\0\x08\0\0", b"70:CONTENT_LENGTH"] {
        let error = decode_all(wire, &LIMITS).unwrap_err();
        assert_eq!((error.offset(), error.kind()), (0, UwsgiErrorKind::Modifier(wire[0])));
        let text =
            format!("uwsgi packet, byte 0: modifier1 is {}; allowed is 0, a request", wire[0]);
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn blocks_that_are_refused() {
    let truncated = |wanted, left| UwsgiErrorKind::Truncated { wanted, left };
    let pair = |error| UwsgiErrorKind::Pair(error);
    let length =
        |value: &[u8]| [b"\x0e\0CONTENT_LENGTH", &[value.len() as u8, 0][..], value].concat();
    let two = [length(b"1"), length(b""), length(b"2")].concat();
    let five = b"\x01\0A\0\0".repeat(5);
    let cases: [(&[u8], usize, UwsgiErrorKind); 13] = [
        (b"\x01", 4, truncated(2, 1)),
        (b"\x02\0A", 6, truncated(2, 1)),
        (b"\x01\0A", 7, truncated(2, 0)),
        (b"\x01\0A\x01", 7, truncated(2, 1)),
        (b"\x01\0A\x02\0b", 9, truncated(2, 1)),
        (b"\xff\xffA\0\0", 6, truncated(65_535, 3)),
        (b"\0\0\0\0", 4, pair(PairError::EmptyKey)),
        (b"\x01\0A\0\0\x01\0=\0\0", 9, pair(PairError::KeyByte { at: 0, byte: b'=' })),
        (b"\x01\0A\x01\0\0", 4, pair(PairError::ValueNul { at: 0 })),
        (&length(b"1x"), 22, UwsgiErrorKind::ContentLength),
        (&length(b"18446744073709551616"), 22, UwsgiErrorKind::ContentLength),
        (&two, 4 + 19 + 18 + 18, UwsgiErrorKind::ContentLengths),
        (&five, 4 + 20, pair(PairError::TooMany { most: 4 })),
    ];
    for (block, at, kind) in cases {
        let error = decode_all(&packet(block), &LIMITS).unwrap_err();
        assert_eq!((error.offset(), error.kind()), (at, kind), "{}", block.escape_ascii());
        assert!(error.to_string().starts_with(&format!("uwsgi packet, byte {at}: ")));
    }
}

#[test]
fn limits_at_their_borders() {
    let wire = packet(b"\x01\0A\x01\0b");
    assert!(decode_all(&wire, &ParamLimits { head: 6, pairs: 1 }).is_ok());
    // Refused by the header alone: the block is not waited for.
    let error = decode_all(&wire[..4], &ParamLimits { head: 5, pairs: 1 }).unwrap_err();
    assert_eq!(error.to_string(), "uwsgi packet, byte 1: a length of 6 bytes; allowed are 5");
    let error = decode_all(&wire, &ParamLimits { head: 6, pairs: 0 }).unwrap_err();
    assert_eq!(error.to_string(), "uwsgi packet, byte 4: too many variables; allowed are 0");
}

#[test]
fn a_warm_buffer_does_not_grow() {
    let wire = packet(b"\x01\0A\x01\0b\x01\0B\x01\0c");
    let mut params = Params::new();
    decode(&wire, &LIMITS, &mut params).unwrap();
    let held = params.size();
    for _ in 0..100 {
        decode(&wire, &LIMITS, &mut params).unwrap();
    }
    assert_eq!(params.size(), held);
}
