//! The variables that belong to FastCGI itself.

use std::net::IpAddr;

use super::error::{Error, ErrorKind};
use crate::gateway::header::decimal;
use crate::protocol::params::Params;

/// The variable in the environment of a FastCGI process that says who may connect (3.2).
pub const WEB_SERVER_ADDRS: &str = "FCGI_WEB_SERVER_ADDRS";

/// Parses the value of [`WEB_SERVER_ADDRS`]. With one, a connection from any other address, and one
/// that is not TCP, is to be closed at once (3.2). IPv6, which the specification does not have, is
/// taken too; white space around an address is not looked at.
///
/// # Errors
///
/// The text is not a list of addresses with commas between them.
pub fn parse_web_server_addrs(value: &str) -> Result<Vec<IpAddr>, Error> {
    let mut at = 0;
    let mut found = Vec::new();
    for address in value.split(',') {
        let allowed = "IP addresses with commas between them";
        let problem = ErrorKind::Variable { name: WEB_SERVER_ADDRS, allowed };
        found.push(address.trim().parse().map_err(|_| Error::new(at, None, problem))?);
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
    pub fn of(params: &Params) -> Result<Self, Error> {
        let get = |name: &'static str| {
            let allowed = "a number, for a filter";
            let problem = ErrorKind::Variable { name, allowed };
            params.get(name.as_bytes()).and_then(decimal).ok_or(Error::new(0, None, problem))
        };
        Ok(Self { length: get("FCGI_DATA_LENGTH")?, last_modified: get("FCGI_DATA_LAST_MOD")? })
    }
}
