//! A whole response, and how its body ended.

use std::fmt;

use super::head::{Head, text_values, write_fields};

/// The end of a response's body.
///
/// A time-out is none of these: it is an error, so that a test which demands a broken response is
/// not content with one that hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// Complete by its Content-Length, or a response that has no body (HEAD, 1xx, 204, 304).
    Length,
    /// Complete by its last chunk.
    Chunked,
    /// No length was given: the body ends where the connection was closed. Whether it is complete
    /// cannot be known.
    Close,
    /// Broken off, with the place where that happened.
    Truncated(String),
}

impl BodyEnd {
    /// True if the framing says that the body is complete.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Length | Self::Chunked)
    }

    /// True if the framing says that it is not.
    pub fn is_truncated(&self) -> bool {
        matches!(self, Self::Truncated(_))
    }
}

/// A response as it came over the wire.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The text after it; bytes that are not UTF-8 replaced.
    pub reason: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// Names as sent, values as bytes, in the order of the wire.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body without its framing, as far as it came.
    pub body: Vec<u8>,
    /// The end of the body.
    pub end: BodyEnd,
    /// Trailer fields of a chunked body.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// Statuses of the interim responses (1xx) that came before.
    pub interim: Vec<u16>,
}

impl Response {
    /// Returns the first value of the header `name`, in any case.
    ///
    /// # Panics
    /// Panics when it is not UTF-8: read [`Response::headers`] then.
    pub fn header(&self, name: &str) -> Option<&str> {
        text_values(&self.headers, name).next()
    }

    /// Returns every value of the header `name`, in the order of the wire.
    ///
    /// # Panics
    /// Panics when one is not UTF-8.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        text_values(&self.headers, name).collect()
    }

    /// Returns the first value of the trailer field `name`, in any case.
    ///
    /// # Panics
    /// Panics when it is not UTF-8.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        text_values(&self.trailers, name).next()
    }

    /// Returns the body as text.
    ///
    /// # Panics
    /// Panics when it is not UTF-8.
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("the body is not UTF-8 ({error}): {self:?}"),
        }
    }

    /// True if no other response can follow on the connection.
    pub(crate) fn is_last(&self) -> bool {
        let mut options = text_values(&self.headers, "connection").flat_map(|v| v.split(','));
        options.any(|option| option.trim().eq_ignore_ascii_case("close"))
            || matches!(self.end, BodyEnd::Close | BodyEnd::Truncated(_))
    }

    pub(crate) fn new(
        head: Head,
        body: Vec<u8>,
        end: BodyEnd,
        trailers: Vec<(String, Vec<u8>)>,
    ) -> Self {
        let Head { status, reason, version, headers, interim } = head;
        Self { status, reason, version, headers, body, end, trailers, interim }
    }
}

/// Shows the response as on the wire, its body cut after 2 KiB, for the message of a failed
/// assertion.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 2048;
        if !self.interim.is_empty() {
            writeln!(f, "(after {:?})", self.interim)?;
        }
        writeln!(f, "{} {} {}", self.version, self.status, self.reason)?;
        write_fields(f, &self.headers)?;
        let shown = &self.body[..self.body.len().min(SHOWN)];
        writeln!(f, "\n{}", String::from_utf8_lossy(shown))?;
        if shown.len() < self.body.len() {
            writeln!(f, "... and {} bytes more", self.body.len() - shown.len())?;
        }
        write_fields(f, &self.trailers)?;
        write!(f, "({} bytes, end: {:?})", self.body.len(), self.end)
    }
}
