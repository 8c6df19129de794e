//! The MPM: which one runs, and what that means for an application.

use std::ffi::CStr;
use std::os::raw::c_int;

use crate::sys;

/// Returns its name: `event`, `worker`, `prefork`.
#[must_use]
pub(crate) fn name() -> &'static str {
    // SAFETY: P11; a static string, or null before an MPM is loaded.
    let name = unsafe { sys::ap_show_mpm() };
    if name.is_null() {
        return "";
    }
    // SAFETY: P5; it lives as long as the MPM's module, which children never unload.
    unsafe { CStr::from_ptr(name) }.to_str().unwrap_or_default()
}

/// Returns whether a child serves several requests at once (`AP_MPMQ_IS_THREADED`).
#[must_use]
pub(crate) fn is_threaded() -> bool {
    query(sys::AP_MPMQ_IS_THREADED) != 0
}

/// Returns whether there may be several children (`AP_MPMQ_IS_FORKED`).
#[must_use]
pub(crate) fn is_forked() -> bool {
    query(sys::AP_MPMQ_IS_FORKED) != 0
}

/// Returns whether a connection may leave its thread (`AP_MPMQ_IS_ASYNC`).
#[must_use]
pub(crate) fn is_async() -> bool {
    query(sys::AP_MPMQ_IS_ASYNC) != 0
}

/// Returns the number of threads of a child (`AP_MPMQ_MAX_THREADS`).
#[must_use]
pub(crate) fn threads() -> usize {
    usize::try_from(query(sys::AP_MPMQ_MAX_THREADS)).unwrap_or(0)
}

/// Returns whether the MPM knows `CONN_STATE_ASYNC_WAITIO` (`AP_MPMQ_CAN_WAITIO`).
#[must_use]
pub(crate) fn can_wait_for_io() -> bool {
    // The headers of old releases lack it.
    const CAN_WAITIO: u32 = 19;
    query(CAN_WAITIO) != 0
}

/// httpd's release as it runs, `2.4.66` as `(2, 4, 66)` (`ap_get_server_revision`).
#[must_use]
pub(crate) fn release() -> (i32, i32, i32) {
    let mut version =
        sys::ap_version_t { major: 0, minor: 0, patch: 0, add_string: std::ptr::null() };
    // SAFETY: it fills in the record, which is this function's.
    unsafe { sys::ap_get_server_revision(&raw mut version) };
    (version.major, version.minor, version.patch)
}

/// Returns the release whose headers the kit was built with, as [`release`] has it.
#[must_use]
pub(crate) fn built_for() -> (i32, i32, i32) {
    let mut numbers =
        env!("MOD_RUST_BUILT_FOR").split('.').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

fn query(what: u32) -> c_int {
    let mut result = 0;
    // SAFETY: it fills in the number, which is this function's.
    if unsafe { sys::ap_mpm_query(what.cast_signed(), &raw mut result) } == sys::RUST_APR_SUCCESS {
        result
    } else {
        0
    }
}

/// Returns the number of restarts since httpd was started (`AP_MPMQ_GENERATION`).
#[must_use]
pub(crate) fn generation() -> i32 {
    query(sys::AP_MPMQ_GENERATION)
}

/// Returns whether the MPM is being stopped, so that nothing is to be started
/// (`AP_MPMQ_MPM_STATE`).
#[must_use]
pub(crate) fn is_stopping() -> bool {
    query(sys::AP_MPMQ_MPM_STATE) == sys::AP_MPMQ_STOPPING.cast_signed()
}

/// Returns whether httpd is about to exit, and not to read its configuration again.
#[must_use]
pub(crate) fn is_exiting() -> bool {
    // SAFETY: it takes a number, and reads numbers that the main thread writes between
    // configurations (P3).
    let state = unsafe { sys::ap_state_query(sys::AP_SQ_MAIN_STATE.cast_signed()) };
    state == sys::AP_SQ_MS_EXITING.cast_signed()
}

/// Returns whether httpd only checks or shows its configuration (`-t`, `-S`, `-D DUMP_…`).
#[must_use]
pub(crate) fn is_check_only() -> bool {
    // SAFETY: it takes a number, and reads numbers that the main thread writes between
    // configurations (P3).
    let mode = unsafe { sys::ap_state_query(sys::AP_SQ_RUN_MODE.cast_signed()) };
    mode != sys::AP_SQ_RM_NORMAL.cast_signed()
}

/// Returns whether httpd reads its configuration for the first of two times at its start, when
/// nothing that lasts may be done (`AP_SQ_MS_CREATE_PRE_CONFIG`).
#[must_use]
pub(crate) fn is_first_pass() -> bool {
    // SAFETY: it takes a number, and reads numbers that the main thread writes between
    // configurations (P3).
    let state = unsafe { sys::ap_state_query(sys::AP_SQ_MAIN_STATE.cast_signed()) };
    state == sys::AP_SQ_MS_CREATE_PRE_CONFIG.cast_signed()
}
