//! Frames of the daemon process: the response, and what else it says of a request.

use super::code::{self, RefusalReason, Timing};
use super::encode::{OpenFrame, close_flag};
use super::error::{EncodeError, FrameError, Problem};
use super::frame::{Frame, FrameLimits, put_header};
use super::kind::{Kind, flags};
use super::pairs::Pairs;
use super::reader::Reader;
use crate::gateway::{ErrorKind, Level};

const FINAL: &str = "200 to 599";
const ERRORS: &str = "400 to 599";

/// A HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead<'a> {
    /// The status, 200 to 599.
    pub status: u16,
    /// The Content-Length, if there is one.
    pub length: Option<u64>,
    /// The reason phrase; empty for the usual one.
    pub reason: &'a [u8],
    /// The headers: names are tokens and none of the framing's or the connection's, values are
    /// without control characters.
    pub headers: Pairs<'a>,
    /// Whether the head goes out at once.
    pub flush: bool,
}

impl<'a> ResponseHead<'a> {
    pub(super) fn decode(frame: &Frame<'a>) -> Result<Self, FrameError> {
        let mut reader = Reader::new(frame);
        let status = reader.status(200, FINAL)?;
        let length = reader.length()?;
        // httpd keeps it as an off_t, which has a sign.
        if let Some(found) = length.filter(|&length| i64::try_from(length).is_err()) {
            let (what, allowed) = ("the length", "a number below 2^63, or 2^64 - 1 for none");
            return Err(reader.refuse_at(2, Problem::Value { what, found, allowed }));
        }
        // It has no body, and httpd would send the length: the next response would be taken for it.
        if let (205, Some(found @ 1..)) = (status, length) {
            let (what, allowed) = ("the length", "0 with status 205 (RFC 9110, 15.3.6)");
            return Err(reader.refuse_at(2, Problem::Value { what, found, allowed }));
        }
        let reason = reader.bytes()?;
        if !crate::gateway::header::is_value(reason) {
            let allowed = "without control characters (RFC 9112, 4)";
            let problem = Problem::Bytes { what: "the reason phrase", allowed };
            return Err(reader.refuse_at(reader.at() - reason.len(), problem));
        }
        let headers = reader.headers()?;
        reader.finish()?;
        Ok(Self { status, length, reason, headers, flush: frame.has(flags::FLUSH) })
    }
}

/// A HEAD or a SWITCH under way, which borrows no buffer: between [`begin`](Self::begin) and
/// [`commit`](Self::commit) each step takes the same one, and nothing else may be put onto it.
#[derive(Debug)]
#[must_use = "without commit() there is half a frame in the buffer"]
pub struct HeadEncoder {
    open: OpenFrame,
    /// The length of the buffer after the last step.
    end: usize,
}

/// The offset of the length in a HEAD.
const HEAD_LENGTH: usize = 10;
/// The offset of the flags in a frame.
const FLAGS: usize = 5;

impl HeadEncoder {
    /// Begins a HEAD at the end of `out`.
    pub fn begin(out: &mut Vec<u8>, status: u16, reason: &[u8]) -> Self {
        let mut open = OpenFrame::begin(out, Kind::Head, 0);
        out.extend_from_slice(&status.to_le_bytes());
        out.extend_from_slice(&u64::MAX.to_le_bytes());
        open.bytes(out, "the reason phrase", reason);
        open.open_pairs(out);
        Self { open, end: out.len() }
    }

    /// Begins a SWITCH at the end of `out`.
    pub fn switch(out: &mut Vec<u8>) -> Self {
        let mut open = OpenFrame::begin(out, Kind::Switch, 0);
        open.open_pairs(out);
        Self { open, end: out.len() }
    }

    /// Adds a header.
    pub fn header(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        debug_assert_eq!(out.len(), self.end, "another frame stands behind the open HEAD");
        self.open.pair(out, name, value);
        self.end = out.len();
    }

    /// Completes the frame, and returns how many bytes it has. A SWITCH has no length and no flush.
    ///
    /// # Errors
    ///
    /// Returns an error if it is longer than `limits` allow, or a name than 65535 bytes: nothing is
    /// left of it.
    pub fn commit(
        mut self,
        out: &mut Vec<u8>,
        length: Option<u64>,
        flush: bool,
        limits: &FrameLimits,
    ) -> Result<usize, EncodeError> {
        debug_assert_eq!(out.len(), self.end, "another frame stands behind the open HEAD");
        if self.open.kind() == Kind::Head {
            let frame = &mut out[self.open.start()..];
            frame[HEAD_LENGTH..][..8].copy_from_slice(&length.unwrap_or(u64::MAX).to_le_bytes());
            if flush {
                frame[FLAGS] |= flags::FLUSH;
            }
        }
        self.open.close_pairs(out);
        self.open.finish(out, limits)
    }

