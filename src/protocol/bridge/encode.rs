//! Encoders of the frames about bodies, headers and CONTROL.

use super::code::{InputFailure, Timing};
use super::error::EncodeError;
use super::frame::{FrameLimits, put_header};
use super::kind::{HEADER, Kind, flags};
use super::pairs;

/// A frame under way at the end of a buffer that is handed in with every step.
#[derive(Debug)]
pub(super) struct OpenFrame {
    kind: Kind,
    start: usize,
    /// The offset of the length of the block of pairs that is being written.
    block: usize,
    /// The first that did not fit.
    error: Option<EncodeError>,
}

impl OpenFrame {
    pub(super) fn begin(out: &mut Vec<u8>, kind: Kind, flags: u8) -> Self {
        let start = out.len();
        put_header(out, kind, flags, 0);
        Self { kind, start, block: 0, error: None }
    }

    /// A field of bytes with its length before it.
    pub(super) fn bytes(&mut self, out: &mut Vec<u8>, what: &'static str, bytes: &[u8]) {
        let Ok(length) = u32::try_from(bytes.len()) else {
            let (length, most) = (bytes.len(), u32::MAX as usize);
            self.failed(EncodeError { frame: self.kind, what, length, most });
            return;
        };
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(bytes);
    }

    pub(super) fn open_pairs(&mut self, out: &mut Vec<u8>) {
        self.block = out.len();
        out.extend_from_slice(&[0; 4]);
    }

    #[inline]
    pub(super) fn pair(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        if let Err(error) = pairs::put(out, self.kind, name, value) {
            self.failed(error);
        }
    }

    pub(super) fn close_pairs(&mut self, out: &mut [u8]) {
        let length = out.len() - self.block - 4;
        match u32::try_from(length) {
            Ok(length) => out[self.block..][..4].copy_from_slice(&length.to_le_bytes()),
            Err(_) => {
                let (what, most) = ("a block of pairs", u32::MAX as usize);
                self.failed(EncodeError { frame: self.kind, what, length, most });
            }
        }
    }

    /// Writes the length into the header and returns the frame's bytes, the header among them.
    pub(super) fn finish(
        self,
        out: &mut Vec<u8>,
        limits: &FrameLimits,
    ) -> Result<usize, EncodeError> {
        let length = out.len() - self.start - HEADER;
        let most = limits.of(self.kind).1;
        let error = match self.error {
            None if length <= most as usize => {
                // It fits: `most` is a u32.
                out[self.start..][..4].copy_from_slice(&(length as u32).to_le_bytes());
                return Ok(HEADER + length);
            }
            None => EncodeError::payload(self.kind, length, most as usize),
            Some(error) => error,
        };
        out.truncate(self.start);
        Err(error)
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) const fn start(&self) -> usize {
        self.start
    }

    fn failed(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }
}

/// A frame that is taken back when it is not finished.
#[derive(Debug)]
pub(super) struct Building<'b> {
    pub(super) out: &'b mut Vec<u8>,
    pub(super) open: Option<OpenFrame>,
}

impl<'b> Building<'b> {
    pub(super) fn begin(out: &'b mut Vec<u8>, kind: Kind, flags: u8) -> Self {
        let open = Some(OpenFrame::begin(out, kind, flags));
        Self { out, open }
    }

    pub(super) fn step(&mut self, step: impl FnOnce(&mut OpenFrame, &mut Vec<u8>)) {
        if let Some(open) = &mut self.open {
            step(open, self.out);
        }
    }

    pub(super) fn finish(mut self, limits: &FrameLimits) -> Result<usize, EncodeError> {
        self.open.take().map_or(Ok(0), |open| open.finish(self.out, limits))
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            self.out.truncate(open.start());
        }
    }
}

/// A frame that ends with headers or trailers: the last part of REQUEST, STATUS, END and
/// INPUT_END. Dropped before [`finish`](Self::finish) it leaves nothing in the buffer.
#[derive(Debug)]
#[must_use = "without finish() nothing of the frame is left"]
pub struct FieldsEncoder<'b> {
    frame: Building<'b>,
    timing: Option<Timing>,
}

impl<'b> FieldsEncoder<'b> {
    pub(super) fn new(mut frame: Building<'b>, timing: Option<Timing>) -> Self {
        frame.step(OpenFrame::open_pairs);
        Self { frame, timing }
    }

