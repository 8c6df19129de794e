//! `RustAsync`: whether requests are suspended, and the test at first use.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::adapter::OnOffAuto;
use crate::gateway::{Code, Level};
use crate::httpd::log;

const UNKNOWN: u8 = 0;
/// One request is suspended, and the others wait for what becomes of it.
const TESTING: u8 = 1;
const WORKS: u8 = 2;
const FAILS: u8 = 3;

/// The longest time for which a request waits for the result of the test, which takes a
/// millisecond. One that is denied holds its thread to its end.
const PATIENCE: Duration = Duration::from_millis(200);

/// The verdict for this process.
static VERDICT: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Held by those who end a test, and by those who wait for that.
static TEST: Mutex<()> = Mutex::new(());
static IS_OVER: Condvar = Condvar::new();

/// A request's permission to be suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    Granted,
    /// The request is the test: it is to come back at once.
    Test,
    Denied,
}

pub(super) fn permission(mode: OnOffAuto) -> Permission {
    match mode {
        OnOffAuto::Off => Permission::Denied,
        OnOffAuto::On => Permission::Granted,
        OnOffAuto::Auto => match VERDICT.load(Ordering::Acquire) {
            WORKS => Permission::Granted,
            FAILS => Permission::Denied,
            _ => test(),
        },
    }
}

/// Begins the test, or waits for its result.
fn test() -> Permission {
    let begin = || VERDICT.compare_exchange(UNKNOWN, TESTING, Ordering::AcqRel, Ordering::Acquire);
    if begin().is_ok() {
        return Permission::Test;
    }
    let guard = TEST.lock().unwrap_or_else(PoisonError::into_inner);
    let is_under_way = |_: &mut ()| VERDICT.load(Ordering::Acquire) == TESTING;
    drop(IS_OVER.wait_timeout_while(guard, PATIENCE, is_under_way));
    match begin() {
        Ok(_) => Permission::Test,
        Err(WORKS) => Permission::Granted,
        Err(_) => Permission::Denied,
    }
}

/// Ends the test with a verdict. Returns the one before.
fn set(verdict: u8) -> u8 {
    let _guard = TEST.lock().unwrap_or_else(PoisonError::into_inner);
    let before = VERDICT.swap(verdict, Ordering::AcqRel);
    IS_OVER.notify_all();
    before
}

/// Takes the result of the test down, and logs it.
pub(super) fn decide(works: bool) {
    let verdict = if works { WORKS } else { FAILS };
    if set(verdict) == verdict {
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

/// Forgets a test that has not been made. Only the request that is the test may do so.
pub(super) fn postpone() {
    set(UNKNOWN);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_is_the_test() {
        assert_eq!(permission(OnOffAuto::Off), Permission::Denied);
        assert_eq!(permission(OnOffAuto::On), Permission::Granted);
        assert_eq!(permission(OnOffAuto::Auto), Permission::Test);
        assert_eq!(permission(OnOffAuto::Auto), Permission::Denied);
        postpone();
        assert_eq!(permission(OnOffAuto::Auto), Permission::Test);
        VERDICT.store(WORKS, Ordering::Release);
        assert_eq!(permission(OnOffAuto::Auto), Permission::Granted);
        set(TESTING);
        let waits = std::thread::spawn(|| permission(OnOffAuto::Auto));
        set(WORKS);
        assert_eq!(waits.join().ok(), Some(Permission::Granted));
        VERDICT.store(FAILS, Ordering::Release);
        assert_eq!(permission(OnOffAuto::Auto), Permission::Denied);
        assert_eq!(permission(OnOffAuto::On), Permission::Granted);
    }
}
