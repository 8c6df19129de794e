//! Permits: the bound of the threads that work at once, whatever the number that waits.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The permits to work: `threads` of them. A thread takes one to work on a request and gives it
/// away while the request waits (`Exchange::park`).
///
/// One atomic instruction each way, unless a thread has to wait for a permit.
#[derive(Debug)]
pub(crate) struct Permits {
    /// The number of free permits; below zero, the number of threads that wait for one.
    free: AtomicI64,
    owing: Mutex<Owing>,
    grant: Condvar,
}

/// Permits that were given back while none was free.
#[derive(Debug, Default)]
struct Owing {
    /// So many of the waiting threads may go on.
    granted: u64,
    /// So many were taken without waiting: as many that are given back are not free.
    lent: u64,
}

impl Permits {
    pub(crate) const fn new(count: u32) -> Self {
        Self {
            free: AtomicI64::new(count as i64),
            owing: Mutex::new(Owing { granted: 0, lent: 0 }),
            grant: Condvar::new(),
        }
    }

    /// Takes a permit, after waiting for one if none is free.
    pub(crate) fn take(&self) {
        if self.free.fetch_sub(1, Ordering::AcqRel) > 0 {
            return;
        }
        let mut owing = self
            .grant
            .wait_while(self.owing(), |owing| owing.granted == 0)
            .unwrap_or_else(PoisonError::into_inner);
        owing.granted -= 1;
    }

    /// Takes a permit at once, even if none is free; other threads wait longer then.
    ///
    /// For a request that has waited in the midst of its work. It may hold a lock, or a connection
    /// to a database, that the threads with permits need. So it must not wait for their permits.
    pub(crate) fn take_at_once(&self) {
        if self.free.fetch_sub(1, Ordering::AcqRel) > 0 {
            return;
        }
        let mut owing = self.owing();
        match owing.granted.checked_sub(1) {
            Some(granted) => owing.granted = granted,
            None => owing.lent += 1,
        }
    }

    /// Gives the permit back, to a waiting thread if there is one.
    pub(crate) fn give(&self) {
        if self.free.fetch_add(1, Ordering::AcqRel) < 0 {
            let mut owing = self.owing();
            if let Some(lent) = owing.lent.checked_sub(1) {
                owing.lent = lent;
            } else {
                owing.granted += 1;
                self.grant.notify_one();
            }
        }
    }

    fn owing(&self) -> MutexGuard<'_, Owing> {
        self.owing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::thread;

    #[test]
    fn no_more_than_there_are() {
        let permits = Permits::new(2);
        let (working, most) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        permits.take();
                        let now = working.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        thread::yield_now();
                        working.fetch_sub(1, Ordering::SeqCst);
                        permits.give();
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert_eq!(permits.free.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn an_immediate_permit_delays_only_later_requests() {
        let permits = Permits::new(1);
        permits.take();
        permits.take_at_once();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| permits.take());
            while permits.free.load(Ordering::SeqCst) != -2 {
                thread::yield_now();
            }
            permits.give();
            assert!(!waiting.is_finished(), "one still works");
            permits.give();
            waiting.join().unwrap();
        });
        permits.give();
        assert_eq!(permits.free.load(Ordering::SeqCst), 1);
        let owing = permits.owing();
        assert_eq!((owing.granted, owing.lent), (0, 0));
    }

    #[test]
    fn in_the_end_all_are_back() {
        let permits = Permits::new(2);
        thread::scope(|scope| {
            for at_once in [true, false, true, false] {
                let permits = &permits;
                scope.spawn(move || {
                    for _ in 0..2000 {
                        if at_once {
                            permits.take_at_once()
                        } else {
                            permits.take()
                        }
                        thread::yield_now();
                        permits.give();
                    }
                });
            }
        });
        assert_eq!(permits.free.load(Ordering::SeqCst), 2);
        let owing = permits.owing();
        assert_eq!(owing.granted, owing.lent);
    }
}
