//! The scoreboard of a process group, in memory that httpd's parent, its children and the daemon
//! processes share: atomics only, and all zero is a valid start.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::group_score::GroupScore;
use super::options::GroupOptions;
use super::process_score::{MOST_SLOTS, ProcessScore, ProcessState};
use super::worker_score::WorkerScore;

/// One group's scoreboard: a view, free to copy.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Scoreboard {
    /// The part that all processes share.
    pub group: &'static GroupScore,
    /// One a process.
    pub slots: &'static [ProcessScore],
    /// One a request at work or waiting: those of slot 0, then those of slot 1, …
    pub rows: &'static [WorkerScore],
    /// Rows of each slot.
    pub rows_per_slot: usize,
}

/// A child's claim on a process: one request counted in its load. It does not give it back by
/// itself, as that is the process's part once a byte was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Lease {
    /// The slot.
    pub slot: usize,
    /// The number of the slot's process.
    pub incarnation: u32,
    /// Its pid.
    pub pid: u32,
}

/// The process that a request may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessChoice {
    /// To this one: acquire it.
    Process {
        /// The slot.
        index: usize,
        /// The number of the slot's process.
        incarnation: u32,
        /// Its pid.
        pid: u32,
    },
    /// Every thread is taken and the line of those who wait is full.
    Full,
    /// No process is ready, or none that was not tried.
    NoneReady,
    /// No process is ready, as the last starts failed. The next is tried at this moment; if it has
    /// passed, that is under way.
    Open {
        /// Microseconds of the clock.
        until_us: u64,
    },
}

/// Slots that a child has tried for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TriedSlots([u64; MOST_SLOTS as usize / 64]);

impl TriedSlots {
    /// Makes an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; MOST_SLOTS as usize / 64])
    }

    /// Adds a slot.
    pub const fn add(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    /// Returns whether it has the slot.
    #[must_use]
    pub const fn has(&self, slot: usize) -> bool {
        self.0[slot / 64] & 1 << (slot % 64) != 0
    }
}

/// The place at which the ticket of a broken connection was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketLocation {
    /// In a row: a thread works on it, since then.
    Worker {
        /// The time at which a thread took it up.
        started_us: u64,
    },
    /// Its process died, or gave its response up, while or after an application had it.
    Lost,
    /// Nowhere, but so many have died since that this proves nothing.
    Forgotten,
    /// Nowhere: not a byte of it reached an application.
    Nowhere,
}

impl TicketLocation {
    /// Returns whether an application may have seen the request.
    #[must_use]
    pub const fn may_have_started(self) -> bool {
        !matches!(self, Self::Nowhere)
    }
}

/// The content of a slot at the time its process was found dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadProcess {
    /// The process.
    pub pid: u32,
    /// Its state when it died.
    pub state: ProcessState,
    /// The time at which it became ready, if it did.
    pub ready_us: Option<u64>,
    /// Requests that an application had.
    pub lost_requests: u32,
    /// Requests that it was sent, or would have been.
    pub load: u32,
    /// Requests that it had done.
    pub requests: u64,
    /// Since when it was in its state.
    pub since_us: u64,
}

impl Scoreboard {
    /// Makes a view of these parts: as many rows for each slot.
    ///
    /// # Panics
    ///
    /// If there are no slots, too many, or the rows cannot be shared out.
    #[must_use]
    pub fn new(
        group: &'static GroupScore,
        slots: &'static [ProcessScore],
        rows: &'static [WorkerScore],
    ) -> Self {
        assert!(!slots.is_empty() && slots.len() <= MOST_SLOTS as usize, "{} slots", slots.len());
        assert!(rows.len().is_multiple_of(slots.len()), "{} rows", rows.len());
        Self { group, slots, rows, rows_per_slot: rows.len() / slots.len() }
    }

    /// Returns a scoreboard on the heap of this process, never given back: for tests without shared
    /// memory.
    #[must_use]
    pub fn leaked(slots: usize, rows_per_slot: usize) -> Self {
        let rows = (0..slots * rows_per_slot).map(|_| WorkerScore::default()).collect::<Vec<_>>();
        let slots = (0..slots).map(|_| ProcessScore::default()).collect::<Vec<_>>();
        slots.iter().for_each(|slot| slot.use_rows(rows_per_slot as u32));
        Self::new(Box::leak(Box::default()), slots.leak(), rows.leak())
    }

    /// Fills in the values of the options, in the parent before the first fork.
    pub fn prepare(&self, options: &GroupOptions, now_us: u64) {
        self.group.queue_size.store(options.queue_size, Relaxed);
        self.group.target.store(options.min_processes, Relaxed);
        self.group.started_us.store(now_us, Relaxed);
    }

