//! Memory that a process shares with those that it forks, and waiting for a word in it to change.

use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64};
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use rustix::thread::futex::{self, Flags};
use rustix::time::Timespec;

/// Types of which memory that is all zero holds a valid value, that need no drop, and that are
/// changed through atomics only.
///
/// # Safety
///
/// The promises above: every byte zero must be a value, `&T` must be sound to use from several
/// processes at once, and a value must not refer to memory of one process.
pub unsafe trait Zeroed: Sync + 'static {}

// SAFETY: P12: an integer, changed atomically.
unsafe impl Zeroed for AtomicU8 {}
// SAFETY: P12: an integer, changed atomically.
unsafe impl Zeroed for AtomicU16 {}
// SAFETY: P12: an integer, changed atomically.
unsafe impl Zeroed for AtomicU32 {}
// SAFETY: P12: an integer, changed atomically.
unsafe impl Zeroed for AtomicU64 {}
// SAFETY: P12: an integer, changed atomically.
unsafe impl Zeroed for AtomicI64 {}
// SAFETY: P12: `repr(C)`, of atomics alone; `Board::leaked` and its tests begin with zeroes.
unsafe impl Zeroed for crate::process_group::GroupScore {}
// SAFETY: P12: as above.
unsafe impl Zeroed for crate::process_group::ProcessScore {}
// SAFETY: P12: as above.
unsafe impl Zeroed for crate::process_group::WorkerScore {}
// SAFETY: an array is its elements.
unsafe impl<T: Zeroed, const N: usize> Zeroed for [T; N] {}

/// A slice of `T` in shared memory, all zero at first. A fork has the same memory, under the same
/// address. It is unmapped in this process when it is dropped.
#[derive(Debug)]
pub struct SharedSlice<T: Zeroed> {
    start: NonNull<T>,
    length: usize,
}

impl<T: Zeroed> SharedSlice<T> {
    /// Maps room for `length` values.
    ///
    /// # Errors
    ///
    /// The system has no memory of that size.
    pub fn new(length: usize) -> io::Result<Self> {
        let bytes = Self::bytes(length).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { start: map(bytes)?.cast(), length })
    }

    /// Returns the slice, for as long as the process lives: the mapping is never taken away again.
    #[must_use]
    pub fn leak(self) -> &'static [T] {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: P12: mapped, aligned to a page, zero at first, and now never unmapped.
        unsafe { std::slice::from_raw_parts(this.start.as_ptr(), this.length) }
    }

    /// An empty mapping cannot be; there is a page at least.
    fn bytes(length: usize) -> Option<usize> {
        assert!(align_of::<T>() <= 4096, "a mapping is aligned to a page");
        size_of::<T>().checked_mul(length).map(|bytes| bytes.max(1))
    }
}

/// Maps so many bytes, all zero and shared with what this process forks.
pub(super) fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: P12: no address is asked for, so that nothing that is mapped is touched.
    let start =
        unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED) }?;
    Ok(NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?)
}

impl<T: Zeroed> Deref for SharedSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: P12: mapped while `self` lives, aligned to a page, and zero at first.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T: Zeroed> Drop for SharedSlice<T> {
    fn drop(&mut self) {
        if let Some(bytes) = Self::bytes(self.length) {
            // SAFETY: P12: mapped by `new`, and every slice of it borrows from `self`.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), bytes) };
        }
    }
}

// SAFETY: P12: what is in it is `Sync`, and it is only ever shared.
unsafe impl<T: Zeroed> Send for SharedSlice<T> {}
// SAFETY: P12: as above.
unsafe impl<T: Zeroed> Sync for SharedSlice<T> {}

/// Waits until [`wake_all`] is called for `word`, for `timeout` at most. Returns at once if it does
/// not hold `value`. It may also return early for no reason: look at what was waited for.
pub fn wait_while(word: &AtomicU32, value: u32, timeout: Duration) {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // Every error means that the caller has to look again: the value is another one, the time is
    // up, or a signal came. The word may be in memory of several processes, so it is not a private
    // one.
    let _ = futex::wait(word, Flags::empty(), value, Some(&timeout));
}

/// Wakes all threads of all processes that wait for `word`. Change it first.
pub fn wake_all(word: &AtomicU32) {
    let _ = futex::wake(word, Flags::empty(), i32::MAX as u32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::{self, SeqCst};

    #[test]
    fn is_zero_and_holds_what_is_put_in() {
        let shared = SharedSlice::<[AtomicU64; 16]>::new(100).unwrap();
        assert!(shared.iter().flatten().all(|word| word.load(Ordering::Relaxed) == 0));
        shared[99][15].store(7, Ordering::Relaxed);
        assert_eq!(shared.leak()[99][15].load(Ordering::Relaxed), 7);
        assert!(SharedSlice::<AtomicU8>::new(usize::MAX).is_err());
        assert!(SharedSlice::<AtomicU8>::new(0).unwrap().is_empty());
    }

    #[test]
    fn a_change_ends_the_wait() {
        let words = SharedSlice::<AtomicU32>::new(1).unwrap();
        let word = &words[0];
        wait_while(word, 1, Duration::from_secs(60));
        wait_while(word, 0, Duration::from_millis(1));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                while word.load(SeqCst) == 0 {
                    wait_while(word, 0, Duration::from_secs(60));
                }
            });
            word.store(1, SeqCst);
            wake_all(word);
            waiting.join().unwrap();
        });
    }
}
