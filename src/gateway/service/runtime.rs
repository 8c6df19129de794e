//! The tokio runtime of a process: one, made when it is first needed, in the process that needs it.
//!
//! Threads do not survive a fork, so a runtime must never be made before one: httpd's parent has
//! none. A child makes its own when it starts ([`start`]) and takes it down when it exits
//! ([`shutdown`]).

use std::cell::Cell;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::gateway::error::{Error, ErrorKind, Result};
use crate::gateway::panic;

/// Requests that need not wait never leave the thread that has them, so few threads do.
const MOST_THREADS: usize = 2;

static CARE: OnceLock<Care> = OnceLock::new();

/// What a server wants done with the runtime's threads. Signals are httpd's business, for one.
#[derive(Clone, Copy, Debug)]
pub struct Care {
    /// Runs what starts threads.
    pub around_start: fn(&mut dyn FnMut()),
    /// Runs first in each thread.
    pub in_thread: fn(),
}

/// Says what is to be done with the runtime's threads. The first to say so is heard.
pub fn care(care: Care) {
    let _ = CARE.set(care);
}

static RUNTIME: Mutex<Option<Process>> = Mutex::new(None);

thread_local! {
    /// Asking for the process's id is a system call, so it is asked once a thread. A fork has
    /// other threads, all but one.
    static CHECKED: Cell<bool> = const { Cell::new(false) };
}

struct Process {
    id: u32,
    /// A fork has no threads to join: there it is given up as it is.
    runtime: ManuallyDrop<Runtime>,
}

/// Makes the process's runtime, unless it is there.
///
/// # Errors
///
/// When its threads or its file descriptors cannot be had.
///
/// # Panics
///
/// When the runtime was made before the process was forked off.
pub fn start() -> Result<()> {
    handle().map(drop)
}

/// The process's runtime, made if need be.
///
/// # Errors
///
/// As [`start`].
///
/// # Panics
///
/// As [`start`].
pub fn handle() -> Result<Handle> {
    let mut process = lock();
    if let Some(process) = &*process {
        return Ok(process.check().runtime.handle().clone());
    }
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS));
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
    *process = Some(Process { id: std::process::id(), runtime: ManuallyDrop::new(runtime) });
    Ok(handle)
}

/// Builds the runtime. tokio panics where it cannot start its first thread; so one is tried before.
fn build(builder: &mut Builder) -> io::Result<Runtime> {
    let probe = thread::Builder::new().spawn(|| {})?;
    let _ = probe.join();
    // Another one may have taken the last thread meanwhile.
    panic::catch(|| builder.build())
        .unwrap_or_else(|_| Err(io::Error::other("no thread could be started")))
}

/// Takes the process's runtime down, if there is one: tasks are dropped at their next await, and
/// blocking ones waited for until `deadline` has passed.
///
/// Not to be called from a task of that runtime.
pub fn shutdown(deadline: Duration) {
    let process = lock().take();
    if let Some(process) = process
        && process.id == std::process::id()
    {
        ManuallyDrop::into_inner(process.runtime).shutdown_timeout(deadline);
    }
}

/// Makes sure that the runtime in use belongs to this process.
pub(super) fn check_thread() {
    if !CHECKED.get() {
        if let Some(process) = &*lock() {
            process.check();
        }
        CHECKED.set(true);
    }
}

impl Process {
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

/// A panic with the lock held leaves nothing half done.
fn lock() -> MutexGuard<'static, Option<Process>> {
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
        let _ = Process { id: std::process::id() + 1, runtime }.check();
    }
}
