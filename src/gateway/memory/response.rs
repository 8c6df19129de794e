//! The recorded response of an application, and its log.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::gateway::code::Level;
use crate::gateway::error::Error;
use crate::gateway::run::Outcome;

/// The recorded response to a [`TestRequest`](super::TestRequest).
#[derive(Debug)]
pub struct TestResponse {
    pub(super) status: StatusCode,
    pub(super) reason: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) body: Bytes,
    pub(super) writes: Vec<usize>,
    pub(super) flushes: Vec<u64>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) log: Vec<(Level, String)>,
    pub(super) outcome: Outcome,
}

impl TestResponse {
    /// Returns the status that the client sees: the application's or the error page's. For an
    /// [internal redirect](Self::redirect) it is 200.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the reason phrase, if the application gave its own.
    #[must_use]
    pub fn reason(&self) -> Option<&[u8]> {
        self.reason.as_deref()
    }

    /// Returns the headers in order, Content-Length last. An error page has none.
    #[must_use]
    pub fn headers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.headers
    }

    /// Returns the value of the first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// Returns the sent bytes of the body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the sent bytes as text. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Returns the sizes of the pieces of the body, in bytes.
    #[must_use]
    pub fn writes(&self) -> &[usize] {
        &self.writes
    }

    /// Returns the number of body bytes before each flush.
    #[must_use]
    pub fn flushes(&self) -> &[u64] {
        &self.flushes
    }

    /// Returns the trailer fields.
    #[must_use]
    pub const fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// Returns the log records.
    #[must_use]
    pub fn log(&self) -> &[(Level, String)] {
        &self.log
    }

    /// Tells whether the client got a complete response of the application.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self.outcome, Outcome::Complete)
    }

    /// Tells whether the response broke off after its head.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        matches!(self.outcome, Outcome::Broken(_))
    }

    /// Returns the error that made the exchange fail or the response break off.
    #[must_use]
    pub const fn error(&self) -> Option<&Error> {
        match &self.outcome {
            Outcome::Failed(error) | Outcome::Broken(error) => Some(error),
            Outcome::Complete | Outcome::Status(_) | Outcome::Redirect(_) => None,
        }
    }

    /// Returns the path of an internal redirect.
    #[must_use]
    pub fn redirect(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Redirect(target) => Some(target),
            _ => None,
        }
    }
}
