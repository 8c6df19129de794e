//! The users of httpd's children, as User and Group set them (`ap_unixd_config`), and their cores.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::{Pool, Server};
use crate::sys;

/// Returns the user id that httpd's children run as.
#[must_use]
pub(crate) fn user_id() -> u32 {
    // SAFETY: written while the configuration is read only (P3).
    unsafe { sys::ap_unixd_config.user_id }
}

/// Returns the group id that httpd's children run as.
#[must_use]
pub(crate) fn group_id() -> u32 {
    // SAFETY: written while the configuration is read only (P3).
    unsafe { sys::ap_unixd_config.group_id }
}

/// Returns what ChrootDir says, where httpd acts on it: the root directory of its children.
#[must_use]
pub(crate) fn children_have_root<'s>() -> Option<&'s Path> {
    // SAFETY: written while the configuration is read only (P3).
    let path = unsafe { sys::ap_unixd_config.chroot_dir };
    if path.is_null() || !rustix::process::geteuid().is_root() {
        return None;
    }
    // SAFETY: P3, P5: a word of the configuration, which lives as long as it.
    let path = unsafe { CStr::from_ptr(path) };
    Some(Path::new(OsStr::from_bytes(path.to_bytes())))
}

/// Returns whether CoreDumpDirectory is set: the administrator wants cores.
#[must_use]
pub(crate) fn wants_cores() -> bool {
    // SAFETY: written while the configuration is read only (P3).
    unsafe { sys::ap_coredumpdir_configured != 0 }
}

/// Sets httpd's functions for fatal signals, which enter CoreDumpDirectory so that the core is written
/// there. The MPM does so after post_config, for what it forks itself.
pub(crate) fn prepare_cores(main: Server<'_>, pconf: Pool<'_>) {
    // SAFETY: P11, P13: a hook of httpd's parent got both. It fails only without valid signals.
    unsafe { sys::ap_fatal_signal_setup(main.as_ptr(), pconf.as_ptr()) };
}

/// Returns the user id that httpd's children have: User's if httpd was started as root, else its
/// own.
#[must_use]
pub(crate) fn children_run_as() -> u32 {
    let own = rustix::process::geteuid().as_raw();
    if own == 0 { user_id() } else { own }
}
