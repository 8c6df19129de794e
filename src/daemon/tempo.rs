//! The time in which a group's requests are mostly answered, as one httpd child sees it, and the
//! threads that wait for answers meanwhile.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A request is quick if its answer begins within this time.
pub(super) const QUICK: Duration = Duration::from_millis(2);

/// The share of slow requests among the last ones, in 256ths.
#[derive(Debug, Default)]
pub(super) struct Tempo(AtomicU8);

impl Tempo {
    /// Takes note of a request. A note that another thread overwrites does no harm.
    pub(super) fn note(&self, is_quick: bool) {
        let before = self.0.load(Ordering::Relaxed);
        let after = before - before / 4 + if is_quick { 0 } else { 63 };
        if after != before {
            self.0.store(after, Ordering::Relaxed);
        }
    }

    /// Returns whether the next request will probably be slow.
    pub(super) fn is_slow(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 128
    }
}

/// The longest time that a request stays on its thread for its answer while there are threads for
/// others. To give the thread back and to come back costs about as much as a small answer.
const LONGEST: Duration = Duration::from_millis(20);

/// The threads of this child that stay with a request.
static STAYING: AtomicUsize = AtomicUsize::new(0);

/// A thread that stays with a request, one of half the child's threads at most.
pub(super) struct Stay {
    since: Instant,
}

impl Stay {
    /// Lets the thread of a child with `threads` stay, unless too many do already.
    pub(super) fn begin(threads: usize) -> Option<Self> {
        let most = threads / 2;
        let stays = |count: usize| (count < most).then_some(count + 1);
        STAYING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, stays).ok()?;
        Some(Self { since: Instant::now() })
    }

    /// Returns whether it has stayed long enough.
    pub(super) fn is_over(&self) -> bool {
        self.since.elapsed() >= LONGEST
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        STAYING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_threads_stay() {
        let first = Stay::begin(5).expect("one of two");
        assert!(!first.is_over());
        let second = Stay::begin(5);
        assert!(second.is_some());
        assert!(Stay::begin(5).is_none(), "two of five stay already");
        assert!(Stay::begin(1).is_none(), "a child with one thread has none to spare");
        drop(first);
        assert!(Stay::begin(5).is_some());
    }

    #[test]
    fn the_last_requests_decide() {
        let tempo = Tempo::default();
        assert!(!tempo.is_slow());
        tempo.note(false);
        tempo.note(false);
        assert!(!tempo.is_slow(), "two of them are no rule");
        for _ in 0..100 {
            tempo.note(false);
        }
        assert!(tempo.is_slow());
        tempo.note(true);
        assert!(tempo.is_slow());
        for _ in 0..3 {
            tempo.note(true);
        }
        assert!(!tempo.is_slow());
    }
}
