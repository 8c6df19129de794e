//! Fields out of a payload, with where they stand for errors.

use super::error::{FrameError, Problem, in_frame};
use super::frame::Frame;
use super::kind::Kind;
use super::pairs::{self, Pairs};

/// The unread rest of a payload.
pub(super) struct Reader<'a> {
    kind: Kind,
    payload: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(frame: &Frame<'a>) -> Self {
        Self { kind: frame.kind, payload: frame.payload, at: 0 }
    }

    /// An error at the byte of the payload that comes next.
    pub(super) const fn refuse(&self, problem: Problem) -> FrameError {
        self.refuse_at(self.at, problem)
    }

    /// An error at byte `at` of the payload.
    pub(super) const fn refuse_at(&self, at: usize, problem: Problem) -> FrameError {
        FrameError::new(in_frame(at), Some(self.kind), problem)
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, wanted: usize) -> Result<&'a [u8], FrameError> {
        let rest = &self.payload[self.at..];
        let Some(field) = rest.get(..wanted) else {
            return Err(self.refuse(Problem::Truncated { wanted, left: rest.len() }));
        };
        self.at += wanted;
        Ok(field)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, FrameError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, FrameError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, FrameError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length, for which `u64::MAX` says that nobody knows it.
    pub(super) fn length(&mut self) -> Result<Option<u64>, FrameError> {
        self.u64().map(|length| (length != u64::MAX).then_some(length))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], FrameError> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    /// Pairs, each of which is there in full.
    pub(super) fn pairs(&mut self) -> Result<Pairs<'a>, FrameError> {
        let block = self.bytes()?;
        let start = self.at - block.len();
        pairs::check(block).map_err(|(at, problem)| self.refuse_at(start + at, problem))
    }

    /// Reads pairs that can be headers of a response.
    pub(super) fn headers(&mut self) -> Result<Pairs<'a>, FrameError> {
        let block = self.bytes()?;
        let start = self.at - block.len();
        pairs::check_headers(block).map_err(|(at, problem)| self.refuse_at(start + at, problem))
    }

    /// Reads pairs that can be headers of a response that switches protocols.
    pub(super) fn switch_headers(&mut self) -> Result<Pairs<'a>, FrameError> {
        let block = self.bytes()?;
        let start = self.at - block.len();
        pairs::check_switch(block).map_err(|(at, problem)| self.refuse_at(start + at, problem))
    }

    /// Reads pairs that can be trailer fields of a response.
    pub(super) fn trailers(&mut self) -> Result<Pairs<'a>, FrameError> {
        let block = self.bytes()?;
        let start = self.at - block.len();
        pairs::check_trailers(block).map_err(|(at, problem)| self.refuse_at(start + at, problem))
    }

    /// A status in `allowed`, for which `text` stands.
    pub(super) fn status(&mut self, least: u16, text: &'static str) -> Result<u16, FrameError> {
        let at = self.at;
        let status = self.u16()?;
        if (least..=599).contains(&status) {
            return Ok(status);
        }
        let found = u64::from(status);
        Err(self.refuse_at(at, Problem::Value { what: "the status", found, allowed: text }))
    }

    /// There is nothing left.
    pub(super) const fn finish(self) -> Result<(), FrameError> {
        match self.payload.len() - self.at {
            0 => Ok(()),
            left => Err(self.refuse(Problem::Trailing(left))),
        }
    }
}
