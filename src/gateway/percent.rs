//! Percent-encoding of paths (RFC 3986, 2.1), in one place for every layer.

use percent_encoding::percent_decode;
#[cfg(any(feature = "serve", feature = "tower"))]
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// The bytes that a path does not show as they are: all but `pchar` and the slash (RFC 3986, 3.3).
#[cfg(any(feature = "serve", feature = "tower"))]
pub(crate) const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/');

/// Appends `text` to `into`, with the bytes of `set` and all that are not ASCII encoded.
#[cfg(any(feature = "serve", feature = "tower"))]
pub(crate) fn encode(text: &[u8], set: &'static AsciiSet, into: &mut Vec<u8>) {
    percent_encoding::percent_encode(text, set)
        .for_each(|piece| into.extend_from_slice(piece.as_bytes()));
}

/// Decodes each escape; a `%` without two digits behind it stays.
pub(crate) fn decode(path: &[u8]) -> Vec<u8> {
    percent_decode(path).collect()
}

/// Decodes one escape, such as `%41`. Returns nothing if the bytes are not one.
#[cfg(any(feature = "http-server", feature = "tower"))]
pub(crate) fn escape(bytes: [u8; 3]) -> Option<u8> {
    let mut decoded = percent_decode(&bytes);
    let byte = decoded.next()?;
    decoded.next().is_none().then_some(byte)
}

#[cfg(all(test, feature = "tower"))]
mod tests {
    use super::*;

    #[test]
    fn encodes_and_decodes() {
        let mut encoded = Vec::new();
        encode(b"/a b%\xe9?", PATH, &mut encoded);
        assert_eq!(encoded, b"/a%20b%25%E9%3F");
        encoded.clear();
        encode(b"/-._~!$&'()*+,;=:@aZ9", PATH, &mut encoded);
        assert_eq!(encoded, b"/-._~!$&'()*+,;=:@aZ9");
        assert_eq!(decode(b"/a%2Fb%zz%4%00%e9"), b"/a/b%zz%4\0\xe9");
    }

    #[test]
    fn decodes_one_escape() {
        for (escaped, byte) in [(*b"%41", b'A'), (*b"%00", 0), (*b"%25", b'%'), (*b"%fF", 0xff)] {
            assert_eq!(escape(escaped), Some(byte));
        }
        for other in [*b"%4g", *b"%zz", *b"abc", *b"%%4", *b"a%4"] {
            assert_eq!(escape(other), None, "{}", other.escape_ascii());
        }
    }
}
