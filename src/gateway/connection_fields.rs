//! The fields of a service's response that describe a connection. A server makes its own.

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};

use super::code::Level;
use super::exchange::Exchange;
use super::header;

/// Removes the fields that describe a connection, as HTTP servers do (RFC 9110, 7.6.1). A service
/// that hands on the response of another server has them. One debug line names them.
#[inline]
pub(super) fn drop(headers: &mut HeaderMap, exchange: &dyn Exchange) {
    if headers.keys().any(|name| is_of_connection(name.as_str().as_bytes())) {
        remove(headers, exchange);
    }
}

/// Tells whether the server makes the field of this name by itself. `Status` is CGI's status line.
fn is_of_connection(name: &[u8]) -> bool {
    header::is_hop_by_hop(name) || name == b"status"
}

#[cold]
fn remove(headers: &mut HeaderMap, exchange: &dyn Exchange) {
    // Connection names further fields of the connection.
    let listed: Vec<_> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    let own = headers.keys().filter(|name| is_of_connection(name.as_str().as_bytes())).cloned();
    let mut removed: Vec<_> = own.collect();
    removed.extend(listed.into_iter().filter(|name| headers.contains_key(name)));
    removed.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    removed.dedup();
    for name in &removed {
        headers.remove(name);
    }
    let names: Vec<_> = removed.iter().map(HeaderName::as_str).collect();
    let line = format!(
        "response fields of the connection were left out: {} (RFC 9110, 7.6.1)",
        names.join(", ")
    );
    exchange.log(Level::Debug, &line);
}
