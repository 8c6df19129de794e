//! SCGI (<https://python.ca/scgi/protocol.txt>): a netstring of variables, then the request body;
//! the response is that of CGI ([`head`](super::head)) and ends with the connection.
//!
//! ```text
//! "70:" "CONTENT_LENGTH" 00 "27" 00 "SCGI" 00 "1" 00 "REQUEST_METHOD" 00 "POST" 00 … "," body
//! ```
//!
//! Pure: the driver is `server::scgi`.
//!
//! ```
//! use mod_rust::internal::protocol::{params::Params, scgi};
//!
//! let mut params = Params::new();
//! params.push(b"REQUEST_METHOD", b"GET");
//! let mut wire = Vec::new();
//! scgi::encode(&params, &mut wire)?;
//! assert_eq!(wire, b"43:CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0,");
//!
//! let mut got = Params::new();
//! assert_eq!(scgi::decode(&wire[..9], &scgi::ParamLimits::default(), &mut got)?, None);
//! let head = scgi::decode(&wire, &scgi::ParamLimits::default(), &mut got)?.expect("it is whole");
//! assert_eq!((head.size, head.content_length), (wire.len(), 0));
//! assert_eq!(got.get(b"REQUEST_METHOD"), Some(&b"GET"[..]));
//! # Ok::<(), scgi::ScgiError>(())
//! ```

mod error;
#[cfg(test)]
mod tests;

pub use super::params::ParamLimits;
pub use error::{ScgiError, ScgiErrorKind};

use std::ffi::CStr;

use super::params::{Params, check_pair, put_number};
use crate::gateway::header::decimal;

/// A request's head that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScgiHead {
    /// The bytes that it took: where the body begins.
    pub size: usize,
    /// The bytes of the body.
    pub content_length: u64,
}

const CONTENT_LENGTH: &[u8] = b"CONTENT_LENGTH";
const SCGI: &[u8] = b"SCGI";

/// Decodes a request's head from the beginning of `bytes`: `None` when it is not whole. `into` is
/// cleared first; CONTENT_LENGTH and SCGI are put there like all others.
///
/// No more than `limits.head` bytes and the length before them need ever be held.
///
/// # Errors
///
/// The bytes are not SCGI, or exceed `limits`: the connection is of no more use, as where the next
/// request begins cannot be known.
pub fn decode(
    bytes: &[u8],
    limits: &ParamLimits,
    into: &mut Params,
) -> Result<Option<ScgiHead>, ScgiError> {
    into.clear();
    let Some((start, length)) = netstring(bytes, limits.head)? else { return Ok(None) };
    let Some((block, [comma, ..])) = bytes[start..].split_at_checked(length) else {
        return Ok(None);
    };
    let (comma, end) = (*comma, start + block.len());
    if comma != b',' {
        return Err(ScgiError::new(end, ScgiErrorKind::Comma(comma)));
    }
    let mut content_length = None;
    let mut at = start;
    while at < end {
        let (key, value) = header(&bytes[at..end]).map_err(|kind| ScgiError::new(at, kind))?;
        let value_at = at + key.len() + 1;
        if key == CONTENT_LENGTH {
            let found =
                decimal(value).ok_or(ScgiError::new(value_at, ScgiErrorKind::ContentLength))?;
            if *content_length.get_or_insert(found) != found {
                return Err(ScgiError::new(value_at, ScgiErrorKind::ContentLengths));
            }
        } else if content_length.is_none() {
            return Err(ScgiError::new(at, ScgiErrorKind::First));
        }
        into.add(key, value, limits).map_err(|error| ScgiError::new(at, error.into()))?;
        at = value_at + value.len() + 1;
    }
    let content_length = content_length.ok_or(ScgiError::new(end, ScgiErrorKind::First))?;
    if into.get(SCGI) != Some(b"1") {
        return Err(ScgiError::new(end, ScgiErrorKind::Scgi));
    }
    Ok(Some(ScgiHead { size: end + 1, content_length }))
}

/// Puts a request's head onto `into`. CONTENT_LENGTH goes first, as `0` if it is not in `params`;
/// SCGI, if it is not, behind it.
///
/// # Errors
///
/// A key that is empty or has a NUL or `=`, a value with a NUL, a CONTENT_LENGTH that is not a
/// number, an SCGI that is not `1`. Nothing is put then.
pub fn encode(params: &Params, into: &mut Vec<u8>) -> Result<(), ScgiError> {
    let begin = into.len();
    let content_length = params.get(CONTENT_LENGTH).unwrap_or(b"0");
    let scgi = params.get(SCGI).unwrap_or(b"1");
    if decimal(content_length).is_none() {
        return Err(ScgiError::new(begin, ScgiErrorKind::ContentLength));
    }
    if scgi != b"1" {
        return Err(ScgiError::new(begin, ScgiErrorKind::Scgi));
    }
    let first = [(CONTENT_LENGTH, content_length)];
    let second = [(SCGI, scgi)].into_iter().filter(|_| params.get(SCGI).is_none());
    let rest = params.iter().filter(|(key, _)| *key != CONTENT_LENGTH);
    let all = first.into_iter().chain(second).chain(rest);
    let length: usize = all.clone().map(|(key, value)| key.len() + value.len() + 2).sum();
    put_number(into, length as u64);
    into.push(b':');
    into.reserve(length + 1);
    for (key, value) in all {
        if let Err(error) = check_pair(key, value) {
            let at = into.len();
            into.truncate(begin);
            return Err(ScgiError::new(at, error.into()));
        }
        for part in [key, value] {
            into.extend_from_slice(part);
            into.push(0);
        }
    }
    into.push(b',');
    Ok(())
}

/// Returns the start of a netstring's content and its length; `None` before the colon has come.
///
/// <https://cr.yp.to/proto/netstrings.txt>: decimal digits without a zero before others.
fn netstring(bytes: &[u8], most: usize) -> Result<Option<(usize, usize)>, ScgiError> {
    let mut length = 0_usize;
    for (at, &byte) in bytes.iter().enumerate() {
        let digit = match byte {
            b'0'..=b'9' => usize::from(byte - b'0'),
            b':' if at > 0 => return Ok(Some((at + 1, length))),
            _ => return Err(ScgiError::new(at, ScgiErrorKind::Length(byte))),
        };
        if at > 0 && length == 0 {
            return Err(ScgiError::new(0, ScgiErrorKind::LeadingZero));
        }
        let longer = length.checked_mul(10).and_then(|length| length.checked_add(digit));
        length = longer
            .filter(|length| *length <= most)
            .ok_or(ScgiError::new(0, ScgiErrorKind::TooLong { most }))?;
    }
    Ok(None)
}

/// The first header of a block that is not empty.
fn header(block: &[u8]) -> Result<(&[u8], &[u8]), ScgiErrorKind> {
    let string = |bytes| CStr::from_bytes_until_nul(bytes).map_err(|_| ScgiErrorKind::Unterminated);
    let key = string(block)?.to_bytes();
    let value = string(&block[key.len() + 1..])?.to_bytes();
    Ok((key, value))
}
