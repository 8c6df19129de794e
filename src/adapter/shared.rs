//! The environ for what outlives the hook: a service's request, in whatever thread it is by then.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::variables::RequestVariables;
use crate::gateway::{Code, SharedVariables};
use crate::httpd::log;

/// The time for which another thread waits for the thread that has the request.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    /// Its address stands for this thread: no other living thread has it.
    static SELF: u8 = const { 0 };
}

/// Returns the number of this thread, which is never 0.
fn this_thread() -> usize {
    SELF.with(|own| std::ptr::from_ref(own).addr())
}

/// The environ of an exchange. On the thread that works on the exchange it is the live view. Other
/// threads ask, and that thread answers when it waits; when it is done, it leaves a copy to whoever
/// has this.
pub(super) struct SharedEnviron {
    /// The thread that works on the exchange; 0 for none. Each thread writes its own number only.
    owner: AtomicUsize,
    /// The exchange's variables while a thread works on it. Only that thread looks behind the
    /// pointer.
    live: AtomicPtr<()>,
    state: Mutex<EnvironState>,
    is_answered: Condvar,
}

type Variables = Vec<(Box<[u8]>, Value)>;
type Value = Box<[u8]>;

#[derive(Default)]
struct EnvironState {
    /// Wakes the request, once it has waited.
    owner: Option<Waker>,
    /// The keys that other threads wait for, and whether one waits for all of them.
    wanted: Vec<Box<[u8]>>,
    wants_all: bool,
    /// The answers for single keys, and for all.
    known: Vec<(Box<[u8]>, Option<Value>)>,
    all: Option<Arc<Variables>>,
}

impl SharedEnviron {
    pub(super) fn new(variables: &RequestVariables<'_, '_>) -> Self {
        let shared = Self {
            owner: AtomicUsize::new(0),
            live: AtomicPtr::default(),
            state: Mutex::default(),
            is_answered: Condvar::new(),
        };
        shared.enter(variables);
        shared
    }

    /// Lets this thread see the live view: it works on the exchange, which stays where it is until
    /// [`leave`](Self::leave).
    pub(super) fn enter(&self, variables: &RequestVariables<'_, '_>) {
        self.live.store(std::ptr::from_ref(variables).cast_mut().cast(), Ordering::Relaxed);
        self.owner.store(this_thread(), Ordering::Relaxed);
    }

    /// Ends this thread's work on the exchange.
    pub(super) fn leave(&self) {
        self.owner.store(0, Ordering::Relaxed);
        self.live.store(std::ptr::null_mut(), Ordering::Relaxed);
    }

    /// Answers what other threads have asked. The exchange's thread calls it before the request
    /// waits; who asks later calls `waker`.
    pub(super) fn answer(
        &self,
        variables: &RequestVariables<'_, '_>,
        waker: impl FnOnce() -> Waker,
    ) {
        let mut state = self.lock();
        if state.owner.is_none() {
            state.owner = Some(waker());
        }
        if state.wanted.is_empty() && !state.wants_all {
            return;
        }
        if state.wants_all {
            state.freeze(variables);
        }
        for key in std::mem::take(&mut state.wanted) {
            let value = variables.get(&key).map(Box::from);
            state.known.push((key, value));
        }
        self.is_answered.notify_all();
    }

    /// Copies the environ for other threads, which need not ask any more.
    #[cold]
    pub(super) fn freeze(&self, variables: &RequestVariables<'_, '_>) {
        self.lock().freeze(variables);
        self.is_answered.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, EnvironState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `read` with the exchange's variables, if this is its thread and it is not over.
    fn live<T>(&self, read: impl FnOnce(&RequestVariables<'_, '_>) -> T) -> Option<T> {
        if self.owner.load(Ordering::Relaxed) != this_thread() {
            return None;
        }
        let variables = self.live.load(Ordering::Relaxed).cast::<RequestVariables<'_, '_>>();
        // SAFETY: P2: this thread has called `enter`, and not `leave` yet: nobody else writes its
        // number. It has the exchange, which stays where it is meanwhile (`RequestExchange::with`
        // lends it, and `Kept` holds it in a box).
        unsafe { variables.as_ref() }.map(read)
    }

    /// Returns the answer that `find` finds, after `want` has asked for it if need be. `None` when
    /// the thread that has the request does not answer: it waits for something else, this thread
    /// maybe.
    fn ask<T>(
        &self,
        want: impl FnOnce(&mut EnvironState),
        find: impl Fn(&EnvironState) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.lock();
        if let Some(found) = find(&state) {
            return Some(found);
        }
        want(&mut state);
        if let Some(owner) = state.owner.clone() {
            drop(state);
            owner.wake();
            state = self.lock();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(&state) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .is_answered
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        drop(state);
        let seconds = PATIENCE.as_secs();
        log::here(
            Code::EnvironUnanswered.level(),
            &Code::EnvironUnanswered.line(format_args!(
                "a thread asked for a request's environ, and the thread that has the request \
                 did not answer within {seconds} s; the value counts as absent"
            )),
        );
        None
    }
}

impl EnvironState {
    fn freeze(&mut self, variables: &RequestVariables<'_, '_>) {
        self.wants_all = false;
        if self.all.is_none() {
            self.all = Some(Arc::new(copy(variables)));
        }
    }

    /// Returns the value of `key`, if it is known whether there is one.
    fn find(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        if let Some(all) = &self.all {
            let found = all.iter().find(|(name, _)| **name == *key);
            return Some(found.map(|(_, value)| value.to_vec()));
        }
        let (_, value) = self.known.iter().find(|(name, _)| **name == *key)?;
        Some(value.as_ref().map(|value| value.to_vec()))
    }
}

fn copy(variables: &RequestVariables<'_, '_>) -> Variables {
    let mut all = Variables::new();
    variables.each(&mut |key, value| all.push((key.into(), value.into())));
    all
}

impl SharedVariables for SharedEnviron {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        if let Some(value) = self.live(|variables| variables.get(key).map(<[u8]>::to_vec)) {
            return value;
        }
        self.ask(|state| state.wanted.push(key.into()), |state| state.find(key)).flatten()
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        // The visitor may take its time: what it sees is not locked meanwhile.
        let all = self
            .live(|variables| Arc::new(copy(variables)))
            .or_else(|| self.ask(|state| state.wants_all = true, |state| state.all.clone()));
        for (key, value) in all.iter().flat_map(|all| all.iter()) {
            visit(key, value);
        }
    }
}
