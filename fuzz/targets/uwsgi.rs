//! Anything from a uwsgi client, in any pieces: no panic, the same head as in one piece, what
//! decodes comes back when it is encoded, and no more is held than the limits say.
#![no_main]

mod common;

use common::{LIMITS, assert_same, check, made_up};
use libfuzzer_sys::fuzz_target;
use mod_rust::internal::protocol::params::Params;
use mod_rust::internal::protocol::uwsgi::{HEADER, REQUEST, UwsgiError, UwsgiHead, decode, encode};

const MOST: usize = HEADER + LIMITS.head;

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
            assert!(head.size <= MOST && head.size <= wire.len());
            assert_eq!((head.modifier1, head.modifier2), (REQUEST, wire[3]));
            check(&params);
            let length = params.get(b"CONTENT_LENGTH").unwrap_or_default();
            if !length.is_empty() {
                let length = std::str::from_utf8(length).expect("digits").parse();
                assert_eq!(length.ok(), head.content_length);
            }
            let mut wire = Vec::new();
            encode(&params, &mut wire).expect("what was decoded can be encoded");
            assert!(wire.len() <= head.size, "it has become longer");
            let mut got = Params::new();
            let head = decode(&wire, &LIMITS, &mut got).expect("good").expect("whole");
            assert_eq!((head.size, head.modifier2), (wire.len(), 0));
            // The same in the same order, and so the same bytes.
            assert_eq!(got, params);
        }
        Err(error) => assert!(error.offset() <= wire.len() && !error.to_string().is_empty()),
    }
}

/// With a buffer that grows until the head is there.
fn in_pieces(wire: &[u8], piece: usize) -> Result<Option<UwsgiHead>, UwsgiError> {
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

fn encoded(params: &Params) {
    let mut wire = b"before".to_vec();
    let mut got = Params::new();
    match encode(params, &mut wire) {
        Err(error) => assert!(wire == b"before" && !error.to_string().is_empty()),
        // It may be longer than the limits, or have a CONTENT_LENGTH that is none.
        Ok(()) => match decode(&wire[6..], &LIMITS, &mut got) {
            Ok(head) => {
                assert_eq!(head.expect("whole").size, wire.len() - 6);
                check(&got);
                assert_same(params, &got);
            }
            Err(error) => {
                let text = error.to_string();
                let length = params.get(b"CONTENT_LENGTH").is_some();
                assert!(text.contains("; allowed are ") || length, "{text}");
            }
        },
    }
}
