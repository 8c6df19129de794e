//! The rules for header names and values: RFC 9110, sections 5.1, 5.5 and 7.6.1.

use super::error::{Error, ErrorKind, Result};

/// Headers of a connection, which an application must not set.
///
/// RFC 9110 7.6.1, as PEP 3333 has it for WSGI (`wsgiref.util.is_hop_by_hop`).
pub(crate) const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Tells whether `name` is one of [`HOP_BY_HOP`], in any case.
#[must_use]
pub(crate) fn is_hop_by_hop(name: &[u8]) -> bool {
    // The length alone excludes most names.
    const LENGTHS: u32 = {
        let (mut lengths, mut at) = (0, 0);
        while at < HOP_BY_HOP.len() {
            lengths |= 1 << HOP_BY_HOP[at].len();
            at += 1;
        }
        lengths
    };
    name.len() < 32
        && LENGTHS >> name.len() & 1 == 1
        && HOP_BY_HOP.iter().any(|hop| hop.as_bytes().eq_ignore_ascii_case(name))
}

/// Tells whether the server's error page keeps this header of the application. A 401 needs its
/// challenge, a 405 its methods, a 503 its time.
#[must_use]
pub(crate) fn stays_with_error(name: &[u8]) -> bool {
    [&b"WWW-Authenticate"[..], b"Allow", b"Retry-After"]
        .iter()
        .any(|kept| kept.eq_ignore_ascii_case(name))
}

/// Tells whether `name` is `Content-Length` in any case.
pub(super) fn is_content_length(name: &[u8]) -> bool {
    // Two overlapping comparisons of eight bytes, because most responses have this header.
    let Ok(name) = <&[u8; 14]>::try_from(name) else { return false };
    are_eight(&name[..8], *b"content-") && are_eight(&name[6..], *b"t-length")
}

/// Tells whether `name` is `Content-Type` in any case.
pub(crate) fn is_content_type(name: &[u8]) -> bool {
    let Ok(name) = <&[u8; 12]>::try_from(name) else { return false };
    are_eight(&name[..8], *b"content-") && are_eight(&name[4..], *b"ent-type")
}

/// Tells whether eight bytes are these in any case. `lower` has letters in lower case and hyphens.
fn are_eight(bytes: &[u8], lower: [u8; 8]) -> bool {
    // The bit that tells the cases of a letter apart.
    let case = u64::from_ne_bytes(lower.map(|byte| if byte == b'-' { 0 } else { 0x20 }));
    let bytes: [u8; 8] = bytes.try_into().unwrap_or_default();
    u64::from_ne_bytes(bytes) | case == u64::from_ne_bytes(lower)
}

/// Tells whether `name` is a token (RFC 9110, 5.6.2).
#[must_use]
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && all(name, TOKEN)
}

/// Tells whether `value` is a field value (RFC 9110, 5.5): the tab is the only control character.
#[must_use]
pub fn is_value(value: &[u8]) -> bool {
    all(value, VALUE)
}

/// Tells whether every byte is of `class`. It has no branch for a byte, as most inputs are valid.
fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().fold(class, |all, &byte| all & CLASS[byte as usize]) != 0
}

/// Checks a response header of an application.
///
/// # Errors
///
/// [`ErrorKind::InvalidHeader`] or [`ErrorKind::HopByHop`], with the name and the reason.
pub fn check(name: &[u8], value: &[u8]) -> Result<()> {
    // Most responses have the one name.
    if !is_content_type(name) && !is_token(name) {
        return Err(invalid(name, "its name is not a token (RFC 9110, 5.6.2)"));
    }
    if !is_value(value) {
        return Err(invalid(name, "its value holds a control character (RFC 9110, 5.5)"));
    }
    if is_hop_by_hop(name) {
        return Err(Error::of(
            ErrorKind::HopByHop,
            format!(
                "header \"{}\" belongs to the connection, not to the application (RFC 9110, 7.6.1)",
                name.escape_ascii()
            ),
        ));
    }
    // A CGI server obeys it and an HTTP server sends it on, so it has no common meaning.
    if name.eq_ignore_ascii_case(b"status") {
        return Err(invalid(name, "the status goes to start_response"));
    }
    Ok(())
}

/// Fields that must not be trailers, because they describe the message or its routing (RFC 9110,
/// 6.5.1).
const NOT_IN_TRAILERS: [&[u8]; 7] = [
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"host",
    b"set-cookie",
    b"trailer",
];

/// Checks the name of an application's trailer field, in lower case.
///
/// # Errors
///
/// [`ErrorKind::InvalidHeader`] or [`ErrorKind::HopByHop`], with the name and the reason.
pub(super) fn check_trailer(name: &[u8]) -> Result<()> {
    check(name, &[])?;
    if !is_trailer(name) {
        return Err(invalid(name, "it cannot be a trailer field (RFC 9110, 6.5.1)"));
    }
    Ok(())
}

/// Tells whether a field of this name, in any case, may follow the content.
#[must_use]
pub(crate) fn is_trailer(name: &[u8]) -> bool {
    let is_name = |other: &&[u8]| other.eq_ignore_ascii_case(name);
    !is_hop_by_hop(name) && !NOT_IN_TRAILERS.iter().any(is_name)
}

