//! The program's side.

use http::StatusCode;

use super::error::{HeadError, HeadErrorKind};
use crate::gateway::header;
use crate::protocol::params::put_number;

/// Puts the CGI field Status (6.3.3). Without a reason the usual one goes, if the status has one.
///
/// Values from an application was checked by the gateway: a reason and a value hold no control
/// characters, a name is a token.
pub fn write_status(into: &mut Vec<u8>, code: StatusCode, reason: Option<&[u8]>) {
    into.extend_from_slice(b"Status: ");
    put_code(into, code, reason);
}

/// Puts the status line of HTTP/1.1: for NPH programs, and for what speaks uwsgi to
/// mod_proxy_uwsgi, which wants it in the place of Status.
pub fn write_status_line(into: &mut Vec<u8>, code: StatusCode, reason: Option<&[u8]>) {
    into.extend_from_slice(b"HTTP/1.1 ");
    put_code(into, code, reason);
}

fn put_code(into: &mut Vec<u8>, code: StatusCode, reason: Option<&[u8]>) {
    let reason = reason.unwrap_or_else(|| code.canonical_reason().unwrap_or_default().as_bytes());
    debug_assert!(header::is_value(reason), "a reason phrase that was not checked");
    into.extend_from_slice(code.as_str().as_bytes());
    into.push(b' ');
    into.extend_from_slice(reason);
    into.extend_from_slice(b"\r\n");
}

/// Puts a field.
pub fn write_header(into: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(header::is_token(name) && header::is_value(value), "a header was not checked");
    into.reserve(name.len() + value.len() + 4);
    into.extend_from_slice(name);
    into.extend_from_slice(b": ");
    into.extend_from_slice(value);
    into.extend_from_slice(b"\r\n");
}

/// Puts a Content-Length.
pub fn write_length(into: &mut Vec<u8>, length: u64) {
    into.extend_from_slice(b"Content-Length: ");
    put_number(into, length);
    into.extend_from_slice(b"\r\n");
}

/// Puts the empty line that ends a head.
pub fn write_end(into: &mut Vec<u8>) {
    into.extend_from_slice(b"\r\n");
}

/// Puts a whole head: a local redirect (6.2.2) to a path of the same web server, with its query if
/// it has one.
///
/// # Errors
///
/// A path that does not begin with `/`, or with a control character. Nothing is put then.
pub fn write_local_redirect(into: &mut Vec<u8>, path: &[u8]) -> Result<(), HeadError> {
    if path.first() != Some(&b'/') {
        return Err(HeadError::new(0, HeadErrorKind::LocalPath));
    }
    if !header::is_value(path) {
        return Err(HeadError::new(0, HeadErrorKind::Value));
    }
    write_header(into, b"Location", path);
    write_end(into);
    Ok(())
}

/// The prefix of those fields of an authorizer's response that are variables for the request
/// (FastCGI 1.0, 6.3).
pub const VARIABLE: &[u8] = b"Variable-";

/// Puts a variable of an authorizer's response: the web server gives it to whatever serves the
/// request that was allowed.
///
/// # Errors
///
/// A name that is not a token, a value with a control character. Nothing is put then.
pub fn write_variable(into: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
    if !header::is_token(name) {
        return Err(HeadError::new(VARIABLE.len(), HeadErrorKind::Name));
    }
    if !header::is_value(value) {
        return Err(HeadError::new(VARIABLE.len() + name.len() + 2, HeadErrorKind::Value));
    }
    into.extend_from_slice(VARIABLE);
    write_header(into, name, value);
    Ok(())
}
