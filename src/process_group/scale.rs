//! The number of processes of a group, between `min-processes` and `max-processes`.
//!
//! It grows by one when every thread was busy for a short time. It shrinks by one when one process
//! fewer, with half of the threads free, would have been enough for a long time. The difference
//! between the two keeps it from swinging.

use std::sync::atomic::Ordering::Relaxed;

use super::policy::LockedGroup;
use super::process_score::ProcessState;
use super::reason::Reason;

/// All threads taken for so long: one process more.
pub(super) const GROW_AFTER_US: u64 = 500_000;
/// One process too many for so long: one fewer.
pub(super) const SHRINK_AFTER_US: u64 = 60_000_000;
/// The interval between looks at the load.
pub(super) const SAMPLE_US: u64 = 100_000;

/// The result of a look at the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaled {
    /// Nothing.
    Same,
    /// A dormant process is to start: wake them.
    Up {
        /// Processes that the group wants now.
        target: u32,
    },
    /// The process of this slot is to go.
    Down {
        /// Processes that the group wants now.
        target: u32,
        /// The one with the highest number that serves.
        slot: usize,
    },
}

impl LockedGroup<'_> {
    /// Returns the time at which to look at the load again; `None` in a group whose size is fixed.
    #[must_use]
    pub fn next_scale_us(&self, now_us: u64) -> Option<u64> {
        (self.options.min_processes < self.options.max_processes).then_some(now_us + SAMPLE_US)
    }

    /// Looks at the load, and changes the number of processes that the group wants.
    pub fn scale(&self, now_us: u64) -> Scaled {
        let group = self.board.group;
        let (least, most) = (self.options.min_processes, self.options.max_processes);
        if least == most || self.board.wanted() == 0 {
            return Scaled::Same;
        }
        let target = group.target();
        let census = self.board.census();
        // The processes that were asked for are still starting, and the load says nothing about
        // them yet.
        let settled = census.starting == 0 && census.ready >= target;
        let busy = settled && census.running >= census.threads;
        let remaining = census.threads * u64::from(census.ready.saturating_sub(1))
            / u64::from(census.ready.max(1));
        let calm = settled && census.asking == 0 && census.running <= remaining / 2;
        if held(&group.busy_since_us, busy, now_us, GROW_AFTER_US) && target < most {
            self.set_target(target + 1);
            return Scaled::Up { target: target + 1 };
        }
        if held(&group.calm_since_us, calm && target > least, now_us, SHRINK_AFTER_US) {
            let ready =
                self.board.slots.iter().rposition(|slot| slot.state() == ProcessState::Ready);
            let Some(slot) = ready else { return Scaled::Same };
            self.set_target(target - 1);
            self.board.slots[slot].ask(Reason::ScaleDown, now_us);
            return Scaled::Down { target: target - 1, slot };
        }
        Scaled::Same
    }
}

/// Returns whether something has held for so long without a break; then it begins anew.
fn held(since: &std::sync::atomic::AtomicU64, holds: bool, now_us: u64, long_us: u64) -> bool {
    if !holds {
        since.store(0, Relaxed);
        return false;
    }
    match since.load(Relaxed) {
        0 => since.store(now_us, Relaxed),
        began if now_us.saturating_sub(began) >= long_us => {
            since.store(0, Relaxed);
            return true;
        }
        _ => {}
    }
    false
}

#[cfg(test)]
mod tests;
