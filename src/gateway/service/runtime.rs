//! The tokio runtime of a process: one per process, made on its first use.
//!
//! Threads do not survive a fork, so a runtime must not be made before one: httpd's parent has
//! none. A child makes its own when it starts ([`start`]) and shuts it down when it exits
//! ([`shutdown`]).

use std::cell::Cell;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::gateway::error::{Error, ErrorKind, Result};
use crate::gateway::panic;

/// The number of the runtime's threads, unless it is set: one for each core, and at most this many.
/// Few are enough, as requests run on their own thread.
const USUAL_THREADS: usize = 2;

/// The number of threads that is set; 0 for the usual one.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Sets the number of the runtime's threads, before the runtime is made. 0 is the usual one.
pub(crate) fn set_threads(threads: usize) {
    THREADS.store(threads, Ordering::Relaxed);
}

static CARE: OnceLock<Care> = OnceLock::new();

/// The server's functions for the runtime's threads, which block httpd's signals for example.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Care {
    /// Calls a function that starts threads.
    pub around_start: fn(&mut dyn FnMut()),
    /// Runs first in each thread.
    pub in_thread: fn(),
}

/// Sets the functions for the runtime's threads. The first call counts.
#[cfg(feature = "httpd")]
pub(crate) fn care(care: Care) {
    let _ = CARE.set(care);
}

static RUNTIME: Mutex<Option<ProcessRuntime>> = Mutex::new(None);

thread_local! {
    /// Whether this thread has compared the process's id, a system call. A fork keeps one thread
    /// only.
    static CHECKED: Cell<bool> = const { Cell::new(false) };
}

struct ProcessRuntime {
    id: u32,
    /// The runtime, never dropped in a fork, which lacks the threads to join.
    runtime: ManuallyDrop<Runtime>,
}

/// Makes the process's runtime, unless it exists.
///
/// # Errors
///
/// Fails when the system has no threads or file descriptors left.
///
/// # Panics
///
/// Panics when the runtime was made before the fork of this process.
pub fn start() -> Result<()> {
    handle().map(drop)
}

/// Returns a handle of the process's runtime, and makes the runtime on first use.
///
/// # Errors
///
/// The same as [`start`].
///
/// # Panics
///
/// The same as [`start`].
pub fn handle() -> Result<Handle> {
    let mut process = lock();
    if let Some(process) = &*process {
        return Ok(process.check().runtime.handle().clone());
    }
    let threads = match THREADS.load(Ordering::Relaxed) {
        0 => thread::available_parallelism().map_or(1, |cores| cores.get().min(USUAL_THREADS)),
        threads => threads,
    };
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name("mod_rust-rt").enable_all();
    let care = CARE.get().copied();
    if let Some(care) = care {
        builder.on_thread_start(care.in_thread);
    }
    let mut built = None;
    let mut build = || built = Some(build(&mut builder));
    match care {
        Some(care) => (care.around_start)(&mut build),
        None => build(),
    }
    let built = built.ok_or_else(|| Error::new("the runtime for services was not started"))?;
    let runtime = built.map_err(|error| {
        let message = format!("the runtime for services cannot start: {error}");
        Error::of(ErrorKind::Resources, message)
    })?;
    let handle = runtime.handle().clone();
    *process = Some(ProcessRuntime { id: std::process::id(), runtime: ManuallyDrop::new(runtime) });
    Ok(handle)
}

/// Returns a handle of the process's runtime, if it was made in this process.
#[cfg_attr(
    not(any(feature = "httpd", feature = "serve")),
    allow(dead_code, reason = "only a server uses it")
)]
pub(crate) fn existing() -> Option<Handle> {
    let process = lock();
    let process = process.as_ref().filter(|process| process.id == std::process::id())?;
    Some(process.runtime.handle().clone())
}

/// Builds the runtime. tokio panics if it cannot start its first thread, so a probe thread is
/// started before.
fn build(builder: &mut Builder) -> io::Result<Runtime> {
    let probe = thread::Builder::new().spawn(|| {})?;
    let _ = probe.join();
    // Another process may have taken the last thread meanwhile.
    panic::catch(|| builder.build())
        .unwrap_or_else(|_| Err(io::Error::other("no thread could be started")))
}

/// Shuts the process's runtime down, if there is one. It drops tasks at their next await, and waits
/// for blocking tasks until `deadline` has passed.
///
/// Do not call it from a task of that runtime.
pub fn shutdown(deadline: Duration) {
    let process = lock().take();
    if let Some(process) = process
        && process.id == std::process::id()
    {
        ManuallyDrop::into_inner(process.runtime).shutdown_timeout(deadline);
    }
}

/// Panics if the runtime belongs to another process.
pub(super) fn check_thread() {
    if !CHECKED.get() {
        if let Some(process) = &*lock() {
            process.check();
        }
        CHECKED.set(true);
    }
}

impl ProcessRuntime {
    fn check(&self) -> &Self {
        let id = std::process::id();
        assert!(
            self.id == id,
            "the runtime for services was started in process {} and cannot be used in its fork {id}: \
             start it after the fork",
            self.id
        );
        self
    }
}

/// Locks the runtime. A poisoned lock is valid, because a panic leaves no partial change.
fn lock() -> MutexGuard<'static, Option<ProcessRuntime>> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "cannot be used in its fork")]
    fn a_fork_must_not_use_it() {
        let runtime =
            ManuallyDrop::new(Builder::new_multi_thread().worker_threads(1).build().unwrap());
        let _ = ProcessRuntime { id: std::process::id() + 1, runtime }.check();
    }
}
