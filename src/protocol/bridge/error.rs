//! Why a frame was refused, or could not be made.

use std::error::Error;
use std::fmt;

use super::kind::{HEADER, Kind, Peer, VERSION};

/// A frame that breaks the protocol. The connection cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    at: usize,
    frame: Option<Kind>,
    problem: Problem,
}

/// The fault of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// No kind of frame has this number.
    UnknownKind(u8),
    /// A kind that this peer does not send.
    WrongPeer(Peer),
    /// The last two bytes of the header are not zero.
    Reserved(u16),
    /// Flags that this kind does not have.
    Flags(u8),
    /// A payload that is too short or too long for its kind.
    Length {
        /// The length that the header announces.
        found: u32,
        /// The shortest that there is.
        least: u32,
        /// The longest that the limits allow.
        most: u32,
    },
    /// HELLO does not begin with the magic bytes.
    Magic,
    /// HELLO of another version.
    Version(u16),
    /// A field reaches past the end of what holds it.
    Truncated {
        /// The bytes that the field takes.
        wanted: usize,
        /// The bytes that are left.
        left: usize,
    },
    /// Bytes behind the last field.
    Trailing(usize),
    /// A number that is none of those allowed.
    Value {
        /// The meaning of the number.
        what: &'static str,
        /// The number.
        found: u64,
        /// Which there are.
        allowed: &'static str,
    },
    /// Bytes that are not what their place in the frame asks for.
    Bytes {
        /// Their meaning.
        what: &'static str,
        /// The values that they have to have.
        allowed: &'static str,
    },
}

impl FrameError {
    pub(super) const fn new(at: usize, frame: Option<Kind>, problem: Problem) -> Self {
        Self { at, frame, problem }
    }

    /// Returns the offset in the frame, counted from the first byte of its header.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Returns the kind of the frame, if that much is known.
    #[must_use]
    pub const fn frame(&self) -> Option<Kind> {
        self.frame
    }

    /// Returns the problem.
    #[must_use]
    pub const fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.frame {
            Some(kind) => write!(f, "bridge frame {kind}, byte {}: ", self.at)?,
            None => write!(f, "bridge frame, byte {}: ", self.at)?,
        }
        match &self.problem {
            Problem::UnknownKind(number) => {
                write!(f, "kind {number} is unknown; allowed are ")?;
                for (at, kind) in Kind::ALL.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", kind.number())?;
                }
                Ok(())
            }
            Problem::WrongPeer(peer) => {
                write!(f, "sent by {peer}, but only ")?;
                match peer {
                    Peer::Child => write!(f, "{} sends it", Peer::Daemon),
                    Peer::Daemon => write!(f, "{} sends it", Peer::Child),
                }
            }
            Problem::Reserved(found) => write!(f, "reserved bytes are {found:#06x}; allowed is 0"),
            Problem::Flags(found) => {
                let allowed = self.frame.map_or(0, Kind::flags);
                write!(f, "flags are {found:#04x}; allowed are the bits of {allowed:#04x}")
            }
            Problem::Length { found, least, most } => {
                write!(f, "its payload has {found} bytes; allowed are {least} to {most}")
            }
            Problem::Magic => f.write_str("no bridge talks here; it begins with \"mod_rust\""),
            Problem::Version(found) => write!(
                f,
                "the peer speaks version {found} of the bridge; allowed is {VERSION}: httpd and \
                 the daemon process have to run the same module"
            ),
            Problem::Truncated { wanted, left } => {
                write!(f, "a field of {wanted} bytes, but only {left} are left for it")
            }
            Problem::Trailing(left) => write!(f, "{left} bytes behind its last field"),
            Problem::Value { what, found, allowed } => {
                write!(f, "{what} is {found}; allowed is {allowed}")
            }
            Problem::Bytes { what, allowed } => write!(f, "{what} has to be {allowed}"),
        }
    }
}

impl Error for FrameError {}

/// A message that does not fit into a frame. Nothing of it stands in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeError {
    pub(super) frame: Kind,
    pub(super) what: &'static str,
    pub(super) length: usize,
    pub(super) most: usize,
}

impl EncodeError {
    pub(super) const fn payload(frame: Kind, length: usize, most: usize) -> Self {
        Self { frame, what: "its payload", length, most }
    }

    /// Returns the frame that it was to be.
    #[must_use]
    pub const fn frame(&self) -> Kind {
        self.frame
    }

    /// Returns the length that is too much.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frame, what, length, most } = self;
        write!(f, "bridge frame {frame}: {what} has {length} bytes; allowed are {most}")
    }
}

impl Error for EncodeError {}

/// Returns the offset in the frame of the payload's byte `at`.
pub(super) const fn in_frame(at: usize) -> usize {
    HEADER + at
}
