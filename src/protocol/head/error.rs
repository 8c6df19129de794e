//! Why a head was refused, or could not be made.

use std::fmt;

/// A violation of RFC 3875.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadError {
    at: usize,
    kind: HeadErrorKind,
}

/// The problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadErrorKind {
    /// More bytes than the limit.
    TooLong {
        /// The limit.
        most: usize,
    },
    /// More fields than the limit.
    TooMany {
        /// The limit.
        most: usize,
    },
    /// A line without a colon.
    Colon,
    /// A name that is not a token: a line that goes on the one before is one.
    Name,
    /// A value with a control character.
    Value,
    /// A Status that is not three digits and perhaps a reason phrase.
    Status,
    /// A status line that is not that of HTTP/1.
    StatusLine,
    /// Content-Type, Location or Status twice.
    Twice,
    /// A head without any of these three.
    NoCgiField,
    /// A Content-Length that is not a number, or two that are not the same.
    ContentLength,
    /// A local redirect with other fields.
    LocalRedirect,
    /// A local redirect to what is not a path.
    LocalPath,
}

impl HeadError {
    pub(super) const fn new(at: usize, kind: HeadErrorKind) -> Self {
        Self { at, kind }
    }

    /// Returns the offset of the problem: mostly the beginning of the line.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Returns the problem.
    #[must_use]
    pub const fn kind(&self) -> HeadErrorKind {
        self.kind
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CGI response, byte {}: ", self.at)?;
        match self.kind {
            HeadErrorKind::TooLong { most } => {
                write!(f, "the head is too long; allowed are {most} bytes")
            }
            HeadErrorKind::TooMany { most } => write!(f, "too many fields; allowed are {most}"),
            HeadErrorKind::Colon => f.write_str("a line without ':'; allowed is name: value"),
            HeadErrorKind::Name => {
                f.write_str("a field's name has to be a token (RFC 9110, 5.6.2) before the ':'")
            }
            HeadErrorKind::Value => f.write_str("a value has to be without control characters"),
            HeadErrorKind::Status => {
                f.write_str("Status has to be a number from 100 to 599 and a reason phrase")
            }
            HeadErrorKind::StatusLine => f.write_str(
                "a status line has to be HTTP/1.0 or HTTP/1.1, a number from 100 to 599 and a \
                 reason phrase",
            ),
            HeadErrorKind::Twice => {
                f.write_str("Content-Type, Location and Status are allowed once (RFC 3875, 6.3)")
            }
            HeadErrorKind::NoCgiField => f.write_str(
                "one of Content-Type, Location and Status has to be there (RFC 3875, 6.3)",
            ),
            HeadErrorKind::ContentLength => {
                f.write_str("Content-Length has to be one number of bytes")
            }
            HeadErrorKind::LocalRedirect => {
                f.write_str("a local redirect has no field but Location (RFC 3875, 6.2.2)")
            }
            HeadErrorKind::LocalPath => {
                f.write_str("a local redirect's path has to begin with '/' (RFC 3875, 6.3.2)")
            }
        }
    }
}

impl std::error::Error for HeadError {}
