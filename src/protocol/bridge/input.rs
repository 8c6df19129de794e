//! Frames of the httpd child about a request body, and CONTROL.

use super::code::InputFailure;
use super::encode::put_text;
use super::error::EncodeError;
use super::frame::{Limits, put_header};
use super::kind::Kind;

/// Puts the header of an INPUT of `length` bytes, at least one, which the caller sends behind it.
pub fn put_input(out: &mut Vec<u8>, length: u32) {
    debug_assert!(length > 0, "an INPUT has at least one byte");
    put_header(out, Kind::Input, 0, length);
}

/// Puts an INPUT_END without trailers. With trailers:
/// [`FieldsEncoder::input_end`](super::FieldsEncoder::input_end).
pub fn put_input_end(out: &mut Vec<u8>) {
    put_header(out, Kind::InputEnd, 0, 4);
    out.extend_from_slice(&[0; 4]);
}

/// Puts an INPUT_FAILED.
pub fn put_input_failed(out: &mut Vec<u8>, failure: InputFailure) {
    put_header(out, Kind::InputFailed, 0, 1);
    out.push(failure.number());
}

/// Puts an INPUT_STOP.
pub fn put_input_stop(out: &mut Vec<u8>) {
    put_header(out, Kind::InputStop, 0, 0);
}

/// Puts a CONTROL.
///
/// # Errors
///
/// When it is longer than `limits` allow.
pub fn put_control(
    out: &mut Vec<u8>,
    command: &str,
    limits: &Limits,
) -> Result<usize, EncodeError> {
    put_text(out, Kind::Control, command, limits)
}
