//! Requests that wait in an httpd child for a process of their group to be ready.

use std::thread;
use std::time::Duration;

use super::failure::Failure;
use super::group::Group;
use crate::os;
use crate::process_group::WaitingRequest;

/// The time for which a request waits for a change before it looks by itself. The process that made
/// the change may have been killed before it could tell.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The number of looks of a request that is told of changes, in one wait. A compromised process
/// could tell without end.
const MOST_LOOKS: u32 = 64;

/// A request that waits for a process to be ready, counted until it does no more.
pub(super) struct WaitingForProcess<'g> {
    group: &'g Group,
    place: WaitingRequest,
    looks: u32,
}

impl<'g> WaitingForProcess<'g> {
    /// Counts a request, unless as many wait already as one process could take.
    ///
    /// # Errors
    ///
    /// So many wait.
    pub(super) fn begin(group: &'g Group) -> Result<Self, Failure> {
        let options = &group.options;
        let most = options.threads.saturating_add(options.queue_size);
        let longest_us = options.connect_timeout.as_micros() as u64;
        let waiters = &group.board.group.waiters;
        match waiters.enter(most, os::monotonic_us(), longest_us) {
            Some(place) => Ok(Self { group, place, looks: 0 }),
            None => {
                group.board.group.refused(true);
                Err(Failure::too_many_wait(most))
            }
        }
    }

    /// Waits until a process or the circuit has another state than when `changes` was read, for
    /// `left` at most. `were_tried` says that processes are ready and cannot be connected to.
    pub(super) fn wait(&mut self, changes: u32, were_tried: bool, left: Duration) {
        self.looks = self.looks.saturating_add(1);
        if were_tried || self.looks > MOST_LOOKS {
            // Nobody says when a line of connections is no longer full.
            thread::sleep(Duration::from_millis(1 << self.looks.min(4)).min(left));
        } else {
            os::wait_while(self.group.board.group.changes(), changes, left.min(LOOK_AGAIN));
        }
    }
}

impl Drop for WaitingForProcess<'_> {
    fn drop(&mut self) {
        self.group.board.group.waiters.leave(self.place);
    }
}
