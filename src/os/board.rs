//! The memory of process groups' scoreboards, which httpd's processes share with the daemon
//! processes.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use rustix::mm::munmap;

use super::shared::{Zeroed, map};
use crate::process_group::{GroupScore, ProcessScore, Scoreboard, WorkerScore};

/// The mapping of the scoreboards of a configuration's groups, one after the other, each on pages
/// of its own. One mapping, as each fork of httpd's copies all mappings that httpd has.
///
/// It stays mapped when this is dropped: only [`BoardMemory::unmap`] takes it away.
#[derive(Debug)]
pub(crate) struct BoardMemory {
    start: NonNull<u8>,
    bytes: usize,
}

/// The size of a scoreboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The number of its slots.
    pub slots: usize,
    /// The number of rows of each slot.
    pub rows_per_slot: usize,
}

/// A scoreboard and the addresses of its pages.
pub(crate) type Placed = (Scoreboard, Range<usize>);

impl Shape {
    /// Returns where the slots and the rows begin, and where the scoreboard ends: at a whole page.
    fn layout(self) -> Option<(usize, usize, usize)> {
        const {
            // Each part begins where the one before ends, so that the sizes must suit the
            // alignments.
            assert!(align_of::<GroupScore>() <= 64 && size_of::<GroupScore>().is_multiple_of(64));
            assert!(
                align_of::<ProcessScore>() <= 64 && size_of::<ProcessScore>().is_multiple_of(64)
            );
            assert!(align_of::<WorkerScore>() <= 64 && size_of::<WorkerScore>().is_multiple_of(64));
        }
        let rows = self.slots.checked_mul(self.rows_per_slot)?;
        let slots_at = size_of::<GroupScore>();
        let rows_at = size_of::<ProcessScore>().checked_mul(self.slots)?.checked_add(slots_at)?;
        let end = size_of::<WorkerScore>().checked_mul(rows)?.checked_add(rows_at)?;
        Some((slots_at, rows_at, end.checked_next_multiple_of(rustix::param::page_size())?))
    }
}

impl BoardMemory {
    /// Maps a scoreboard for each of `shapes`, all zero. Returns each with its place.
    ///
    /// # Errors
    ///
    /// The system has no memory of that size.
    pub(crate) fn new(shapes: &[Shape]) -> io::Result<(Self, Vec<Placed>)> {
        let too_large = || io::Error::from(io::ErrorKind::InvalidInput);
        let mut bytes = 0_usize;
        for shape in shapes {
            let (.., end) = shape.layout().ok_or_else(too_large)?;
            bytes = bytes.checked_add(end).ok_or_else(too_large)?;
        }
        let start = map(bytes.max(1))?;
        let mut boards = Vec::with_capacity(shapes.len());
        let mut at = 0;
        for shape in shapes {
            let (slots_at, rows_at, end) = shape.layout().ok_or_else(too_large)?;
            // SAFETY: P12: mapped, zero, and each scoreboard begins with this; it stays until
            // `unmap`, whose caller answers for the references.
            let group = unsafe { part::<GroupScore>(start, at, 1) };
            // SAFETY: P12: as above; aligned, as pages are and all sizes are multiples of 64.
            let slots = unsafe { part::<ProcessScore>(start, at + slots_at, shape.slots) };
            let rows = shape.slots * shape.rows_per_slot;
            // SAFETY: P12: as above; `layout` counts them.
            let rows = unsafe { part::<WorkerScore>(start, at + rows_at, rows) };
            let first = start.as_ptr().addr() + at;
            boards.push((Scoreboard::new(&group[0], slots, rows), first..first + end));
            at += end;
        }
        Ok((Self { start, bytes: bytes.max(1) }, boards))
    }

