//! Requests that wait without a thread, and the visits that go on with them.
//!
//! A thread works on a request in visits. When the request has to wait, its driver puts its owned
//! state into a [`Visits`] and gives the thread back. The waker of the request, which is the
//! [`Visits`] itself, queues a job of the pool for the next visit. So `threads` bounds the visits, and
//! not the requests that wait.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use super::pool::Driver;
use super::suspended::Timed;

/// A thread works on the request.
const VISITING: u8 = 0;
/// The same, and the waker was called since.
const NOTIFIED: u8 = 1;
/// The request waits, and nothing has happened.
const SUSPENDED: u8 = 2;
/// A job for the next visit is queued.
const QUEUED: u8 = 3;
/// The request has ended.
const OVER: u8 = 4;

/// The owned state of a request between two visits.
pub(crate) trait Visited<D: Driver>: Send + Sized + 'static {
    /// Goes on with the request on the calling thread. At the end the request is
    /// [suspended](Visits::suspend) again, or [over](Visits::end).
    fn visit(self, worker: &mut D::Worker, visits: &Arc<Visits<D, Self>>);
}

/// The visits of one request, and its waker.
///
/// Any thread may call the waker at any time, also after the request's end. A call during a visit
/// leads to another visit, and several calls to one. There are never two visits at once.
pub(crate) struct Visits<D: Driver, T> {
    driver: Arc<D>,
    state: AtomicU8,
    request: Mutex<Option<T>>,
    number: u64,
    /// The time at which the request is woken in any case; 0 for none.
    due_us: AtomicU64,
    is_late: AtomicBool,
}

impl<D: Driver, T: Visited<D>> Visits<D, T> {
    /// Makes the visits of a request that the calling thread works on. Returns `None` if as many
    /// requests wait as may.
    pub(crate) fn new(driver: &Arc<D>) -> Option<Arc<Self>> {
        let table = &driver.pool().suspended;
        let number = table.reserve()?;
        let visits = Arc::new(Self {
            driver: Arc::clone(driver),
            state: AtomicU8::new(VISITING),
            request: Mutex::new(None),
            number,
            due_us: AtomicU64::new(0),
            is_late: AtomicBool::new(false),
        });
        table.add(number, &visits);
        Some(visits)
    }

    /// Returns the waker of the request.
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Wakes the request at `due_us` in any case: [`is_late`](Self::is_late) tells that then.
    pub(crate) fn expect(&self, due_us: Option<u64>) {
        self.due_us.store(due_us.unwrap_or(0), Ordering::Release);
    }

    /// Returns whether the time that was [expected](Self::expect) is up, once.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late.load(Ordering::Acquire) && self.is_late.swap(false, Ordering::AcqRel)
    }

    /// Ends a visit of a request that waits. From here on any thread may visit the request.
    pub(crate) fn suspend(self: &Arc<Self>, request: T) {
        *lock(&self.request) = Some(request);
        let suspended =
            self.state.compare_exchange(VISITING, SUSPENDED, Ordering::AcqRel, Ordering::Acquire);
        if suspended == Err(NOTIFIED) {
            self.state.store(QUEUED, Ordering::Release);
            self.queue();
        }
    }

    /// Ends the last visit. A later call of the waker has no effect.
    pub(crate) fn end(&self) {
        if self.state.swap(OVER, Ordering::AcqRel) != OVER {
            self.driver.pool().suspended.remove(self.number);
        }
    }

    fn queue(self: &Arc<Self>) {
        let visits = Arc::clone(self);
        self.driver.pool().submit_visit(Box::new(move |worker: &mut D::Worker| {
            visits.expect(None);
            visits.state.swap(VISITING, Ordering::AcqRel);
            let request = lock(&visits.request).take();
            if let Some(request) = request {
                request.visit(worker, &visits);
            }
        }));
    }
}

impl<D: Driver, T: Visited<D>> Wake for Visits<D, T> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A state that stays is written as well: what the caller did before is then seen by the
        // visit that takes note of the call.
        let next = |state| match state {
            VISITING | NOTIFIED => Some(NOTIFIED),
            SUSPENDED | QUEUED => Some(QUEUED),
            _ => None,
        };
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        if before == Ok(SUSPENDED) {
            self.queue();
        }
    }
}

impl<D: Driver, T> Drop for Visits<D, T> {
    fn drop(&mut self) {
        // A panic in the driver may have ended the last visit.
        if *self.state.get_mut() != OVER {
            self.driver.pool().suspended.remove(self.number);
        }
    }
}

impl<D: Driver, T: Visited<D>> Timed for Visits<D, T> {
    fn look(self: Arc<Self>, now_us: u64) {
        let due_us = self.due_us.load(Ordering::Acquire);
        let is_due = due_us != 0 && now_us >= due_us;
        // A visit may have begun meanwhile, and another wait with another time.
        if is_due
            && self.due_us.compare_exchange(due_us, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        {
            self.is_late.store(true, Ordering::Release);
            self.wake();
        }
    }
}

/// Returns a time in microseconds; a time without end is one that no sum with it overflows.
pub(crate) fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min(u64::MAX >> 4)
}

/// A panic leaves nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
