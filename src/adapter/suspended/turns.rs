//! The turns of requests that are woken: as many at a time as leave threads for others.
//!
//! The event MPM closes kept connections when it finds no idle thread. So a crowd of requests that
//! are woken at once ring their doorbells one after another.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::httpd::mpm;

/// All turns of this process.
static TURNS: Mutex<Turns> = Mutex::new(Turns { taken: 0, line: VecDeque::new() });

thread_local! {
    /// Whether the request that this thread visits has a turn.
    static HAS_TURN: Cell<bool> = const { Cell::new(false) };
}

/// A request that can be woken.
pub(super) trait Turned: Send + Sync {
    /// Returns whether it has a turn.
    fn has_turn(&self) -> &AtomicBool;

    /// Returns whether its waker has asked for a visit that has not begun.
    fn is_queued(&self) -> bool;

    /// Asks for a visit.
    fn ring(&self);
}

struct Turns {
    /// The turns under way: each from the ring to the end of the visit.
    taken: usize,
    /// The requests that were woken and have no turn yet.
    line: VecDeque<Arc<dyn Turned>>,
}

/// Returns the number of turns that there are.
fn most() -> usize {
    (mpm::threads() / 2).max(1)
}

/// Brings a visit to a request that was woken, at its turn.
pub(super) fn queue(request: Arc<dyn Turned>) {
    let mut turns = lock();
    if turns.taken < most() {
        turns.give(&*request);
    } else {
        turns.line.push_back(request);
    }
}

/// Takes note that the visit of a request begins on this thread: its turn ends with it.
pub(super) fn begin_visit(request: &dyn Turned) {
    // A panic may have left the last one.
    end_visit();
    HAS_TURN.set(request.has_turn().swap(false, Ordering::AcqRel));
}

/// Ends the turn of the visit that this thread has made, once httpd is done with the request.
pub(super) fn end_visit() {
    if HAS_TURN.replace(false) {
        pass_on();
    }
}

/// Ends the turn of a request that gets no visit: it has ended, or a visit for another reason has
/// answered its waker.
pub(super) fn end(request: &dyn Turned) {
    if request.has_turn().swap(false, Ordering::AcqRel) {
        pass_on();
    }
}

/// Gives a turn to the next in line.
fn pass_on() {
    // Dropped without the lock: it may have the last references.
    let mut passed = Vec::new();
    let mut turns = lock();
    turns.taken -= 1;
    while turns.taken < most()
        && let Some(next) = turns.line.pop_front()
    {
        // A visit for another reason may have come meanwhile.
        if next.is_queued() {
            turns.give(&*next);
        }
        passed.push(next);
    }
    drop(turns);
}

impl Turns {
    fn give(&mut self, request: &dyn Turned) {
        if !request.has_turn().swap(true, Ordering::AcqRel) {
            self.taken += 1;
        }
        request.ring();
    }
}

/// A panic leaves nothing half done behind the lock.
fn lock() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}
