//! `RustAsync`: whether requests are suspended, and the test at first use.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::adapter::OnOffAuto;
use crate::gateway::{Code, Level};
use crate::httpd::log;

const UNKNOWN: u8 = 0;
/// A request is suspended, and the others wait for what becomes of it.
const TESTING: u8 = 1;
const WORKS: u8 = 2;
const FAILS: u8 = 3;

/// The longest time for which a request waits for the result of the test, which takes a
/// millisecond. Then it joins the test: the first one cannot come back while requests that wait for
/// it hold every thread.
const PATIENCE: Duration = Duration::from_millis(50);

/// The verdict for this process.
static VERDICT: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Held by those who end a test, and by those who wait for that.
static TEST: Mutex<()> = Mutex::new(());
static IS_OVER: Condvar = Condvar::new();

/// A request's permission to be suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    Granted,
    /// The request is a test: it is to come back at once.
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

/// Begins the test, or waits for its result and joins it if there is none.
fn test() -> Permission {
    let begin = || VERDICT.compare_exchange(UNKNOWN, TESTING, Ordering::AcqRel, Ordering::Acquire);
    if begin().is_ok() {
        return Permission::Test;
    }
    let guard = TEST.lock().unwrap_or_else(PoisonError::into_inner);
    let is_under_way = |_: &mut ()| VERDICT.load(Ordering::Acquire) == TESTING;
    drop(IS_OVER.wait_timeout_while(guard, PATIENCE, is_under_way));
    match begin() {
        Err(WORKS) => Permission::Granted,
        Err(FAILS) => Permission::Denied,
        _ => Permission::Test,
    }
}

/// Replaces what is known as long as there is no verdict. Returns whether there was none.
fn set(verdict: u8) -> bool {
    let _guard = TEST.lock().unwrap_or_else(PoisonError::into_inner);
    let is_first = !matches!(VERDICT.load(Ordering::Acquire), WORKS | FAILS);
    if is_first {
        VERDICT.store(verdict, Ordering::Release);
        IS_OVER.notify_all();
    }
    is_first
}

/// Takes the result of the test down, and logs it.
pub(super) fn decide(works: bool) {
    if !set(if works { WORKS } else { FAILS }) {
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
    set(UNKNOWN);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict is the process's: one test for all.
    #[test]
    fn a_request_is_the_test_and_others_join_it_when_it_takes_long() {
        assert_eq!(permission(OnOffAuto::Off), Permission::Denied);
        assert_eq!(permission(OnOffAuto::On), Permission::Granted);
        assert_eq!(permission(OnOffAuto::Auto), Permission::Test);
        assert_eq!(permission(OnOffAuto::Auto), Permission::Test);
        postpone();
        assert_eq!(permission(OnOffAuto::Auto), Permission::Test);
        let waits = std::thread::spawn(|| permission(OnOffAuto::Auto));
        assert!(set(WORKS));
        assert_eq!(waits.join().ok(), Some(Permission::Granted));
        // The others that joined do not change it.
        postpone();
        assert!(!set(FAILS));
        assert_eq!(permission(OnOffAuto::Auto), Permission::Granted);
        VERDICT.store(FAILS, Ordering::Release);
        assert_eq!(permission(OnOffAuto::Auto), Permission::Denied);
        assert_eq!(permission(OnOffAuto::On), Permission::Granted);
    }
}
