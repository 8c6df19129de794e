//! GET_VALUES and its answer (4.1): what a process can take.

use super::encode::put_header;
use super::error::{Error, ErrorKind};
use super::header::{HEADER, Header, MAX_CONTENT, PADDING};
use super::kind::Kind;
use super::pairs::{Pairs, put_pair};
use crate::protocol::params::put_number;

/// The capacity of a FastCGI process.
///
/// | variable | what |
/// | --- | --- |
/// | `FCGI_MAX_CONNS` | the connections that it accepts at the same time |
/// | `FCGI_MAX_REQS` | the requests that it serves at the same time |
/// | `FCGI_MPXS_CONNS` | `1` if it takes several requests at the same time over one connection |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// `FCGI_MAX_CONNS`.
    pub max_conns: u32,
    /// `FCGI_MAX_REQS`.
    pub max_reqs: u32,
    /// `FCGI_MPXS_CONNS`.
    pub mpxs_conns: bool,
}

impl Capacity {
    /// The variables that there are.
    pub const NAMES: [&'static str; 3] = ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"];

    const fn value(&self, at: usize) -> u32 {
        match at {
            0 => self.max_conns,
            1 => self.max_reqs,
            _ => self.mpxs_conns as u32,
        }
    }
}

/// Puts a GET_VALUES for these names.
///
/// # Errors
///
/// More names than one record holds: management records are no streams. Nothing is put then.
pub fn put_get_values(out: &mut Vec<u8>, names: &[&str]) -> Result<(), Error> {
    let start = out.len();
    put_header(out, &Header::new(Kind::GET_VALUES, 0, 0));
    for name in names {
        if let Err(error) = put_pair(out, name.as_bytes(), b"") {
            out.truncate(start);
            return Err(error);
        }
    }
    let Ok(length) = u16::try_from(out.len() - start - HEADER) else {
        out.truncate(start);
        let problem = ErrorKind::TooLong { most: MAX_CONTENT };
        return Err(Error::new(start, Some(Kind::GET_VALUES), problem));
    };
    finish(out, start, Kind::GET_VALUES, length);
    Ok(())
}

/// Puts the GET_VALUES_RESULT for what was asked for: the variables that are known, once each,
/// however often they were named.
pub fn put_get_values_result(out: &mut Vec<u8>, asked: Pairs<'_>, capacity: &Capacity) {
    let start = out.len();
    put_header(out, &Header::new(Kind::GET_VALUES_RESULT, 0, 0));
    for (at, name) in Capacity::NAMES.into_iter().enumerate() {
        if asked.get(name.as_bytes()).is_some() {
            let number = capacity.value(at);
            let digits = number.checked_ilog10().unwrap_or(0) as u8 + 1;
            out.extend_from_slice(&[name.len() as u8, digits]);
            out.extend_from_slice(name.as_bytes());
            put_number(out, u64::from(number));
        }
    }
    let length = out.len() - start - HEADER;
    finish(out, start, Kind::GET_VALUES_RESULT, length as u16);
}

/// Writes the header, and pads.
fn finish(out: &mut Vec<u8>, start: usize, kind: Kind, length: u16) {
    let header = Header::padded(kind, 0, length);
    out[start..start + HEADER].copy_from_slice(&header.encode());
    out.extend_from_slice(&PADDING[..usize::from(header.padding_length)]);
}
