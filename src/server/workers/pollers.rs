//! The threads that poll for requests: as few as there are cores for, as long as requests are
//! short.
//!
//! To wake a thread costs more than a small request. A thread that has finished one and polls at
//! once finds the next without sleeping, if no other was woken for it. So only a few poll for
//! connections ([`Pollers::enter`]), and the others rest. When all pollers have requests and none
//! comes back within a tick of the timer, requests take long here. Then twice as many threads may
//! poll. That number falls again when it was not needed for a while.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The time that a request may wait for a thread because all pollers are busy.
pub(crate) const TICK_US: u64 = 1_000;

/// Ticks after which one thread fewer polls, if none was missing meanwhile.
const CALM: u32 = 256;

/// The threads of a process that wait for requests.
#[derive(Debug)]
pub(crate) struct Pollers {
    /// The lower and the upper bound.
    few: u32,
    all: u32,
    /// The number of threads that may poll now.
    wanted: AtomicU32,
    polling: AtomicU32,
    /// The number of requests that they have found.
    found: AtomicU64,
    /// The timer ticks.
    ticking: AtomicBool,
    ended: AtomicBool,
    rest: Mutex<()>,
    call: Condvar,
}

/// The state that the timer keeps from tick to tick.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    found: u64,
    calm: u32,
}

impl Pollers {
    /// For `threads` threads in each of so many processes.
    pub(crate) fn new(threads: u32, processes: u32) -> Self {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        Self::with(cores.div_ceil(processes.max(1)).min(threads).max(1), threads)
    }

    /// Lets all of `threads` threads wait at once: then no timer has to [tick](Self::tick).
    #[cfg_attr(not(feature = "http-server"), allow(dead_code, reason = "its requests are jobs"))]
    pub(crate) fn all(threads: u32) -> Self {
        Self::with(threads, threads)
    }

    fn with(few: u32, all: u32) -> Self {
        Self {
            few,
            all,
            wanted: AtomicU32::new(few),
            polling: AtomicU32::new(0),
            found: AtomicU64::new(0),
            ticking: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            rest: Mutex::new(()),
            call: Condvar::new(),
        }
    }

    /// Joins the pollers once there are too few; `false` if there were enough for all of
    /// `patience`.
    pub(crate) fn enter(&self, patience: Option<Duration>) -> bool {
        if self.try_enter() {
            return true;
        }
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = |(): &mut ()| !self.try_enter();
        match patience {
            None => {
                let _rest =
                    self.call.wait_while(rest, goes_on).unwrap_or_else(PoisonError::into_inner);
                true
            }
            Some(patience) => {
                let (_rest, waited) = self
                    .call
                    .wait_timeout_while(rest, patience, goes_on)
                    .unwrap_or_else(PoisonError::into_inner);
                !waited.timed_out()
            }
        }
    }

