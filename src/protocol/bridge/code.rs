//! Numbers that stand for something: levels, kinds of errors, reasons.

use std::fmt;

use super::error::{FrameError, Problem};
use super::reader::Reader;
use crate::gateway::{ErrorKind, Level};

/// Why a request body does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum InputFailure {
    /// It is larger than the server allows.
    TooLarge = 1,
    /// The client took too long.
    Timeout = 2,
    /// It is malformed, or was cut off.
    Malformed = 3,
    /// The client has gone.
    Gone = 4,
}

impl InputFailure {
    pub(super) const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::TooLarge,
            2 => Self::Timeout,
            3 => Self::Malformed,
            4 => Self::Gone,
            _ => return None,
        })
    }

    /// Returns its number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the error that the application gets.
    #[must_use]
    pub const fn error_kind(self) -> ErrorKind {
        match self {
            Self::TooLarge => ErrorKind::InputTooLarge,
            Self::Timeout => ErrorKind::InputTimeout,
            Self::Malformed => ErrorKind::InputMalformed,
            Self::Gone => ErrorKind::ClientGone,
        }
    }

    /// Returns the code for an error of reading the request body.
    #[must_use]
    pub const fn from_error(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InputTooLarge => Self::TooLarge,
            ErrorKind::InputTimeout => Self::Timeout,
            ErrorKind::ClientGone => Self::Gone,
            _ => Self::Malformed,
        }
    }
}

/// Why a daemon process refuses a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum RefusalReason {
    /// The peer broke the protocol.
    Protocol = 1,
    /// The peer speaks another version of it.
    Version = 2,
    /// The token is not the process group's.
    Token = 3,
    /// The peer's user may not connect, or not do this.
    User = 4,
    /// The process takes no more requests.
    Draining = 5,
    /// There is no such application in this process.
    Application = 6,
    /// It has as many connections as it can hold.
    Full = 7,
}

impl RefusalReason {
    pub(super) const ALLOWED: &str = "1 to 7";

    pub(super) const fn of(number: u16) -> Option<Self> {
        Some(match number {
            1 => Self::Protocol,
            2 => Self::Version,
            3 => Self::Token,
            4 => Self::User,
            5 => Self::Draining,
            6 => Self::Application,
            7 => Self::Full,
            _ => return None,
        })
    }

    /// Returns its number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Returns the reason to refuse a peer for that sent this.
    #[must_use]
    pub const fn of_error(error: &FrameError) -> Self {
        match error.problem() {
            Problem::Version(_) => Self::Version,
            _ => Self::Protocol,
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protocol => "the peer broke the protocol",
            Self::Version => "the peer speaks another version of the protocol",
            Self::Token => "the token is not the process group's",
            Self::User => "the peer's user may not do this",
            Self::Draining => "the process takes no more requests",
            Self::Application => "the process has no such application",
            Self::Full => "the process holds no more connections",
        })
    }
}

/// Returns the number of a level in LOG.
#[must_use]
pub const fn level_code(level: Level) -> u8 {
    match level {
        Level::Error => 1,
        Level::Warn => 2,
        Level::Info => 3,
        Level::Debug => 4,
        Level::Trace => 5,
    }
}

/// Returns the level with this number.
#[must_use]
pub const fn level(number: u8) -> Option<Level> {
    Some(match number {
        1 => Level::Error,
        2 => Level::Warn,
        3 => Level::Info,
        4 => Level::Debug,
        5 => Level::Trace,
        _ => return None,
    })
}

pub(super) const LEVELS: &str = "1 to 5";
pub(super) const ERROR_KINDS: &str = "1 to 18";

/// Returns the number of an error's kind in FAILED.
#[must_use]
pub const fn error_code(kind: ErrorKind) -> u8 {
    match kind {
        // Only an httpd child makes the second.
        ErrorKind::Application | ErrorKind::ProcessEnds => 1,
        ErrorKind::AlreadyStarted => 2,
        ErrorKind::NotStarted => 3,
        ErrorKind::InvalidStatus => 4,
        ErrorKind::InvalidHeader => 5,
        ErrorKind::HopByHop => 6,
        ErrorKind::ContentLength => 7,
        ErrorKind::InputTooLarge => 8,
        ErrorKind::InputTimeout => 9,
        ErrorKind::InputMalformed => 10,
        ErrorKind::ClientGone => 11,
        ErrorKind::Output => 12,
        ErrorKind::Panic => 13,
        ErrorKind::Options => 14,
        ErrorKind::Validation => 15,
        ErrorKind::Resources => 16,
        ErrorKind::QueueTimeout => 17,
        ErrorKind::RequestTimeout => 18,
    }
}

/// Returns the kind of error with this number.
#[must_use]
pub const fn error_kind(number: u8) -> Option<ErrorKind> {
    Some(match number {
        1 => ErrorKind::Application,
        2 => ErrorKind::AlreadyStarted,
        3 => ErrorKind::NotStarted,
        4 => ErrorKind::InvalidStatus,
        5 => ErrorKind::InvalidHeader,
        6 => ErrorKind::HopByHop,
        7 => ErrorKind::ContentLength,
        8 => ErrorKind::InputTooLarge,
        9 => ErrorKind::InputTimeout,
        10 => ErrorKind::InputMalformed,
        11 => ErrorKind::ClientGone,
        12 => ErrorKind::Output,
        13 => ErrorKind::Panic,
        14 => ErrorKind::Options,
        15 => ErrorKind::Validation,
        16 => ErrorKind::Resources,
        17 => ErrorKind::QueueTimeout,
        18 => ErrorKind::RequestTimeout,
        _ => return None,
    })
}

/// The times that parts of a request took in the daemon process, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From the sending of the REQUEST to the call of the application.
    pub queue_us: u64,
    /// From the call of the application to the end of its response.
    pub application_us: u64,
    /// From the call of the application to its head; 0 without one.
    pub first_byte_us: u64,
}

impl Timing {
    /// The bytes of the three numbers.
    pub(super) const SIZE: usize = 24;

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.queue_us.to_le_bytes());
        out.extend_from_slice(&self.application_us.to_le_bytes());
        out.extend_from_slice(&self.first_byte_us.to_le_bytes());
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, FrameError> {
        Ok(Self {
            queue_us: reader.u64()?,
            application_us: reader.u64()?,
            first_byte_us: reader.u64()?,
        })
    }
}
