//! Names and values: environ keys, headers, trailers and application options.

use std::fmt;

use super::error::{EncodeError, Problem};
use super::kind::Kind;
use crate::gateway::header;

/// The bytes before a pair's name: the lengths of name and value.
const LENGTHS: usize = 6;

/// Pairs in somebody's buffer. They were checked when they were decoded: going through them cannot
/// fail, and allocates nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Pairs<'a> {
    block: &'a [u8],
}

impl<'a> Pairs<'a> {
    /// Returns all pairs, as they came.
    #[must_use]
    pub const fn iter(&self) -> PairsIter<'a> {
        PairsIter { rest: self.block }
    }

    /// Returns the value of the first pair with this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter().find_map(|(found, value)| (found == name).then_some(value))
    }

    /// Returns the value of the first pair with this name, in any case.
    #[must_use]
    pub fn get_ignore_case(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter().find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    /// Tells whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// Returns the pairs as they stand in a frame, without the length before them. The same pairs
    /// in the same order are the same bytes, which makes them a key.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.block
    }
}

impl fmt::Debug for Pairs<'_> {
    /// The names alone: values may be passwords and cookies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(|(name, _)| name.escape_ascii().to_string());
        f.debug_list().entries(names).finish()
    }
}

impl<'a> IntoIterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = PairsIter<'a>;

    fn into_iter(self) -> PairsIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = PairsIter<'a>;

    fn into_iter(self) -> PairsIter<'a> {
        self.iter()
    }
}

/// Goes through [`Pairs`].
#[derive(Clone)]
pub struct PairsIter<'a> {
    rest: &'a [u8],
}

impl fmt::Debug for PairsIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Pairs { block: self.rest }.fmt(f)
    }
}

impl<'a> Iterator for PairsIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value, rest) = first(self.rest).ok()?;
        self.rest = rest;
        Some((name, value))
    }
}

/// Pairs that are made once and sent with many requests: an application's options.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PairBlock {
    block: Vec<u8>,
}

impl PairBlock {
    /// Makes one without pairs.
    #[must_use]
    pub const fn new() -> Self {
        Self { block: Vec::new() }
    }

    /// Adds a pair.
    ///
    /// # Errors
    ///
    /// A name of more than 65535 bytes, a value of 4 GiB.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), EncodeError> {
        put(&mut self.block, Kind::Request, name, value)
    }

    /// Returns the pairs.
    #[must_use]
    pub fn pairs(&self) -> Pairs<'_> {
        Pairs { block: &self.block }
    }
}

impl fmt::Debug for PairBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pairs().fmt(f)
    }
}

/// Puts one pair onto `out`, or nothing.
#[inline]
pub(super) fn put(
    out: &mut Vec<u8>,
    frame: Kind,
    name: &[u8],
    value: &[u8],
) -> Result<(), EncodeError> {
    let (Ok(name_length), Ok(value_length)) =
        (u16::try_from(name.len()), u32::try_from(value.len()))
    else {
        return Err(too_long(frame, name, value));
    };
    let ([a, b], [c, d, e, f]) = (name_length.to_le_bytes(), value_length.to_le_bytes());
    out.reserve(LENGTHS + name.len() + value.len());
    out.extend_from_slice(&[a, b, c, d, e, f]);
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    Ok(())
}

#[cold]
fn too_long(frame: Kind, name: &[u8], value: &[u8]) -> EncodeError {
    let most = usize::from(u16::MAX);
    if name.len() > most {
        return EncodeError { frame, what: "the name of a pair", length: name.len(), most };
    }
    let (length, most) = (value.len(), u32::MAX as usize);
    EncodeError { frame, what: "the value of a pair", length, most }
}

/// The block is wrong; the error names the byte.
type Refused = (usize, Problem);

/// Looks at each pair.
pub(super) fn check(block: &[u8]) -> Result<Pairs<'_>, Refused> {
    check_each(block, |_, _| Ok(()))
}

/// Checks that each pair can be a header of a response: what comes over the bridge goes to a client
/// as it is. A header of the framing or of the connection would split the response (RFC 9112,
/// 11.1).
pub(super) fn check_headers(block: &[u8]) -> Result<Pairs<'_>, Refused> {
    check_fields(block, check_header)
}

fn check_header(name: &[u8]) -> Result<(), Problem> {
    let allowed = "none of the framing or the connection (RFC 9110, 7.6.1 and 8.6)";
    let is_own = header::is_hop_by_hop(name) || name.eq_ignore_ascii_case(b"content-length");
    if is_own { Err(Problem::Bytes { what: "a header's name", allowed }) } else { Ok(()) }
}

/// Checks that each pair can be a header of a response that switches protocols. Two of the
/// connection's belong to it (RFC 9110, 7.8).
pub(super) fn check_switch(block: &[u8]) -> Result<Pairs<'_>, Refused> {
    check_fields(block, |name| {
        let is_of_switch = [&b"connection"[..], b"upgrade"];
        if is_of_switch.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return Ok(());
        }
        check_header(name)
    })
}

/// Checks that each pair can be a trailer field of a response (RFC 9110, 6.5.1).
pub(super) fn check_trailers(block: &[u8]) -> Result<Pairs<'_>, Refused> {
    check_fields(block, |name| {
        let allowed = "one that may follow the content (RFC 9110, 6.5.1)";
        if header::is_trailer(name) {
            Ok(())
        } else {
            Err(Problem::Bytes { what: "a trailer's name", allowed })
        }
    })
}

fn check_fields(
    block: &[u8],
    check_name: impl Fn(&[u8]) -> Result<(), Problem>,
) -> Result<Pairs<'_>, Refused> {
    check_each(block, |name, value| {
        if !header::is_token(name) {
            let allowed = "a token (RFC 9110, 5.6.2)";
            return Err((LENGTHS, Problem::Bytes { what: "a header's name", allowed }));
        }
        check_name(name).map_err(|problem| (LENGTHS, problem))?;
        if !header::is_value(value) {
            let allowed = "without control characters (RFC 9110, 5.5)";
            let at = LENGTHS + name.len();
            return Err((at, Problem::Bytes { what: "a header's value", allowed }));
        }
        Ok(())
    })
}

fn check_each(
    block: &[u8],
    each: impl Fn(&[u8], &[u8]) -> Result<(), Refused>,
) -> Result<Pairs<'_>, Refused> {
    let mut rest = block;
    while !rest.is_empty() {
        let start = block.len() - rest.len();
        let moved = |(at, problem)| (start + at, problem);
        let (name, value, behind) = first(rest).map_err(moved)?;
        each(name, value).map_err(moved)?;
        rest = behind;
    }
    Ok(Pairs { block })
}

/// Name and value of a pair, and what stands behind it.
type First<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// The first pair of a block.
fn first(block: &[u8]) -> Result<First<'_>, Refused> {
    let Some((&[a, b, c, d, e, f], rest)) = block.split_first_chunk::<LENGTHS>() else {
        return Err((0, Problem::Truncated { wanted: LENGTHS, left: block.len() }));
    };
    let name_length = usize::from(u16::from_le_bytes([a, b]));
    let value_length = u32::from_le_bytes([c, d, e, f]) as usize;
    let Some((name, behind)) = rest.split_at_checked(name_length) else {
        return Err((LENGTHS, Problem::Truncated { wanted: name_length, left: rest.len() }));
    };
    let Some((value, behind)) = behind.split_at_checked(value_length) else {
        let at = LENGTHS + name_length;
        return Err((at, Problem::Truncated { wanted: value_length, left: behind.len() }));
    };
    Ok((name, value, behind))
}
