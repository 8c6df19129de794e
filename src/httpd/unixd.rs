//! What httpd's User and Group say: who its children are (`ap_unixd_config`).

use crate::sys;

/// The user id that httpd's children run as.
#[must_use]
pub(crate) fn user_id() -> u32 {
    // SAFETY: written while the configuration is read only (P3).
    unsafe { sys::ap_unixd_config.user_id }
}

/// The group id that httpd's children run as.
#[must_use]
pub(crate) fn group_id() -> u32 {
    // SAFETY: written while the configuration is read only (P3).
    unsafe { sys::ap_unixd_config.group_id }
}

/// The user id that httpd's children have: User's if httpd was started as root, else its own.
#[must_use]
pub(crate) fn children_run_as() -> u32 {
    let own = rustix::process::geteuid().as_raw();
    if own == 0 { user_id() } else { own }
}
