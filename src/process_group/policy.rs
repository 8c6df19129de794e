//! Decisions of a group, taken under its lock: who starts, who may drain, how many there are.
//!
//! The timer thread of each daemon process asks here, and acts on what it is told. Nothing waits
//! and nothing looks at a clock.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::lock::LockGuard;
use super::options::GroupOptions;
use super::process_score::ProcessState;
use super::reason::Reason;
use super::scoreboard::Scoreboard;

/// A group whose lock this process holds. Be brief.
#[derive(Debug)]
#[must_use = "the lock is free again when this is dropped"]
pub struct LockedGroup<'a> {
    pub(super) board: Scoreboard,
    pub(super) options: &'a GroupOptions,
    _guard: LockGuard<'static>,
}

/// The next step of a dormant process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Build its applications: its slot is in the state Starting now.
    Start,
    /// Go on waiting, and ask again at this moment, or when another process changes its state.
    Wait {
        /// Microseconds of the clock; `None` if only a change can make a difference.
        until_us: Option<u64>,
    },
}

/// The number of processes of each kind in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) starting: u32,
    pub(super) ready: u32,
    /// Of those, the ones that want to be replaced.
    pub(super) asking: u32,
    pub(super) draining: u32,
    pub(super) running: u64,
    pub(super) threads: u64,
}

impl Scoreboard {
    /// Takes the group's lock as process `pid`; `alive` says whether there is a process of a pid.
    pub fn lock<'a>(
        &self,
        options: &'a GroupOptions,
        pid: u32,
        alive: impl Fn(u32) -> bool,
    ) -> LockedGroup<'a> {
        LockedGroup { board: *self, options, _guard: self.group.lock.lock(pid, alive) }
    }

    pub(super) fn census(&self) -> Census {
        let mut census = Census::default();
        for slot in self.slots {
            match slot.state() {
                ProcessState::Starting => census.starting += 1,
                ProcessState::Ready => {
                    census.ready += 1;
                    census.asking += u32::from(slot.reason().is_some());
                    census.running += u64::from(slot.running());
                    census.threads += u64::from(slot.threads());
                }
                ProcessState::Draining => census.draining += 1,
                ProcessState::Empty | ProcessState::Dormant | ProcessState::Failed => {}
            }
        }
        census
    }

    /// Returns the number of processes there should be: none in a group that sleeps, until somebody
    /// wants it.
    #[must_use]
    pub fn wanted(&self) -> u32 {
        let group = self.group;
        let asleep = group.asleep_us.load(SeqCst);
        let awake =
            asleep == 0 || group.wanted_us.load(SeqCst) > asleep || self.last_request_us() > asleep;
        if awake { group.target() } else { 0 }
    }
}

impl LockedGroup<'_> {
    /// Returns whether the dormant process of `slot` is needed.
    ///
    /// It is if there are too few: a process died, the group wakes up, or the load grew. It also is
    /// if one wants to be replaced; then no other may be starting or draining. So a rolling restart
    /// replaces them one by one, and there is at most one process too many.
    pub fn activate(&self, slot: usize, now_us: u64) -> Activation {
        let census = self.board.census();
        let wanted = self.board.wanted();
        let short = census.ready + census.starting < wanted;
        let replacing =
            census.asking > 0 && census.starting == 0 && census.ready + census.draining <= wanted;
        if !short && !replacing {
            return Activation::Wait { until_us: None };
        }
        let not_before = self.board.group.not_before_us();
        if now_us < not_before {
            return Activation::Wait { until_us: Some(not_before) };
        }
        if self.board.slots[slot].advance(ProcessState::Dormant, ProcessState::Starting, now_us) {
            return Activation::Start;
        }
        Activation::Wait { until_us: None }
    }

    /// Notes that the process of `slot` wants to be replaced. It goes on serving until another one
    /// is ready; `true` if it is draining from now on, else [`may_drain`](Self::may_drain) says
    /// when it is.
    ///
    /// One that nobody had a request for ([`Reason::InactivityTimeout`]) goes at once: the group
    /// sleeps until somebody has. One that does not serve has nothing that could be replaced.
    pub fn replace(&self, slot: usize, reason: Reason, now_us: u64) -> bool {
        let process = &self.board.slots[slot];
        if reason == Reason::InactivityTimeout {
            if process.state() != ProcessState::Ready || !process.is_idle() {
                return false;
            }
            self.board.group.asleep_us.store(now_us, SeqCst);
            return process.drain(reason, now_us);
        }
        if process.state() == ProcessState::Ready {
            process.ask(reason, now_us);
        }
        self.may_drain(slot, now_us)
    }

    /// Returns whether the process of `slot`, which wants to be replaced, is not needed any more;
    /// it is draining then. Of several, the one that has wanted it for longest goes first.
    pub fn may_drain(&self, slot: usize, now_us: u64) -> bool {
        let process = &self.board.slots[slot];
        let (ProcessState::Ready, Some(reason)) = (process.state(), process.reason()) else {
            return false;
        };
        if self.board.census().ready <= self.board.wanted() {
            return false;
        }
        let first = self
            .board
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.state() == ProcessState::Ready)
            .filter_map(|(index, slot)| Some((slot.asked_us()?, index)))
            .min();
        first.is_some_and(|(_, index)| index == slot) && process.drain(reason, now_us)
    }

    /// Asks all processes that serve to be replaced, one after another: how many.
    pub fn roll(&self, reason: Reason, now_us: u64) -> u32 {
        let ready = self.board.slots.iter().filter(|slot| slot.state() == ProcessState::Ready);
        ready.map(|slot| u32::from(slot.ask(reason, now_us))).sum()
    }

    pub(super) fn set_target(&self, target: u32) {
        self.board.group.target.store(target, Relaxed);
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::{SECOND, TestGroup};
