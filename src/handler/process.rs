//! The preparation of a process that runs applications, and its end: panics, logs, the runtime.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::time::Duration;

use super::instance;
use super::logger::ErrorLog;
use crate::adapter;
use crate::gateway::logger::{ServerLog as _, offer};
use crate::gateway::{Code, Level, ending, panic};
use crate::httpd::{Pool, log, signals};

/// The time that the applications of an httpd child have to drop their state. httpd kills a child
/// that has not ended after about ten seconds.
const CHILD_GRACE: Duration = Duration::from_secs(2);

/// The time that the tasks of services have to end when their process ends.
#[cfg(feature = "tower")]
const RUNTIME_GRACE: Duration = Duration::from_secs(1);

/// Prepares an httpd child, after the fork and before its first application. `pool` is cleared when
/// the process ends. `runtime_threads` is the value of RustRuntimeThreads.
pub(super) fn start(pool: Pool<'_>, runtime_threads: usize) {
    pool.before_clear(end_if_interrupted);
    if leads_nowhere() {
        lead_stdout_to_error_log();
    }
    #[cfg(feature = "tower")]
    {
        use crate::gateway::service::runtime::{self, Care};

        // The runtime itself is made when the first service is: most processes need none.
        runtime::care(Care {
            around_start: |start| signals::with_all_blocked(start),
            in_thread: signals::block_all,
        });
        runtime::set_threads(runtime_threads);
    }
    #[cfg(not(feature = "tower"))]
    let _ = runtime_threads;
    prepare();
    pool.on_clear(|| finish(CHILD_GRACE));
}

/// Prepares a daemon process, before its first application.
pub(super) fn start_daemon() {
    lead_stdout_to_error_log();
    prepare();
}

fn prepare() {
    panic::install_hook(|line| ErrorLog.line(Level::Error, line));
    offer(ErrorLog);
}

/// Returns whether the standard output is `/dev/null`: httpd has detached from its terminal.
fn leads_nowhere() -> bool {
    // Linux, Documentation/admin-guide/devices.txt.
    let null = nix::sys::stat::makedev(1, 3);
    std::fs::metadata("/proc/self/fd/1")
        .is_ok_and(|target| target.file_type().is_char_device() && target.rdev() == null)
}

/// Leads the standard output to the main ErrorLog, which is the standard error. `println!` and
/// subscribers such as `tracing_subscriber::fmt()` write there.
fn lead_stdout_to_error_log() {
    // Without a free descriptor the output stays where it is.
    let _ = nix::unistd::dup2_stdout(std::io::stderr());
}

/// Ends the applications of this process: their state is dropped, then their tasks. `deadline` is
/// the time for the state.
pub(super) fn finish(deadline: Duration) {
    // The requests that wait without a thread have their application.
    adapter::drop_all();
    let applications = instance::take_all();
    if !applications.is_empty() {
        // A signal is for the thread that is here, and not for the one that drops.
        signals::with_all_blocked(|| {
            ending::end(applications, deadline, |line| {
                log::here(Code::StateNotDropped.level(), line);
            });
        });
    }
    #[cfg(feature = "tower")]
    crate::gateway::service::runtime::shutdown(RUNTIME_GRACE);
}

/// prefork ends a child from within its handler of SIGTERM and SIGHUP, wherever that has
/// interrupted the child (`just_die` in prefork.c). Where that was an application, its locks and
/// the allocator's are held for good: what the other cleanups would free or wait for would stop the
/// child until httpd kills it, ten seconds later.
extern "C" fn end_if_interrupted() {
    if panic::is_catching() {
        signals::end_process();
    }
}
