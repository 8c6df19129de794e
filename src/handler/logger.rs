//! Records of the `log` crate (and of `tracing`, through it) go to the ErrorLog, with the request
//! that they belong to.

use log::{LevelFilter, Log, Metadata, Record};

use crate::gateway::Level;
use crate::httpd;
use crate::server::daemon_process;

struct ErrorLog;

/// Installs the ErrorLog as the logger, unless the application has installed another one.
pub(super) fn install() {
    if log::set_logger(&ErrorLog).is_ok() {
        // LogLevel filters the records of each request.
        log::set_max_level(LevelFilter::Trace);
    }
}

const fn level(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

/// Returns whether records of this level are kept for the request that this thread works on.
fn is_kept(level: Level) -> bool {
    daemon_process::logs_here(level).unwrap_or_else(|| httpd::log::here_logs(level))
}

impl Log for ErrorLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_kept(level(metadata.level()))
    }

    fn log(&self, record: &Record<'_>) {
        let level = level(record.level());
        if !is_kept(level) {
            return;
        }
        let line = format!("{}: {}", record.target(), record.args());
        // In a daemon process the request's ErrorLog is at the other end of the bridge.
        if !daemon_process::log_here(level, &line) {
            httpd::log::here(level, &line);
        }
    }

    fn flush(&self) {}
}
