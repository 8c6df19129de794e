//! Bytes on their way to a daemon process: frames, and between them the buckets that the client's body
//! came in, which are sent from where they are.

use std::io::IoSlice;

use crate::adapter::RequestInput;
use crate::gateway::{Fill, InputSource as _};
use crate::httpd::{KeptBuckets, Request};

/// The size from which a bucket is kept instead of copied, in bytes. It may hold on to 8,000.
const KEPT: usize = 2 * 1024;

/// Frames, and buckets between them.
#[derive(Default)]
pub(super) struct Outgoing<'r> {
    pub(super) frames: Vec<u8>,
    /// The place in `frames` before which each of `buckets` comes.
    places: Vec<usize>,
    buckets: Option<KeptBuckets<'r>>,
    /// The bytes of the buckets.
    kept: usize,
}

/// The most slices of one call.
const SLICES: usize = 40;

impl<'r> Outgoing<'r> {
    pub(super) fn new(frames: Vec<u8>) -> Self {
        Self { frames, ..Self::default() }
    }

    /// Returns the number of bytes.
    pub(super) const fn len(&self) -> usize {
        self.frames.len() + self.kept
    }

    /// Returns the place of a byte of `frames` among all bytes.
    pub(super) fn behind(&self, place: usize) -> usize {
        let before = self.places.iter().take_while(|&&before| before < place).count();
        let kept = |index| self.buckets.as_ref().map_or(0, |buckets| buckets.part(index).len());
        place + (0..before).map(kept).sum::<usize>()
    }

    /// Lets go of all bytes.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.places.clear();
        self.kept = 0;
        if let Some(buckets) = &mut self.buckets {
            buckets.clear();
        }
    }

    /// Takes over bytes that `input` has read, `most` at most, behind what there is. Returns how many.
    pub(super) fn take(
        &mut self,
        input: &mut RequestInput<'_, 'r>,
        request: &Request<'r>,
        most: usize,
    ) -> usize {
        let Ok(Fill::Data(bytes)) = input.fill(false) else { return 0 };
        if (KEPT..=most).contains(&bytes.len()) {
            let buckets = self.buckets.get_or_insert_with(|| KeptBuckets::new(request));
            if let Some(length) = input.keep(buckets) {
                self.places.push(self.frames.len());
                self.kept += length;
                return length;
            }
        }
        let Ok(Fill::Data(bytes)) = input.fill(false) else { return 0 };
        let bytes = &bytes[..bytes.len().min(most)];
        let length = bytes.len();
        self.frames.extend_from_slice(bytes);
        input.consume(length);
        length
    }

    /// Calls `send` with what follows the first `done` bytes, as far as it goes in one call.
    pub(super) fn rest<T>(&self, done: usize, send: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        if self.places.is_empty() {
            return send(&[IoSlice::new(&self.frames[done..])]);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let (mut count, mut from, mut skipped) = (0, 0, done);
        let kept = self.places.iter().enumerate().flat_map(|(index, &place)| {
            let frames = &self.frames[std::mem::replace(&mut from, place)..place];
            [frames, self.buckets.as_ref().map_or(&[], |buckets| buckets.part(index))]
        });
        let last = &self.frames[self.places.last().copied().unwrap_or_default()..];
        for piece in kept.chain([last]) {
            let here = skipped.min(piece.len());
            skipped -= here;
            if here < piece.len() && count < SLICES {
                slices[count] = IoSlice::new(&piece[here..]);
                count += 1;
            }
        }
        send(&slices[..count])
    }
}
