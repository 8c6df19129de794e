//! Why no response could be read.

use std::{fmt, io};

/// The class of a [`ClientError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientErrorKind {
    /// The connection was closed or reset before the first byte of a response.
    Closed,
    /// The connection was closed or reset within the head.
    Truncated,
    /// The server sent something other than HTTP/1.x.
    Malformed,
    /// Nothing came, or nothing was taken, for the connection's time-out.
    Timeout,
    /// Any other failure of the socket.
    Io,
}

/// A response that could not be read.
///
/// A body that breaks off is none: that is [`BodyEnd::Truncated`](crate::BodyEnd::Truncated).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    kind: ClientErrorKind,
    message: String,
}

impl ClientError {
    /// Returns the kind of the error, for a test to decide on.
    pub fn kind(&self) -> ClientErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ClientErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(ClientErrorKind::Malformed, message)
    }

    /// `doing` failed with `error`.
    pub(crate) fn io(doing: &str, error: &io::Error) -> Self {
        let kind = match error.kind() {
            // A socket with a time-out answers WouldBlock.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientErrorKind::Timeout,
            kind if is_close(kind) => ClientErrorKind::Closed,
            _ => ClientErrorKind::Io,
        };
        let message = if kind == ClientErrorKind::Timeout {
            format!("time-out while {doing}")
        } else {
            format!("{error} while {doing}")
        };
        Self { kind, message }
    }
}

/// True for the errors by which a socket says that the other side has gone.
pub(crate) fn is_close(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ClientError {}
