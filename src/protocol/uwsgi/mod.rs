//! The uwsgi protocol (<https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html>): a packet of
//! variables, then the request body; the response is that of CGI or HTTP and ends with the
//! connection.
//!
//! | bytes | what (numbers are little-endian) |
//! | --- | --- |
//! | 1 | modifier1: 0 for a request |
//! | 2 | datasize: the bytes behind this header |
//! | 1 | modifier2: 0; not looked at |
//! | datasize | variables: 2 bytes of length and the name, 2 bytes of length and the value |
//!
//! Pure: the driver is `server::uwsgi`.
//!
//! ```
//! use mod_rust::internal::protocol::{params::Params, uwsgi};
//!
//! let mut params = Params::new();
//! params.push(b"CONTENT_LENGTH", b"5");
//! let mut wire = Vec::new();
//! uwsgi::encode(&params, &mut wire)?;
//! assert_eq!(wire, b"\x00\x13\x00\x00\x0e\x00CONTENT_LENGTH\x01\x005");
//!
//! let mut got = Params::new();
//! let head = uwsgi::decode(&wire, &uwsgi::ParamLimits::default(), &mut got)?.expect("it is whole");
//! assert_eq!((head.size, head.content_length), (wire.len(), Some(5)));
//! assert_eq!(got, params);
//! # Ok::<(), uwsgi::UwsgiError>(())
//! ```

mod error;
#[cfg(test)]
mod tests;

pub use super::params::ParamLimits;
pub use error::{UwsgiError, UwsgiErrorKind};

use super::params::{Params, check_pair};
use crate::gateway::header::decimal;

/// A request's head that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UwsgiHead {
    /// The bytes that it took: where the body begins.
    pub size: usize,
    /// The bytes of the body: of the variable CONTENT_LENGTH, if it is there and not empty.
    pub content_length: Option<u64>,
    /// The kind of packet: always [`REQUEST`].
    pub modifier1: u8,
    /// The client's second byte: 0 for a request.
    pub modifier2: u8,
}

/// The bytes before the variables.
pub const HEADER: usize = 4;

/// The modifier1 of a request.
pub const REQUEST: u8 = 0;

const CONTENT_LENGTH: &[u8] = b"CONTENT_LENGTH";

/// Decodes a request's head from the beginning of `bytes`: `None` when it is not whole. `into` is
/// cleared first.
///
/// # Errors
///
/// The bytes are not a request, or exceed `limits`. What is left of a header is enough to say so:
/// no variable is waited for that could not be taken.
pub fn decode(
    bytes: &[u8],
    limits: &ParamLimits,
    into: &mut Params,
) -> Result<Option<UwsgiHead>, UwsgiError> {
    into.clear();
    // Other protocols are told from this one by their first byte.
    if let Some(&modifier1) = bytes.first()
        && modifier1 != REQUEST
    {
        return Err(UwsgiError::new(0, UwsgiErrorKind::Modifier(modifier1)));
    }
    let Some((&[modifier1, low, high, modifier2], rest)) = bytes.split_first_chunk::<HEADER>()
    else {
        return Ok(None);
    };
    let length = usize::from(u16::from_le_bytes([low, high]));
    if length > limits.head {
        return Err(UwsgiError::new(1, UwsgiErrorKind::TooLong { length, most: limits.head }));
    }
    let Some(block) = rest.get(..length) else { return Ok(None) };
    let mut content_length = None;
    let mut at = 0;
    while at < length {
        let (key, key_end) = string(block, at)?;
        let (value, end) = string(block, key_end)?;
        if key == CONTENT_LENGTH && !value.is_empty() {
            let value_at = HEADER + end - value.len();
            let found =
                decimal(value).ok_or(UwsgiError::new(value_at, UwsgiErrorKind::ContentLength))?;
            if *content_length.get_or_insert(found) != found {
                return Err(UwsgiError::new(value_at, UwsgiErrorKind::ContentLengths));
            }
        }
        into.add(key, value, limits).map_err(|error| UwsgiError::new(HEADER + at, error.into()))?;
        at = end;
    }
    Ok(Some(UwsgiHead { size: HEADER + length, content_length, modifier1, modifier2 }))
}

/// Puts a request's head onto `into`.
///
/// # Errors
///
/// A key that is empty or has a NUL or `=`, a value with a NUL; a key, a value or all of them
/// together of more than 65535 bytes. Nothing is put then.
pub fn encode(params: &Params, into: &mut Vec<u8>) -> Result<(), UwsgiError> {
    let begin = into.len();
    into.extend_from_slice(&[REQUEST, 0, 0, 0]);
    for (key, value) in params.iter() {
        let at = into.len();
        let put = check_pair(key, value).map_err(UwsgiErrorKind::from).and_then(|()| {
            put_string(into, key)?;
            put_string(into, value)
        });
        if let Err(kind) = put {
            into.truncate(begin);
            return Err(UwsgiError::new(at, kind));
        }
    }
    let length = into.len() - begin - HEADER;
    let Ok(size) = u16::try_from(length) else {
        into.truncate(begin);
        return Err(UwsgiError::new(begin + 1, UwsgiErrorKind::TooLong { length, most: MOST }));
    };
    into[begin + 1..begin + 3].copy_from_slice(&size.to_le_bytes());
    Ok(())
}

/// The largest length that two bytes can hold.
const MOST: usize = u16::MAX as usize;

/// The string at `at`, and where it ends.
fn string(block: &[u8], at: usize) -> Result<(&[u8], usize), UwsgiError> {
    let Some((length, rest)) = block[at..].split_first_chunk::<2>() else {
        let left = block.len() - at;
        return Err(UwsgiError::new(HEADER + at, UwsgiErrorKind::Truncated { wanted: 2, left }));
    };
    let wanted = usize::from(u16::from_le_bytes(*length));
    match rest.get(..wanted) {
        Some(found) => Ok((found, at + 2 + wanted)),
        None => {
            let kind = UwsgiErrorKind::Truncated { wanted, left: rest.len() };
            Err(UwsgiError::new(HEADER + at + 2, kind))
        }
    }
}

fn put_string(into: &mut Vec<u8>, string: &[u8]) -> Result<(), UwsgiErrorKind> {
    let length = u16::try_from(string.len())
        .map_err(|_| UwsgiErrorKind::TooLong { length: string.len(), most: MOST })?;
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(string);
    Ok(())
}