    /// Takes the frame back.
    pub fn abandon(self, out: &mut Vec<u8>) {
        out.truncate(self.open.start());
    }
}

/// A FILE. The descriptor came beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// The first byte of it.
    pub start: u64,
    /// The number of bytes.
    pub length: u64,
    /// Whether it is the whole file, for which conditional headers are looked at.
    pub whole: bool,
}

impl File {
    pub(super) fn decode(frame: &Frame<'_>) -> Result<Self, FrameError> {
        let mut reader = Reader::new(frame);
        let (start, length) = (reader.u64()?, reader.u64()?);
        // An off_t has a sign.
        let end = start.checked_add(length).filter(|&end| i64::try_from(end).is_ok());
        if end.is_none() {
            let (what, allowed) = ("the length", "a number that ends below 2^63 with the start");
            return Err(reader.refuse_at(8, Problem::Value { what, found: length, allowed }));
        }
        reader.finish()?;
        Ok(Self { start, length, whole: frame.has(flags::WHOLE) })
    }
}

/// An END.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End<'a> {
    /// The trailers: fields that may follow the content, values without control characters.
    pub trailers: Pairs<'a>,
    /// Whether the connection is not kept.
    pub close: bool,
    /// The duration.
    pub timing: Timing,
}

impl<'a> End<'a> {
    pub(super) fn decode(frame: &Frame<'a>) -> Result<Self, FrameError> {
        let mut reader = Reader::new(frame);
        let trailers = reader.trailers()?;
        let timing = Timing::decode(&mut reader)?;
        reader.finish()?;
        Ok(Self { trailers, close: frame.has(flags::CLOSE), timing })
    }
}

/// A STATUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusFrame<'a> {
    /// The status that httpd answers with, 200 to 599.
    pub status: u16,
    /// Headers that go with it, as those of a HEAD.
    pub headers: Pairs<'a>,
    /// Whether the connection is not kept.
    pub close: bool,
    /// The duration.
    pub timing: Timing,
}

impl<'a> StatusFrame<'a> {
    pub(super) fn decode(frame: &Frame<'a>) -> Result<Self, FrameError> {
        let mut reader = Reader::new(frame);
        let status = reader.status(200, FINAL)?;
        let headers = reader.headers()?;
        let timing = Timing::decode(&mut reader)?;
        reader.finish()?;
        Ok(Self { status, headers, close: frame.has(flags::CLOSE), timing })
    }
}

/// A REDIRECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect<'a> {
    /// The target: a path of this server, with a query if it has one.
    pub target: &'a [u8],
    /// Whether the connection is not kept.
    pub close: bool,
    /// The duration.
    pub timing: Timing,
}

impl<'a> Redirect<'a> {
    pub(super) fn decode(frame: &Frame<'a>) -> Result<Self, FrameError> {
        let mut reader = Reader::new(frame);
        let target = reader.bytes()?;
        if target.first() != Some(&b'/') || target.contains(&0) {
            let allowed = "a path that begins with \"/\", without NUL";
            return Err(reader.refuse_at(4, Problem::Bytes { what: "the target", allowed }));
        }
        let timing = Timing::decode(&mut reader)?;
        reader.finish()?;
        Ok(Self { target, close: frame.has(flags::CLOSE), timing })
    }
}

/// A FAILED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed<'a> {
    /// The kind of error.
    pub kind: ErrorKind,
    /// The status for the client, 400 to 599, if the head has not gone out.
    pub status: u16,
    /// The text for the log.
    pub message: &'a [u8],
    /// Whether the connection is not kept.
    pub close: bool,
    /// The duration.
    pub timing: Timing,
}

impl<'a> Failed<'a> {
    pub(super) fn decode(frame: &Frame<'a>) -> Result<Self, FrameError> {
        let mut reader = Reader::new(frame);
        let number = reader.u8()?;
        let Some(kind) = code::error_kind(number) else {
            let (what, found) = ("the error's kind", u64::from(number));
            let allowed = code::ERROR_KINDS;
            return Err(reader.refuse_at(0, Problem::Value { what, found, allowed }));
        };
        let status = reader.status(400, ERRORS)?;
        let message = reader.bytes()?;
        let timing = Timing::decode(&mut reader)?;
        reader.finish()?;
        Ok(Self { kind, status, message, close: frame.has(flags::CLOSE), timing })
    }
}

