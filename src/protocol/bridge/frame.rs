//! The header of a frame, and whole frames out of a buffer.

use super::error::{FrameError, Problem};
use super::kind::{HEADER, HELLO, Kind, Peer};

/// The limits of payload lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// REQUEST, HEAD, SWITCH, STATUS, REDIRECT, INPUT_END, END and REPLY.
    pub head: u32,
    /// INPUT and BODY.
    pub data: u32,
    /// LOG and FAILED.
    pub log: u32,
    /// CONTROL and REFUSED.
    pub control: u32,
}

impl Default for FrameLimits {
    /// 1 MiB, 256 KiB, 64 KiB and 4 KiB.
    fn default() -> Self {
        Self { head: 1 << 20, data: 256 << 10, log: 64 << 10, control: 4 << 10 }
    }
}

impl FrameLimits {
    /// Returns the shortest and the longest payload of a frame of `kind`.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> (u32, u32) {
        match kind {
            Kind::Hello => (HELLO as u32, HELLO as u32),
            Kind::Request => (60, self.head),
            Kind::Input => (1, self.data),
            Kind::InputEnd => (4, self.head),
            Kind::InputFailed => (1, 1),
            Kind::InputStop | Kind::Continue => (0, 0),
            Kind::Head => (18, self.head),
            Kind::Switch => (4, self.head),
            Kind::Body => (0, self.data),
            Kind::File => (16, 16),
            Kind::End => (28, self.head),
            Kind::Status => (30, self.head),
            Kind::Redirect => (28, self.head),
            Kind::Failed => (31, self.log),
            Kind::Log => (5, self.log),
            Kind::Refused => (6, self.control),
            Kind::Control => (0, self.control),
            Kind::Reply => (0, self.head),
        }
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kind of the frame.
    pub kind: Kind,
    /// Its flags, of [`flags`](super::flags).
    pub flags: u8,
    /// The number of payload bytes.
    pub length: u32,
}

impl Header {
    /// Reads a header that `sent_by` has sent.
    ///
    /// # Errors
    ///
    /// A kind that is unknown or not of this peer, flags that the kind does not have, a length out
    /// of the kind's limits.
    pub fn decode(
        bytes: &[u8; HEADER],
        sent_by: Peer,
        limits: &FrameLimits,
    ) -> Result<Self, FrameError> {
        let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let Some(kind) = Kind::of(bytes[4]) else {
            return Err(FrameError::new(4, None, Problem::UnknownKind(bytes[4])));
        };
        let refused = |at, problem| Err(FrameError::new(at, Some(kind), problem));
        if kind.sent_by() != sent_by {
            return refused(4, Problem::WrongPeer(sent_by));
        }
        let flags = bytes[5];
        if flags & !kind.flags() != 0 {
            return refused(5, Problem::Flags(flags));
        }
        let reserved = u16::from_le_bytes([bytes[6], bytes[7]]);
        if reserved != 0 {
            return refused(6, Problem::Reserved(reserved));
        }
        let (least, most) = limits.of(kind);
        if length < least || length > most {
            return refused(0, Problem::Length { found: length, least, most });
        }
        Ok(Self { kind, flags, length })
    }

    /// Returns the bytes of this header.
    #[must_use]
    pub const fn encode(self) -> [u8; HEADER] {
        let [a, b, c, d] = self.length.to_le_bytes();
        [a, b, c, d, self.kind.number(), self.flags, 0, 0]
    }
}

/// Puts a header onto `out`. The caller sends the payload behind it, of `length` bytes.
pub fn put_header(out: &mut Vec<u8>, kind: Kind, flags: u8, length: u32) {
    out.extend_from_slice(&Header { kind, flags, length }.encode());
}

/// A whole frame in somebody's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its meaning.
    pub kind: Kind,
    /// Its flags, of [`flags`](super::flags).
    pub flags: u8,
    /// The payload.
    pub payload: &'a [u8],
    /// The number of bytes of the buffer that it takes, the header among them.
    pub size: usize,
}

impl Frame<'_> {
    /// Tells whether one of `flags` is set.
    #[must_use]
    pub const fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }
}

/// Returns the first frame of `bytes`, which `sent_by` has sent; `None` when it is not all there
/// yet.
///
/// # Errors
///
/// Those of [`Header::decode`], as soon as the header is there.
pub fn split<'a>(
    bytes: &'a [u8],
    sent_by: Peer,
    limits: &FrameLimits,
) -> Result<Option<Frame<'a>>, FrameError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let Header { kind, flags, length } = Header::decode(header, sent_by, limits)?;
    let length = length as usize;
    Ok(rest.get(..length).map(|payload| Frame { kind, flags, payload, size: HEADER + length }))
}