    fn try_enter(&self) -> bool {
        let wanted = self.wanted.load(Ordering::Relaxed);
        let more = |polling| (polling < wanted).then(|| polling + 1);
        if self.polling.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).is_ok() {
            return true;
        }
        let has_ended = self.ended.load(Ordering::Acquire);
        if has_ended {
            // Each thread that enters leaves again.
            self.polling.fetch_add(1, Ordering::AcqRel);
        }
        has_ended
    }

    /// Leaves with a request, or without. `true` if no thread polls any more and the timer has to
    /// be woken.
    pub(crate) fn leave(&self) -> bool {
        self.found.fetch_add(1, Ordering::Relaxed);
        let before = self.polling.fetch_sub(1, Ordering::AcqRel);
        before <= 1
            && self.wanted.load(Ordering::Relaxed) < self.all
            && !self.ticking.load(Ordering::Relaxed)
            && !self.ticking.swap(true, Ordering::AcqRel)
    }

    /// Returns whether no thread waits for events.
    pub(crate) fn is_empty(&self) -> bool {
        self.polling.load(Ordering::Acquire) == 0
    }

    /// Lets another thread poll, as one with a request waits for something else.
    pub(crate) fn relieve(&self) {
        if self.polling.load(Ordering::Acquire) < self.wanted.load(Ordering::Relaxed) {
            self.call(1);
        }
    }

    /// Adjusts the number of pollers; the timer calls it once a tick while it is
    /// [ticking](Self::is_ticking).
    pub(crate) fn tick(&self, ticks: &mut Ticks) {
        let found = self.found.load(Ordering::Relaxed);
        let is_quiet = found == std::mem::replace(&mut ticks.found, found);
        let wanted = self.wanted.load(Ordering::Relaxed);
        if self.polling.load(Ordering::Acquire) > 0 {
            ticks.calm += 1;
            if is_quiet {
                // Before the last check: a thread that leaves from here on wakes the timer again.
                self.ticking.store(false, Ordering::SeqCst);
                if self.polling.load(Ordering::SeqCst) == 0 {
                    self.ticking.store(true, Ordering::SeqCst);
                }
            }
        } else if is_quiet {
            ticks.calm = 0;
            let more = (wanted * 2).clamp(1, self.all);
            self.wanted.store(more, Ordering::Relaxed);
            // No thread polls now: exactly this many have to be called. There may be a thousand.
            self.call(more);
            return;
        }
        if ticks.calm >= CALM {
            ticks.calm = 0;
            self.wanted.store((wanted - 1).max(self.few), Ordering::Relaxed);
        }
    }

    /// Returns whether the timer is to tick.
    pub(crate) fn is_ticking(&self) -> bool {
        self.ticking.load(Ordering::Acquire)
    }

    /// Wakes all threads and lets them enter from now on.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.call(u32::MAX);
    }

    /// Wakes so many of those that rest.
    fn call(&self, count: u32) {
        // A thread that is about to wait holds the lock until it listens.
        let _rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if count >= self.all {
            self.call.notify_all();
        } else {
            (0..count).for_each(|_| self.call.notify_one());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pollers(few: u32, all: u32) -> Pollers {
        let pollers = Pollers { few, ..Pollers::new(all, 1) };
        pollers.wanted.store(few, Ordering::Relaxed);
        pollers
    }

    #[test]
    fn a_few_poll_and_more_when_requests_take_long() {
        let pollers = pollers(1, 4);
        let mut ticks = Ticks::default();
        assert!(pollers.enter(None));
        assert!(!pollers.enter(Some(Duration::ZERO)), "one is enough");
        assert!(pollers.leave(), "no thread polls: the timer is woken");
        assert!(pollers.is_ticking());
        pollers.tick(&mut ticks);
        assert!(
            !pollers.enter(Some(Duration::ZERO)) || pollers.polling.load(Ordering::Relaxed) == 1
        );
        assert!(!pollers.leave(), "it ticks already");
        // Nothing was found since the last tick, and no thread polls.
        pollers.tick(&mut ticks);
        pollers.tick(&mut ticks);
        assert!(pollers.wanted.load(Ordering::Relaxed) >= 2);
        assert!(pollers.enter(Some(Duration::ZERO)) && pollers.enter(Some(Duration::ZERO)));
        for _ in 0..8 * CALM {
            pollers.tick(&mut ticks);
        }
        assert_eq!(pollers.wanted.load(Ordering::Relaxed), 1);
        assert!(!pollers.is_ticking(), "all is quiet");
    }

    #[test]
    fn a_resting_poller_is_called() {
        let pollers = pollers(1, 2);
        assert!(pollers.enter(None));
        thread::scope(|scope| {
            let other = scope.spawn(|| pollers.enter(None));
            pollers.leave();
            let mut ticks = Ticks::default();
            while !other.is_finished() {
                pollers.tick(&mut ticks);
                thread::yield_now();
            }
        });
        pollers.end();
        assert!(pollers.enter(None) && pollers.enter(None) && pollers.enter(None));
        for _ in 0..4 {
            pollers.leave();
        }
        assert_eq!(pollers.polling.load(Ordering::Relaxed), 0);
        assert!(pollers.enter(None), "and again");
    }
}
