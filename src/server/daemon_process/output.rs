//! The response on its way: frames are collected and written together.

use std::io::IoSlice;

use bytes::Bytes;

use super::current_request::OutputPieces;
use crate::protocol::bridge::{HEADER, Header, Kind, flags, put_body};

/// The amount of collected output that is written, in bytes. A little more than 64 KiB, so that a
/// body of that size goes in one piece with what is around it.
const WRITE_ABOVE: usize = 96 * 1024;

/// Up to this size a piece is copied behind the others; a larger one is written from where it is.
const COPY: usize = 8 * 1024;

/// The size of output that a socket may have no room for, in bytes.
const LARGE: usize = 32 * 1024;

/// The most in one BODY, in bytes.
const BODY: usize = 128 * 1024;

/// Room that is kept for the next response.
const KEEP: usize = 128 * 1024;

/// Frames that are collected and not written yet.
#[derive(Debug, Default)]
pub(super) struct FrameOutput {
    /// Framing, and small pieces of data.
    pub(super) frames: Vec<u8>,
    /// Large pieces of data, each with the place in `frames` before which it comes.
    large: Vec<(usize, Bytes)>,
    large_bytes: usize,
    /// The start of the last HEAD or BODY, while nothing comes after it.
    last: Option<usize>,
}

impl FrameOutput {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Returns whether a socket may have no room for it.
    pub(super) fn is_large(&self) -> bool {
        self.frames.len() + self.large_bytes > LARGE
    }

    pub(super) fn is_due(&self) -> bool {
        self.frames.len() + self.large_bytes >= WRITE_ABOVE
    }

    /// A HEAD stands at the end, from `start` on.
    pub(super) fn head_put(&mut self, start: usize) {
        self.last = Some(start);
    }

    /// Adds a piece of the body.
    pub(super) fn body(&mut self, data: &Bytes) {
        if data.is_empty() {
            return;
        }
        if data.len() <= COPY {
            self.small(data);
            return;
        }
        for at in (0..data.len()).step_by(BODY) {
            let piece = data.slice(at..data.len().min(at + BODY));
            self.last = Some(self.frames.len());
            put_body(&mut self.frames, piece.len() as u32, false);
            self.large_bytes += piece.len();
            self.large.push((self.frames.len(), piece));
        }
    }

    fn small(&mut self, data: &[u8]) {
        match self.last {
            // One frame for small pieces in a row.
            Some(start) if self.frames[start + KIND] == Kind::Body.number() && self.is_copied() => {
                let length = self.frames.len() - start - HEADER + data.len();
                let header = Header { kind: Kind::Body, flags: 0, length: length as u32 };
                self.frames[start..][..HEADER].copy_from_slice(&header.encode());
            }
            _ => {
                self.last = Some(self.frames.len());
                put_body(&mut self.frames, data.len() as u32, false);
            }
        }
        self.frames.extend_from_slice(data);
    }

    /// Whether the data of the last frame stands in `frames`.
    fn is_copied(&self) -> bool {
        let start = self.last.unwrap_or_default();
        self.large.last().is_none_or(|&(at, _)| at <= start)
    }

    /// Sends the collected output to the client without delay.
    pub(super) fn flush(&mut self) {
        match self.last {
            Some(start) => self.frames[start + FLAGS] |= flags::FLUSH,
            None => put_body(&mut self.frames, 0, true),
        }
    }

    /// Another frame was put at the end.
    pub(super) fn closed(&mut self) {
        self.last = None;
    }

    /// All of it is written.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.frames.shrink_to(KEEP);
        self.large.clear();
        self.large_bytes = 0;
        self.last = None;
    }
}

/// The offsets of kind and flags in a header.
const KIND: usize = 4;
const FLAGS: usize = 5;

impl OutputPieces for FrameOutput {
    fn fill<'s>(&'s self, mut done: usize, slices: &mut [IoSlice<'s>]) -> usize {
        let (mut count, mut from) = (0, 0);
        let mut put = |data: &'s [u8]| {
            let skipped = done.min(data.len());
            done -= skipped;
            if skipped < data.len() && count < slices.len() {
                slices[count] = IoSlice::new(&data[skipped..]);
                count += 1;
            }
        };
        for (at, data) in &self.large {
            put(&self.frames[from..*at]);
            put(data);
            from = *at;
        }
        put(&self.frames[from..]);
        count
    }

    fn length(&self) -> usize {
        self.frames.len() + self.large_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::bridge::{FrameLimits, Message, Peer, split};

    fn bytes(output: &FrameOutput, done: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = output.fill(done, &mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    fn bodies(mut bytes: &[u8]) -> Vec<(usize, bool)> {
        let mut found = Vec::new();
        while let Some(frame) = split(bytes, Peer::Daemon, &FrameLimits::default()).unwrap() {
            let Message::Body(data, flush) = frame.message().unwrap() else { panic!("{frame:?}") };
            found.push((data.len(), flush));
            bytes = &bytes[frame.size..];
        }
        assert!(bytes.is_empty());
        found
    }

    #[test]
    fn small_pieces_share_a_frame_and_large_ones_are_not_copied() {
        let mut output = FrameOutput::default();
        for length in [10, 20, 300_000, 5, 6, 9000, 7] {
            output.body(&Bytes::from(vec![b'x'; length]));
        }
        output.flush();
        output.flush();
        let all = bytes(&output, 0);
        assert_eq!(all.len(), output.length());
        let expected = [
            (30, false),
            (BODY, false),
            (BODY, false),
            (300_000 - 2 * BODY, false),
            (11, false),
            (9000, false),
            (7, true),
        ];
        assert_eq!(bodies(&all), expected);
        for done in [1, 37, 38, 39, 1000, all.len() - 1] {
            assert_eq!(bytes(&output, done), all[done..], "{done}");
        }
        output.clear();
        output.flush();
        assert_eq!(bodies(&bytes(&output, 0)), [(0, true)]);
    }
}
