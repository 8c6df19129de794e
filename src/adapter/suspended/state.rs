//! The state of a request that is visited: a state machine as that of a task in an executor.

use std::sync::atomic::{AtomicU8, Ordering};

/// A thread works on the request.
const VISITING: u8 = 0;
/// The same, and the waker was called since.
const NOTIFIED: u8 = 1;
/// The request waits, and nothing has happened.
const SUSPENDED: u8 = 2;
/// The waker was called, and has asked for a visit.
const QUEUED: u8 = 3;
/// The request has ended.
const OVER: u8 = 4;
/// The request waits for its client to read, and for nothing else.
const DEAF: u8 = 5;

/// The state of one request. Any thread may wake it at any time.
#[derive(Debug, Default)]
pub(super) struct VisitState(AtomicU8);

impl VisitState {
    /// Takes note of a call of the waker. Returns whether the caller must ask for a visit.
    #[must_use]
    pub(super) fn wake(&self) -> bool {
        // A state that stays is written as well: what the caller did before is then seen by the
        // visit that takes note of the call.
        let next = |state| match state {
            VISITING | NOTIFIED => Some(NOTIFIED),
            SUSPENDED | QUEUED => Some(QUEUED),
            DEAF => Some(DEAF),
            _ => None,
        };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(SUSPENDED)
    }

    /// Begins a visit, of which there is none. Returns whether the waker was called.
    pub(super) fn begin(&self) -> bool {
        self.0.swap(VISITING, Ordering::AcqRel) == QUEUED
    }

    /// Returns whether the waker was called since the visit's beginning, or since the last question.
    pub(super) fn take_call(&self) -> bool {
        self.0.swap(VISITING, Ordering::AcqRel) == NOTIFIED
    }

    /// Ends a visit of a request that waits. Returns `false`, and the visit goes on, if the waker
    /// was called since its beginning.
    #[must_use]
    pub(super) fn suspend(&self) -> bool {
        self.change(VISITING, SUSPENDED) || {
            self.0.swap(VISITING, Ordering::AcqRel);
            false
        }
    }

    /// Ends a visit of a request that waits for its client to read. The next visit polls the
    /// application whether its waker is called or not.
    pub(super) fn suspend_until_read(&self) {
        self.0.store(DEAF, Ordering::Release);
    }

    /// Ends a visit as if the waker was called after it. The caller must ask for the next one.
    pub(super) fn queue(&self) {
        self.0.store(QUEUED, Ordering::Release);
    }

    /// Ends the request: later calls of the waker have no effect.
    pub(super) fn end(&self) {
        self.0.store(OVER, Ordering::Release);
    }

    /// Returns whether the request waits for a visit.
    pub(super) fn is_between_visits(&self) -> bool {
        matches!(self.0.load(Ordering::Acquire), SUSPENDED | QUEUED | DEAF)
    }

    /// Returns whether the waker has asked for a visit that has not begun.
    pub(super) fn is_queued(&self) -> bool {
        self.0.load(Ordering::Acquire) == QUEUED
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_call_during_a_visit_makes_it_go_on() {
        let state = VisitState::default();
        assert!(!state.wake());
        assert!(!state.wake(), "a second call is the same");
        assert!(!state.suspend(), "it was called");
        assert!(state.suspend(), "it was not called again");
        assert!(state.is_between_visits());
    }

    #[test]
    fn one_call_of_several_asks_for_a_visit() {
        let state = VisitState::default();
        assert!(state.suspend());
        assert!(state.wake());
        assert!(!state.wake());
        assert!(state.begin(), "the visit sees the call");
        assert!(state.suspend());
        assert!(!state.begin(), "a visit for another reason");
    }

    #[test]
    fn a_call_while_the_client_reads_nothing_asks_for_nothing() {
        let state = VisitState::default();
        assert!(!state.wake());
        state.suspend_until_read();
        assert!(!state.wake());
        assert!(state.is_between_visits());
        assert!(!state.begin(), "the visit is the client's");
        assert!(state.suspend());
    }

    #[test]
    fn a_call_after_the_end_does_nothing() {
        let state = VisitState::default();
        state.end();
        assert!(!state.wake());
        let state = VisitState::default();
        state.queue();
        assert!(!state.wake(), "it is queued already");
        assert!(state.begin());
    }

    /// Wakes from several threads while one visits: each call is followed by a visit that begins
    /// after it.
    #[test]
    fn no_call_is_lost() {
        const CALLS: usize = 20_000;
        const WAKERS: usize = 3;
        let state = Arc::new(VisitState::default());
        let called = Arc::new(AtomicUsize::new(0));
        let (ask, asked) = mpsc::channel();
        for _ in 0..WAKERS {
            let (state, called, ask) = (Arc::clone(&state), Arc::clone(&called), ask.clone());
            thread::spawn(move || {
                for _ in 0..CALLS {
                    called.fetch_add(1, Ordering::Release);
                    if state.wake() {
                        ask.send(()).expect("the visitor is there");
                    }
                }
            });
        }
        let mut seen = 0;
        loop {
            seen = seen.max(called.load(Ordering::Acquire));
            if !state.suspend() {
                continue;
            }
            if seen == WAKERS * CALLS {
                break;
            }
            asked.recv_timeout(Duration::from_secs(10)).expect("a call was lost");
            assert!(state.begin());
        }
    }
}