/// Parses an application's Content-Length, which has digits only.
///
/// # Errors
///
/// [`ErrorKind::ContentLength`] for any other text.
pub fn content_length(value: &[u8]) -> Result<u64> {
    decimal(value).ok_or_else(|| {
        Error::of(
            ErrorKind::ContentLength,
            format!("Content-Length \"{}\" is not a number of bytes", value.escape_ascii()),
        )
    })
}

/// Parses a number that has digits alone: neither sign nor space (RFC 9110, 8.6).
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    let digit = |number: u64, byte: &u8| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    };
    digits.iter().try_fold(0, digit).filter(|_| !digits.is_empty())
}

/// Returns whether `tag` stands in `list`, the value of If-Match or If-None-Match. Compared
/// strongly, a weak tag equals none (RFC 9110, 8.8.3.2).
pub(crate) fn lists_tag(list: &[u8], tag: &[u8], strongly: bool) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return true;
    }
    while !rest.is_empty() {
        // A comma between quotes belongs to the tag.
        let mut is_quoted = false;
        let end = rest.iter().position(|&byte| {
            is_quoted ^= byte == b'"';
            byte == b',' && !is_quoted
        });
        let (candidate, after) = rest.split_at(end.unwrap_or(rest.len()));
        let candidate = candidate.trim_ascii();
        let is_same = if strongly {
            candidate == tag && !tag.starts_with(b"W/")
        } else {
            opaque(candidate) == opaque(tag)
        };
        if is_same && !candidate.is_empty() {
            return true;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    false
}

fn invalid(name: &[u8], why: &str) -> Error {
    Error::of(
        ErrorKind::InvalidHeader,
        format!("header \"{}\" is refused: {why}", name.escape_ascii()),
    )
}

const TOKEN: u8 = 1;
const VALUE: u8 = 2;

const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        if c.is_ascii_alphanumeric()
            || matches!(
                c,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            class[byte] |= TOKEN;
        }
        if c == b'\t' || (c >= 0x20 && c != 0x7f) {
            class[byte] |= VALUE;
        }
        byte += 1;
    }
    class
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_entity_tags() {
        for (list, tag, strongly, listed) in [
            ("*", "\"a\"", true, true),
            ("\"a\", \"b\"", "\"b\"", true, true),
            ("\"a,b\" ,W/\"c\"", "\"a,b\"", true, true),
            ("\"a,b\" ,W/\"c\"", "\"c\"", false, true),
            ("\"a,b\" ,W/\"c\"", "\"c\"", true, false),
            ("W/\"c\"", "W/\"c\"", true, false),
            ("\"ab\"", "\"a\"", false, false),
            ("", "\"a\"", false, false),
            ("\"a\",,", "", true, false),
        ] {
            assert_eq!(
                lists_tag(list.as_bytes(), tag.as_bytes(), strongly),
                listed,
                "{list} {tag}"
            );
        }
    }

    #[test]
    fn names_and_values() {
        assert!(check(b"X-A", b"b c\t\xff").is_ok());
        for name in [&b""[..], b"a b", b"a:", b"a\n", b"\xc3\xa4", b"Status", b"(x)"] {
            assert_eq!(check(name, b"x").unwrap_err().kind(), ErrorKind::InvalidHeader, "{name:?}");
        }
        for value in [&b"a\r\nb"[..], b"a\nb", b"a\0b", b"\x7f", b"\x1b"] {
            assert_eq!(check(b"X", value).unwrap_err().kind(), ErrorKind::InvalidHeader);
        }
        for name in HOP_BY_HOP {
            let upper = name.to_ascii_uppercase();
            assert_eq!(check(upper.as_bytes(), b"x").unwrap_err().kind(), ErrorKind::HopByHop);
        }
    }

    #[test]
    fn content_length_by_its_name() {
        for name in ["content-length", "Content-Length", "CONTENT-LENGTH"] {
            assert!(is_content_length(name.as_bytes()));
        }
        for name in [
            "content-lengths",
            "content-lengt",
            "content_length",
            "content\rlength",
            "xontent-length",
            "",
        ] {
            assert!(!is_content_length(name.as_bytes()));
        }
    }

    #[test]
    fn content_type_by_its_name() {
        for name in ["content-type", "Content-Type", "CONTENT-TYPE"] {
            assert!(is_content_type(name.as_bytes()));
        }
        for name in [
            "content-types",
            "content-typ",
            "content_type",
            "content\rtype",
            "content-typo",
            "\x03ontent-type",
        ] {
            assert!(!is_content_type(name.as_bytes()));
        }
    }

    #[test]
    fn lengths() {
        assert_eq!(content_length(b"0").unwrap(), 0);
        assert_eq!(content_length(b"18446744073709551615").unwrap(), u64::MAX);
        for bad in [&b""[..], b"+1", b"-1", b" 1", b"1 ", b"0x1", b"18446744073709551616", b"1,1"] {
            assert!(content_length(bad).is_err(), "{bad:?}");
        }
    }
}
