//! Failed starts: the pause after each, and the circuit.
//!
//! A failure is a start that did not come to READY: a factory's error, `startup-timeout`, a death
//! before. A process that dies soon after READY without ever having had a request is one too, if it
//! is not the first: somebody may have killed it. A crash under a request is none: a single request
//! that brings processes down must not keep all others out, and no more processes are started than
//! requests kill.
//!
//! httpd's parent records deaths without the group's lock: a daemon process may hold that for ever.
//! Two failures at the same moment may then count as one, which only shortens a pause.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::options::GroupOptions;
use super::policy::LockedGroup;
use super::process_score::ProcessState;
use super::scoreboard::{DeadProcess, Scoreboard};

/// A process that has been ready for so long shows that starts succeed.
pub(crate) const SETTLED_US: u64 = 10_000_000;
/// The longest pause.
pub(crate) const LONGEST_PAUSE_US: u64 = 60_000_000;

/// The consequence of a failed start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartFailure {
    /// The number of failed starts in a row.
    pub in_row: u32,
    /// The pause before the next start.
    pub pause_us: u64,
    /// It is the first of those that started together, and worth a line in the log.
    pub first_of_wave: bool,
}

impl Scoreboard {
    /// Notes that the process of `slot` has built its applications and gets requests from now on.
    /// The pause after failures ends: `false` if it was not starting any more.
    pub fn ready(&self, slot: usize, now_us: u64) -> bool {
        let ready = self.slots[slot].become_ready(now_us);
        if ready {
            self.group.not_before_us.store(0, SeqCst);
            self.group.open.store(0, SeqCst);
        }
        ready
    }

    /// Failures in a row, or 0 once a process that became ready after them has settled.
    #[must_use]
    pub fn failures_in_row(&self, now_us: u64) -> u32 {
        let last = self.group.last_failure_us.load(Relaxed);
        let settled = self.slots.iter().any(|slot| {
            slot.state() == ProcessState::Ready
                && slot.ready_us() > last
                && now_us.saturating_sub(slot.ready_us()) >= SETTLED_US
        });
        if settled { 0 } else { self.group.failures() }
    }

    /// Records that a process was found dead; `crashed` is false if it exited with status 0.
    /// Returns `None` if that is not a failed start, or is one that the process recorded itself.
    ///
    /// It takes no lock and never waits, so that httpd's parent may call it.
    pub fn died(
        &self,
        options: &GroupOptions,
        dead: &DeadProcess,
        crashed: bool,
        now_us: u64,
    ) -> Option<StartFailure> {
        let failed = match dead.state {
            ProcessState::Starting => true,
            ProcessState::Ready => {
                let ready_us = dead.ready_us.unwrap_or(now_us);
                crashed
                    && dead.requests == 0
                    && dead.load == 0
                    && now_us.saturating_sub(ready_us) < SETTLED_US
            }
            ProcessState::Dormant => {
                let pause_us = options.crash_backoff.as_micros() as u64;
                crashed && now_us.saturating_sub(dead.since_us) < pause_us
            }
            // It could not even be set up, whatever it says by its exit status.
            ProcessState::Empty => true,
            ProcessState::Draining | ProcessState::Failed => false,
        };
        if !failed && matches!(dead.state, ProcessState::Ready | ProcessState::Draining) {
            self.close_after_pause(now_us);
        }
        failed.then(|| self.failed(options, dead.since_us, dead.ready_us, now_us))
    }

    /// A process has served: an earlier failure whose pause is over, and after which nobody tried
    /// again, says nothing about the next start.
    fn close_after_pause(&self, now_us: u64) {
        if now_us >= self.group.not_before_us() {
            self.group.open.store(0, SeqCst);
        }
    }

    fn failed(
        &self,
        options: &GroupOptions,
        since_us: u64,
        ready_us: Option<u64>,
        now_us: u64,
    ) -> StartFailure {
        let group = self.group;
        let last_us = group.last_failure_us.load(Relaxed);
        let mut in_row = self.failures_in_row(now_us);
        // Of processes that started together, all may fail for one reason. That is one failure.
        let first_of_wave = in_row == 0 || ready_us.unwrap_or(since_us) >= last_us;
        if first_of_wave {
            in_row = in_row.saturating_add(1);
            group.last_failure_us.store(now_us, Relaxed);
        }
        let counted = if ready_us.is_some() { in_row - 1 } else { in_row };
        let pause_us = pause(options.crash_backoff.as_micros() as u64, counted);
        group.failures.store(in_row, Relaxed);
        if first_of_wave {
            group.not_before_us.store(now_us + pause_us, SeqCst);
            group.open.store(u32::from(pause_us > 0), SeqCst);
        }
        StartFailure { in_row, pause_us, first_of_wave }
    }
}

impl LockedGroup<'_> {
    /// Notes that the process of `slot` could not build its applications, and is about to exit.
    pub fn start_failed(&self, slot: usize, now_us: u64) -> StartFailure {
        let process = &self.board.slots[slot];
        let since_us = process.since_us();
        process.advance(ProcessState::Starting, ProcessState::Failed, now_us);
        self.board.failed(self.options, since_us, None, now_us)
    }
}

/// The pause after so many failures in a row: it doubles, up to a minute.
fn pause(first_us: u64, in_row: u32) -> u64 {
    let Some(doublings) = in_row.checked_sub(1) else { return 0 };
    let doubled = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    first_us.saturating_mul(doubled).min(LONGEST_PAUSE_US.max(first_us))
}

#[cfg(test)]
mod tests;
