//! Why a head was refused, or could not be made.

use std::fmt;

use crate::protocol::error::{ErrorAt, MessageErrorKind};
use crate::protocol::params::PairError;

/// A violation of the protocol.
pub type ScgiError = ErrorAt<ScgiErrorKind>;

/// The problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScgiErrorKind {
    /// A byte in the netstring's length that is not a digit, nor the colon behind one.
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
    /// A CONTENT_LENGTH that is not a number, or none below 2^64.
    ContentLength,
    /// CONTENT_LENGTH comes twice and is not the same.
    ContentLengths,
    /// No SCGI, or one that is not `1`.
    Scgi,
    /// A variable that is refused.
    Pair(PairError),
}

impl From<PairError> for ScgiErrorKind {
    fn from(error: PairError) -> Self {
        Self::Pair(error)
    }
}

impl MessageErrorKind for ScgiErrorKind {
    const MESSAGE: &'static str = "SCGI head";
}

impl fmt::Display for ScgiErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length(found) => write!(
                f,
                "'{}' in the netstring's length; allowed are digits and a ':' behind them",
                found.escape_ascii()
            ),
            Self::LeadingZero => {
                f.write_str("the netstring's length begins with 0; allowed is no zero before it")
            }
            Self::TooLong { most } => {
                write!(f, "the netstring is too long; allowed are {most} bytes")
            }
            Self::Comma(found) => {
                write!(f, "'{}' behind the netstring; allowed is ','", found.escape_ascii())
            }
            Self::Unterminated => {
                f.write_str("a header ends without the NUL that has to stand behind name and value")
            }
            Self::First => f.write_str("the first header has to be CONTENT_LENGTH"),
            Self::ContentLength => {
                f.write_str("CONTENT_LENGTH has to be a number of bytes, 0 if there is no body")
            }
            Self::ContentLengths => f.write_str("two CONTENT_LENGTH that are not the same"),
            Self::Scgi => f.write_str("there has to be a header SCGI with the value 1"),
            Self::Pair(error) => error.fmt(f),
        }
    }
}
