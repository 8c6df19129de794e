//! Sizes the worker pool: `threads` workers, plus one for each request that waits without a permit.
//!
//! A thread that was started for a request which waits is needed again when the next one does. A
//! thread that was not needed for a while ends, also when all are busy. Threads poll for requests
//! in rotation and each finds one now and then, so none would be idle for long.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The requests of a process that may wait, each with a thread of its own, beside those that are
/// worked on. Requests beyond keep their permits while they wait.
pub(crate) const MOST_BLOCKED: usize = 1024;

/// The time for which threads are kept that are not needed.
const WHILE: Duration = Duration::from_secs(10);

/// The count of a process's worker threads.
#[derive(Debug)]
pub(crate) struct PoolSize {
    /// So many may work at once.
    at_work: usize,
    /// So many requests may wait, each with a thread of its own, beside them.
    spare: usize,
    /// Threads that can take requests, or have one.
    threads: AtomicUsize,
    waiting: AtomicUsize,
    /// The most that waited at once, since [`Window::since`].
    most: AtomicUsize,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    /// The most that waited at once in the window before.
    most_before: usize,
}

impl PoolSize {
    pub(crate) fn new(at_work: usize, spare: usize) -> Self {
        Self {
            at_work,
            spare,
            threads: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            window: Mutex::new(Window { since: Instant::now(), most_before: 0 }),
        }
    }

    /// Returns the number of threads.
    pub(crate) fn count(&self) -> usize {
        self.threads.load(Ordering::Acquire)
    }

    /// Returns how many requests wait without a permit.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Whether one more request may wait and have its thread replaced meanwhile.
    pub(crate) fn has_spare(&self) -> bool {
        self.waiting.load(Ordering::Acquire) < self.spare
    }

    /// A request waits from now on.
    pub(crate) fn waits(&self) {
        let waiting = self.waiting.fetch_add(1, Ordering::AcqRel) + 1;
        self.most.fetch_max(waiting, Ordering::AcqRel);
    }

    /// It does not any more.
    pub(crate) fn goes_on(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// Counts another thread, if one is needed: how many there were. Whoever cannot start it says
    /// that it [leaves](Self::leaves).
    pub(crate) fn joins(&self) -> Option<usize> {
        let more = |threads: usize| {
            let waiting = self.waiting.load(Ordering::Acquire).min(self.spare);
            (threads < self.at_work + waiting).then_some(threads + 1)
        };
        self.threads.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()
    }

    /// A thread ends, or did not start.
    pub(crate) fn leaves(&self) {
        self.threads.fetch_sub(1, Ordering::AcqRel);
    }

    /// Returns the time that a thread without work waits: for ever, unless there are more than may
    /// work at once.
    pub(crate) fn patience(&self) -> Option<Duration> {
        (self.threads.load(Ordering::Relaxed) > self.at_work).then_some(WHILE)
    }

    /// Whether the calling thread, which has nothing to do now, was not needed for a while. It is
    /// counted no more then, and has to end.
    pub(crate) fn is_one_too_many(&self) -> bool {
        let threads = self.threads.load(Ordering::Relaxed);
        threads > self.at_work && self.sheds(Instant::now())
    }

    fn sheds(&self, now: Instant) -> bool {
        let most_before = {
            // Another thread checks this; one check is enough.
            let Ok(mut window) = self.window.try_lock() else { return false };
            if now.saturating_duration_since(window.since) >= WHILE {
                let waiting = self.waiting.load(Ordering::Acquire);
                window.most_before = self.most.swap(waiting, Ordering::AcqRel);
                window.since = now;
            }
            window.most_before
        };
        let fewer = |threads: usize| {
            let most = self.most.load(Ordering::Acquire).max(most_before);
            (threads > self.at_work + most.min(self.spare)).then(|| threads - 1)
        };
        self.threads.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(at_work: usize, spare: usize) -> PoolSize {
        let pool_size = PoolSize::new(at_work, spare);
        (0..at_work).for_each(|before| assert_eq!(pool_size.joins(), Some(before)));
        pool_size
    }

    #[test]
    fn one_more_for_each_that_waits() {
        let pool_size = full(2, 2);
        assert_eq!((pool_size.joins(), pool_size.patience()), (None, None));
        for before in [2, 3] {
            assert!(pool_size.has_spare());
            pool_size.waits();
            assert_eq!(pool_size.joins(), Some(before));
        }
        assert!(!pool_size.has_spare());
        pool_size.waits();
        assert_eq!((pool_size.joins(), pool_size.count()), (None, 4), "no more than are to spare");
        assert_eq!(pool_size.patience(), Some(WHILE));
        pool_size.leaves();
        assert_eq!(pool_size.joins(), Some(3));
    }

    /// However busy the others are: nobody has to be idle for it.
    #[test]
    fn unneeded_threads_end_after_a_while() {
        let pool_size = full(2, 8);
        let start = Instant::now();
        (0..3).for_each(|_| pool_size.waits());
        while pool_size.joins().is_some() {}
        assert_eq!(pool_size.count(), 5);
        (0..2).for_each(|_| pool_size.goes_on());
        let after = |windows: u32| start + WHILE * windows + Duration::from_secs(1);
        assert!(
            !pool_size.sheds(start) && !pool_size.sheds(after(1)),
            "all were needed in the last window"
        );
        assert!(!pool_size.sheds(after(1)), "in this one too, for all that is known");
        assert!(pool_size.sheds(after(2)) && pool_size.sheds(after(2)));
        assert!(!pool_size.sheds(after(2)), "one waits");
        pool_size.waits();
        assert_eq!(pool_size.joins(), Some(3));
        pool_size.goes_on();
        pool_size.goes_on();
        assert!(!pool_size.sheds(after(3)), "two waited");
        assert!(pool_size.sheds(after(4)) && pool_size.sheds(after(4)));
        assert_eq!((pool_size.count(), pool_size.is_one_too_many()), (2, false), "never too few");
    }

    #[test]
    fn a_long_calm_keeps_the_last_size() {
        let pool_size = full(1, 4);
        pool_size.waits();
        assert_eq!(pool_size.joins(), Some(1));
        pool_size.goes_on();
        let late = Instant::now() + WHILE * 100;
        assert!(!pool_size.sheds(late));
        assert!(pool_size.sheds(late + WHILE));
    }
}
