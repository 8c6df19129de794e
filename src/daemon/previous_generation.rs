//! Processes of configurations that are over: they serve until the last httpd child that knows them
//! has gone. The parent keeps their ids, so that it knows them when they end, and removes their
//! sockets then.
//!
//! The list outlives the module's code, which may be another version after a restart: it is a table
//! of strings in the pool of httpd's process.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::exit_status::ExitStatus;
use crate::gateway::{Code, Level};
use crate::httpd::other_child::{self, WaitStatus};
use crate::httpd::{Pool, ProcessPool, Server, SharedKey, log};

/// The ids, with path and group.
const RETIRED: SharedKey = SharedKey::new(c"mod_rust:retired:1");

/// Remembers a process that goes on without its configuration.
pub(super) fn add(process: ProcessPool<'_>, pid: i32, path: &Path, group: &str) {
    let mut value = group.as_bytes().to_vec();
    value.push(b'|');
    value.extend_from_slice(path.as_os_str().as_bytes());
    // Neither a group's name nor a socket's path has a NUL in it.
    if let (key, Ok(value)) = (key(pid), CString::new(value)) {
        process.shared_table(RETIRED).add_copy(&key, &value);
    }
}

/// Takes the supervision over, with the new configuration.
pub(super) fn adopt(pconf: Pool<'_>, main: Server<'_>) {
    // SAFETY: P13: post_config runs in httpd's parent.
    let process = unsafe { main.process_pool() };
    for (pid, path, _) in all(process) {
        // A signal that is none asks whether the process is there; one that has ended is, until
        // the MPM has waited for it.
        if kill(Pid::from_raw(pid), None).is_ok() {
            other_child::supervise(pconf, pid, on_end);
        } else {
            forget(process, pid);
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes all that is left: httpd exits.
pub(super) fn remove_all(process: ProcessPool<'_>) {
    for (_, path, _) in all(process) {
        let _ = std::fs::remove_file(path);
    }
}

fn on_end(pid: i32, status: WaitStatus) {
    let Some(main) = Server::main() else { return };
    // SAFETY: P13: other-child calls this in httpd's parent.
    let process = unsafe { main.process_pool() };
    let found = all(process).into_iter().find(|(known, ..)| *known == pid);
    forget(process, pid);
    let Some((_, path, group)) = found else { return };
    let _ = std::fs::remove_file(path);
    let ended = ExitStatus::of(status);
    let (level, line) = if ended.is_well() {
        let line = format!(
            "process group {group}: daemon process {pid} of an earlier configuration has served \
             its last request"
        );
        (Level::Info, line)
    } else {
        let line = Code::OldDaemonEnded.line(format_args!(
            "process group {group}: daemon process {pid} of an earlier configuration \
             {ended}, perhaps with requests in it"
        ));
        (Level::Error, line)
    };
    log::server(Some(main), level, &line);
}

/// Takes a process off the list as soon as it has ended, as its id may come again.
fn forget(process: ProcessPool<'_>, pid: i32) {
    process.shared_table(RETIRED).unset(&key(pid));
}

fn key(pid: i32) -> CString {
    CString::new(pid.to_string()).unwrap_or_default()
}

fn all(process: ProcessPool<'_>) -> Vec<(i32, PathBuf, String)> {
    let mut all = Vec::new();
    process.shared_table(RETIRED).each(|pid, value| {
        let pid = std::str::from_utf8(pid).ok().and_then(|pid| pid.parse().ok());
        let bar = value.iter().position(|byte| *byte == b'|');
        if let (Some(pid), Some(bar)) = (pid, bar) {
            let path = PathBuf::from(OsStr::from_bytes(&value[bar + 1..]));
            all.push((pid, path, String::from_utf8_lossy(&value[..bar]).into_owned()));
        }
    });
    all
}
