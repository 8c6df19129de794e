//! FastCGI 1.0: responder, authorizer and filter, several requests at once over one connection. The
//! engine runs it; the codec is [`protocol::fastcgi`](crate::protocol::fastcgi).
//!
//! Whoever has claimed a connection reads its records. A request whose input has all come is run
//! after the claim was given back, so that other threads read what follows: other requests, an
//! ABORT_REQUEST, the end. A request whose input is still on its way is run under the claim, and reads
//! its connection itself; what it finds of other requests goes into their inboxes, or to another
//! thread. FastCGI has no flow control for a request: an input that nobody reads delays what stands
//! behind it once its inbox is full.
//!
//! An application knows its role by `FCGI_ROLE` in the environ, where the web server says it, and by
//! what it was mounted for. A filter reads the request body and, behind it, the `FCGI_DATA_LENGTH`
//! bytes of the file that it filters.
//!
//! A response that breaks off ends without END_REQUEST, with a record that is no FastCGI and with the
//! connection, reset where that is possible: no END_REQUEST is what lighttpd and mod_proxy_fcgi take for
//! broken, the other two are what nginx does. If other requests run on it, it is closed after them.
#![cfg(target_os = "linux")]

mod attend;
mod desk;
mod input;
mod records;
mod response;
mod run;
#[cfg(test)]
mod tests;
mod traffic;

pub(super) use self::attend::attend;
pub(super) use self::desk::Desk;
pub(super) use self::records::{Piece, Scan};
pub(super) use self::traffic::Traffic;
