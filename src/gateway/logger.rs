//! The server's logger, behind the crates `log` and `tracing`.
//!
//! Each process has one logger. The server installs its own after it has built the applications,
//! so that the usual `tracing_subscriber::fmt().init()` or `env_logger::init()` in a factory works.

use std::sync::OnceLock;

use super::error::{Error, ErrorKind};

type InstallFn = dyn Fn() + Send + Sync;

static INSTALL: OnceLock<Box<InstallFn>> = OnceLock::new();

/// Sets the function that installs the server's logger, unless the process has another one. The
/// first call counts.
#[cfg_attr(not(feature = "log"), allow(dead_code, reason = "there is no logger to offer"))]
pub(crate) fn offer(install: impl Fn() + Send + Sync + 'static) {
    let _ = INSTALL.set(Box::new(install));
}

/// Sends the records of the crates `log` and `tracing` to the server's log from now on.
///
/// The server does so by itself when it has built the applications. A factory that has something
/// to log meanwhile calls this first. It has no effect if the process has a logger already.
pub fn start_logging() {
    if let Some(install) = INSTALL.get() {
        install();
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
