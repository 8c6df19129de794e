//! One slot of the scoreboard: a daemon process, its state, its load and what it has done.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::counters::{Counters, Finished};
use super::reason::Reason;

/// The most slots of a scoreboard.
pub(super) const MOST_SLOTS: u32 = 1024;

/// The state of a slot's process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum ProcessState {
    /// There is no process, or it has not said anything yet.
    #[default]
    Empty = 0,
    /// It waits to be needed.
    Dormant = 1,
    /// It builds its applications.
    Starting = 2,
    /// It takes requests.
    Ready = 3,
    /// It finishes its requests and takes no more.
    Draining = 4,
    /// Its start failed, this has been counted, and it is about to exit. Or it was ready, and a
    /// child has found it dead.
    Failed = 5,
}

impl ProcessState {
    /// Returns its name in snapshots.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Dormant => "dormant",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Failed => "failed",
        }
    }

    const fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Dormant,
            2 => Self::Starting,
            3 => Self::Ready,
            4 => Self::Draining,
            5 => Self::Failed,
            _ => Self::Empty,
        }
    }
}

/// Attempts to change a slot's load. Many more than honest processes need, however many there are.
const MOST_TRIES: u32 = 1 << 16;

/// One process of a group, in shared memory. All zero is an empty slot.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct ProcessScore {
    /// Incarnation, parked requests, requests that hold or want a thread: see [`LoadWord`].
    load: AtomicU64,
    state: AtomicU32,
    pid: AtomicU32,
    threads: AtomicU32,
    reason: AtomicU32,
    asked_us: AtomicU64,
    since_us: AtomicU64,
    started_us: AtomicU64,
    ready_us: AtomicU64,
    /// Of this process; the counters below are of all that the slot had.
    requests_here: AtomicU64,
    last_request_us: AtomicU64,
    resident: AtomicU64,
    cpu_us: AtomicU64,
    deaths: AtomicU64,
    last_exit: AtomicU64,
    /// The rows that its process has used, from the first on.
    rows: AtomicU32,
    pub(super) counters: Counters,
}

// The protocol of acquiring and draining. A child adds itself to the load, then checks the state; a
// process that ends sets the state to Draining, then checks the load. All four accesses are SeqCst,
// so all threads see them in one order. If the child's addition stands before the process's check,
// the process sees the load and waits. If it stands after the check, it stands after Draining; the
// child sees that and takes its addition back. So no child has a request for a process that saw no
// load. With anything weaker both may miss the other's store (Dekker's store-load reordering).
impl ProcessScore {
    /// Returns its state.
    #[must_use]
    pub fn state(&self) -> ProcessState {
        ProcessState::from_code(self.state.load(SeqCst))
    }

