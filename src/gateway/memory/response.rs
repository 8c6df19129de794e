//! What an application answered, as the client and the log saw it.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::gateway::code::Level;
use crate::gateway::error::Error;
use crate::gateway::run::Outcome;

/// A recorded response.
#[derive(Debug)]
pub struct Response {
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

impl Response {
    /// The status that the client sees: the application's, or that of the error page; 200 where
    /// [another path](Self::redirect) answers.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The reason phrase, if the application gave its own.
    #[must_use]
    pub fn reason(&self) -> Option<&[u8]> {
        self.reason.as_deref()
    }

    /// The headers in order, Content-Length last. An error page has none.
    #[must_use]
    pub fn headers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.headers
    }

    /// The value of the first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// What was sent of the body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The same as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The sizes of the pieces in which the body came, in bytes.
    #[must_use]
    pub fn writes(&self) -> &[usize] {
        &self.writes
    }

    /// How many bytes of the body had come before each flush.
    #[must_use]
    pub fn flushes(&self) -> &[u64] {
        &self.flushes
    }

    /// The trailer fields.
    #[must_use]
    pub const fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// What was logged.
    #[must_use]
    pub fn log(&self) -> &[(Level, String)] {
        &self.log
    }

    /// How the exchange ended.
    pub const fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Whether the client got a whole response of the application's.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self.outcome, Outcome::Complete)
    }

    /// Whether the response broke off after its head.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        matches!(self.outcome, Outcome::Broken(_))
    }

    /// Why it failed or broke off.
    #[must_use]
    pub const fn error(&self) -> Option<&Error> {
        match &self.outcome {
            Outcome::Failed(error) | Outcome::Broken(error) => Some(error),
            Outcome::Complete | Outcome::Status(_) | Outcome::Redirect(_) => None,
        }
    }

    /// The path that the server was asked to answer with in place of the application.
    #[must_use]
    pub fn redirect(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Redirect(target) => Some(target),
            _ => None,
        }
    }
}
