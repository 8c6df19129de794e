//! The panic guard: no panic leaves a callback, as one that unwinds into C ends the whole child.

use crate::gateway::{Level, panic};
use crate::httpd::{HookStatus, Request, log};

/// Runs a callback that httpd made for a request. A panic answers 500 and is logged with it.
pub(super) fn request(request: &Request<'_>, f: impl FnOnce() -> HookStatus) -> i32 {
    match panic::catch(f) {
        Ok(status) => status.into_raw(),
        Err(error) => {
            let message = format!("RUST0001: a hook {error}; answering 500");
            log::request(request, Level::Error, &message);
            HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR).into_raw()
        }
    }
}

/// Runs any other callback. A panic is logged for the server, and `fallback` goes back to httpd.
pub(super) fn callback<T>(name: &str, fallback: T, f: impl FnOnce() -> T) -> T {
    panic::catch(f).unwrap_or_else(|error| {
        log::here(Level::Error, &format!("RUST0001: the callback {name} {error}"));
        fallback
    })
}
