//! The part of a response that a slow client has no room for yet.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces of a body that wait for a slow client, so that the daemon process does not have to.
///
/// A piece shares the memory of the read that brought it, so one byte can hold on to a whole read.
/// Small pieces are copied together, and a large one counts with what it costs beside its bytes:
/// the memory is bounded by [`bytes`](Self::bytes), however the process cuts its frames.
#[derive(Default)]
pub(super) struct Backlog {
    pieces: VecDeque<Bytes>,
    /// Small pieces that came after `pieces`.
    tail: BytesMut,
    bytes: usize,
    /// The most that they have been.
    most: usize,
    /// They are to be flushed.
    flush: bool,
}

/// A piece below this is copied, in bytes.
pub(super) const SMALL: usize = 8 * 1024;
/// The size at which copied pieces become one, in bytes.
const MERGED: usize = 64 * 1024;
/// Memory that a piece takes beside its bytes: its place in the queue, and the counter it shares.
const OVERHEAD: usize = 128;
/// The bytes that a backlog may keep for the next response. A larger one goes back to the system,
/// which is far more work.
const GIVEN_BACK: usize = 1024 * 1024;

/// The size of an allocation whose end has malloc return the top of an arena, in bytes: above
/// FASTBIN_CONSOLIDATION_THRESHOLD of glibc's malloc.c, and below what it maps by itself.
#[cfg(target_env = "gnu")]
const LARGE: usize = 96 * 1024;

impl Backlog {
    /// Returns how many bytes wait, with the overhead of their pieces.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.tail.is_empty()
    }

    /// Adds a piece, and whether there is a flush behind it.
    pub(super) fn push(&mut self, piece: Bytes, flush: bool) {
        self.flush |= flush;
        if piece.len() < SMALL {
            self.bytes += piece.len();
            self.tail.extend_from_slice(&piece);
            if self.tail.len() >= MERGED {
                self.close_tail();
            }
        } else {
            self.close_tail();
            self.bytes += piece.len() + OVERHEAD;
            self.pieces.push_back(piece);
        }
        self.most = self.most.max(self.bytes);
    }

    /// Takes the next piece, if there is room for one of its size.
    pub(super) fn pop_if(&mut self, has_room: impl FnOnce(usize) -> bool) -> Option<Bytes> {
        if self.pieces.is_empty() {
            self.close_tail();
        }
        let size = self.pieces.front()?.len();
        if !has_room(size) {
            return None;
        }
        self.bytes -= size + OVERHEAD;
        self.pieces.pop_front()
    }

    /// Returns whether what has been taken is to be flushed. It says so once.
    pub(super) fn take_flush(&mut self) -> bool {
        std::mem::take(&mut self.flush)
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.bytes += OVERHEAD;
            self.pieces.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        if self.most > GIVEN_BACK {
            self.pieces.clear();
            self.tail = BytesMut::new();
            trim_heap();
        }
    }
}

/// Gives freed memory back to the system.
///
/// malloc keeps it in the thread's arena. Where something small lies above it, malloc does not
/// return it to the system. Then each arena would keep the size of its largest response.
fn trim_heap() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: P17: it may be called at any time, and takes a number.
        unsafe { libc::malloc_trim(0) };
        // It leaves out the top of an arena, which goes back when a large piece is freed.
        drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(backlog: &mut Backlog) -> Vec<Bytes> {
        std::iter::from_fn(|| backlog.pop_if(|_| true)).collect()
    }

    #[test]
    fn gives_back_what_it_got_in_order() {
        let mut backlog = Backlog::default();
        let mut all = Vec::new();
        for size in [1, 9_000, 3, 4, 8_191, 8_192, 100_000, 0, 7] {
            let piece: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            all.extend_from_slice(&piece);
            backlog.push(piece.into(), size == 4);
        }
        assert!(backlog.pop_if(|_| false).is_none());
        assert_eq!(take_all(&mut backlog).concat(), all);
        assert!(backlog.is_empty() && backlog.bytes() == 0);
        assert!(backlog.take_flush() && !backlog.take_flush());
    }

    #[test]
    fn pieces_of_a_byte_become_few() {
        let read = Bytes::from(vec![b'x'; 64 * 1024]);
        let mut backlog = Backlog::default();
        for at in 0..200_000 {
            let at = at % read.len();
            backlog.push(read.slice(at..=at), false);
        }
        assert!(read.is_unique(), "a copy holds on to no read");
        assert!(backlog.bytes() >= 200_000);
        let pieces = take_all(&mut backlog);
        assert!(pieces.len() <= 4, "{}", pieces.len());
        assert_eq!((pieces.concat().len(), backlog.bytes()), (200_000, 0));
    }

    #[test]
    fn the_cost_of_a_piece_is_counted() {
        let mut backlog = Backlog::default();
        for _ in 0..10 {
            backlog.push(Bytes::from(vec![0; SMALL]), false);
        }
        assert_eq!(backlog.bytes(), 10 * (SMALL + OVERHEAD));
    }
}
