//! The notifications to systemd, where it started the program (`Type=notify`), and the sockets that
//! it hands over.

use std::os::fd::RawFd;

use sd_notify::NotifyState;

/// Tells it something. Without systemd nobody is told.
fn tell(states: &[NotifyState<'_>]) {
    // A service manager that does not listen is no reason to stop.
    let _ = sd_notify::notify(states);
}

pub(super) fn ready(status: &str) {
    let pid = std::process::id();
    tell(&[NotifyState::Ready, NotifyState::MainPid(pid), NotifyState::Status(status)]);
}

pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The sockets that it hands over (LISTEN_FDS), with their names (LISTEN_FDNAMES; `unknown`
/// without).
///
/// # Errors
///
/// When these variables are for this process and make no sense.
pub(super) fn sockets() -> Result<Vec<(RawFd, String)>, String> {
    let named = sd_notify::listen_fds_with_names();
    named.map(Iterator::collect).map_err(|error| format!("socket activation: {error}"))
}