/// A LOG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFrame<'a> {
    /// The level.
    pub level: Level,
    /// The line, which may hold anything.
    pub text: &'a [u8],
}

impl<'a> LogFrame<'a> {
    pub(super) fn decode(frame: &Frame<'a>) -> Result<Self, FrameError> {
        let mut reader = Reader::new(frame);
        let number = reader.u8()?;
        let Some(level) = code::level(number) else {
            let (what, found, allowed) = ("the level", u64::from(number), code::LEVELS);
            return Err(reader.refuse_at(0, Problem::Value { what, found, allowed }));
        };
        let text = reader.bytes()?;
        reader.finish()?;
        Ok(Self { level, text })
    }
}

/// A REFUSED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// Why.
    pub reason: RefusalReason,
    /// The same at more length.
    pub message: &'a [u8],
}

impl<'a> Refused<'a> {
    pub(super) fn decode(frame: &Frame<'a>) -> Result<Self, FrameError> {
        let mut reader = Reader::new(frame);
        let number = reader.u16()?;
        let Some(reason) = RefusalReason::of(number) else {
            let (what, found, allowed) = ("the reason", u64::from(number), RefusalReason::ALLOWED);
            return Err(reader.refuse_at(0, Problem::Value { what, found, allowed }));
        };
        let message = reader.bytes()?;
        reader.finish()?;
        Ok(Self { reason, message })
    }
}

/// Puts a CONTINUE.
pub fn put_continue(out: &mut Vec<u8>) {
    put_header(out, Kind::Continue, 0, 0);
}

/// Puts an END without trailers. With trailers:
/// [`FieldsEncoder::end`](super::FieldsEncoder::end).
pub fn put_end(out: &mut Vec<u8>, close: bool, timing: &Timing) {
    put_header(out, Kind::End, close_flag(close), 4 + Timing::SIZE as u32);
    out.extend_from_slice(&[0; 4]);
    timing.put(out);
}

/// Puts a REDIRECT.
///
/// # Errors
///
/// Returns an error if it is longer than `limits` allow.
pub fn put_redirect(
    out: &mut Vec<u8>,
    target: &[u8],
    close: bool,
    timing: &Timing,
    limits: &FrameLimits,
) -> Result<usize, EncodeError> {
    let mut frame = OpenFrame::begin(out, Kind::Redirect, close_flag(close));
    frame.bytes(out, "the target", target);
    timing.put(out);
    frame.finish(out, limits)
}

/// Puts a FAILED. A message that is too long is cut.
pub fn put_failed(
    out: &mut Vec<u8>,
    kind: ErrorKind,
    status: u16,
    message: &[u8],
    close: bool,
    timing: &Timing,
    limits: &FrameLimits,
) {
    let message = cut(message, limits, Kind::Failed);
    put_header(out, Kind::Failed, close_flag(close), (7 + message.len() + Timing::SIZE) as u32);
    out.push(code::error_code(kind));
    out.extend_from_slice(&status.to_le_bytes());
    put_bytes(out, message);
    timing.put(out);
}

/// Puts a LOG. A line that is too long is cut.
pub fn put_log(out: &mut Vec<u8>, level: Level, text: &[u8], limits: &FrameLimits) {
    let text = cut(text, limits, Kind::Log);
    put_header(out, Kind::Log, 0, (5 + text.len()) as u32);
    out.push(code::level_code(level));
    put_bytes(out, text);
}

/// Puts a REFUSED. A message that is too long is cut.
pub fn put_refused(out: &mut Vec<u8>, reason: RefusalReason, message: &[u8], limits: &FrameLimits) {
    let message = cut(message, limits, Kind::Refused);
    put_header(out, Kind::Refused, 0, (6 + message.len()) as u32);
    out.extend_from_slice(&reason.number().to_le_bytes());
    put_bytes(out, message);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Returns the part of `text` that fits into a frame of `kind` beside what else is in it.
fn cut<'a>(text: &'a [u8], limits: &FrameLimits, kind: Kind) -> &'a [u8] {
    let (others, most) = limits.of(kind);
    &text[..text.len().min(most.saturating_sub(others) as usize)]
}