    /// Returns an INPUT_END, of the trailers that [`header`](Self::header) adds.
    pub fn input_end(out: &'b mut Vec<u8>) -> Self {
        Self::new(Building::begin(out, Kind::InputEnd, 0), None)
    }

    /// Returns an END, of the trailers that [`header`](Self::header) adds.
    pub fn end(out: &'b mut Vec<u8>, close: bool, timing: &Timing) -> Self {
        Self::new(Building::begin(out, Kind::End, close_flag(close)), Some(*timing))
    }

    /// Returns a STATUS: httpd answers with `status`, and with the headers that follow.
    pub fn status(out: &'b mut Vec<u8>, status: u16, close: bool, timing: &Timing) -> Self {
        let mut frame = Building::begin(out, Kind::Status, close_flag(close));
        frame.step(|_, out| out.extend_from_slice(&status.to_le_bytes()));
        Self::new(frame, Some(*timing))
    }

    /// Adds a header or a trailer.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        self.frame.step(|open, out| open.pair(out, name, value));
    }

    /// Completes the frame, and returns how many bytes it has.
    ///
    /// # Errors
    ///
    /// Returns an error if it is longer than `limits` allow, or a name than 65535 bytes: nothing is
    /// left of it.
    pub fn finish(mut self, limits: &FrameLimits) -> Result<usize, EncodeError> {
        self.frame.step(|open, out| open.close_pairs(out));
        if let Some(timing) = &self.timing {
            self.frame.step(|_, out| timing.put(out));
        }
        self.frame.finish(limits)
    }
}

pub(super) const fn close_flag(close: bool) -> u8 {
    if close { flags::CLOSE } else { 0 }
}

/// Puts the header of a BODY of `length` bytes, which the caller sends behind it. With `flush` the
/// child passes on what it has; `length` may be 0 for that.
pub fn put_body(out: &mut Vec<u8>, length: u32, flush: bool) {
    put_header(out, Kind::Body, if flush { flags::FLUSH } else { 0 }, length);
}

/// Puts a FILE: `length` bytes from `start` of the descriptor that goes with this frame. With
/// `whole` it is the whole file, for which the child looks at conditional headers.
pub fn put_file(out: &mut Vec<u8>, start: u64, length: u64, whole: bool) {
    put_header(out, Kind::File, if whole { flags::WHOLE } else { 0 }, 16);
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
}

/// Puts a REPLY.
///
/// # Errors
///
/// Returns an error if it is longer than `limits` allow.
pub fn put_reply(
    out: &mut Vec<u8>,
    json: &str,
    limits: &FrameLimits,
) -> Result<usize, EncodeError> {
    put_text(out, Kind::Reply, json, limits)
}

/// Puts a frame whose payload is text.
pub(super) fn put_text(
    out: &mut Vec<u8>,
    kind: Kind,
    text: &str,
    limits: &FrameLimits,
) -> Result<usize, EncodeError> {
    let frame = OpenFrame::begin(out, kind, 0);
    out.extend_from_slice(text.as_bytes());
    frame.finish(out, limits)
}

/// Puts the header of an INPUT of `length` bytes, at least one, which the caller sends behind it.
pub fn put_input(out: &mut Vec<u8>, length: u32) {
    debug_assert!(length > 0, "an INPUT has at least one byte");
    put_header(out, Kind::Input, 0, length);
}

/// Puts an INPUT_END without trailers. With trailers:
/// [`FieldsEncoder::input_end`](FieldsEncoder::input_end).
pub fn put_input_end(out: &mut Vec<u8>) {
    put_header(out, Kind::InputEnd, 0, 4);
    out.extend_from_slice(&[0; 4]);
}

/// Puts an INPUT_FAILED.
pub fn put_input_failed(out: &mut Vec<u8>, failure: InputFailure) {
    put_header(out, Kind::InputFailed, 0, 1);
    out.push(failure.number());
}

/// Puts an INPUT_STOP.
pub fn put_input_stop(out: &mut Vec<u8>) {
    put_header(out, Kind::InputStop, 0, 0);
}

/// Puts a CONTROL.
///
/// # Errors
///
/// Returns an error if it is longer than `limits` allow.
pub fn put_control(
    out: &mut Vec<u8>,
    command: &str,
    limits: &FrameLimits,
) -> Result<usize, EncodeError> {
    put_text(out, Kind::Control, command, limits)
}
