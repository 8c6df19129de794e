//! What a slow client has no room for yet.

use std::collections::VecDeque;

use bytes::Bytes;

use super::memory;

/// Pieces of a body that wait for a slow client, so that the daemon process does not have to.
#[derive(Default)]
pub(super) struct Backlog {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    /// The most that they have been.
    most: usize,
    /// They are to be flushed.
    flush: bool,
}

/// Where more than this was kept for a client, it goes back to the system when the response is over,
/// in bytes: far more work than that costs.
const GIVEN_BACK: usize = 1024 * 1024;

impl Backlog {
    /// How many bytes wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// A piece waits, and whether there is a flush behind it.
    pub(super) fn push(&mut self, piece: Bytes, flush: bool) {
        self.bytes += piece.len();
        self.most = self.most.max(self.bytes);
        self.flush |= flush;
        self.pieces.push_back(piece);
    }

    /// The next piece, if there is room for one of its size.
    pub(super) fn pop_if(&mut self, has_room: impl FnOnce(usize) -> bool) -> Option<Bytes> {
        let size = self.pieces.front()?.len();
        if !has_room(size) {
            return None;
        }
        self.bytes -= size;
        self.pieces.pop_front()
    }

    /// Whether what has been taken is to be flushed, asked once.
    pub(super) fn take_flush(&mut self) -> bool {
        std::mem::take(&mut self.flush)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        if self.most > GIVEN_BACK {
            self.pieces.clear();
            memory::give_back();
        }
    }
}
