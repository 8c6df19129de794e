//! The preparation of a process that runs applications: panics, logs and the runtime.

use crate::gateway::panic;
use crate::httpd::{Pool, signals};

/// The time that the tasks of services have to end when their process ends.
#[cfg(feature = "tower")]
const RUNTIME_GRACE: std::time::Duration = std::time::Duration::from_secs(1);

/// Prepares an httpd child, after the fork and before its first application. `pool` is cleared when
/// the process ends.
pub(super) fn start(pool: Pool<'_>) {
    pool.before_clear(end_if_interrupted);
    start_daemon();
    pool.on_clear(finish);
}

/// Prepares a daemon process, before its first application.
pub(super) fn start_daemon() {
    panic::install_hook();
    #[cfg(feature = "log")]
    super::logger::install();
    #[cfg(feature = "tower")]
    {
        use crate::gateway::service::runtime::{self, Care};

        // The runtime itself is made when the first service is: most processes need none.
        runtime::care(Care {
            around_start: |start| signals::with_all_blocked(start),
            in_thread: signals::block_all,
        });
    }
}

/// Ends what the applications of this process have started.
pub(super) fn finish() {
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
