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
    /// A packet that is no request.
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
    /// A CONTENT_LENGTH that is no number, or none below 2^64.
    ContentLength,
    /// CONTENT_LENGTH comes twice and is not the same.
    ContentLengths,
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
        write!(f, "uwsgi packet, byte {}: ", self.at)?;
        match self.kind {
            ErrorKind::Modifier(found) => {
                write!(f, "modifier1 is {found}; allowed is 0, a request")
            }
            ErrorKind::TooLong { length, most } => {
                write!(f, "a length of {length} bytes; allowed are {most}")
            }
            ErrorKind::Truncated { wanted, left } => write!(
                f,
                "a string or its length of {wanted} bytes, but only {left} are left in the packet"
            ),
            ErrorKind::ContentLength => {
                f.write_str("CONTENT_LENGTH has to be a number of bytes, or empty")
            }
            ErrorKind::ContentLengths => f.write_str("two CONTENT_LENGTH that are not the same"),
            ErrorKind::Pair(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
