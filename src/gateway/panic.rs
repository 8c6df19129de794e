//! Caught panics with message and location, which the payload alone lacks.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::OnceLock;

thread_local! {
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// A caught panic, as the hook saw it.
struct Panic {
    message: String,
    /// The stack, if `RUST_BACKTRACE` asks for it.
    backtrace: Backtrace,
}

/// The function that writes the lines of a backtrace to the server's log.
type LogFn = dyn Fn(&str) + Send + Sync;

static LOG: OnceLock<Box<LogFn>> = OnceLock::new();

/// Runs `f`.
///
/// # Errors
///
/// Returns the message and location of a panic in it.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    CATCHING.set(CATCHING.get() + 1);
    // The callers end the exchange after a panic, so none uses the values of `f` again.
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(CATCHING.get() - 1);
    result.map_err(message)
}

/// Returns the message of a panic that was caught, and drops what it carried.
#[cold]
fn message(payload: Box<dyn Any + Send>) -> String {
    let message = match LAST.take() {
        Some(last) => {
            log_backtrace(&last.backtrace);
            last.message
        }
        None => format!("panicked: {}", text(&*payload)),
    };
    // The payload is a value of the application, so its drop may panic as well.
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        let _never_dropped = std::mem::ManuallyDrop::new(second);
    }
    message
}

/// Tells whether this thread is inside [`catch`]: in an application or in this crate.
#[cfg(feature = "httpd")]
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
/// previous hook. `log` gets a line for each frame of a caught panic's stack, if `RUST_BACKTRACE`
/// asks for backtraces.
///
/// Call it once per process.
#[cfg_attr(
    not(any(feature = "httpd", feature = "serve")),
    allow(dead_code, reason = "only a server installs it")
)]
pub(crate) fn install_hook(log: impl Fn(&str) + Send + Sync + 'static) {
    let _ = LOG.set(Box::new(log));
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if CATCHING.get() > 0 {
            LAST.set(Some(Panic { message: describe(info), backtrace: Backtrace::capture() }));
        } else {
            previous(info);
        }
    }));
}

/// Logs the frames between the panic and [`catch`]. The stack has unwound, so no lock of the code
/// that panicked is held here.
fn log_backtrace(backtrace: &Backtrace) {
    if backtrace.status() == BacktraceStatus::Captured
        && let Some(log) = LOG.get()
    {
        for frame in frames(&backtrace.to_string()) {
            log(&format!("stack: {frame}"));
        }
    }
}

/// Returns a line for each frame of the code that panicked: the function, and its place if known.
fn frames(backtrace: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in backtrace.lines().map(str::trim) {
        match all.last_mut() {
            Some(frame) if line.starts_with("at ") => *frame = format!("{frame} {line}"),
            _ => all.push(line.to_owned()),
        }
    }
    // Above are the frames of the panic itself, below those of the server.
    let is_own = |frame: &String| frame.contains("rust_begin_unwind");
    let begin = all.iter().position(is_own).map_or(0, |at| at + 1);
    let is_catch = |frame: &String| {
        frame.contains("gateway::panic::catch") || frame.contains("gateway/panic.rs")
    };
    let end = all.iter().skip(begin).position(is_catch).map_or(all.len(), |at| begin + at);
    all.truncate(end);
    let is_unwinding = |frame: &String| {
        ["catch_unwind", "do_call", "__rust_try", "AssertUnwindSafe"]
            .iter()
            .any(|name| frame.contains(name))
    };
    while all.len() > begin && all.last().is_some_and(is_unwinding) {
        all.pop();
    }
    all.split_off(begin)
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
    fn frames_of_the_application_stay() {
        let text = "   0: std::backtrace::Backtrace::create\n   1: __rustc::rust_begin_unwind\n             \
                    at /std/panicking.rs:1:5\n   2: shop::price\n             at ./src/lib.rs:7:9\n   \
                    3: shop::page\n   4: do_call<F, R>\n   5: __rust_try\n   6: catch<R, F>\n             \
                    at /src/gateway/panic.rs:7:1\n   7: main\n";
        assert_eq!(frames(text), ["2: shop::price at ./src/lib.rs:7:9", "3: shop::page"]);
        assert_eq!(frames("   0: <unknown>\n   1: <unknown>\n").len(), 2);
    }

    #[test]
    fn tells_what_and_where() {
        install_hook(|_| {});
        let message = catch(|| panic!("no {}", "luck")).unwrap_err();
        assert!(message.contains("panic.rs:") && message.ends_with("no luck"), "{message}");
        assert_eq!(catch(|| 7).unwrap(), 7);
    }
}
