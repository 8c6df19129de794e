//! A lock in shared memory that does not outlive its owner.

use std::sync::atomic::{AtomicU32, Ordering};

/// Turns of waiting before a process sleeps between two looks.
const BUSY_TURNS: u32 = 64 * 64;
/// Looks, a millisecond apart, before the lock is taken away from an owner that lives.
const LOOKS: u32 = 1000;

/// A spin lock that holds its owner's pid, for decisions of microseconds among processes.
///
/// Only the daemon processes of a group take it. httpd's processes never do, since an application
/// can write to it, or be stopped while it has it. Its siblings take it away after a second or so:
/// then two may decide the same thing at once, so that there is a process too many, which is better
/// than none.
///
/// An owner that died is found out by whoever wants the lock, by a test that it passes in. Where
/// the owner's pid has been given to another process meanwhile, that test is wrong; so httpd's
/// parent, which learns of each death, calls [`Lock::release_of`] as well.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Lock(AtomicU32);

impl Lock {
    /// Waits for the lock as process `pid`. Not reentrant.
    ///
    /// # Panics
    ///
    /// If `pid` is 0.
    pub fn lock(&self, pid: u32, alive: impl Fn(u32) -> bool) -> LockGuard<'_> {
        assert!(pid != 0, "0 is not a process");
        let (mut turns, mut looks) = (0_u32, 0);
        loop {
            // Acquire and Release: what one owner wrote, the next one sees.
            let Err(owner) = self.0.compare_exchange(0, pid, Ordering::Acquire, Ordering::Relaxed)
            else {
                return LockGuard { lock: self, pid };
            };
            turns += 1;
            if !turns.is_multiple_of(64) {
                std::hint::spin_loop();
                continue;
            }
            // Of all who find the owner dead, only one gets its place: the exchange is from it.
            if owner != pid
                && !alive(owner)
                && self.0.compare_exchange(owner, pid, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                return LockGuard { lock: self, pid };
            }
            if turns < BUSY_TURNS {
                std::thread::yield_now();
                continue;
            }
            // A sleep a turn from here on, without the busy ones between two looks.
            std::thread::sleep(std::time::Duration::from_millis(1));
            looks += 1;
            turns = BUSY_TURNS - 1;
            if looks >= LOOKS
                && self.0.compare_exchange(owner, pid, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                return LockGuard { lock: self, pid };
            }
        }
    }

    /// Frees the lock if the process `pid`, which is dead, holds it.
    pub fn release_of(&self, pid: u32) -> bool {
        pid != 0 && self.0.compare_exchange(pid, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Returns the pid of its holder.
    #[must_use]
    pub fn owner(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }
}

/// Holds a [`Lock`] until it is dropped.
#[derive(Debug)]
#[must_use = "the lock is free again when the guard is dropped"]
pub struct LockGuard<'a> {
    lock: &'a Lock,
    pid: u32,
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        // Another one may have taken it over, if it took this process for dead.
        self.lock.release_of(self.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn one_at_a_time() {
        let lock = Lock::default();
        let value = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for pid in 1..=8 {
                let (lock, value) = (&lock, &value);
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        let _guard = lock.lock(pid, |_| true);
                        let seen = value.load(Ordering::Relaxed);
                        std::hint::spin_loop();
                        value.store(seen + 1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(value.load(Ordering::Relaxed), 16_000);
        assert_eq!(lock.owner(), None);
    }

    #[test]
    fn taken_over_from_the_dead() {
        let lock = Lock(AtomicU32::new(7));
        assert_eq!(lock.owner(), Some(7));
        let guard = lock.lock(8, |pid| pid != 7);
        assert_eq!(lock.owner(), Some(8));
        assert!(!lock.release_of(7), "no longer its lock");
        drop(guard);
        assert_eq!(lock.owner(), None);
    }

    #[test]
    fn taken_away_from_one_that_keeps_it() {
        let lock = Lock(AtomicU32::new(7));
        drop(lock.lock(8, |_| true));
        // The stopped process goes on.
        assert!(!lock.release_of(7));
        assert_eq!(lock.owner(), None);
        let own = Lock(AtomicU32::new(8));
        drop(own.lock(8, |_| true));
    }

    #[test]
    fn released_for_the_dead() {
        let lock = Lock(AtomicU32::new(7));
        assert!(lock.release_of(7) && !lock.release_of(7));
        drop(lock.lock(9, |_| panic!("nobody holds it")));
    }

    #[test]
    fn the_lock_of_a_dead_owner_is_taken_once() {
        // Every thread finds the owner dead at once; still they come one by one.
        for _ in 0..200 {
            let lock = Lock(AtomicU32::new(99));
            let inside = AtomicU32::new(0);
            std::thread::scope(|scope| {
                for pid in 1..=4 {
                    let (lock, inside) = (&lock, &inside);
                    scope.spawn(move || {
                        let _guard = lock.lock(pid, |owner| owner != 99);
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
        }
    }
}
