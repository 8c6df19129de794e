//! The waker of a request that waits without a thread, and all such requests of the process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use super::state::VisitState;
use super::turns::{self, Turned};
use super::watcher::{self, Often};
use crate::adapter::grace::ending_for;
use crate::gateway::panic;
use crate::gateway::run::Suspended;
use crate::httpd::log;
use crate::httpd::suspend::Doorbell;
use crate::os::monotonic_us;

/// A look at something that a request waits for and that brings no visit by itself.
pub(crate) struct Lookout {
    is_there: Box<dyn Fn() -> bool + Send>,
    /// Set if the request waits for nothing else: it then takes its turn with others.
    is_often: Option<Often>,
}

impl Lookout {
    /// Looks from time to time for something that the request should not miss.
    pub(crate) fn rare(is_there: impl Fn() -> bool + Send + 'static) -> Self {
        Self { is_there: Box::new(is_there), is_often: None }
    }

    /// Looks often for what the request waits for.
    pub(crate) fn often(is_there: impl Fn() -> bool + Send + 'static) -> Self {
        Self { is_there: Box::new(is_there), is_often: Some(Often::new()) }
    }
}

/// The values of [`WaitingCell::rung`].
const NOT_RUNG: u8 = 0;
const RUNG: u8 = 1;
/// The watcher has looked since.
const LOOKED_AT: u8 = 2;

/// A request's place between two visits, and its waker.
pub(super) struct WaitingCell {
    pub(super) state: VisitState,
    pub(super) bell: Arc<Doorbell>,
    /// The application's part, which goes on at the next visit.
    task: Mutex<Option<Suspended>>,
    /// The time at which a visit comes in any case.
    due_us: AtomicU64,
    /// The time that it has once this process begins to end.
    grace_us: AtomicU64,
    lookout: Mutex<Option<Lookout>>,
    /// Whether its doorbell was rung, and no visit has begun since.
    rung: AtomicU8,
    /// Whether it has one of the [`turns`].
    has_turn: AtomicBool,
    /// Whether it is among all requests of the process that wait.
    is_listed: AtomicBool,
}

impl WaitingCell {
    pub(super) fn new(bell: Arc<Doorbell>) -> Arc<Self> {
        Arc::new(Self {
            state: VisitState::default(),
            bell,
            task: Mutex::new(None),
            grace_us: AtomicU64::new(u64::MAX),
            lookout: Mutex::new(None),
            due_us: AtomicU64::new(u64::MAX),
            rung: AtomicU8::new(NOT_RUNG),
            has_turn: AtomicBool::new(false),
            is_listed: AtomicBool::new(false),
        })
    }

    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Takes what goes on. `None` if the process ends.
    pub(super) fn take(&self) -> Option<Suspended> {
        lock(&self.task).take()
    }

    /// Keeps what goes on at the next visit.
    pub(super) fn put(&self, task: Suspended) {
        *lock(&self.task) = Some(task);
    }

    /// Asks for a visit. It comes at once, unless the client's socket is full.
    pub(super) fn ring(&self) {
        self.rung.store(RUNG, Ordering::Relaxed);
        self.bell.ring();
    }

    /// Begins a visit. Returns whether the waker was called.
    pub(super) fn begin(&self) -> bool {
        self.rung.store(NOT_RUNG, Ordering::Relaxed);
        self.state.begin()
    }

    /// Returns whether it was rung before the last look, and no visit has come.
    fn is_stuck(&self) -> bool {
        self.state.is_queued()
            && self.rung.compare_exchange(RUNG, LOOKED_AT, Ordering::Relaxed, Ordering::Relaxed)
                == Err(LOOKED_AT)
    }

    /// Asks for a visit as soon as `lookout` says so.
    pub(super) fn look_out(&self, lookout: Option<Lookout>) {
        *lock(&self.lookout) = lookout;
    }

    /// Begins a wait, at whose end a visit comes after `longest` in any case, and when the process
    /// has been ending for `grace`.
    pub(super) fn wait(self: &Arc<Self>, longest: Duration, grace: Option<Duration>) {
        self.due_us.store(monotonic_us().saturating_add(us(longest)), Ordering::Relaxed);
        self.grace_us.store(grace.map_or(u64::MAX, us), Ordering::Relaxed);
        if self.is_listed.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut all = lock(&ALL);
        let all = all.get_or_insert_default();
        all.insert(Arc::as_ptr(self).addr(), Arc::clone(self));
        let count = all.len();
        COUNT.store(count, Ordering::Relaxed);
        if count == 1 {
            watcher::wake();
        }
    }

    /// Ends the request: its waker has no effect any more.
    pub(super) fn end(&self) {
        self.state.end();
        self.look_out(None);
        turns::end(self);
        if !self.is_listed.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut all = lock(&ALL);
        if let Some(all) = all.as_mut() {
            // The caller has another reference: this drops no application's code.
            all.remove(&std::ptr::from_ref(self).addr());
            COUNT.store(all.len(), Ordering::Relaxed);
        }
    }

    /// Asks for a visit if the request's time is up, or its lookout sees something.
    fn look(self: &Arc<Self>, now_us: u64, ending_us: u64) {
        let (is_there, is_often) = match &*lock(&self.lookout) {
            Some(lookout) => ((lookout.is_there)(), lookout.is_often.is_some()),
            None => (false, false),
        };
        if is_there && is_often {
            self.wake_by_ref();
            return;
        }
        let is_due = is_there
            || self.is_stuck()
            || now_us >= self.due_us.load(Ordering::Relaxed)
            || ending_us >= self.grace_us.load(Ordering::Relaxed);
        // The state stays: a visit for no reason.
        if is_due && self.state.is_between_visits() && self.bell.press() {
            self.due_us.store(u64::MAX, Ordering::Relaxed);
            self.grace_us.store(u64::MAX, Ordering::Relaxed);
        }
    }
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Turned for WaitingCell {
    fn has_turn(&self) -> &AtomicBool {
        &self.has_turn
    }

    fn is_queued(&self) -> bool {
        self.state.is_queued()
    }

    fn ring(&self) {
        Self::ring(self);
    }
}

impl Wake for WaitingCell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.wake() {
            turns::queue(self.clone());
        }
    }
}

/// The requests of this process that have been suspended and are not over.
static ALL: Mutex<Option<HashMap<usize, Arc<WaitingCell>>>> = Mutex::new(None);

/// Their number.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Returns the number of requests that have been suspended and are not over.
pub(crate) fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Whether the process ends, and its requests with it.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Returns whether the process ends, and its requests with it.
pub(super) fn is_over() -> bool {
    IS_OVER.load(Ordering::Relaxed)
}

/// Drops the futures of all requests that wait, as the process ends. No thread of httpd works.
pub(crate) fn drop_all() {
    watcher::stop();
    IS_OVER.store(true, Ordering::Relaxed);
    let all: Vec<_> = lock(&ALL).iter_mut().flat_map(HashMap::drain).collect();
    for (_, cell) in all {
        cell.state.end();
        let task = cell.take();
        if let Err(message) = panic::catch(|| drop(task)) {
            let code = crate::gateway::Code::ClosePanicked;
            log::here(code.level(), &code.line(format_args!("ending a waiting request {message}")));
        }
    }
}

/// Looks through the requests that wait.
pub(super) fn look_at_all() {
    let (now_us, ending_us) = (monotonic_us(), ending_for().map_or(0, us));
    let all = lock(&ALL);
    all.iter().flat_map(HashMap::values).for_each(|cell| cell.look(now_us, ending_us));
}

/// A panic leaves nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
