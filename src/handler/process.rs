//! What a process that runs applications needs: where panics go, where logs go, and the runtime.

use crate::gateway::panic;
use crate::httpd::Pool;

/// Prepares this process, after the fork and before its first application. `pool` is cleared when
/// the process ends.
pub(super) fn start(pool: Pool<'_>) {
    panic::install_hook();
    #[cfg(feature = "log")]
    super::logger::install();
    let _ = pool;
}
