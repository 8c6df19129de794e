//! The PARAMS stream (5.2), whose pairs may span records.

use super::error::{RecordError, RecordErrorKind};
use super::kind::RecordKind;
use super::pairs::Lengths;
use crate::protocol::params::{ParamLimits, Params};

/// Makes variables of a PARAMS stream, piece by piece. How the stream is cut makes no difference.
///
/// It holds no more than one pair that is not whole, and of that only bytes that came: a length
/// beyond the limit is refused when it is read.
#[derive(Debug, Default)]
pub struct ParamsReader {
    /// Bytes of whole pairs so far.
    taken: usize,
    /// The beginning of the pair that is not whole.
    begun: Vec<u8>,
}

impl ParamsReader {
    /// Makes one at the beginning of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { taken: 0, begun: Vec::new() }
    }

    /// Takes a piece of the stream: the content of a PARAMS record, or any part of it.
    ///
    /// # Errors
    ///
    /// A variable that is refused, or more than `limits`. The rest of the stream can only be
    /// discarded; the connection is not affected.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        into: &mut Params,
        limits: &ParamLimits,
    ) -> Result<(), RecordError> {
        while !bytes.is_empty() {
            if self.begun.is_empty() {
                let lengths = Lengths::of(bytes);
                if let Some(lengths) = lengths {
                    self.within(lengths.total(), limits)?;
                    if let Some((name, value, rest)) = lengths.cut(bytes) {
                        self.add(name, value, into, limits)?;
                        self.taken += lengths.total();
                        bytes = rest;
                        continue;
                    }
                }
                self.within(bytes.len(), limits)?;
                self.begun.extend_from_slice(bytes);
                return Ok(());
            }
            // First the lengths byte by byte, of which there are at most eight, then the rest.
            let wanted = Lengths::of(&self.begun).map_or(1, |it| it.total() - self.begun.len());
            let (piece, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.within(self.begun.len() + piece.len(), limits)?;
            self.begun.extend_from_slice(piece);
            bytes = rest;
            if let Some(lengths) = Lengths::of(&self.begun) {
                self.within(lengths.total(), limits)?;
                if let Some((name, value, _)) = lengths.cut(&self.begun) {
                    self.add(name, value, into, limits)?;
                    self.taken += lengths.total();
                    self.begun.clear();
                }
            }
        }
        Ok(())
    }

    /// Finishes the stream: a PARAMS record without content came. The reader is at the
    /// beginning of the next one then.
    ///
    /// # Errors
    ///
    /// A pair that is not whole.
    pub fn finish(&mut self) -> Result<(), RecordError> {
        let (at, left) = (self.taken, self.begun.len());
        let wanted = Lengths::of(&self.begun).map_or(2, |lengths| lengths.total());
        self.reset();
        if left == 0 {
            return Ok(());
        }
        let problem = RecordErrorKind::Truncated { wanted: wanted.max(left + 1), left };
        Err(RecordError::new(at, Some(RecordKind::PARAMS), problem))
    }

    /// Starts a new stream, and keeps the buffer.
    pub fn reset(&mut self) {
        self.taken = 0;
        self.begun.clear();
    }

    /// Gives back room beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.begun.shrink_to(bytes);
    }

    /// Returns the bytes of memory that are held, used or not.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.begun.capacity()
    }

    /// Whether a pair that takes this many bytes ends within the limit.
    fn within(&self, pair: usize, limits: &ParamLimits) -> Result<(), RecordError> {
        if pair <= limits.head.saturating_sub(self.taken) {
            return Ok(());
        }
        let problem = RecordErrorKind::TooLong { most: limits.head };
        Err(RecordError::new(self.taken, Some(RecordKind::PARAMS), problem))
    }

    fn add(
        &self,
        name: &[u8],
        value: &[u8],
        into: &mut Params,
        limits: &ParamLimits,
    ) -> Result<(), RecordError> {
        let refused = |error| {
            RecordError::new(self.taken, Some(RecordKind::PARAMS), RecordErrorKind::Pair(error))
        };
        into.add(name, value, limits).map_err(refused)
    }
}
