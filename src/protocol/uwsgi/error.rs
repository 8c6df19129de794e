//! Why a head was refused, or could not be made.

use std::fmt;

use crate::protocol::error::{ErrorAt, MessageErrorKind};
use crate::protocol::params::PairError;

/// A violation of the protocol.
pub type UwsgiError = ErrorAt<UwsgiErrorKind>;

/// The problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UwsgiErrorKind {
    /// A packet that is not a request.
    Modifier(u8),
    /// A block of variables, a name or a value that is longer than may be.
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        most: usize,
    },
    /// A length or a string that reaches past the end of the block.
    Truncated {
        /// The bytes that it takes.
        wanted: usize,
        /// The bytes that are left.
        left: usize,
    },
    /// A CONTENT_LENGTH that is not a number, or none below 2^64.
    ContentLength,
    /// CONTENT_LENGTH comes twice and is not the same.
    ContentLengths,
    /// A variable that is refused.
    Pair(PairError),
}

impl From<PairError> for UwsgiErrorKind {
    fn from(error: PairError) -> Self {
        Self::Pair(error)
    }
}

impl MessageErrorKind for UwsgiErrorKind {
    const MESSAGE: &'static str = "uwsgi packet";
}

impl fmt::Display for UwsgiErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Modifier(found) => {
                write!(f, "modifier1 is {found}; allowed is 0, a request")
            }
            Self::TooLong { length, most } => {
                write!(f, "a length of {length} bytes; allowed are {most}")
            }
            Self::Truncated { wanted, left } => write!(
                f,
                "a string or its length of {wanted} bytes, but only {left} are left in the packet"
            ),
            Self::ContentLength => {
                f.write_str("CONTENT_LENGTH has to be a number of bytes, or empty")
            }
            Self::ContentLengths => f.write_str("two CONTENT_LENGTH that are not the same"),
            Self::Pair(error) => error.fmt(f),
        }
    }
}
