//! Records of the `log` crate (and of `tracing`, through it) go to the ErrorLog, with the request
//! that they belong to.

use log::{LevelFilter, Log, Metadata, Record};

use crate::gateway::Level;
use crate::httpd;

struct ErrorLog;

/// Puts the ErrorLog behind `log`, unless the application has put something else there.
pub(super) fn install() {
    if log::set_logger(&ErrorLog).is_ok() {
        // What is kept, LogLevel says for each request.
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

impl Log for ErrorLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        httpd::log::here_logs(level(metadata.level()))
    }

    fn log(&self, record: &Record<'_>) {
        let level = level(record.level());
        if httpd::log::here_logs(level) {
            httpd::log::here(level, &format!("{}: {}", record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}
