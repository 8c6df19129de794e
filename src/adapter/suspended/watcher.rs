//! The thread that looks after the requests that wait, from the first of this process on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::httpd::signals;

/// The interval at which it looks for requests whose time is up.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The same while a request waits for something that only a look finds: short beside the start of a
/// process, and long enough to cost little.
const LOOK_OFTEN: Duration = Duration::from_millis(10);

enum Watcher {
    None,
    Runs(JoinHandle<()>),
    /// The process ends.
    Over,
}

static WATCHER: Mutex<Watcher> = Mutex::new(Watcher::None);
static IS_WANTED: Condvar = Condvar::new();

/// The number of [`Often`].
static OFTEN: AtomicUsize = AtomicUsize::new(0);

/// Has it look often for as long as there is one.
pub(super) struct Often(());

impl Often {
    pub(super) fn new() -> Self {
        if OFTEN.fetch_add(1, Ordering::Relaxed) == 0 {
            wake();
        }
        Self(())
    }
}

impl Drop for Often {
    fn drop(&mut self) {
        OFTEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts it, unless it runs. The next request tries again if the system has no thread left.
/// `count` returns the number of requests that wait, and `look` looks through them.
pub(super) fn start(count: fn() -> usize, look: fn()) {
    let mut watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*watcher, Watcher::None) {
        let spawn = || {
            thread::Builder::new().name("mod_rust-watch".to_owned()).spawn(move || run(count, look))
        };
        if let Ok(thread) = signals::with_all_blocked(spawn) {
            *watcher = Watcher::Runs(thread);
        }
    }
}

/// Tells it that a request waits that was the first, or wants it to look often.
pub(super) fn wake() {
    // Under the lock, so that it is either before its look at the number or in its wait.
    drop(WATCHER.lock().unwrap_or_else(PoisonError::into_inner));
    IS_WANTED.notify_one();
}

/// Ends it, as the process ends.
pub(super) fn stop() {
    let mut watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
    let before = std::mem::replace(&mut *watcher, Watcher::Over);
    drop(watcher);
    IS_WANTED.notify_one();
    if let Watcher::Runs(thread) = before {
        let _ = thread.join();
    }
}

fn run(count: fn() -> usize, look: fn()) {
    let mut watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
    while !matches!(*watcher, Watcher::Over) {
        watcher = if count() == 0 {
            IS_WANTED.wait(watcher).unwrap_or_else(PoisonError::into_inner)
        } else {
            let is_often = OFTEN.load(Ordering::Relaxed) > 0;
            let interval = if is_often { LOOK_OFTEN } else { LOOK_EVERY };
            let waited = IS_WANTED.wait_timeout(watcher, interval);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            look();
            WATCHER.lock().unwrap_or_else(PoisonError::into_inner)
        };
    }
}
