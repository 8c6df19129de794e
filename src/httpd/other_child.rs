//! Processes that httpd's parent forks and supervises: APR's other-child.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;

use super::log;
use super::pool::Pool;
use crate::sys;

/// Which side of a fork this is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Forked {
    /// The new process.
    Child,
    /// The parent, and the new process's id.
    Parent(i32),
}

/// The status of a supervised process that ended, as `waitpid` returns it. `None` when it got lost.
pub(crate) type WaitStatus = Option<i32>;

/// Forks the calling process (`apr_proc_fork`).
///
/// # Errors
///
/// Returns an error if the system has no process to give.
pub(crate) fn fork(pool: Pool<'_>) -> io::Result<Forked> {
    let mut process = MaybeUninit::<sys::apr_proc_t>::zeroed();
    // SAFETY: P11, P13: the parent has one thread.
    let status = unsafe { sys::apr_proc_fork(process.as_mut_ptr(), pool.as_ptr()) };
    if status == sys::APR_INCHILD.cast_signed() {
        return Ok(Forked::Child);
    }
    if status != sys::APR_INPARENT.cast_signed() {
        return Err(io::Error::from_raw_os_error(status));
    }
    // SAFETY: filled in by the fork.
    Ok(Forked::Parent(unsafe { process.assume_init() }.pid))
}

struct Supervised {
    process: sys::apr_proc_t,
    on_end: fn(i32, WaitStatus),
}

// SAFETY: an id and a function; the process has no pipes, so its record's pointers are null.
unsafe impl Send for Supervised {}

/// Has `on_end` called in httpd's parent, with the process's id, when it has ended. That is over
/// when `pool` is cleared.
pub(crate) fn supervise(pool: Pool<'_>, pid: i32, on_end: fn(i32, WaitStatus)) {
    // SAFETY: a record of zeroes is a process without pipes.
    let mut process: sys::apr_proc_t = unsafe { MaybeUninit::zeroed().assume_init() };
    process.pid = pid;
    let data = pool.store(Supervised { process, on_end }).as_ptr();
    // SAFETY: the record lives as long as the pool (P9).
    let process = unsafe { &raw mut (*data).process };
    // SAFETY: P11; APR drops the registration with the pool.
    unsafe {
        sys::apr_proc_other_child_register(
            process,
            Some(maintain),
            data.cast(),
            std::ptr::null_mut(),
            pool.as_ptr(),
        );
    }
}

unsafe extern "C" fn maintain(reason: c_int, data: *mut c_void, status: c_int) {
    let status = match reason.cast_unsigned() {
        sys::APR_OC_REASON_DEATH => Some(status),
        sys::APR_OC_REASON_LOST => None,
        // httpd stops or reads its configuration again: the lifeline tells the process.
        _ => return,
    };
    // SAFETY: P6: `supervise` registered this record.
    let supervised = unsafe { &*data.cast::<Supervised>() };
    let (pid, on_end) = (supervised.process.pid, supervised.on_end);
    // SAFETY: P6, P11: registered with this very pointer, and not unregistered before.
    unsafe { sys::apr_proc_other_child_unregister(data) };
    log::guarded("the supervision of a process", || on_end(pid, status));
}
