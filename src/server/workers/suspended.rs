//! The table of the requests that wait without a thread: their number, and their times.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// The most requests of a process that wait without a thread. Requests beyond wait on threads.
pub(crate) const MOST_SUSPENDED: usize = 32 * 1024;

/// A request with a time at which it is woken.
pub(super) trait Timed: Send + Sync {
    /// Wakes the request if its time is up.
    fn look(self: Arc<Self>, now_us: u64);
}

/// The requests of a process that have waited without a thread and are not over.
#[derive(Default)]
pub(crate) struct SuspendedRequests {
    count: AtomicUsize,
    next: AtomicU64,
    all: Mutex<BTreeMap<u64, Weak<dyn Timed>>>,
    is_empty: Condvar,
}

impl SuspendedRequests {
    /// Counts one more. Returns its number, or `None` if there are too many.
    pub(super) fn reserve(&self) -> Option<u64> {
        if self.count.fetch_add(1, Ordering::AcqRel) >= MOST_SUSPENDED {
            self.count.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Adds the request with this number.
    pub(super) fn add(&self, number: u64, request: &Arc<impl Timed + 'static>) {
        let weak = Arc::downgrade(request);
        self.lock().insert(number, weak);
    }

    /// Takes the request with this number out.
    pub(super) fn remove(&self, number: u64) {
        // Frees what the entry keeps without the lock.
        let entry = self.lock().remove(&number);
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _all = self.lock();
            self.is_empty.notify_all();
        }
        drop(entry);
    }

    /// Returns how many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Wakes the requests whose time is up.
    pub(crate) fn look(&self, now_us: u64) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let all: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        all.into_iter().for_each(|request| request.look(now_us));
    }

    /// Waits until there is none, for `patience` at most.
    pub(super) fn wait_until_empty(&self, patience: Duration) {
        let has_some = |_: &mut _| self.count.load(Ordering::Acquire) > 0;
        let _ = self.is_empty.wait_timeout_while(self.lock(), patience, has_some);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<dyn Timed>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
