//! The work that the processes of a slot have done: counts, sums and histograms that only grow.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::histogram::Histogram;

#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) statuses: [AtomicU64; 5],
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) queue_us: AtomicU64,
    pub(super) application_us: AtomicU64,
    pub(super) total_us: AtomicU64,
    pub(super) queue: Histogram,
    pub(super) application: Histogram,
    pub(super) total: Histogram,
}

/// The facts that are counted of a finished request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finished {
    /// Its status; 0 without one.
    pub status: u16,
    /// The application failed, or the response broke.
    pub error: bool,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// The time that it waited for a thread.
    pub queue_us: u64,
    /// The time that the application had it.
    pub application_us: u64,
    /// From the moment that it came to httpd, or was sent.
    pub total_us: u64,
    /// `inactivity-timeout` does not begin anew with it.
    pub ignored: bool,
}

impl Counters {
    pub(super) fn record(&self, finished: &Finished) {
        self.requests.fetch_add(1, Relaxed);
        if finished.error {
            self.errors.fetch_add(1, Relaxed);
        }
        if let Some(class) = (finished.status / 100).checked_sub(1)
            && let Some(count) = self.statuses.get(usize::from(class))
        {
            count.fetch_add(1, Relaxed);
        }
        for (sum, more) in [
            (&self.bytes_in, finished.bytes_in),
            (&self.bytes_out, finished.bytes_out),
            (&self.queue_us, finished.queue_us),
            (&self.application_us, finished.application_us),
            (&self.total_us, finished.total_us),
        ] {
            if more > 0 {
                sum.fetch_add(more, Relaxed);
            }
        }
        self.queue.record(finished.queue_us);
        self.application.record(finished.application_us);
        self.total.record(finished.total_us);
    }
}
