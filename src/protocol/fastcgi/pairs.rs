//! Name-value pairs (3.4): length of the name, length of the value, name, value. A length below 128
//! is one byte; any is four bytes, big-endian, with the highest bit set.

use std::fmt;

use super::error::{RecordError, RecordErrorKind};
use super::kind::RecordKind;

/// The largest length that the four bytes hold.
const MOST: usize = i32::MAX as usize;

/// The length of a pair, by the bytes that it begins with.
#[derive(Clone, Copy)]
pub(super) struct Lengths {
    /// The bytes of the two lengths themselves.
    pub(super) lengths: usize,
    pub(super) name: usize,
    pub(super) value: usize,
}

impl Lengths {
    /// The lengths at the beginning of `bytes`, if they are there in full.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let (name, name_bytes) = length(bytes)?;
        let (value, value_bytes) = length(&bytes[name_bytes..])?;
        Some(Self { lengths: name_bytes + value_bytes, name, value })
    }

    /// The bytes of the pair.
    pub(super) const fn total(&self) -> usize {
        // Two numbers below 2^31 and eight: on 32 bits this may be too much for a usize.
        self.lengths.saturating_add(self.name).saturating_add(self.value)
    }

    /// Name and value of the pair at the beginning of `bytes`, and what stands behind it, if it is
    /// there in full.
    pub(super) fn cut<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
        let (name, rest) = bytes.get(self.lengths..)?.split_at_checked(self.name)?;
        let (value, rest) = rest.split_at_checked(self.value)?;
        Some((name, value, rest))
    }
}

/// A length, and how many bytes it takes.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.first()? {
        short @ ..0x80 => Some((usize::from(short), 1)),
        _ => bytes
            .first_chunk()
            .map(|bytes| ((u32::from_be_bytes(*bytes) & 0x7fff_ffff) as usize, 4)),
    }
}

/// Puts a pair.
///
/// # Errors
///
/// A name or value of 2 GiB or more. Nothing is put then.
pub fn put_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), RecordError> {
    if let Some(long) = [name.len(), value.len()].into_iter().find(|length| *length > MOST) {
        return Err(RecordError::new(out.len(), None, RecordErrorKind::Length(long)));
    }
    out.reserve(8 + name.len() + value.len());
    for length in [name.len(), value.len()] {
        match u8::try_from(length) {
            Ok(short @ ..0x80) => out.push(short),
            _ => out.extend_from_slice(&(length as u32 | 0x8000_0000).to_be_bytes()),
        }
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    Ok(())
}

/// Name-value pairs in a record's content. They were checked: going through them cannot fail.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct NameValuePairs<'a> {
    block: &'a [u8],
}

impl<'a> NameValuePairs<'a> {
    /// Looks whether each pair is there in full.
    pub(super) fn check(
        block: &'a [u8],
        record: RecordKind,
        start: usize,
    ) -> Result<Self, RecordError> {
        let mut rest = block;
        while !rest.is_empty() {
            let lengths = Lengths::of(rest);
            match lengths.and_then(|lengths| lengths.cut(rest)) {
                Some((_, _, behind)) => rest = behind,
                None => {
                    let wanted = lengths.map_or(2, |lengths| lengths.total());
                    let problem = RecordErrorKind::Truncated { wanted, left: rest.len() };
                    let at = start + block.len() - rest.len();
                    return Err(RecordError::new(at, Some(record), problem));
                }
            }
        }
        Ok(Self { block })
    }

    /// Returns all pairs, as they came.
    #[must_use]
    pub const fn iter(&self) -> NameValueIter<'a> {
        NameValueIter { rest: self.block }
    }

    /// Returns the value of the first pair with this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter().find_map(|(found, value)| (found == name).then_some(value))
    }
}

impl<'a> IntoIterator for NameValuePairs<'a> {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = NameValueIter<'a>;

    fn into_iter(self) -> NameValueIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for NameValuePairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(name, value)| {
            (name.escape_ascii().to_string(), value.escape_ascii().to_string())
        });
        f.debug_map().entries(shown).finish()
    }
}

/// Goes through [`NameValuePairs`].
#[derive(Clone)]
pub struct NameValueIter<'a> {
    rest: &'a [u8],
}

impl fmt::Debug for NameValueIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        NameValuePairs { block: self.rest }.fmt(f)
    }
}

impl<'a> Iterator for NameValueIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value, rest) = Lengths::of(self.rest)?.cut(self.rest)?;
        self.rest = rest;
        Some((name, value))
    }
}
