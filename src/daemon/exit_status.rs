//! The end of a daemon process, as httpd's parent is told of it.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::Signal;

use super::exit;
use crate::httpd::other_child::WaitStatus;
use crate::process_group::{DeadProcess, ProcessState};

/// The status of a process that ended as it should.
pub(super) const WELL: i32 = 0;
/// The status of a process that could not be set up, and has logged why.
pub(super) const NOT_SET_UP: i32 = 70;
/// The status of a process that could not build its applications, and has logged why.
pub(super) const NOT_BUILT: i32 = 71;
/// The status of a process that gave up waiting for its requests, and has logged it.
pub(super) const GAVE_UP: i32 = 72;

/// Returns whether a process that exits with `code` has logged the reason itself.
const fn is_reported(code: i32) -> bool {
    matches!(code, WELL | NOT_SET_UP | NOT_BUILT | GAVE_UP)
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExitStatus {
    how: How,
    by_oom: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Exited(i32),
    Signaled(Signal),
    /// Somebody else has waited for it.
    Lost,
}

impl ExitStatus {
    pub(super) fn of(status: WaitStatus) -> Self {
        let how = status.map_or(How::Lost, How::of);
        Self { how, by_oom: how == How::Signaled(Signal::SIGKILL) && oom_has_killed() }
    }

    /// Returns whether a process with this status crashed: it was not told to end, and has not
    /// reported an error of its own. One that has not begun to end was ended by its application,
    /// whatever its exit status.
    pub(super) fn is_crash(self, dead: &DeadProcess) -> bool {
        match (self.how, dead.state) {
            (How::Signaled(_) | How::Lost, _) => true,
            (How::Exited(_), ProcessState::Starting | ProcessState::Ready) => true,
            (How::Exited(0), _) => dead.lost_requests > 0,
            (How::Exited(code), _) => !is_reported(code),
        }
    }

    /// Returns whether it had nothing left to do.
    pub(super) fn is_well(self) -> bool {
        self.how == How::Exited(0)
    }

    /// Returns the status as `wait(2)` encodes it.
    pub(super) fn wait_status(self) -> Option<u32> {
        match self.how {
            How::Exited(code) => Some(code.cast_unsigned() << 8),
            How::Signaled(signal) => Some((signal as i32).cast_unsigned()),
            How::Lost => None,
        }
    }
}

impl How {
    /// Decodes a status. The MPMs hand over the exit status or the signal's number and do not say
    /// which (`ap_wait_or_timeout`); APR hands over the status of `wait(2)`
    /// (`apr_proc_other_child_refresh`).
    fn of(status: i32) -> Self {
        let signal = Signal::try_from(status).ok().filter(|signal| can_end(*signal));
        match (status, signal) {
            (256.., _) => Self::Exited(status >> 8),
            (_, Some(signal)) => Self::Signaled(signal),
            _ => Self::Exited(status),
        }
    }
}

/// Returns whether the signal can end a daemon process, which ignores some signals and handles
/// others.
fn can_end(signal: Signal) -> bool {
    !matches!(
        signal,
        Signal::SIGHUP
            | Signal::SIGPIPE
            | Signal::SIGTERM
            | Signal::SIGINT
            | Signal::SIGUSR1
            | Signal::SIGXCPU
            | Signal::SIGCHLD
            | Signal::SIGCONT
            | Signal::SIGSTOP
            | Signal::SIGTSTP
            | Signal::SIGTTIN
            | Signal::SIGTTOU
            | Signal::SIGURG
            | Signal::SIGWINCH
    )
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.how {
            _ if self.by_oom => f.write_str("was killed as the system ran out of memory"),
            How::Exited(exit::CALLED_EXIT) => f.write_str("called exit"),
            How::Signaled(signal) => write!(f, "was ended by {signal}"),
            How::Exited(code) => write!(f, "exited with status {code}"),
            How::Lost => f.write_str("was lost"),
        }
    }
}

/// Returns whether the process of this id has ended, although its parent may not know it yet.
/// Returns false if that cannot be seen (proc(5), `hidepid`).
pub(super) fn has_ended(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => {
            text.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
        }
        Err(error) => error.kind() == std::io::ErrorKind::NotFound && Path::new("/proc/1").exists(),
    }
}

/// The number of out-of-memory kills that the parent has seen.
static OOM_KILLS: AtomicU64 = AtomicU64::new(0);

/// Notes the number of out-of-memory kills before the first process is forked.
pub(super) fn watch_oom_kills() {
    OOM_KILLS.store(oom_kills().unwrap_or(0), Ordering::Relaxed);
}

/// Returns whether the out-of-memory killer has ended a process since the last call.
fn oom_has_killed() -> bool {
    let Some(now) = oom_kills() else { return false };
    OOM_KILLS.swap(now, Ordering::Relaxed) < now
}

/// Reads `oom_kill` in /proc/vmstat (proc(5)).
fn oom_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: i32) -> String {
        ExitStatus { how: How::of(status), by_oom: false }.to_string()
    }

    #[test]
    fn statuses_of_both_kinds_are_distinguished() {
        assert_eq!(said(9), "was ended by SIGKILL");
        assert_eq!(said(11), "was ended by SIGSEGV");
        assert_eq!(said(6), "was ended by SIGABRT");
        // exit(1) is common, and a process takes no notice of SIGHUP.
        assert_eq!(said(1), "exited with status 1");
        assert_eq!(said(101), "exited with status 101");
        assert_eq!(said(3 << 8), "exited with status 3");
        assert_eq!(said(134), "exited with status 134");
        assert_eq!(said(73), "called exit");
    }

    #[test]
    fn an_exit_that_the_process_reported_is_not_a_crash() {
        let is_crash = |status: Option<i32>, state: ProcessState, lost_requests: u32| {
            let dead = DeadProcess {
                pid: 7,
                state,
                ready_us: None,
                lost_requests,
                load: 0,
                requests: 0,
                since_us: 0,
            };
            ExitStatus::of(status).is_crash(&dead)
        };
        for code in [0, 70, 71, 72] {
            for status in [code, code << 8] {
                for state in [
                    ProcessState::Empty,
                    ProcessState::Dormant,
                    ProcessState::Failed,
                    ProcessState::Draining,
                ] {
                    assert!(!is_crash(Some(status), state, 0), "{status}, {state:?}");
                }
                for state in [ProcessState::Starting, ProcessState::Ready] {
                    assert!(is_crash(Some(status), state, 0), "{status}, {state:?}");
                }
            }
        }
        assert!(
            is_crash(Some(0), ProcessState::Draining, 1)
                && !is_crash(Some(72), ProcessState::Draining, 1)
        );
        assert!(ExitStatus::of(Some(0)).is_well() && !ExitStatus::of(Some(72)).is_well());
        for status in [Some(1), Some(9), Some(73), Some(100), None] {
            assert!(is_crash(status, ProcessState::Draining, 0), "{status:?}");
        }
        assert_eq!(ExitStatus::of(Some(71)).wait_status(), Some(71 << 8));
        assert_eq!(ExitStatus::of(Some(11)).wait_status(), Some(11));
    }

    #[test]
    fn nothing_was_killed_meanwhile() {
        watch_oom_kills();
        assert!(oom_kills().is_some() && !oom_has_killed());
    }
}
