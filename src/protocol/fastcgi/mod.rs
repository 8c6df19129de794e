//! FastCGI 1.0 (Mark R. Brown, Open Market, 29 April 1996), whole: both sides of every record, the
//! three roles, and the environment variables of a FastCGI process.
//!
//! A connection carries [records](RecordHeader): eight bytes, up to 65535 of content, up to 255 of
//! padding. Records of request id 0 are about the process (section 4), others belong to a request.
//! [`split`] takes a record from the front of a buffer and [`Record::message`] says what it is; a
//! driver that will not hold a whole record takes the [`RecordHeader`] and the content as it comes.
//! [`ParamsReader`] makes [`Params`](super::params::Params) of the PARAMS stream, whose pairs may
//! span records, and [`RequestFlow`] says what may come when. Output is appended to a
//! caller's `Vec`.
//!
//! Pure: the driver is `server::fastcgi`.
//!
//! ```
//! use mod_rust::internal::protocol::fastcgi::{self as fcgi, RecordContent, ParamsReader, Role};
//! use mod_rust::internal::protocol::params::Params;
//!
//! let mut wire = Vec::new();
//! fcgi::put_begin(&mut wire, 1, Role::RESPONDER, true);
//! let mut params = Params::new();
//! params.push(b"REQUEST_METHOD", b"GET");
//! fcgi::put_params(&mut wire, 1, &params)?;
//! fcgi::put_stream_end(&mut wire, fcgi::RecordKind::STDIN, 1);
//!
//! let (mut rest, mut reader, mut got) = (&wire[..], ParamsReader::new(), Params::new());
//! let limits = fcgi::ParamLimits::default();
//! while let Some(record) = fcgi::split(rest)? {
//!     match record.message()? {
//!         RecordContent::Begin(id, begin) => assert_eq!((id, begin.role), (1, Role::RESPONDER)),
//!         RecordContent::Params(_, []) => reader.finish()?,
//!         RecordContent::Params(_, piece) => reader.feed(piece, &mut got, &limits)?,
//!         RecordContent::Stdin(_, body) => assert_eq!(body, b""),
//!         other => panic!("{other:?}"),
//!     }
//!     rest = &rest[record.size()..];
//! }
//! assert_eq!(got, params);
//! # Ok::<(), fcgi::RecordError>(())
//! ```

mod encode;
mod error;
mod flow;
mod header;
mod kind;
mod pairs;
mod params;
mod record;
#[cfg(test)]
mod tests;
mod values;

pub use super::params::ParamLimits;
pub use encode::{
    OpenRecord, put_abort, put_begin, put_end, put_header, put_params, put_stream, put_stream_end,
    put_unknown_type,
};
pub use error::{RecordError, RecordErrorKind};
pub use flow::{RequestFlow, Step};
pub use header::{HEADER, MAX_CONTENT, MAX_RECORD, PADDING, RecordHeader};
pub use kind::{ProtocolStatus, RecordKind, Role, VERSION};
pub use pairs::{NameValueIter, NameValuePairs, put_pair};
pub use params::ParamsReader;
pub use record::{BeginRequest, EndRequest, KEEP_CONN, Record, RecordContent, split};
pub use values::{
    Capacity, FilterData, WEB_SERVER_ADDRS, parse_web_server_addrs, put_get_values,
    put_get_values_result,
};
