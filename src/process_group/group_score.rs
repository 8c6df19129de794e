//! The part of the scoreboard that belongs to the group: lock, target, failures, lost requests.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::lock::Lock;
use super::waiters::Waiters;

/// Tickets of requests whose process died under them, before the oldest is forgotten.
const LOST_REQUESTS: usize = 1024;

/// The part that all processes of a group share. All zero is a valid start;
/// [`super::Scoreboard::prepare`] fills in what comes from the options.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct GroupScore {
    /// For decisions that must not be taken twice.
    pub lock: Lock,
    pub(super) queue_size: AtomicU32,
    pub(super) target: AtomicU32,
    /// Not 0 from a failed start until a process is ready.
    pub(super) open: AtomicU32,
    pub(super) failures: AtomicU32,
    /// Since when the group wants no process, as nobody wants it; 0 if it does.
    pub(super) asleep_us: AtomicU64,
    pub(super) last_failure_us: AtomicU64,
    pub(super) not_before_us: AtomicU64,
    pub(super) busy_since_us: AtomicU64,
    pub(super) calm_since_us: AtomicU64,
    pub(super) started_us: AtomicU64,
    tickets: AtomicU64,
    pub(super) rotor: AtomicU32,
    /// Changes with the state of a process, or of the circuit.
    changes: AtomicU32,
    /// The time at which a child last found no process that takes requests.
    pub(super) wanted_us: AtomicU64,
    pub(super) refused_full: AtomicU64,
    pub(super) refused_open: AtomicU64,
    lost_next: AtomicU64,
    /// The highest ticket that fell out of the ring.
    forgotten: AtomicU64,
    lost_requests: [AtomicU64; LOST_REQUESTS],
    /// The secret that a connection begins with. It is here so that no other group's processes have
    /// it: they unmap this memory.
    token: [AtomicU64; 2],
    /// Requests that wait while no process is ready.
    pub waiters: Waiters,
}

impl Default for GroupScore {
    fn default() -> Self {
        Self {
            lock: Lock::default(),
            queue_size: AtomicU32::new(0),
            target: AtomicU32::new(0),
            open: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            asleep_us: AtomicU64::new(0),
            last_failure_us: AtomicU64::new(0),
            not_before_us: AtomicU64::new(0),
            busy_since_us: AtomicU64::new(0),
            calm_since_us: AtomicU64::new(0),
            started_us: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
            rotor: AtomicU32::new(0),
            changes: AtomicU32::new(0),
            wanted_us: AtomicU64::new(0),
            refused_full: AtomicU64::new(0),
            refused_open: AtomicU64::new(0),
            lost_next: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            lost_requests: [const { AtomicU64::new(0) }; LOST_REQUESTS],
            token: [const { AtomicU64::new(0) }; 2],
            waiters: Waiters::default(),
        }
    }
}

impl GroupScore {
    /// Returns a ticket for a new request: none is given twice, and each is higher than those
    /// before.
    pub fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Relaxed) + 1
    }

    /// Sets the secret that a connection begins with.
    pub fn set_token(&self, token: [u8; 16]) {
        let token = u128::from_ne_bytes(token);
        self.token[0].store(token as u64, Relaxed);
        self.token[1].store((token >> 64) as u64, Relaxed);
    }

    /// Returns the secret that a connection begins with.
    #[must_use]
    pub fn token(&self) -> [u8; 16] {
        let [low, high] = &self.token;
        let token = u128::from(low.load(Relaxed)) | u128::from(high.load(Relaxed)) << 64;
        token.to_ne_bytes()
    }

    /// Says that a process or the circuit has another state. Whoever waits on
    /// [`changes`](Self::changes) has to be woken afterwards.
    pub fn change(&self) {
        self.changes.fetch_add(1, SeqCst);
    }

    /// Returns the word that [`change`](Self::change) changes. Read it before the look that says
    /// what to wait for.
    #[must_use]
    pub const fn changes(&self) -> &AtomicU32 {
        &self.changes
    }

    /// Processes that the group wants to have.
    #[must_use]
    pub fn target(&self) -> u32 {
        self.target.load(Relaxed)
    }

    /// Returns the failed starts and crashes in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    /// Returns the time before which no process is started.
    #[must_use]
    pub fn not_before_us(&self) -> u64 {
        self.not_before_us.load(Relaxed)
    }

    /// Returns whether children answer 503 at once while no process is ready: from a failed start
    /// until one succeeds. The next is tried at [`not_before_us`](Self::not_before_us), or is under
    /// way.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.load(Relaxed) != 0
    }

    /// Notes that a child refused a request, as the group is full, or its circuit is open.
    pub fn refused(&self, full: bool) {
        let count = if full { &self.refused_full } else { &self.refused_open };
        count.fetch_add(1, Relaxed);
    }

    /// Notes that the request's process went away under it, after an application may have seen it.
    pub(super) fn add_lost(&self, ticket: u64) {
        let at = self.lost_next.fetch_add(1, Relaxed) as usize % LOST_REQUESTS;
        let old = self.lost_requests[at].swap(ticket, SeqCst);
        self.forgotten.fetch_max(old, SeqCst);
    }

    /// Returns whether it was noted; `None` if it would be forgotten by now.
    pub(super) fn is_lost(&self, ticket: u64) -> Option<bool> {
        if self.lost_requests.iter().any(|noted| noted.load(SeqCst) == ticket) {
            return Some(true);
        }
        // Looked at last: what fell out of the ring during the search is counted too.
        (ticket > self.forgotten.load(SeqCst)).then_some(false)
    }
}
