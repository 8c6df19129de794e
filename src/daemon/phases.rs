//! The times of a request's way through a process group.

use std::cell::Cell;
use std::time::Duration;

use crate::os;
use crate::process_group::Lease;
use crate::protocol::bridge::Timing;

/// The times that one request takes in each part of its way through a process group, in
/// microseconds.
#[derive(Debug, Default)]
pub(crate) struct PhaseTimes {
    /// The process that had it.
    pub(crate) pid: Cell<Option<u32>>,
    /// From the choice of the process to the request's first byte on its way.
    pub(crate) connect: Cell<u64>,
    /// Until a thread took it up.
    pub(crate) queue: Cell<u64>,
    /// From there until the application had done.
    pub(crate) application: Cell<u64>,
    /// From the request's first byte on its way to the first of the response.
    pub(crate) first_byte: Cell<u64>,
    /// From there to the last of the response.
    pub(crate) body: Cell<u64>,
    sent_us: Cell<u64>,
    begun_us: Cell<u64>,
}

impl PhaseTimes {
    pub(super) fn connected(&self, lease: Lease, started_us: u64, sent_us: u64) {
        self.pid.set(Some(lease.pid));
        self.connect.set(sent_us - started_us);
        self.sent_us.set(sent_us);
    }

    /// Takes note of the first byte of the response. Returns the time since the request was sent.
    pub(super) fn first_byte(&self) -> Duration {
        let now = os::monotonic_us();
        self.begun_us.set(now);
        self.first_byte.set(now.saturating_sub(self.sent_us.get()));
        Duration::from_micros(self.first_byte.get())
    }

    pub(super) fn reported(&self, timing: &Timing) {
        self.queue.set(timing.queue_us);
        self.application.set(timing.application_us);
    }

    pub(super) fn ended(&self) {
        let begun = self.begun_us.get();
        if begun > 0 {
            self.body.set(os::monotonic_us().saturating_sub(begun));
        }
    }
}
