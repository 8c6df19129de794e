//! The ErrorLog, with the request that a line belongs to.

use crate::gateway::Level;
use crate::gateway::logger::ServerLog;
use crate::httpd;
use crate::server::daemon_process;

/// The ErrorLog of the virtual host or server, in an httpd child and in a daemon process.
pub(super) struct ErrorLog;

impl ServerLog for ErrorLog {
    fn keeps(&self, level: Level) -> bool {
        daemon_process::logs_here(level).unwrap_or_else(|| httpd::log::here_logs(level))
    }

    /// LogLevel filters the lines of each request.
    fn last_level(&self) -> Level {
        Level::Trace
    }

    fn line(&self, level: Level, text: &str) {
        // In a daemon process the request's ErrorLog is at the other end of the bridge, where the
        // httpd child writes the line with its own process id.
        if daemon_process::logs_here(level).is_some() {
            let line = format!("process {}: {text}", std::process::id());
            if daemon_process::log_here(level, &line) {
                return;
            }
        }
        httpd::log::here(level, text);
    }
}
