//! The choice of a process for a request, which waits in its httpd child until one is ready.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::group::Group;
use super::wait::{Wait, Wanted};
use crate::adapter::Lookout;
use crate::httpd::PoolRef;
use crate::os;
use crate::process_group::{LONGEST_PAUSE_US, Lease, ProcessChoice, TriedSlots, WaitingRequest};

/// The time for which a request waits for a change before it looks by itself. The process that made
/// the change may have been killed before it could tell.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The number of looks of a request that is told of changes, in one wait. A compromised process
/// could tell without end.
const MOST_LOOKS: u32 = 64;

/// A request on its way to the process that it is sent to.
pub(super) struct Choosing {
    group: PoolRef<Group>,
    started: Instant,
    tried: TriedSlots,
    /// The failure to connect to one that is ready.
    unreachable: Option<Failure>,
    /// Its wait, while no process is ready.
    waiting: Option<WaitingForProcess>,
}

/// The result of a choice.
pub(super) enum Choice {
    Process(Lease),
    Waits(Wait),
}

impl Choosing {
    pub(super) fn new(group: PoolRef<Group>) -> Self {
        let (started, tried) = (Instant::now(), TriedSlots::new());
        Self { group, started, tried, unreachable: None, waiting: None }
    }

    /// Takes hold of the least busy process, or waits for one where none is ready yet, but not where
    /// the socket of one that is cannot be reached.
    ///
    /// # Errors
    ///
    /// Returns an error if no process takes the request.
    pub(super) fn choose(&mut self) -> Result<Choice, Failure> {
        // A request that waits no more gives its place up.
        let waiting = self.waiting.take();
        let (group, board) = (self.group, &self.group.board);
        // Read before the look: a change after it ends the wait.
        let changes = board.group.changes().load(Ordering::SeqCst);
        match board.take(&self.tried, os::monotonic_us()) {
            Ok(lease) => Ok(Choice::Process(lease)),
            Err(ProcessChoice::Full) => {
                board.group.refused(true);
                Err(Failure::full())
            }
            Err(ProcessChoice::Open { until_us }) => {
                board.group.refused(false);
                // An application process can write any moment there.
                let longest = group.options.crash_backoff.as_micros() as u64;
                let longest = longest.max(LONGEST_PAUSE_US);
                let left = until_us.saturating_sub(os::monotonic_us()).min(longest);
                Err(Failure::circuit_open(left.div_ceil(1_000_000)))
            }
            Err(_) => {
                if let Some(failure) = self.unreachable.take() {
                    return Err(failure);
                }
                // One that was tried may be another process by now.
                let were_tried = std::mem::take(&mut self.tried) != TriedSlots::new();
                let waited = self.started.elapsed();
                let left = group.options.connect_timeout.saturating_sub(waited);
                if left.is_zero() {
                    return Err(Failure::none_ready(waited));
                }
                let mut waiting = match waiting {
                    Some(waiting) => waiting,
                    None => WaitingForProcess::begin(group)?,
                };
                let longest = waiting.look(changes, were_tried, left);
                self.waiting = Some(waiting);
                let (bridge, client) = (Wanted::NOTHING, Wanted::NOTHING);
                Ok(Choice::Waits(Wait { bridge, client, longest: Some(longest) }))
            }
        }
    }

    /// Takes note that a process cannot be connected to.
    ///
    /// # Errors
    ///
    /// Returns the failure if no other is to be tried.
    pub(super) fn could_not_connect(
        &mut self,
        lease: Lease,
        failure: Failure,
    ) -> Result<(), Failure> {
        // Its line of connections is full, mostly: another's may not be. When all have been tried,
        // there is a pause.
        self.tried.add(lease.slot);
        if failure.is_lasting() {
            self.unreachable = Some(failure);
        } else if self.started.elapsed() >= self.group.options.connect_timeout {
            return Err(failure);
        }
        Ok(())
    }

    /// Returns whether the request waits for a process to be ready.
    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Waits no more.
    pub(super) fn give_up(&mut self) {
        self.waiting = None;
    }

    /// Waits on this thread.
    pub(super) fn wait(&self) {
        if let Some(waiting) = &self.waiting {
            waiting.wait();
        }
    }

    /// Returns what tells another thread that the wait is over.
    pub(super) fn lookout(&self) -> Option<Lookout> {
        let &WaitingForProcess { group, changes, is_told, .. } = self.waiting.as_ref()?;
        let has_changed = move || group.board.group.changes().load(Ordering::SeqCst) != changes;
        Some(Lookout::often(move || is_told && has_changed()))
    }
}

/// A request that waits for a process to be ready, counted until it does no more.
struct WaitingForProcess {
    group: PoolRef<Group>,
    place: WaitingRequest,
    looks: u32,
    /// The number of changes in the group before the last look.
    changes: u32,
    /// Whether a change ends the wait.
    is_told: bool,
    longest: Duration,
}

impl WaitingForProcess {
    /// Counts a request, unless as many wait already as one process could take.
    ///
    /// # Errors
    ///
    /// Returns an error if so many wait.
    fn begin(group: PoolRef<Group>) -> Result<Self, Failure> {
        let options = &group.options;
        let most = options.threads.saturating_add(options.queue_size);
        let longest_us = options.connect_timeout.as_micros() as u64;
        let waiters = &group.board.group.waiters;
        let Some(place) = waiters.enter(most, os::monotonic_us(), longest_us) else {
            group.board.group.refused(true);
            return Err(Failure::too_many_wait(most));
        };
        group.ring();
        let longest = Duration::ZERO;
        Ok(Self { group, place, looks: 0, changes: 0, is_told: false, longest })
    }

    /// Prepares a wait until a process or the circuit has another state than when `changes` was
    /// read, for `left` at most. `were_tried` says that processes are ready and cannot be connected
    /// to. Returns the longest time up to the next look.
    fn look(&mut self, changes: u32, were_tried: bool, left: Duration) -> Duration {
        self.looks = self.looks.saturating_add(1);
        self.changes = changes;
        // Nobody says when a line of connections is no longer full.
        self.is_told = !were_tried && self.looks <= MOST_LOOKS;
        let pause = Duration::from_millis(1 << self.looks.min(4));
        self.longest = left.min(if self.is_told { LOOK_AGAIN } else { pause });
        self.longest
    }

    /// Waits on this thread.
    fn wait(&self) {
        if self.is_told {
            os::wait_while(self.group.board.group.changes(), self.changes, self.longest);
        } else {
            thread::sleep(self.longest);
        }
    }
}

impl Drop for WaitingForProcess {
    fn drop(&mut self) {
        self.group.board.group.waiters.leave(self.place);
    }
}
