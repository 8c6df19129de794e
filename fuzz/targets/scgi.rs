//! Anything from an SCGI client, in any pieces: no panic, the same head as in one piece, what
//! decodes comes back when it is encoded, and no more is held than the limits say.
#![no_main]

mod common;

use common::{LIMITS, assert_same, check, made_up};
use libfuzzer_sys::fuzz_target;
use mod_rust::internal::protocol::params::Params;
use mod_rust::internal::protocol::scgi::{ScgiError, ScgiHead, decode, encode};

/// The longest head: three digits, the colon, the content, the comma.
const MOST: usize = 3 + 1 + LIMITS.head + 1;

fuzz_target!(|given: &[u8]| {
    // The first byte selects the sizes of the pieces, or variables as the rest.
    let Some((&how, rest)) = given.split_first() else { return };
    match how {
        ..0x80 => decoded(rest, usize::from(how) + 1),
        _ => encoded(&made_up(rest)),
    }
});

fn decoded(wire: &[u8], piece: usize) {
    let mut params = Params::new();
    let whole = decode(wire, &LIMITS, &mut params);
    assert_eq!(in_pieces(wire, piece), whole);
    match whole {
        Ok(None) => assert!(wire.len() < MOST, "more is wanted than there can be"),
        Ok(Some(head)) => {
            assert!(head.size <= MOST && wire[head.size - 1] == b',');
            check(&params);
            let length = params.get(b"CONTENT_LENGTH").expect("it is there");
            let length = std::str::from_utf8(length).expect("digits").parse();
            assert_eq!(length, Ok(head.content_length));
            again(&params, head.content_length);
        }
        Err(error) => assert!(error.offset() <= wire.len() && !error.to_string().is_empty()),
    }
}

/// With a buffer that grows until the head is there.
fn in_pieces(wire: &[u8], piece: usize) -> Result<Option<ScgiHead>, ScgiError> {
    let mut params = Params::new();
    let mut end = 0;
    loop {
        let found = decode(&wire[..end], &LIMITS, &mut params);
        if found != Ok(None) || end == wire.len() {
            assert!(end < MOST + piece);
            return found;
        }
        assert!(end < MOST, "{end} bytes, and more are wanted");
        end = (end + piece).min(wire.len());
    }
}

/// Checks that encoded bytes decode to the same value, which encodes to the same bytes.
fn again(params: &Params, content_length: u64) {
    let (mut first, mut second, mut got) = (Vec::new(), Vec::new(), Params::new());
    encode(params, &mut first).expect("what was decoded can be encoded");
    let head = decode(&first, &LIMITS, &mut got).expect("good").expect("whole");
    assert_eq!(head, ScgiHead { size: first.len(), content_length });
    assert_same(params, &got);
    encode(&got, &mut second).expect("what was decoded can be encoded");
    assert_eq!(first, second);
}

fn encoded(params: &Params) {
    let mut wire = b"before".to_vec();
    let mut got = Params::new();
    match encode(params, &mut wire) {
        Err(error) => {
            assert!(wire == b"before" && !error.to_string().is_empty());
        }
        // It may be longer than the limits: only that is refused then.
        Ok(()) => match decode(&wire[6..], &LIMITS, &mut got) {
            Ok(head) => {
                let head = head.expect("whole");
                assert_eq!(head.size, wire.len() - 6);
                check(&got);
                again(&got, head.content_length);
                let added = [&b"CONTENT_LENGTH"[..], b"SCGI"];
                let added = added.iter().filter(|key| params.get(key).is_none()).count();
                assert_eq!(got.len(), params.len() + added);
                params.iter().for_each(|(key, value)| assert_eq!(got.get(key), Some(value)));
            }
            Err(error) => assert!(error.to_string().contains("too "), "{error}"),
        },
    }
}
