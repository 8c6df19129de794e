//! The request that the calling thread works on, for log records of code that has no exchange at
//! hand.

use std::cell::RefCell;
use std::sync::Arc;

use super::process_info::Mode;
use crate::gateway::Level;
use crate::protocol::params::Params;

/// The way that a worker thread's driver has to the web server's own log.
pub(crate) trait RequestLog: Send + Sync {
    /// Takes a line for the request that the thread works on. `false`: it cannot, and the program's
    /// log gets it.
    fn log(&self, level: Level, message: &str) -> bool;
}

#[derive(Default)]
struct CurrentLog {
    /// The request's part of a line in the program's log; empty without a request.
    context: Vec<u8>,
    log: Option<Arc<dyn RequestLog>>,
}

thread_local! {
    static HERE: RefCell<CurrentLog> = RefCell::default();
}

/// Makes `log` the calling thread's way to the web server's log.
pub(crate) fn sit_down(log: Arc<dyn RequestLog>) {
    HERE.with_borrow_mut(|here| here.log = Some(log));
}

/// Writes a line for the log of the request that the calling thread works on. `false` when there is
/// none, or its log is the program's.
#[must_use]
pub(super) fn log_here(level: Level, message: &str) -> bool {
    let log = HERE.try_with(|here| here.try_borrow().ok()?.log.clone()).ok().flatten();
    log.is_some_and(|log| log.log(level, message))
}

/// Returns a description of the request that the calling thread works on.
pub(super) fn with<T: Default>(visit: impl FnOnce(&[u8]) -> T) -> T {
    let visited = HERE.try_with(|here| match here.try_borrow() {
        Ok(here) => visit(&here.context),
        Err(_) => T::default(),
    });
    visited.unwrap_or_default()
}

/// The calling thread works on this request until the guard is dropped.
pub(super) fn enter(params: &Params, mode: Mode) -> Guard {
    HERE.with_borrow_mut(|here| {
        here.context.clear();
        describe(params, mode, &mut here.context);
    });
    Guard
}

pub(super) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = HERE.try_with(|here| {
            if let Ok(mut here) = here.try_borrow_mut() {
                here.context.clear();
            }
        });
    }
}

/// `GET /a?b, client 192.0.2.1, fastcgi`.
pub(super) fn describe(params: &Params, mode: Mode, into: &mut Vec<u8>) {
    let get = |key: &[u8]| params.get(key).filter(|value| !value.is_empty());
    into.extend_from_slice(get(b"REQUEST_METHOD").unwrap_or(b"-"));
    into.push(b' ');
    let target = get(b"REQUEST_URI").or_else(|| get(b"PATH_INFO")).or_else(|| get(b"SCRIPT_NAME"));
    let target = target.unwrap_or(b"-");
    into.extend_from_slice(&target[..target.len().min(1024)]);
    if let Some(client) = get(b"REMOTE_ADDR") {
        into.extend_from_slice(b", client ");
        into.extend_from_slice(client);
    }
    into.extend_from_slice(b", ");
    into.extend_from_slice(mode.name().as_bytes());
}