    /// Returns the pid of its process; 0 without one.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.load(Relaxed)
    }

    /// Returns the number of its process; 0 is the first.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        self.load().incarnation()
    }

    /// Requests that hold or want a thread.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.load().running()
    }

    /// Requests that wait without a thread.
    #[must_use]
    pub fn parked(&self) -> u32 {
        self.load().parked()
    }

    /// Returns whether no request is with the process or on its way, in one look. After
    /// [`ProcessScore::drain`] nothing comes any more, so the process may exit then. A child that
    /// came too late shows for a moment, and nobody says when it is gone again: look again soon.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let load = self.load();
        load.running() == 0 && load.parked() == 0
    }

    pub(super) fn load(&self) -> LoadWord {
        LoadWord(self.load.load(SeqCst))
    }

    /// Notes that the process `pid` has begun its life here: dormant.
    pub fn enter(&self, pid: u32, threads: u32, now_us: u64) {
        self.pid.store(pid, Relaxed);
        self.threads.store(threads, Relaxed);
        self.started_us.store(now_us, Relaxed);
        self.ready_us.store(0, Relaxed);
        self.requests_here.store(0, Relaxed);
        self.resident.store(0, Relaxed);
        self.cpu_us.store(0, Relaxed);
        self.reason.store(0, Relaxed);
        self.since_us.store(now_us, Relaxed);
        self.state.store(ProcessState::Dormant as u32, SeqCst);
    }

    /// Goes from one state to another, if it is in the first.
    pub fn advance(&self, from: ProcessState, to: ProcessState, now_us: u64) -> bool {
        let (from, to) = (from as u32, to as u32);
        if self.state.compare_exchange(from, to, SeqCst, SeqCst).is_err() {
            return false;
        }
        self.since_us.store(now_us, Relaxed);
        true
    }

    /// Its applications are built: from now on it gets requests.
    pub(super) fn become_ready(&self, now_us: u64) -> bool {
        // A thread that sees Ready by SeqCst also sees these.
        self.ready_us.store(now_us, Relaxed);
        self.last_request_us.fetch_max(now_us, Relaxed);
        self.advance(ProcessState::Starting, ProcessState::Ready, now_us)
    }

    /// Refuses more requests. `false` if it was draining, or had nothing to drain.
    pub fn drain(&self, reason: Reason, now_us: u64) -> bool {
        for from in [ProcessState::Ready, ProcessState::Starting, ProcessState::Dormant] {
            if self.advance(from, ProcessState::Draining, now_us) {
                self.reason.store(reason as u32, Relaxed);
                return true;
            }
        }
        false
    }

    /// Notes that the process was found dead by one who had business with it, before its parent has
    /// heard of it: it gets no more requests. `false` if that is another process by now, or known.
    pub fn found_dead(&self, incarnation: u32, now_us: u64) -> bool {
        self.found_dead_while(incarnation, now_us, || ())
    }

    fn found_dead_while(&self, incarnation: u32, now_us: u64, meanwhile: impl FnOnce()) -> bool {
        if self.incarnation() != incarnation {
            return false;
        }
        meanwhile();
        if !self.advance(ProcessState::Ready, ProcessState::Failed, now_us) {
            return false;
        }
        // The parent may have heard of it between the two, and the next process be ready by now.
        if self.incarnation() != incarnation {
            self.advance(ProcessState::Failed, ProcessState::Ready, now_us);
            return false;
        }
        true
    }

    /// Notes that the process wants to be replaced: it goes on serving until another one is ready.
    /// The first reason stays.
    pub fn ask(&self, reason: Reason, now_us: u64) -> bool {
        if self.reason.compare_exchange(0, reason as u32, SeqCst, SeqCst).is_err() {
            return false;
        }
        self.asked_us.store(now_us, Relaxed);
        true
    }

    /// Returns the reason for which it is draining, or wants to be replaced.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_code(self.reason.load(SeqCst))
    }

    /// Returns the time since which it wants to be replaced.
    #[must_use]
    pub fn asked_us(&self) -> Option<u64> {
        self.reason().map(|_| self.asked_us.load(Relaxed))
    }

    /// Adds a request, if the process takes any: its incarnation.
    pub(super) fn acquire(&self) -> Option<u32> {
        self.acquire_while(|| ())
    }

    /// Tests run `meanwhile` between the two steps, where other processes may do anything.
    fn acquire_while(&self, meanwhile: impl FnOnce()) -> Option<u32> {
        let incarnation = LoadWord(self.load.fetch_add(1, SeqCst)).incarnation();
        meanwhile();
        // The slot may have been given to a new process between the two: then the addition went to
        // the old one's load, and Ready is the new one's. A process becomes Ready only after the
        // load has its incarnation, so a second look tells.
        if self.state() == ProcessState::Ready && self.incarnation() == incarnation {
            return Some(incarnation);
        }
        self.release(incarnation);
        None
    }

    /// Takes a request off again; what remains, or `None` if the process is not that one any more.
    pub fn release(&self, incarnation: u32) -> Option<u32> {
        self.change(incarnation, |load| (load.running() > 0).then(|| load.0 - 1))
            .map(LoadWord::running)
    }

    /// Notes that a running request waits from now on, without a thread.
    pub fn park(&self, incarnation: u32) -> bool {
        self.change(incarnation, |load| (load.running() > 0).then(|| load.0 - 1 + LoadWord::PARKED))
            .is_some()
    }

    /// Notes that a parked request wants a thread again.
    pub fn unpark(&self, incarnation: u32) -> bool {
        self.change(incarnation, |load| (load.parked() > 0).then(|| load.0 + 1 - LoadWord::PARKED))
            .is_some()
    }

    /// Notes that a parked request is done.
    pub fn release_parked(&self, incarnation: u32) -> bool {
        self.change(incarnation, |load| (load.parked() > 0).then(|| load.0 - LoadWord::PARKED))
            .is_some()
    }

    fn change(&self, incarnation: u32, to: impl Fn(LoadWord) -> Option<u64>) -> Option<LoadWord> {
        let mut word = self.load.load(SeqCst);
        // A compromised process can write to it all the time, and must not hold others up.
        for _ in 0..MOST_TRIES {
            if LoadWord(word).incarnation() != incarnation {
                return None;
            }
            let next = to(LoadWord(word))?;
            match self.load.compare_exchange_weak(word, next, SeqCst, SeqCst) {
                Ok(_) => return Some(LoadWord(next)),
                Err(seen) => word = seen,
            }
        }
        None
    }

    /// The slot is nobody's. What children still take back has an old incarnation.
    pub(super) fn vacate(&self, now_us: u64) {
        self.vacate_while(now_us, || ());
    }

    fn vacate_while(&self, now_us: u64, meanwhile: impl FnOnce()) {
        // In this order: were the new incarnation there first, a child could add itself to it and
        // still see the dead process's Ready.
        self.state.store(ProcessState::Empty as u32, SeqCst);
        meanwhile();
        // A count that a child adds between the two is lost, which is right: the child sees Empty,
        // and takes back what it added from an incarnation that is over.
        let word = LoadWord(self.load.load(SeqCst));
        self.load.store(word.first_of_next_incarnation(), SeqCst);
        self.pid.store(0, Relaxed);
        self.reason.store(0, Relaxed);
        self.ready_us.store(0, Relaxed);
        self.requests_here.store(0, Relaxed);
        self.since_us.store(now_us, Relaxed);
        self.resident.store(0, Relaxed);
        self.deaths.fetch_add(1, Relaxed);
    }

    /// Counts a request that is done.
    pub fn record(&self, finished: &Finished, now_us: u64) {
        self.requests_here.fetch_add(1, Relaxed);
        self.counters.record(finished);
        if !finished.ignored {
            self.last_request_us.fetch_max(now_us, Relaxed);
        }
    }

    /// Notes that the process uses so many rows, from the first on: before one of them has a ticket.
    pub fn use_rows(&self, count: u32) {
        self.rows.store(count, Relaxed);
    }

    /// Says how much memory and CPU time the process has.
    pub fn measure(&self, resident: u64, cpu_us: u64) {
        self.resident.store(resident, Relaxed);
        self.cpu_us.store(cpu_us, Relaxed);
    }

    /// Says how the slot's last process ended: the status of wait(2).
    pub fn set_last_exit(&self, status: u32) {
        self.last_exit.store(u64::from(status) | 1 << 32, Relaxed);
    }
}

