//! Memory that a process shares with those that it forks.

use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn is_zero_and_holds_what_is_put_in() {
        let shared = SharedSlice::<[AtomicU64; 16]>::new(100).unwrap();
        assert!(shared.iter().flatten().all(|word| word.load(Ordering::Relaxed) == 0));
        shared[99][15].store(7, Ordering::Relaxed);
        assert_eq!(shared.leak()[99][15].load(Ordering::Relaxed), 7);
        assert!(SharedSlice::<AtomicU8>::new(usize::MAX).is_err());
        assert!(SharedSlice::<AtomicU8>::new(0).unwrap().is_empty());
    }
}
