//! The server's log, for code that has no exchange at hand: records of the crates `log` and
//! `tracing`, and the stacks of panics.
//!
//! Each process has one logger. The server installs its own after it has built the applications,
//! so that the usual `tracing_subscriber::fmt().init()` or `env_logger::init()` in a factory works.

use std::sync::OnceLock;

use super::code::Level;
use super::error::{Error, ErrorKind};

/// The server's log, for the request that the calling thread works on, or else for the process.
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "only panics are logged"))]
pub(crate) trait ServerLog: Send + Sync {
    /// Tells whether lines of this level are kept.
    fn keeps(&self, level: Level) -> bool;

    /// Returns the last level whose lines may be kept.
    fn last_level(&self) -> Level;

    /// Adds a line, unless its level is not kept.
    fn line(&self, level: Level, text: &str);
}

static LOG: OnceLock<Box<dyn ServerLog>> = OnceLock::new();

/// Names the log of this process. The first call counts.
pub(crate) fn offer(log: impl ServerLog + 'static) {
    let _ = LOG.set(Box::new(log));
}

/// Returns the log of this process, once there is a server.
#[cfg(feature = "log")]
pub(super) fn server_log() -> Option<&'static dyn ServerLog> {
    LOG.get().map(|log| &**log)
}

/// Sends the records of the crates `log` and `tracing` to the server's log from now on.
///
/// The server does so by itself when it has built the applications. A factory that has something
/// to log meanwhile calls this first. It has no effect if the process has a logger already.
pub fn start_logging() {
    #[cfg(feature = "log")]
    records::install();
}

/// Records of the crate `log`, and of `tracing` through it.
#[cfg(feature = "log")]
mod records {
    use log::{LevelFilter, Log, Metadata, Record};

    use super::server_log;
    use crate::gateway::Level;

    /// The logger of the process, unless the application has installed another one.
    struct Records;

    pub(super) fn install() {
        let Some(server) = server_log() else { return };
        if log::set_logger(&Records).is_ok() {
            log::set_max_level(match server.last_level() {
                Level::Error => LevelFilter::Error,
                Level::Warn => LevelFilter::Warn,
                Level::Info => LevelFilter::Info,
                Level::Debug => LevelFilter::Debug,
                Level::Trace => LevelFilter::Trace,
            });
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

    impl Log for Records {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            server_log().is_some_and(|server| server.keeps(level(metadata.level())))
        }

        fn log(&self, record: &Record<'_>) {
            let level = level(record.level());
            if let Some(server) = server_log().filter(|server| server.keeps(level)) {
                server.line(level, &format!("{}: {}", record.target(), record.args()));
            }
        }

        fn flush(&self) {}
    }
}

/// Adds the remedy to the error of a factory that set a second logger.
pub(crate) fn explain(error: Error) -> Error {
    let text = error.to_string();
    let is_of_logger = error.kind() == ErrorKind::Panic
        && ["SetLoggerError", "set a logger", "SetGlobalDefaultError", "global default"]
            .iter()
            .any(|part| text.contains(part));
    if !is_of_logger {
        return error;
    }
    Error::of(
        ErrorKind::Panic,
        format!(
            "{text}; the process has a logger already, because a factory has run before: call \
             try_init() in place of init(), and ignore its error"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::gateway::{Body, Factory, Options, app_fn};

    #[test]
    fn a_second_logger_gets_a_remedy() {
        let failing = |text: &'static str| {
            Factory::with_options(move |_: BTreeMap<String, String>| {
                assert!(text.is_empty(), "{text}");
                Ok(app_fn(|_, _| Ok(Body::empty())))
            })
        };
        for text in [
            "logger: SetLoggerError(())",
            "Unable to install global subscriber: \"a global default trace dispatcher has already been set\"",
        ] {
            let error = failing(text).build_caught(&Options::new()).err().expect("a panic");
            assert!(error.to_string().contains("call try_init() in place of init()"), "{error}");
        }
        let error = failing("no database").build_caught(&Options::new()).err().expect("a panic");
        assert!(!error.to_string().contains("try_init"), "{error}");
        assert!(failing("").build_caught(&Options::new()).is_ok());
    }
}
