//! The notifications to systemd, where it started the program (`Type=notify`), and the sockets that
//! it hands over.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

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

/// The messages of a service with `WatchdogSec=`, which systemd restarts when they stop.
///
/// The loop that does the work sends them: a thread of its own would send them while the loop hangs.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Half of `WatchdogSec=`, and the time of the next message; `None` without a watchdog.
    next: Option<(Duration, Instant)>,
}

impl Watchdog {
    pub(super) fn of_environment() -> Self {
        let half = sd_notify::watchdog_enabled().map(|time| time / 2);
        Self { next: half.filter(|half| !half.is_zero()).map(|half| (half, Instant::now())) }
    }

    /// Returns the time of the next message.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next.map(|(_, due)| due)
    }

    /// Sends the message if it is due.
    pub(super) fn beat(&mut self, now: Instant) {
        if let Some((half, due)) = &mut self.next
            && now >= *due
        {
            *due = now + *half;
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// The sockets that it hands over (LISTEN_FDS), with their names (LISTEN_FDNAMES; `unknown`
/// without).
///
/// # Errors
///
/// Returns an error if these variables are for this process and are malformed.
pub(super) fn sockets() -> Result<Vec<(RawFd, String)>, String> {
    let named = sd_notify::listen_fds_with_names();
    named.map(Iterator::collect).map_err(|error| format!("socket activation: {error}"))
}
