//! What a process that runs applications needs: where panics go, where logs go, and the runtime.

use crate::gateway::panic;
use crate::httpd::Pool;

/// How long the tasks of services may take to end when their process does.
#[cfg(feature = "tower")]
const RUNTIME_GRACE: std::time::Duration = std::time::Duration::from_secs(1);

/// Prepares this process, after the fork and before its first application. `pool` is cleared when
/// the process ends.
pub(super) fn start(pool: Pool<'_>) {
    panic::install_hook();
    #[cfg(feature = "log")]
    super::logger::install();
    #[cfg(feature = "tower")]
    {
        use crate::gateway::service::runtime::{self, Care};
        use crate::httpd::signals;

        // The runtime itself is made when the first service is: most processes need none.
        runtime::care(Care {
            around_start: |start| signals::with_all_blocked(start),
            in_thread: signals::block_all,
        });
        pool.on_clear(|| runtime::shutdown(RUNTIME_GRACE));
    }
    let _ = pool;
}
