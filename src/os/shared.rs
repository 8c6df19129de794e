//! Memory that a process shares with those that it forks, and waiting for a word in it to change.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use rustix::thread::futex::{self, Flags};
use rustix::time::Timespec;

/// Types of which memory that is all zero holds a valid value, that need no drop, and that are
/// changed through atomics only.
///
/// # Safety
///
/// The promises above: every byte zero must be a value; `&T` must be sound to use from several
/// processes at once; a value must not refer to memory of one process.
pub(super) unsafe trait Zeroed: Sync + 'static {}

// SAFETY: P12: `repr(C)`, of atomics alone; `Board::leaked` and its tests begin with zeroes.
unsafe impl Zeroed for crate::process_group::GroupScore {}
// SAFETY: P12: as above.
unsafe impl Zeroed for crate::process_group::ProcessScore {}
// SAFETY: P12: as above.
unsafe impl Zeroed for crate::process_group::WorkerScore {}

/// Maps so many bytes, all zero and shared with what this process forks.
pub(super) fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: P12: no address is asked for, so that nothing that is mapped is touched.
    let start =
        unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED) }?;
    Ok(NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?)
}

/// Waits until [`wake_all`] is called for `word`, for `timeout` at most. Returns at once if it does
/// not hold `value`. It may also return early for no reason: look at what was waited for.
pub(crate) fn wait_while(word: &AtomicU32, value: u32, timeout: Duration) {
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
pub(crate) fn wake_all(word: &AtomicU32) {
    let _ = futex::wake(word, Flags::empty(), i32::MAX as u32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::SeqCst;

    #[test]
    fn a_change_ends_the_wait() {
        let word = &AtomicU32::new(0);
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
