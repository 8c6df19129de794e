//! FastCGI's own variables: GET_VALUES and its answer (4.1), the environment's (3.2), a filter's
//! (6.4).

use std::net::IpAddr;

use super::encode::put_header;
use super::error::{RecordError, RecordErrorKind};
use super::header::{HEADER, MAX_CONTENT, PADDING, RecordHeader};
use super::kind::RecordKind;
use super::pairs::{NameValuePairs, put_pair};
use crate::gateway::header::decimal;
use crate::protocol::params::{Params, put_number};

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
pub fn put_get_values(out: &mut Vec<u8>, names: &[&str]) -> Result<(), RecordError> {
    let start = out.len();
    put_header(out, &RecordHeader::new(RecordKind::GET_VALUES, 0, 0));
    for name in names {
        if let Err(error) = put_pair(out, name.as_bytes(), b"") {
            out.truncate(start);
            return Err(error);
        }
    }
    let Ok(length) = u16::try_from(out.len() - start - HEADER) else {
        out.truncate(start);
        let problem = RecordErrorKind::TooLong { most: MAX_CONTENT };
        return Err(RecordError::new(start, Some(RecordKind::GET_VALUES), problem));
    };
    finish(out, start, RecordKind::GET_VALUES, length);
    Ok(())
}

/// Puts the GET_VALUES_RESULT for what was asked for: the variables that are known, once each,
/// however often they were named.
pub fn put_get_values_result(out: &mut Vec<u8>, asked: NameValuePairs<'_>, capacity: &Capacity) {
    let start = out.len();
    put_header(out, &RecordHeader::new(RecordKind::GET_VALUES_RESULT, 0, 0));
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
    finish(out, start, RecordKind::GET_VALUES_RESULT, length as u16);
}

/// Writes the header, and pads.
fn finish(out: &mut Vec<u8>, start: usize, kind: RecordKind, length: u16) {
    let header = RecordHeader::padded(kind, 0, length);
    out[start..start + HEADER].copy_from_slice(&header.encode());
    out.extend_from_slice(&PADDING[..usize::from(header.padding_length)]);
}

/// The variable in the environment of a FastCGI process that says who may connect (3.2).
pub const WEB_SERVER_ADDRS: &str = "FCGI_WEB_SERVER_ADDRS";

/// Parses the value of [`WEB_SERVER_ADDRS`]. With one, a connection from any other address, and one
/// that is not TCP, is to be closed at once (3.2). IPv6, which the specification does not have, is
/// taken too; white space around an address is not looked at.
///
/// # Errors
///
/// The text is not a list of addresses with commas between them.
pub fn parse_web_server_addrs(value: &str) -> Result<Vec<IpAddr>, RecordError> {
    let mut at = 0;
    let mut found = Vec::new();
    for address in value.split(',') {
        let allowed = "IP addresses with commas between them";
        let problem = RecordErrorKind::Variable { name: WEB_SERVER_ADDRS, allowed };
        found.push(address.trim().parse().map_err(|_| RecordError::new(at, None, problem))?);
        at += address.len() + 1;
    }
    Ok(found)
}

/// The facts of a filter's file (6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterData {
    /// FCGI_DATA_LENGTH: the bytes of the file. No more come over DATA; fewer if something is
    /// amiss.
    pub length: u64,
    /// FCGI_DATA_LAST_MOD: when it was last modified, in seconds since 1970.
    pub last_modified: u64,
}

impl FilterData {
    /// Reads the variables of a filter's request.
    ///
    /// # Errors
    ///
    /// One of them is not there, or no number.
    pub fn of(params: &Params) -> Result<Self, RecordError> {
        let get = |name: &'static str| {
            let allowed = "a number, for a filter";
            let problem = RecordErrorKind::Variable { name, allowed };
            params.get(name.as_bytes()).and_then(decimal).ok_or(RecordError::new(0, None, problem))
        };
        Ok(Self { length: get("FCGI_DATA_LENGTH")?, last_modified: get("FCGI_DATA_LAST_MOD")? })
    }
}
