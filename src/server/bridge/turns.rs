//! Turns: how many threads may work at once, however many wait.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// As many turns as the group has `threads`. A thread takes one to work on a request and gives it
/// away while the request waits (`Exchange::park`).
///
/// One atomic instruction each way, unless somebody has to wait for a turn.
#[derive(Debug)]
pub(super) struct Turns {
    /// How many are free; below zero, how many wait for one.
    free: AtomicI64,
    granted: Mutex<u64>,
    grant: Condvar,
}

impl Turns {
    pub(super) const fn new(count: u32) -> Self {
        Self { free: AtomicI64::new(count as i64), granted: Mutex::new(0), grant: Condvar::new() }
    }

    /// Takes a turn, waiting for one if need be.
    pub(super) fn take(&self) {
        if self.free.fetch_sub(1, Ordering::AcqRel) > 0 {
            return;
        }
        let granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut granted = self
            .grant
            .wait_while(granted, |granted| *granted == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *granted -= 1;
    }

    /// Gives the turn back: to who waits for one, if somebody does.
    pub(super) fn give(&self) {
        if self.free.fetch_add(1, Ordering::AcqRel) < 0 {
            *self.granted.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            self.grant.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::thread;

    #[test]
    fn no_more_than_there_are() {
        let turns = Turns::new(2);
        let (working, most) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        turns.take();
                        let now = working.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        thread::yield_now();
                        working.fetch_sub(1, Ordering::SeqCst);
                        turns.give();
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert_eq!(turns.free.load(Ordering::SeqCst), 2);
    }
}
