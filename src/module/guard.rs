//! The panic guard: no panic leaves a callback, as one that unwinds into C ends the whole child.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::gateway::{Code, panic};
use crate::httpd::{Brigade, HookStatus, Progress, Request, log};

/// Runs a callback that httpd made for a request. A panic answers 500, or breaks off the response
/// if that has begun, and is logged. So is an error status that comes too late: httpd would append
/// its error page to the response.
pub(super) fn request(request: &Request<'_>, f: impl FnOnce() -> HookStatus) -> i32 {
    let status = panic::catch(|| f().into_raw());
    match status {
        Ok(status) if !is_error(status) || request.progress() != Progress::Begun => status,
        Ok(status) => failed(request, &format!("answered {status} after its response had begun")),
        Err(error) => failed(request, &error),
    }
}

/// Returns whether what a hook returned is the HTTP status of an error.
const fn is_error(status: i32) -> bool {
    status >= 100
}

/// Answers for a hook that failed, and logs it.
#[cold]
fn failed(request: &Request<'_>, error: &str) -> i32 {
    // The client comes first: nothing that the log does may keep it from seeing what happened.
    let (status, what) = match request.progress() {
        Progress::Nothing => {
            (HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR), "answering 500")
        }
        Progress::Begun => {
            request.break_off(Brigade::new(request));
            (HookStatus::Done, "breaking the response off")
        }
        Progress::Complete => (HookStatus::Done, "the response was complete"),
    };
    log::request(
        request,
        Code::HookPanicked.level(),
        &Code::HookPanicked.line(format_args!("a hook {error}; {what}")),
    );
    status.into_raw()
}

/// Runs any other callback. A panic is logged for the server, and `fallback` goes back to httpd.
pub(super) fn callback<T>(name: &str, fallback: T, f: impl FnOnce() -> T) -> T {
    panic::catch(f).unwrap_or_else(|error| {
        log::here(
            Code::HookPanicked.level(),
            &Code::HookPanicked.line(format_args!("the callback {name} {error}")),
        );
        fallback
    })
}

/// Whether a callback has panicked that the configuration is incomplete without.
static INCOMPLETE: AtomicBool = AtomicBool::new(false);

/// Runs a callback that the configuration is incomplete without, as [`callback`] does.
pub(super) fn needed<T>(name: &str, fallback: T, f: impl FnOnce() -> T) -> T {
    let done = callback(name, None, || Some(f()));
    done.unwrap_or_else(|| {
        INCOMPLETE.store(true, Ordering::Relaxed);
        fallback
    })
}

/// Forgets what an earlier configuration was without.
pub(super) fn start_over() {
    INCOMPLETE.store(false, Ordering::Relaxed);
}

/// Returns whether a callback of [`needed`] has panicked since [`start_over`].
pub(super) fn is_incomplete() -> bool {
    INCOMPLETE.load(Ordering::Relaxed)
}