    /// Unmaps the scoreboards in this process. Other processes keep theirs.
    ///
    /// # Safety
    ///
    /// Nothing in this process uses a [`Scoreboard`] of this memory from here on, on any thread.
    pub(crate) unsafe fn unmap(self) {
        // SAFETY: P12: mapped by `new`, and by the contract nothing refers to it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

// SAFETY: P12: it is an address range; the values in it are shared through atomics only.
unsafe impl Send for BoardMemory {}
// SAFETY: P12: as above.
unsafe impl Sync for BoardMemory {}

/// # Safety
///
/// `start` is mapped, holds `count` values of `T` from the offset `at` on, aligned, and is not
/// unmapped while the result is used.
unsafe fn part<T: Zeroed>(start: NonNull<u8>, at: usize, count: usize) -> &'static [T] {
    // SAFETY: P12: the caller's promise; zeroes are a value of `T`, and it changes through atomics
    // only.
    unsafe { std::slice::from_raw_parts(start.as_ptr().wrapping_add(at).cast::<T>(), count) }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::process_group::{GroupOptions, ProcessState, TriedSlots};

    /// One scoreboard in a mapping of its own.
    fn one(slots: usize, rows_per_slot: usize) -> (BoardMemory, Scoreboard) {
        let (memory, boards) = BoardMemory::new(&[Shape { slots, rows_per_slot }]).unwrap();
        (memory, boards[0].0)
    }

    #[test]
    fn one_mapping_holds_all_scoreboards() {
        let shapes = [(3, 5), (1, 1), (2, 40)];
        let shapes = shapes.map(|(slots, rows_per_slot)| Shape { slots, rows_per_slot });
        let (memory, boards) = BoardMemory::new(&shapes).unwrap();
        let start = memory.start.as_ptr().addr();
        let mut at = start;
        for (shape, (board, range)) in std::iter::zip(&shapes, &boards) {
            assert_eq!(
                (board.slots.len(), board.rows_per_slot),
                (shape.slots, shape.rows_per_slot)
            );
            assert_eq!((range.start, range.start % rustix::param::page_size()), (at, 0));
            assert_eq!(std::ptr::from_ref(board.group).addr(), range.start);
            let last = &raw const board.rows[board.rows.len() - 1];
            assert!(last.addr() + size_of::<WorkerScore>() <= range.end);
            board.slots[shape.slots - 1].enter(7, 1, 1);
            board.rows[board.rows.len() - 1].begin(at as u64, 1, &[b"GET"]);
            at = range.end;
        }
        assert_eq!(at, start + memory.bytes);
        for (board, range) in &boards {
            let ticket = board.rows[board.rows.len() - 1].ticket();
            assert_eq!((board.slots[0].incarnation(), ticket), (0, range.start as u64));
        }
        let is_mapped = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            maps.contains(&format!("{start:x}-"))
        };
        assert!(is_mapped());
        // SAFETY: P12: the boards of this test are not used below.
        unsafe { memory.unmap() };
        assert!(!is_mapped());
        for (slots, rows_per_slot) in [(usize::MAX, 2), (1, usize::MAX / 8)] {
            assert!(BoardMemory::new(&[Shape { slots, rows_per_slot }]).is_err());
        }
    }

    /// Overwrites every byte, as a compromised application process can.
    fn fill(memory: &BoardMemory, mut byte: impl FnMut() -> u8) {
        let start = memory.start.as_ptr().addr();
        for at in start..start + memory.bytes {
            let at = std::ptr::with_exposed_provenance::<std::sync::atomic::AtomicU8>(at);
            // SAFETY: P12: it is mapped, and every byte is changed through atomics.
            unsafe { &*at }.store(byte(), std::sync::atomic::Ordering::Relaxed);
        }
    }

    #[test]
    fn garbage_neither_panics_nor_holds_anybody_up() {
        let options = GroupOptions::parse("g", &["processes=3", "threads=2"]).unwrap();
        let (memory, board) = one(3, 2);
        let _ = memory.start.as_ptr().expose_provenance();
        let mut random = 1_u64;
        for round in 0..300_u32 {
            match round {
                0 => fill(&memory, || 0xff),
                1 => fill(&memory, || 1),
                2 => fill(&memory, || 0x7f),
                _ => fill(&memory, || {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    // Small numbers are states and reasons.
                    if round.is_multiple_of(2) { (random % 6) as u8 } else { random as u8 }
                }),
            }
            let now = u64::from(round);
            // The part of httpd's children.
            let mut tried = TriedSlots::new();
            for _ in 0..4 {
                if let Ok(hold) = board.take(&tried, now) {
                    assert!(hold.slot < 3);
                    tried.add(hold.slot);
                    let _ = board.find_ticket(&hold, board.group.ticket());
                    let _ = board.release(hold.slot, hold.incarnation);
                    let _ = board.slots[hold.slot].found_dead(hold.incarnation, now);
                }
            }
            board.group.refused(true);
            board.group.refused(false);
            let _ = board.group.token();
            let mut snapshot = board.snapshot("g", now);
            let again = snapshot.counts.clone();
            snapshot.counts.add(&again);
            assert!(!snapshot.to_json().is_empty());
            // The part of httpd's parent, in its order.
            for slot in 0..3 {
                let dead = board.clear_dead(slot, now);
                board.slots[slot].set_last_exit(9);
                let _ = board.died(&options, &dead, round.is_multiple_of(2), now);
                assert_eq!(board.slots[slot].state(), ProcessState::Empty);
                assert!(board.rows_of(slot).iter().all(|row| row.ticket() == 0));
            }
        }
        // SAFETY: P12: the board of this test is not used below.
        unsafe { memory.unmap() };
    }

    #[test]
    fn a_hostile_writer_delays_no_reader() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let options = GroupOptions::parse("g", &["processes=2"]).unwrap();
        let (memory, board) = one(2, 2);
        let _ = memory.start.as_ptr().expose_provenance();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let (memory, stop) = (&memory, &stop);
            for byte in [3, 0x5a] {
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        fill(memory, || byte);
                    }
                });
            }
            for round in 0..2_000 {
                if let Ok(hold) = board.take(&TriedSlots::new(), round) {
                    let _ = board.release(hold.slot, hold.incarnation);
                }
                let dead = board.clear_dead(1, round);
                let _ = board.died(&options, &dead, true, round);
            }
            stop.store(true, Ordering::Relaxed);
        });
        // SAFETY: P12: the board of this test is not used below.
        unsafe { memory.unmap() };
    }
}
