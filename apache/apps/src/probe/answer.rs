//! The responses of the probe's handlers.

use mod_rust::{Body, Error, Result, StartResponse};
use serde::Serialize;

/// A result of a handler.
pub(super) type Answer<'x> = Result<Body<'x>, Refusal>;

/// Why a handler gives no answer of its own.
pub(super) enum Refusal {
    /// The request asks for what there is not: a status, and what is wrong and what allowed.
    Answer(u16, String),
    /// The server answers.
    Error(Error),
}

impl Refusal {
    /// 400, with what is wrong and what is allowed.
    pub(super) fn bad_request(reason: impl Into<String>) -> Self {
        Self::Answer(400, reason.into())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

pub(super) const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");
pub(super) const JSON: (&str, &str) = ("Content-Type", "application/json");
pub(super) const BINARY: (&str, &str) = ("Content-Type", "application/octet-stream");
/// The probe's responses are about one request, so no cache may store them.
pub(super) const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");

/// A short text, its line end included.
pub(super) fn text<'x>(
    start_response: &StartResponse<'_>,
    status: u16,
    text: impl Into<Body<'x>>,
) -> Result<Body<'x>> {
    start_response.start(status, [TEXT, NO_STORE])?;
    Ok(text.into())
}

/// `value` as JSON, laid out for people.
pub(super) fn json<'x>(
    start_response: &StartResponse<'_>,
    value: &impl Serialize,
) -> Result<Body<'x>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(Error::from_source)?;
    text.push(b'\n');
    start_response.start(200, [JSON, NO_STORE])?;
    Ok(Body::from(text))
}
