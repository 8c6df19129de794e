//! Codecs without I/O: bytes in, messages out. Limits are arguments.

pub mod bridge;
pub mod error;
pub mod fastcgi;
pub mod head;
pub mod params;
pub mod scgi;
pub mod uwsgi;
