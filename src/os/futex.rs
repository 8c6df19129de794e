//! Waiting for a word in shared memory to change.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::thread::futex::{self, Flags};
use rustix::time::Timespec;

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
    use crate::os::SharedSlice;
    use std::sync::atomic::Ordering::SeqCst;

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
