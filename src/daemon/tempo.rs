//! The time in which a group's requests are mostly answered, as one httpd child sees it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

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

#[cfg(test)]
mod tests {
    use super::*;

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
