//! REQUEST: everything of a request but its body.

use super::code::{level, level_code};
use super::encode::{Building, FieldsEncoder, OpenFrame};
use super::error::{FrameError, Problem};
use super::frame::Frame;
use super::kind::HEADER;
use super::kind::{Kind, flags};
use super::pairs::Pairs;
use super::reader::Reader;
use crate::gateway::Level;

/// The fixed fields of a REQUEST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts<'a> {
    /// A number that no other request of the process group has, and not 0: it says whether an
    /// application got this request, after its daemon process has died. [`stamp`] can set it later.
    pub ticket: u64,
    /// When httpd got the request: microseconds since 1970.
    pub start_us: u64,
    /// When it was sent over the bridge: microseconds of CLOCK_MONOTONIC.
    pub sent_us: u64,
    /// Which of its slot's processes it is for: another one, which has taken the socket over, does
    /// not take it.
    pub incarnation: u32,
    /// The request body's length; `Some(0)` without one, `None` if nobody knows it.
    pub length: Option<u64>,
    /// The index of the application in its module.
    pub application: u32,
    /// The application's options.
    pub options: Pairs<'a>,
    /// The virtual host's name.
    pub server: &'a [u8],
    /// The target as it stood on the request line.
    pub target: &'a [u8],
    /// Whether no INPUT comes before a CONTINUE. It means nothing without a body.
    pub expect: bool,
    /// Whether httpd answers errors with a document of its own.
    pub error_override: bool,
    /// It does not count as activity of the process group.
    pub ignored: bool,
    /// LOG frames beyond this level are not kept, and need not be sent; `None` keeps all.
    pub log_level: Option<Level>,
    /// Whether the client asks for another protocol, and httpd can switch. It means nothing with a
    /// body.
    pub upgrade: bool,
}

impl RequestFacts<'_> {
    /// Tells whether INPUT frames follow.
    #[must_use]
    pub const fn has_body(&self) -> bool {
        !matches!(self.length, Some(0))
    }

    const fn flags(&self) -> u8 {
        let mut found = 0;
        if self.has_body() {
            found |= flags::BODY;
            if self.expect {
                found |= flags::EXPECT;
            }
        } else if self.upgrade {
            found |= flags::UPGRADE;
        }
        if self.error_override {
            found |= flags::ERROR_OVERRIDE;
        }
        if self.ignored {
            found |= flags::IGNORED;
        }
        if let Some(level) = self.log_level {
            found |= level_code(level) << 4;
        }
        found
    }
}

/// A REQUEST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// Its fixed fields.
    pub facts: RequestFacts<'a>,
    /// The environ.
    pub variables: Pairs<'a>,
    /// The headers as they came.
    pub headers: Pairs<'a>,
}

impl<'a> RequestHead<'a> {
    /// Reads a REQUEST.
    ///
    /// # Errors
    ///
    /// Returns an error if `frame` is not a REQUEST, or breaks a rule of docs/bridge.md.
    pub fn decode(frame: &Frame<'a>) -> Result<Self, FrameError> {
        let mut reader = Reader::new(frame);
        if !matches!(frame.kind, Kind::Request) {
            let (what, found) = ("the kind", u64::from(frame.kind.number()));
            let allowed = "2, a REQUEST";
            return Err(FrameError::new(
                4,
                Some(frame.kind),
                Problem::Value { what, found, allowed },
            ));
        }
        let facts = RequestFacts {
            ticket: reader.u64()?,
            start_us: reader.u64()?,
            sent_us: reader.u64()?,
            incarnation: reader.u32()?,
            length: reader.length()?,
            application: reader.u32()?,
            options: reader.pairs()?,
            server: reader.bytes()?,
            target: reader.bytes()?,
            expect: frame.has(flags::EXPECT),
            error_override: frame.has(flags::ERROR_OVERRIDE),
            ignored: frame.has(flags::IGNORED),
            log_level: level((frame.flags & flags::LEVEL) >> 4),
            upgrade: frame.has(flags::UPGRADE),
        };
        if facts.ticket == 0 {
            let (what, found) = ("the ticket", 0);
            // In the scoreboard it is a row without a request.
            return Err(reader.refuse_at(0, Problem::Value { what, found, allowed: "1 and above" }));
        }
        if facts.flags() != frame.flags {
            let (what, found) = ("the byte of flags", u64::from(frame.flags));
            let allowed = "BODY (1) when the body's length is not 0, EXPECT (2) only with BODY, \
                           UPGRADE (128) only without, and a level of 0 to 5 in bits 4 to 6";
            return Err(FrameError::new(
                5,
                Some(frame.kind),
                Problem::Value { what, found, allowed },
            ));
        }
        let (variables, headers) = (reader.pairs()?, reader.pairs()?);
        reader.finish()?;
        Ok(Self { facts, variables, headers })
    }
}

/// A REQUEST under way: [`begin`](Self::begin), each [`variable`](Self::variable), then
/// [`headers`](Self::headers) with each header, and `finish`. Dropped before that, it leaves
/// nothing in the buffer.
#[derive(Debug)]
#[must_use = "without headers().finish() nothing of the frame is left"]
pub struct RequestEncoder<'b> {
    frame: Building<'b>,
}

impl<'b> RequestEncoder<'b> {
    /// Begins a REQUEST at the end of `out`.
    pub fn begin(out: &'b mut Vec<u8>, facts: &RequestFacts<'_>) -> Self {
        let mut frame = Building::begin(out, Kind::Request, facts.flags());
        frame.step(|open, out| {
            out.extend_from_slice(&facts.ticket.to_le_bytes());
            out.extend_from_slice(&facts.start_us.to_le_bytes());
            out.extend_from_slice(&facts.sent_us.to_le_bytes());
            out.extend_from_slice(&facts.incarnation.to_le_bytes());
            out.extend_from_slice(&facts.length.unwrap_or(u64::MAX).to_le_bytes());
            out.extend_from_slice(&facts.application.to_le_bytes());
            open.bytes(out, "the options", facts.options.as_bytes());
            open.bytes(out, "the server's name", facts.server);
            open.bytes(out, "the target", facts.target);
            open.open_pairs(out);
        });
        Self { frame }
    }

    /// Adds a key of the environ with its value.
    pub fn variable(&mut self, name: &[u8], value: &[u8]) {
        self.frame.step(|open, out| open.pair(out, name, value));
    }

    /// Goes on with the headers.
    pub fn headers(mut self) -> FieldsEncoder<'b> {
        self.frame.step(|open: &mut OpenFrame, out| open.close_pairs(out));
        FieldsEncoder::new(self.frame, None)
    }
}

/// The offsets of `ticket` and `sent_us` in a REQUEST; behind the latter stands `incarnation`.
const TICKET: usize = HEADER;
const SENT: usize = HEADER + 16;

/// Gives an encoded REQUEST, from its header on, another ticket and time of sending: it goes to
/// another process, which `incarnation` says.
///
/// # Panics
///
/// Panics if `frame` is shorter than the fixed part of a REQUEST.
pub fn stamp(frame: &mut [u8], ticket: u64, sent_us: u64, incarnation: u32) {
    debug_assert_eq!(frame[4], Kind::Request.number());
    frame[TICKET..][..8].copy_from_slice(&ticket.to_le_bytes());
    frame[SENT..][..8].copy_from_slice(&sent_us.to_le_bytes());
    frame[SENT + 8..][..4].copy_from_slice(&incarnation.to_le_bytes());
}
