//! The clock of the scoreboard: microseconds of CLOCK_MONOTONIC, the same in every process.

use std::sync::atomic::{AtomicU64, Ordering};

/// Tells the time in microseconds since some fixed moment that all processes share.
///
/// Zero is not a time: a field of the scoreboard that is 0 was not set.
pub trait Clock: Send + Sync {
    /// Microseconds, never less than at an earlier call.
    fn now_us(&self) -> u64;
}

impl<F: Fn() -> u64 + Send + Sync> Clock for F {
    fn now_us(&self) -> u64 {
        self()
    }
}

/// A clock that stands still until it is told to go on, for tests.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Makes one that shows `now_us`.
    #[must_use]
    pub const fn new(now_us: u64) -> Self {
        Self(AtomicU64::new(now_us))
    }

    /// Goes on by `us` microseconds.
    pub fn advance(&self, us: u64) {
        self.0.fetch_add(us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_until_advanced() {
        let clock = ManualClock::new(5);
        assert_eq!(clock.now_us(), 5);
        clock.advance(7);
        assert_eq!(clock.now_us(), 12);
        let fixed = || 9;
        assert_eq!(Clock::now_us(&fixed), 9);
    }
}