    /// Returns the rows of a slot.
    #[must_use]
    pub fn rows_of(&self, slot: usize) -> &'static [WorkerScore] {
        &self.rows[slot * self.rows_per_slot..(slot + 1) * self.rows_per_slot]
    }

    /// Returns the rows of a slot that its process has used. The others are not read, as that would
    /// take memory for each.
    #[must_use]
    pub fn used_rows(&self, slot: usize) -> &'static [WorkerScore] {
        let rows = self.rows_of(slot);
        // A compromised process can write any number there.
        &rows[..rows.len().min(self.slots[slot].rows() as usize)]
    }

    /// Returns the least busy process that is ready and not in `tried`.
    ///
    /// Another child may take the last place at the same moment: the line may get as much longer as
    /// there are children that choose at once.
    pub fn choose(&self, tried: &TriedSlots, now_us: u64) -> ProcessChoice {
        let first = self.group.rotor.fetch_add(1, Relaxed) as usize % self.slots.len();
        let (mut ready, mut load, mut threads) = (0, 0_u64, 0_u64);
        let mut best: Option<(u32, usize, u32)> = None;
        // From another slot each time, so that equally busy ones take turns.
        for index in (first..self.slots.len()).chain(0..first) {
            let slot = &self.slots[index];
            if slot.state() != ProcessState::Ready {
                continue;
            }
            let now = slot.load();
            ready += 1;
            load += u64::from(now.running());
            threads += u64::from(slot.threads());
            if !tried.has(index) && best.is_none_or(|(least, ..)| now.running() < least) {
                best = Some((now.running(), index, now.incarnation()));
            }
        }
        if ready == 0 {
            self.group.wanted_us.fetch_max(now_us, SeqCst);
            return if self.group.is_open() {
                ProcessChoice::Open { until_us: self.group.not_before_us() }
            } else {
                ProcessChoice::NoneReady
            };
        }
        if load >= threads + u64::from(self.group.queue_size.load(Relaxed)) {
            return ProcessChoice::Full;
        }
        match best {
            Some((_, index, incarnation)) => {
                ProcessChoice::Process { index, incarnation, pid: self.slots[index].pid() }
            }
            None => ProcessChoice::NoneReady,
        }
    }

    /// Counts one more request for the slot's process, if it takes any.
    #[must_use]
    pub fn acquire(&self, slot: usize) -> Option<Lease> {
        let incarnation = self.slots[slot].acquire()?;
        Some(Lease { slot, incarnation, pid: self.slots[slot].pid() })
    }

    /// Chooses and acquires: the lease, or why there is none.
    ///
    /// # Errors
    ///
    /// [`ProcessChoice::Full`], [`ProcessChoice::NoneReady`] or [`ProcessChoice::Open`].
    pub fn take(&self, tried: &TriedSlots, now_us: u64) -> Result<Lease, ProcessChoice> {
        let mut looked_twice = false;
        // A compromised process may change its state between the choice and the lease, each time.
        for _ in 0..2 * self.slots.len() + 2 {
            match self.choose(tried, now_us) {
                // It stopped taking requests meanwhile, so the next choice leaves it out.
                ProcessChoice::Process { index, .. } => {
                    if let Some(lease) = self.acquire(index) {
                        return Ok(lease);
                    }
                }
                // One slot is looked at after the other: meanwhile a process may have become ready
                // in one that was passed by, and only then its predecessor have stopped.
                ProcessChoice::NoneReady if !looked_twice => looked_twice = true,
                none => return Err(none),
            }
        }
        Err(ProcessChoice::NoneReady)
    }

    /// Gives a hold back, of which not a single byte was sent. Without effect if the process is
    /// another one by now.
    pub fn release(&self, slot: usize, incarnation: u32) -> Option<u32> {
        self.slots[slot].release(incarnation)
    }

    /// Looks for a request whose connection broke, among those that applications have or had.
    ///
    /// For a live process, this is certain under two conditions: the child has closed its
    /// connection before; the process calls [`WorkerScore::begin`] before it checks whether the
    /// connection is closed. Then one of the two sees the other.
    ///
    /// In this order: [`Scoreboard::clear_dead`] notes lost requests before it clears the rows, so
    /// what is no longer in the row is among them.
    #[must_use]
    pub fn find_ticket(&self, lease: &Lease, ticket: u64) -> TicketLocation {
        for row in self.used_rows(lease.slot) {
            if row.ticket() == ticket {
                return TicketLocation::Worker { started_us: row.started_us().unwrap_or_default() };
            }
        }
        match self.group.is_lost(ticket) {
            Some(true) => TicketLocation::Lost,
            Some(false) => TicketLocation::Nowhere,
            None => TicketLocation::Forgotten,
        }
    }

    /// Notes that the process could not write the last frame of a request that an application had:
    /// to be called before [`WorkerScore::end`].
    pub fn note_lost(&self, ticket: u64) {
        self.group.add_lost(ticket);
    }

    /// Clears a slot in the parent, once a slot's process is dead and before it forks the next:
    /// saves the tickets of its requests, frees the lock if it had it, and makes the slot empty, of
    /// a new incarnation.
    pub fn clear_dead(&self, slot: usize, now_us: u64) -> DeadProcess {
        let process = &self.slots[slot];
        let load = process.load();
        let ready_us = Some(process.ready_us()).filter(|ready| *ready != 0);
        let mut dead = DeadProcess {
            pid: process.pid(),
            state: match process.state() {
                // A child was the first to see that it is dead.
                ProcessState::Failed if ready_us.is_some() => ProcessState::Ready,
                state => state,
            },
            ready_us,
            lost_requests: 0,
            load: load.running() + load.parked(),
            requests: process.requests_here(),
            since_us: process.since_us(),
        };
        self.group.lock.release_of(dead.pid);
        for row in self.used_rows(slot) {
            let ticket = row.ticket();
            if ticket != 0 {
                self.group.add_lost(ticket);
                dead.lost_requests += 1;
            }
        }
        process.vacate(now_us);
        for row in self.used_rows(slot) {
            row.clear();
        }
        dead
    }

    /// Returns the time at which the group last had a request that counts as activity.
    #[must_use]
    pub fn last_request_us(&self) -> u64 {
        self.slots.iter().map(ProcessScore::last_request_us).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
