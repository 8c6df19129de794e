//! Codecs without I/O: bytes in, messages out. Limits are arguments.

pub mod bridge;