macro_rules! readers {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {
        /// The content of a slot at one moment.
        impl ProcessScore {
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> $type { self.$name.load(Relaxed) })*
        }
    };
}

readers! {
    /// Its worker threads.
    threads: u32;
    /// Since when it is in its state.
    since_us: u64;
    /// The time at which its process began.
    started_us: u64;
    /// The time at which it became ready; 0 if it has not.
    ready_us: u64;
    /// The requests that its process has done.
    requests_here: u64;
    /// The time at which the last request ended that counts as activity, or the process became
    /// ready.
    last_request_us: u64;
    /// Resident memory in bytes.
    resident: u64;
    /// CPU time.
    cpu_us: u64;
    /// The number of its processes that have ended.
    deaths: u64;
    /// The rows that its process has used, from the first on.
    rows: u32;
}

impl ProcessScore {
    /// Returns the status of wait(2) of its last process.
    #[must_use]
    pub fn last_exit(&self) -> Option<u32> {
        let word = self.last_exit.load(Relaxed);
        (word >> 32 != 0).then_some(word as u32)
    }
}

/// The word of a slot, taken apart: one word, so that each change is one step.
///
/// 22 bits for requests with a thread, or that want one; 22 for parked ones; 20 for the
/// incarnation, which tells a process from those that had the slot before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LoadWord(u64);

impl LoadWord {
    const BITS: u32 = 22;
    const MASK: u64 = (1 << Self::BITS) - 1;
    /// One parked request.
    const PARKED: u64 = 1 << Self::BITS;

    pub(super) const fn running(self) -> u32 {
        (self.0 & Self::MASK) as u32
    }

    pub(super) const fn parked(self) -> u32 {
        ((self.0 >> Self::BITS) & Self::MASK) as u32
    }

    pub(super) const fn incarnation(self) -> u32 {
        (self.0 >> (2 * Self::BITS)) as u32
    }

    /// No request, and the next incarnation.
    const fn first_of_next_incarnation(self) -> u64 {
        ((self.0 >> (2 * Self::BITS)) + 1) << (2 * Self::BITS)
    }
}

#[cfg(test)]
mod tests;
