//! Calls of the operating system that std does not have.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process, kill_process_group, setrlimit,
};

/// Returns a command that the kernel ends with SIGTERM when this tool ends, however it ends: an
/// interrupted benchmark leaves no server behind. util-linux's setpriv arranges it and becomes the
/// program.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

/// True if a folder of `PATH` holds that program.
pub(crate) fn has_program(name: &str) -> bool {
    find_program(name).is_some()
}

/// That program in the first folder of `PATH` that holds it, or where Debian has those of the
/// administrator.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Asks a child to end. It must not have been waited for, so that its id is still its own.
pub(crate) fn terminate(child: &Child) {
    // One that is gone already needs no signal.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
}

/// Kills a child, not yet waited for, with all of its process group, which must be its own.
pub(crate) fn kill_group(child: &Child) {
    // A group that is gone already needs no signal.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

/// Asks httpd for a graceful restart.
pub(crate) fn reload(pid: u32) {
    signal(pid, Signal::USR1);
}

/// Kills a process. A process that is gone already is not an error.
pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid.filter(|pid| !pid.is_init()) {
        let _ = kill_process(pid, signal);
    }
}

/// Raises the number of descriptors that this process and its children may have to the most that
/// is allowed, and returns that.
pub(crate) fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // The most of what is allowed stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns the ticks a second of `/proc`.
pub(crate) fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}
