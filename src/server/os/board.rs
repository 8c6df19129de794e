//! The memory of a process group's scoreboard: one mapping, which httpd's processes and the group's own
//! daemon processes share.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use rustix::mm::munmap;

use super::shared::{Zeroed, map};
use crate::process::{Board, Group, Row, Slot};

/// The mapping of one scoreboard: the group's part, then all slots, then all rows.
///
/// It stays mapped when this is dropped: only [`BoardMemory::unmap`] takes it away.
#[derive(Debug)]
pub struct BoardMemory {
    start: NonNull<u8>,
    bytes: usize,
}

impl BoardMemory {
    /// Maps a scoreboard, all zero, with so many rows for each slot.
    ///
    /// # Errors
    ///
    /// When there is no memory, or none of that size can be had.
    pub fn new(slots: usize, rows_per_slot: usize) -> io::Result<(Self, Board)> {
        const {
            // Each part begins where the one before ends, so that the sizes must suit the alignments.
            assert!(align_of::<Group>() <= 64 && size_of::<Group>().is_multiple_of(64));
            assert!(align_of::<Slot>() <= 64 && size_of::<Slot>().is_multiple_of(64));
            assert!(align_of::<Row>() <= 64 && size_of::<Row>().is_multiple_of(64));
        }
        let rows = slots.checked_mul(rows_per_slot).ok_or(io::ErrorKind::InvalidInput)?;
        let size = |size: usize, count: usize| size.checked_mul(count);
        let slots_at = size_of::<Group>();
        let rows_at = size(size_of::<Slot>(), slots).and_then(|size| size.checked_add(slots_at));
        let bytes =
            size(size_of::<Row>(), rows).zip(rows_at).and_then(|(size, at)| size.checked_add(at));
        let (Some(rows_at), Some(bytes)) = (rows_at, bytes) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        // The kernel maps whole pages.
        let bytes = bytes
            .checked_next_multiple_of(rustix::param::page_size())
            .ok_or(io::ErrorKind::InvalidInput)?;
        let start = map(bytes)?;
        // SAFETY: P12: mapped, zero, and it begins with this; it stays until `unmap`, whose caller answers
        // for the references.
        let group = unsafe { part::<Group>(start, 0, 1) };
        // SAFETY: P12: as above; aligned, as the mapping is to a page and all sizes are multiples of 64.
        let slots = unsafe { part::<Slot>(start, slots_at, slots) };
        // SAFETY: P12: as above; `bytes` counts them.
        let rows = unsafe { part::<Row>(start, rows_at, rows) };
        Ok((Self { start, bytes }, Board::new(&group[0], slots, rows)))
    }

    /// The addresses of the mapping.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        let start = self.start.as_ptr().addr();
        start..start + self.bytes
    }

    /// Unmaps the scoreboard in this process. Other processes keep theirs.
    ///
    /// # Safety
    ///
    /// Nothing in this process uses the [`Board`] of this memory from here on, on any thread.
    pub unsafe fn unmap(self) {
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
/// `start` is mapped, holds `count` values of `T` from the offset `at` on, aligned, and is not unmapped
/// while the result is used.
unsafe fn part<T: Zeroed>(start: NonNull<u8>, at: usize, count: usize) -> &'static [T] {
    // SAFETY: P12: the caller's promise; zeroes are a value of `T`, and it changes through atomics only.
    unsafe { std::slice::from_raw_parts(start.as_ptr().wrapping_add(at).cast::<T>(), count) }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::process::{GroupOptions, State, Tried};

    #[test]
    fn one_mapping_holds_all_parts() {
        let (memory, board) = BoardMemory::new(3, 5).unwrap();
        assert_eq!((board.slots.len(), board.rows.len(), board.rows_per_slot), (3, 15, 5));
        let range = memory.range();
        let last = (&raw const board.rows[14]).addr();
        assert_eq!(
            (last + size_of::<Row>()).next_multiple_of(4096),
            range.end.next_multiple_of(4096)
        );
        assert_eq!(std::ptr::from_ref(board.group).addr(), range.start);
        board.slots[2].enter(7, 1, 1);
        board.rows[14].begin(9, 1, &[b"GET"]);
        assert_eq!((board.slots[2].pid(), board.rows[14].ticket()), (7, 9));
        let is_mapped = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            maps.contains(&format!("{:x}-", range.start))
        };
        assert!(is_mapped());
        // SAFETY: P12: the board of this test is not used below.
        unsafe { memory.unmap() };
        assert!(!is_mapped());
        assert!(BoardMemory::new(usize::MAX, 2).is_err());
        assert!(BoardMemory::new(1, usize::MAX / 8).is_err());
    }

    /// Overwrites every byte, as a compromised application process can.
    fn fill(memory: &BoardMemory, mut byte: impl FnMut() -> u8) {
        for at in memory.range() {
            let at = std::ptr::with_exposed_provenance::<std::sync::atomic::AtomicU8>(at);
            // SAFETY: P12: it is mapped, and every byte is changed through atomics.
            unsafe { &*at }.store(byte(), std::sync::atomic::Ordering::Relaxed);
        }
    }

    #[test]
    fn garbage_neither_panics_nor_holds_anybody_up() {
        let options = GroupOptions::parse("g", &["processes=3", "threads=2"]).unwrap();
        let (memory, board) = BoardMemory::new(3, 2).unwrap();
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
            // What httpd's children do with it.
            let mut tried = Tried::new();
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
            // What httpd's parent does, in this order.
            for slot in 0..3 {
                let buried = board.bury(slot, now);
                board.slots[slot].set_last_exit(9);
                let _ = board.died(&options, &buried, round.is_multiple_of(2), now);
                assert_eq!(board.slots[slot].state(), State::Empty);
                assert!(board.rows_of(slot).iter().all(|row| row.ticket() == 0));
            }
        }
        // SAFETY: P12: the board of this test is not used below.
        unsafe { memory.unmap() };
    }

    #[test]
    fn a_hostile_writer_holds_nobody_up() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let options = GroupOptions::parse("g", &["processes=2"]).unwrap();
        let (memory, board) = BoardMemory::new(2, 2).unwrap();
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
                if let Ok(hold) = board.take(&Tried::new(), round) {
                    let _ = board.release(hold.slot, hold.incarnation);
                }
                let buried = board.bury(1, round);
                let _ = board.died(&options, &buried, true, round);
            }
            stop.store(true, Ordering::Relaxed);
        });
        // SAFETY: P12: the board of this test is not used below.
        unsafe { memory.unmap() };
    }
}
