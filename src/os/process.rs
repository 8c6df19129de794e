//! Processes: signals, existence, CPU time, memory; and the clocks.

use rustix::process::{Pid, test_kill_process};
use rustix::time::{ClockId, clock_gettime};

/// The request that a signal makes of a daemon process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: end.
    End,
    /// SIGUSR1: be replaced.
    Replace,
    /// SIGXCPU: the CPU time is used up.
    CpuTime,
    /// SIGWINCH: the configuration is over, and httpd children that know the process finish.
    Retire,
}

impl Signal {
    /// Makes the signal of this number, if it is one of these.
    #[must_use]
    pub fn of(number: u32) -> Option<Self> {
        use rustix::process::Signal as Raw;
        let number = i32::try_from(number).ok()?;
        if number == Raw::TERM.as_raw() || number == Raw::INT.as_raw() {
            Some(Self::End)
        } else if number == Raw::USR1.as_raw() {
            Some(Self::Replace)
        } else if number == Raw::XCPU.as_raw() {
            Some(Self::CpuTime)
        } else if number == Raw::WINCH.as_raw() {
            Some(Self::Retire)
        } else {
            None
        }
    }
}

/// Raises the number of descriptors that this process may have open as far as it may, and returns
/// that number. Programs that it starts inherit the limit.
#[cfg(feature = "serve")]
#[must_use]
pub(crate) fn raise_descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    limit.unwrap_or(u64::MAX)
}

/// Returns whether there is a process of this id, whoever owns it.
#[must_use]
pub(crate) fn exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// Returns the CPU time that this process has used, in microseconds.
#[must_use]
pub(crate) fn cpu_us() -> u64 {
    us(ClockId::ProcessCPUTime)
}

/// Returns the resident set in bytes (`proc_pid_statm(5)`), if the kernel says.
#[must_use]
pub(crate) fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Microseconds of CLOCK_MONOTONIC: the same in every process of the machine. No system call.
#[must_use]
pub fn monotonic_us() -> u64 {
    us(ClockId::Monotonic)
}

/// Microseconds since the Unix epoch.
#[must_use]
pub(crate) fn wall_us() -> u64 {
    us(ClockId::Realtime)
}

fn us(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec.cast_unsigned() * 1_000_000 + now.tv_nsec.cast_unsigned() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_one_is_there() {
        assert!(exists(std::process::id()));
        assert!(!exists(0));
        assert_eq!(Signal::of(15), Some(Signal::End));
        assert_eq!(Signal::of(9), None);
    }

    #[test]
    fn it_has_some_memory() {
        let bytes = resident_bytes().unwrap();
        assert!(bytes > 64 * 1024 && bytes < 1 << 40, "{bytes}");
    }
}
