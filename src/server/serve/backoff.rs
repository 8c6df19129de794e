//! Returns the pause before a worker that died is replaced.

use std::time::{Duration, Instant};

/// The first pause; it doubles.
const FIRST: Duration = Duration::from_secs(1);
/// The longest, as for process groups.
const LONGEST: Duration = Duration::from_micros(crate::process_group::LONGEST_PAUSE_US);
/// A worker that served for so long shows that workers can.
const SETTLED: Duration = Duration::from_micros(crate::process_group::SETTLED_US);

/// Counts deaths that come soon after one another.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    in_row: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// A worker died that had been ready for so long (`None`: it never was). How long to wait.
    ///
    /// The first death of one that was ready is followed at once; who never got ready is no better
    /// the second time.
    pub(super) fn died(&mut self, ready_for: Option<Duration>, now: Instant) -> Duration {
        if ready_for.is_some_and(|time| time >= SETTLED) {
            self.in_row = 0;
        }
        self.in_row += 1;
        let counted = if ready_for.is_some() { self.in_row - 1 } else { self.in_row };
        let pause = match counted.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(LONGEST)
            }
        };
        self.not_before = Some(now + pause);
        pause
    }

    /// When the next may start.
    pub(super) const fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// A program that works has taken the place of the one before.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let soon = Some(Duration::from_secs(1));
        let pauses: Vec<_> = (0..9).map(|_| backoff.died(soon, now).as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.died(Some(SETTLED), now).as_secs(), 0);
        backoff.forget();
        assert_eq!(backoff.not_before(), None);
        assert_eq!(backoff.died(None, now).as_secs(), 1);
        assert_eq!(backoff.died(None, now).as_secs(), 2);
        assert_eq!(backoff.not_before(), Some(now + Duration::from_secs(2)));
    }
}
