//! The limits after which a worker is replaced, and the count of its requests for one of them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::os::{self, Event, monotonic_us};
use crate::process_group::{ProcessUsage, Reason, Recycle};

/// The limits of this process, and what is measured for them.
#[derive(Debug)]
pub(crate) struct Recycling {
    recycle: Recycle,
    done: AtomicU64,
    /// Wakes the main thread when the worker has done its `--max-requests`.
    pub bell: Event,
}

impl Recycling {
    /// Holds a process to these limits from now on.
    ///
    /// # Errors
    ///
    /// Returns an error if the process has no descriptor left.
    pub(crate) fn new(recycle: Recycle) -> std::io::Result<Self> {
        Ok(Self { recycle, done: AtomicU64::new(0), bell: Event::new()? })
    }

    /// Counts a request that is done.
    pub(super) fn count(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.recycle.has_done_enough(done) && !self.recycle.has_done_enough(done - 1) {
            self.bell.ring();
        }
    }

    /// Returns the reason to replace the process, if there is one, and the time of the next check at the
    /// latest.
    #[must_use]
    pub(crate) fn check(&self) -> (Option<Reason>, Option<u64>) {
        let measured = if self.recycle.measures() { os::resident_bytes() } else { None };
        let usage = ProcessUsage {
            now_us: monotonic_us(),
            requests: self.done.load(Ordering::Relaxed),
            resident: measured.unwrap_or_default(),
            busy: true,
            ..ProcessUsage::default()
        };
        (self.recycle.check(&usage), self.recycle.next_us(&usage))
    }
}
