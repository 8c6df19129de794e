//! The time that a start and a drain may take, and the next moment at which something is due.

use super::options::GroupOptions;
use super::reason::Reason;

/// The interval at which a draining process looks again whether it is idle. Children that came too
/// late and took themselves back wake nobody.
pub(super) const DRAIN_POLL_US: u64 = 10_000;

/// Returns the time at which a process whose applications are being built has to be ready.
#[must_use]
pub(crate) fn startup_us(options: &GroupOptions, since_us: u64) -> Option<u64> {
    options.startup_timeout.map(|time| since_us + time.as_micros() as u64)
}

/// A process that takes no more requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain {
    reason: Reason,
    until_us: u64,
}

/// The next step of a draining process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainAction {
    /// Look again then.
    Wait {
        /// Microseconds of the clock.
        until_us: u64,
    },
    /// Exit: nothing is left to do.
    Exit,
    /// Exit, and leave requests unfinished: the time is up.
    GiveUp,
}

impl Drain {
    /// Starts a drain for this reason at `now_us`.
    #[must_use]
    pub(crate) fn new(options: &GroupOptions, reason: Reason, now_us: u64) -> Self {
        let time = match reason {
            Reason::GracefulSignal => options.eviction_timeout,
            Reason::ShutdownSignal | Reason::GenerationOver => options.shutdown_timeout,
            _ => options.graceful_timeout,
        };
        Self { reason, until_us: now_us + time.as_micros() as u64 }
    }

    /// Notes another reason: it can make the time shorter, never longer.
    pub(crate) fn also(&mut self, options: &GroupOptions, reason: Reason, now_us: u64) {
        let other = Self::new(options, reason, now_us);
        if other.until_us < self.until_us {
            *self = other;
        }
    }

    /// Returns the reason that sets its time.
    #[must_use]
    pub(crate) const fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns whether it may exit: `idle` is [`super::ProcessScore::is_idle`], looked at after it
    /// began to drain.
    #[must_use]
    pub(crate) fn check(&self, idle: bool, now_us: u64) -> DrainAction {
        if idle {
            DrainAction::Exit
        } else if now_us >= self.until_us {
            DrainAction::GiveUp
        } else {
            DrainAction::Wait { until_us: self.until_us.min(now_us + DRAIN_POLL_US) }
        }
    }
}

/// Returns the first of several moments, of which some are not set.
#[must_use]
pub(crate) fn earliest(moments: impl IntoIterator<Item = Option<u64>>) -> Option<u64> {
    moments.into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> GroupOptions {
        let arguments = ["graceful-timeout=15", "eviction-timeout=30", "shutdown-timeout=5"];
        GroupOptions::parse("g", &arguments).unwrap()
    }

    #[test]
    fn each_reason_has_its_time() {
        for reason in Reason::ALL {
            let seconds = match reason {
                Reason::GracefulSignal => 30,
                Reason::ShutdownSignal | Reason::GenerationOver => 5,
                _ => 15,
            };
            let drain = Drain::new(&options(), *reason, 1_000_000);
            assert_eq!(drain.until_us, (1 + seconds) * 1_000_000, "{reason:?}");
        }
    }

    #[test]
    fn exits_as_soon_as_it_is_idle() {
        let drain = Drain::new(&options(), Reason::ShutdownSignal, 0);
        assert_eq!(drain.check(true, 0), DrainAction::Exit);
        assert_eq!(drain.check(true, 9_000_000), DrainAction::Exit);
        assert_eq!(drain.check(false, 0), DrainAction::Wait { until_us: DRAIN_POLL_US });
        assert_eq!(drain.check(false, 4_999_999), DrainAction::Wait { until_us: 5_000_000 });
        assert_eq!(drain.check(false, 5_000_000), DrainAction::GiveUp);
    }

    #[test]
    fn a_stricter_reason_shortens_it() {
        let mut drain = Drain::new(&options(), Reason::MaximumRequests, 0);
        drain.also(&options(), Reason::GracefulSignal, 1_000_000);
        assert_eq!((drain.reason(), drain.until_us), (Reason::MaximumRequests, 15_000_000));
        drain.also(&options(), Reason::ShutdownSignal, 2_000_000);
        assert_eq!((drain.reason(), drain.until_us), (Reason::ShutdownSignal, 7_000_000));
        drain.also(&options(), Reason::ShutdownSignal, 3_000_000);
        assert_eq!(drain.until_us, 7_000_000, "a second SIGTERM gives no more time");
    }

    #[test]
    fn a_start_has_its_time() {
        let with = GroupOptions::parse("g", &["startup-timeout=2"]).unwrap();
        let without = GroupOptions::parse("g", &["startup-timeout=0"]).unwrap();
        assert_eq!(startup_us(&with, 500), Some(2_000_500));
        assert_eq!(startup_us(&without, 500), None);
    }

    #[test]
    fn the_first_moment_counts() {
        assert_eq!(earliest([None, Some(7), Some(3), None]), Some(3));
        assert_eq!(earliest([None, None]), None);
        assert_eq!(earliest([]), None);
    }
}
