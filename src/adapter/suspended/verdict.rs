//! `RustAsync`: whether requests are suspended, and the test at first use.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::gateway::{Code, Level};
use crate::httpd::log;

/// `RustAsync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AsyncMode {
    /// Requests wait on their threads.
    Off,
    /// Requests are suspended where the MPM can do it.
    On,
    /// The same, once one request has come back.
    #[default]
    Auto,
}

impl FromStr for AsyncMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            "auto" => Ok(Self::Auto),
            _ => Err("expected On, Off or Auto"),
        }
    }
}

const UNKNOWN: u8 = 0;
/// One request is suspended, and the others wait for what becomes of it.
const TESTING: u8 = 1;
const WORKS: u8 = 2;
const FAILS: u8 = 3;

/// The verdict for this process.
static VERDICT: AtomicU8 = AtomicU8::new(UNKNOWN);

/// A request's permission to be suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    Granted,
    /// The request is the test: it is to come back at once.
    Test,
    Denied,
}

pub(super) fn permission(mode: AsyncMode) -> Permission {
    match (mode, VERDICT.load(Ordering::Acquire)) {
        (AsyncMode::Off, _) | (AsyncMode::Auto, TESTING | FAILS) => Permission::Denied,
        (AsyncMode::On, _) | (AsyncMode::Auto, WORKS) => Permission::Granted,
        (AsyncMode::Auto, _) => {
            match VERDICT.compare_exchange(UNKNOWN, TESTING, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => Permission::Test,
                Err(WORKS) => Permission::Granted,
                Err(_) => Permission::Denied,
            }
        }
    }
}

/// Takes the result of the test down, and logs it.
pub(super) fn decide(works: bool) {
    let verdict = if works { WORKS } else { FAILS };
    if VERDICT.swap(verdict, Ordering::AcqRel) == verdict {
        return;
    }
    let code = Code::AsyncDecided;
    let line = if works {
        code.line(format_args!(
            "process {}: the first request that had to wait left its thread and came back: requests \
             that wait hold no thread",
            std::process::id()
        ))
    } else {
        code.line(format_args!(
            "process {}: the first request that had to wait left its thread, and the MPM did not \
             bring it back: requests wait on their threads",
            std::process::id()
        ))
    };
    log::here(if works { code.level() } else { Level::Warn }, &line);
}

/// Forgets a test that has not been made.
pub(super) fn postpone() {
    let _ = VERDICT.compare_exchange(TESTING, UNKNOWN, Ordering::AcqRel, Ordering::Acquire);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_is_the_test() {
        assert_eq!(permission(AsyncMode::Off), Permission::Denied);
        assert_eq!(permission(AsyncMode::On), Permission::Granted);
        assert_eq!(permission(AsyncMode::Auto), Permission::Test);
        assert_eq!(permission(AsyncMode::Auto), Permission::Denied);
        postpone();
        assert_eq!(permission(AsyncMode::Auto), Permission::Test);
        VERDICT.store(WORKS, Ordering::Release);
        assert_eq!(permission(AsyncMode::Auto), Permission::Granted);
        VERDICT.store(FAILS, Ordering::Release);
        assert_eq!(permission(AsyncMode::Auto), Permission::Denied);
        assert_eq!(permission(AsyncMode::On), Permission::Granted);
    }

    #[test]
    fn values() {
        assert_eq!("auto".parse(), Ok(AsyncMode::Auto));
        assert_eq!("OFF".parse(), Ok(AsyncMode::Off));
        assert_eq!("never".parse::<AsyncMode>(), Err("expected On, Off or Auto"));
    }
}
