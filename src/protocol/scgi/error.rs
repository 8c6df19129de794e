//! Why a head was refused, or could not be made.

use std::fmt;

use crate::protocol::params::PairError;

/// What breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    at: usize,
    kind: ErrorKind,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A byte in the netstring's length that is no digit, nor the colon behind one.
    Length(u8),
    /// A length with a zero before other digits.
    LeadingZero,
    /// A head that is longer than the limit.
    TooLong {
        /// The limit.
        most: usize,
    },
    /// Another byte where the netstring's comma has to be.
    Comma(u8),
    /// A name or value without the NUL that ends it.
    Unterminated,
    /// CONTENT_LENGTH does not come first.
    First,
    /// A CONTENT_LENGTH that is no number, or none below 2^64.
    ContentLength,
    /// CONTENT_LENGTH comes twice and is not the same.
    ContentLengths,
    /// No SCGI, or one that is not `1`.
    Scgi,
    /// A variable that is refused.
    Pair(PairError),
}

impl Error {
    pub(super) const fn new(at: usize, kind: ErrorKind) -> Self {
        Self { at, kind }
    }

    /// Where in the bytes it is. For what could not be encoded: where it would have been.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<PairError> for ErrorKind {
    fn from(error: PairError) -> Self {
        Self::Pair(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SCGI head, byte {}: ", self.at)?;
        match self.kind {
            ErrorKind::Length(found) => write!(
                f,
                "'{}' in the netstring's length; allowed are digits and a ':' behind them",
                found.escape_ascii()
            ),
            ErrorKind::LeadingZero => {
                f.write_str("the netstring's length begins with 0; allowed is no zero before it")
            }
            ErrorKind::TooLong { most } => {
                write!(f, "the netstring is too long; allowed are {most} bytes")
            }
            ErrorKind::Comma(found) => {
                write!(f, "'{}' behind the netstring; allowed is ','", found.escape_ascii())
            }
            ErrorKind::Unterminated => {
                f.write_str("a header ends without the NUL that has to stand behind name and value")
            }
            ErrorKind::First => f.write_str("the first header has to be CONTENT_LENGTH"),
            ErrorKind::ContentLength => {
                f.write_str("CONTENT_LENGTH has to be a number of bytes, 0 if there is no body")
            }
            ErrorKind::ContentLengths => f.write_str("two CONTENT_LENGTH that are not the same"),
            ErrorKind::Scgi => f.write_str("there has to be a header SCGI with the value 1"),
            ErrorKind::Pair(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
