//! Caught panics with message and location, which the payload alone lacks.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use super::error::{Error, ErrorKind};

thread_local! {
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `f`, and returns a panic in it as an error with its message and location.
///
/// # Errors
///
/// [`ErrorKind::Panic`].
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Error> {
    CATCHING.set(CATCHING.get() + 1);
    // The callers end the exchange after a panic, so none uses the values of `f` again.
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(CATCHING.get() - 1);
    result.map_err(|payload| {
        let message = LAST.take().unwrap_or_else(|| format!("panicked: {}", text(&*payload)));
        // The payload is a value of the application, so its drop may panic as well.
        if let Err(second) = panic::catch_unwind(AssertUnwindSafe(move || drop(payload))) {
            let _never_dropped = std::mem::ManuallyDrop::new(second);
        }
        Error::of(ErrorKind::Panic, message)
    })
}

/// Tells whether this thread is inside [`catch`]: in an application or in this crate.
#[must_use]
pub(crate) fn is_catching() -> bool {
    CATCHING.get() > 0
}

/// Runs `f` while another panic unwinds, and keeps the message of that panic.
pub(super) fn quietly(f: impl FnOnce()) {
    let first = LAST.take();
    drop(catch(f));
    LAST.set(first);
}

/// Installs a panic hook that records the location of caught panics and passes others on to the
/// previous hook.
///
/// Call it once per process.
pub(crate) fn install_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if CATCHING.get() > 0 {
            LAST.set(Some(describe(info)));
        } else {
            previous(info);
        }
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    match info.location() {
        Some(at) => format!("panicked at {}:{}: {}", at.file(), at.line(), text(info.payload())),
        None => format!("panicked: {}", text(info.payload())),
    }
}

/// Returns the message of a panic's payload.
#[must_use]
pub(crate) fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_and_where() {
        install_hook();
        let error = catch(|| panic!("no {}", "luck")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panic);
        let message = error.to_string();
        assert!(message.contains("panic.rs:") && message.ends_with("no luck"), "{message}");
        assert_eq!(catch(|| 7).unwrap(), 7);
    }
}
