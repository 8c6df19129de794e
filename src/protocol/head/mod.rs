//! The head of a CGI response (RFC 3875, section 6), which SCGI, FastCGI and uwsgi have too.
//!
//! Written line by line, and parsed as a web server does, though more strictly: for tests, fuzzers
//! and the benchmark. Pure.
//!
//! | RFC 3875 | response | what it begins with |
//! | --- | --- | --- |
//! | 6.2.1 | document | `Status: 200 OK`, `Content-Type: …`, other fields |
//! | 6.2.2 | local redirect | `Location: /path?query` alone: the web server serves that path in its place |
//! | 6.2.3, 6.2.4 | client redirect | `Location: http://…`, `Status: 302 Found` if there is a body |
//! | 5 | NPH | `HTTP/1.1 200 OK`: the whole HTTP response is the program's own |
//!
//! ```
//! use http::StatusCode;
//! use mod_rust::internal::protocol::head;
//!
//! let mut out = Vec::new();
//! head::write_status(&mut out, StatusCode::OK, None);
//! head::write_header(&mut out, b"Content-Type", b"text/plain");
//! head::write_length(&mut out, 3);
//! head::write_end(&mut out);
//! assert_eq!(out, b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n");
//!
//! let (head, size) = head::parse(&out, &head::ParamLimits::default())?.expect("it is whole");
//! assert_eq!((head.code(), head.content_length(), size), (200, Some(3), out.len()));
//! # Ok::<(), head::HeadError>(())
//! ```

mod error;
mod parse;
#[cfg(test)]
mod tests;
mod write;

pub use super::params::ParamLimits;
pub use error::{HeadError, HeadErrorKind};
pub use parse::{CgiHead, Headers, ResponseKind, parse};
pub use write::{
    VARIABLE, write_end, write_header, write_length, write_local_redirect, write_status,
    write_status_line, write_variable,
};
