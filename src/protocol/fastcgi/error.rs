//! Why bytes were refused, or could not be made.

use std::fmt;

use super::kind::{RecordKind, VERSION};
use crate::protocol::params::PairError;

/// A violation of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordError {
    at: usize,
    record: Option<RecordKind>,
    kind: RecordErrorKind,
}

/// The problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordErrorKind {
    /// Another version of the protocol, or another protocol.
    Version(u8),
    /// A management record with a request id, or another without one.
    RequestId(u16),
    /// A record whose length is fixed with another length.
    ContentLength {
        /// The length in its header.
        found: u16,
        /// The length that there is.
        allowed: u16,
    },
    /// A name-value pair that reaches past the end of its stream or record.
    Truncated {
        /// The bytes that it takes, as far as they are known.
        wanted: usize,
        /// The bytes that are there.
        left: usize,
    },
    /// More bytes of name-value pairs than the limit.
    TooLong {
        /// The limit.
        most: usize,
    },
    /// A name or value of 2 GiB or more, which cannot be sent.
    Length(usize),
    /// A variable that is refused.
    Pair(PairError),
    /// A record that cannot come now.
    Unexpected {
        /// The fault.
        allowed: &'static str,
    },
    /// A variable that has to be there, and has to be what `allowed` says.
    Variable {
        /// Its name.
        name: &'static str,
        /// The value that it has to have.
        allowed: &'static str,
    },
}

impl RecordError {
    pub(super) const fn new(at: usize, record: Option<RecordKind>, kind: RecordErrorKind) -> Self {
        Self { at, record, kind }
    }

    /// Returns the offset: in a record, counted from its header; in the PARAMS stream, counted from
    /// its beginning over all records.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Returns the type of the record, if that much is known.
    #[must_use]
    pub const fn record(&self) -> Option<RecordKind> {
        self.record
    }

    /// Returns the problem.
    #[must_use]
    pub const fn kind(&self) -> RecordErrorKind {
        self.kind
    }
}

impl From<PairError> for RecordErrorKind {
    fn from(error: PairError) -> Self {
        Self::Pair(error)
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let RecordErrorKind::Variable { name, allowed } = self.kind {
            return write!(f, "FastCGI: {name} has to be {allowed}");
        }
        match self.record {
            Some(record) => write!(f, "FastCGI {record}, byte {}: ", self.at)?,
            None => write!(f, "FastCGI record, byte {}: ", self.at)?,
        }
        match self.kind {
            RecordErrorKind::Version(found) => write!(f, "version {found}; allowed is {VERSION}"),
            RecordErrorKind::RequestId(0) => f.write_str("request id 0; allowed are 1 to 65535"),
            RecordErrorKind::RequestId(found) => write!(f, "request id {found}; allowed is 0"),
            RecordErrorKind::ContentLength { found, allowed } => {
                write!(f, "{found} bytes of content; allowed are {allowed}")
            }
            RecordErrorKind::Truncated { wanted, left } => {
                write!(f, "a name-value pair of {wanted} bytes or more, but only {left} are there")
            }
            RecordErrorKind::TooLong { most } => {
                write!(f, "too many bytes of name-value pairs; allowed are {most}")
            }
            RecordErrorKind::Length(found) => {
                write!(f, "a name or value of {found} bytes; allowed are {}", i32::MAX)
            }
            RecordErrorKind::Pair(error) => error.fmt(f),
            RecordErrorKind::Unexpected { allowed } => {
                write!(f, "it cannot come now; {allowed} can")
            }
            RecordErrorKind::Variable { .. } => Ok(()), // shown above
        }
    }
}

impl std::error::Error for RecordError {}
