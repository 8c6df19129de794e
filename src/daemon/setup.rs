//! A daemon process, from its fork to its end: it becomes who it is to be, lets go of everything
//! that is httpd's, and then lives in `server::daemon_process`.

use std::ffi::CString;
use std::os::fd::{AsRawFd as _, BorrowedFd, IntoRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal};
use nix::unistd::Pid;

use super::exit_status::{GAVE_UP, NOT_BUILT, NOT_SET_UP, WELL};
use super::group::{Descriptors, Group};
use super::{exit, identity, mappings, title};
use crate::gateway::Code;
use crate::httpd::{PoolRef, Server, log, signals, unixd};
use crate::os;
use crate::process_group::Reason;
use crate::server::daemon_process::{self, Daemon, Ended};

/// Runs a daemon process from its fork to its end. It never returns, as the stack below is httpd's.
pub(super) fn run(group: PoolRef<Group>, slot: usize) -> ! {
    let code = crate::gateway::panic::catch(|| live(&group, slot))
        .unwrap_or_else(|error| failed(&group, &error));
    signals::end_process_with(code)
}

fn live(group: &Group, slot: usize) -> i32 {
    let main = Server::main();
    let httpd_runs_as = nix::unistd::Uid::effective().as_raw();
    // httpd's log files are closed below: what is said from here on goes to standard error, which
    // is the main ErrorLog.
    log::only_to_stderr();
    let fds = group.fds.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Descriptors { mut listeners, lifeline: inherited }) = fds else {
        return failed(group, "httpd has closed the descriptors of the group's sockets");
    };
    let listener = listeners.swap_remove(slot);
    drop(listeners);
    let (doorbell, lifeline) = match (group.doorbell.try_clone(), inherited.try_clone()) {
        (Ok(doorbell), Ok(lifeline)) => (doorbell, lifeline),
        (Err(error), _) | (_, Err(error)) => {
            return failed(group, &format!("cannot copy a descriptor: {error}"));
        }
    };
    // All that is not kept is closed below, whoever owns it: it must not be dropped after that.
    drop(inherited);
    if let Some(main) = main {
        title::set(main, &group.title);
    }
    exit::watch(group.name());
    let signals = match prepare(group, &[&listener, &lifeline, &doorbell]) {
        Ok(signals) => signals,
        Err(error) => {
            let code = failed(group, &error);
            drop(listener);
            // It is forked again as soon as it has ended: the pause is taken before that.
            pause(group, &lifeline);
            return code;
        }
    };
    let name = group.name().to_owned();
    let ended = daemon_process::run(Daemon {
        listener,
        lifeline,
        doorbell,
        signals: Some(signals),
        options: group.options.clone(),
        board: group.board,
        slot,
        incarnation: group.board.slots[slot].incarnation(),
        token: group.board.group.token(),
        peers: vec![unixd::children_run_as(), group.owner, httpd_runs_as],
        controllers: vec![0, httpd_runs_as],
        build: {
            // SAFETY: P3: the process never clears the configuration's pool.
            let group = unsafe { PoolRef::from_ref(group) };
            Box::new(move || (group.build)())
        },
        log: Arc::new(log::here),
        abandon: Arc::new(move |reason| {
            if reason == Reason::GenerationOver {
                // Nobody is left to serve: that is not a fault of the applications.
                signals::end_process_with(WELL)
            }
            let line = Code::DaemonNotBuilt.line(format_args!(
                "process group {name}: the applications were not built in time \
                 ({}); the process is given up",
                reason.word()
            ));
            log::here(Code::DaemonNotBuilt.level(), &line);
            signals::end_process_with(NOT_BUILT)
        }),
    });
    let code = match ended {
        Ended::Unused(_) => WELL,
        Ended::NotBuilt(_) => NOT_BUILT,
        Ended::Served { abandoned: 0, .. } => WELL,
        Ended::Served { .. } => GAVE_UP,
        Ended::Broken(error) => failed(group, &error.to_string()),
    };
    if code == WELL {
        (group.finish)(group.options.shutdown_timeout);
    }
    code
}

/// Lets the group's back-off pass, unless nobody wants its processes any more.
fn pause(group: &Group, lifeline: &OwnedFd) {
    let now = os::monotonic_us();
    let longest = group.options.crash_backoff.as_micros() as u64;
    let end = group.board.group.not_before_us().max(now + longest);
    loop {
        let left = end.saturating_sub(os::monotonic_us());
        let left = Some(Duration::from_micros(left)).filter(|left| !left.is_zero());
        // At the lifeline's end it is readable.
        match left.map(|left| os::poll(lifeline, (true, false), None, Some(left))) {
            Some(Ok((polled, _))) if !polled.readable => {}
            _ => return,
        }
    }
}

fn failed(group: &Group, what: &str) -> i32 {
    let (name, pid) = (group.name(), std::process::id());
    let line = Code::DaemonNotSetUp
        .line(format_args!("process group {name}, process {pid}: cannot be set up: {what}"));
    log::here(Code::DaemonNotSetUp.level(), &line);
    NOT_SET_UP
}

/// Everything that is done before the process does anything: signals, descriptors, environment,
/// limits, identity.
fn prepare(group: &Group, kept: &[&OwnedFd]) -> Result<OwnedFd, String> {
    // httpd signals its process group when it stops: what a daemon process does then is its own.
    nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))
        .map_err(|error| format!("cannot leave httpd's process group: {error}"))?;
    let signals = take_signals()?;
    let mut numbers: Vec<_> = kept.iter().map(|fd| fd.as_raw_fd()).collect();
    numbers.extend([signals.as_raw_fd(), SIGNALS.load(Ordering::Relaxed)]);
    log::with_syslog_closed(|| close_others(&numbers));
    // SAFETY: P20: one thread, right after the fork; of shared memory it uses its group's board
    // only.
    unsafe { mappings::unmap_shared(&group.pages) }
        .map_err(|error| format!("cannot let go of httpd's shared memory: {error}; mount /proc"))?;
    for (key, value) in &group.environment {
        set_environment(key, value)?;
    }
    if let Some(priority) = group.options.cpu_priority {
        nice(priority)?;
    }
    identity::limit(&group.options)?;
    group.identity.take_on()?;
    exit::deny_fatal_status();
    Ok(signals)
}

/// The end of the pipe that [`forward`] writes to.
static SIGNALS: AtomicI32 = AtomicI32::new(-1);

/// The process that has called [`take_signals`].
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Takes the MPM's handlers away, except those that write cores, and returns a descriptor to read the
/// signals from that the process acts on.
///
/// They are caught, and not blocked for a signalfd. A program that an application starts inherits
/// blocked and ignored signals, but has the default action of those that are caught.
fn take_signals() -> Result<OwnedFd, String> {
    let words = |error: std::io::Error| format!("cannot set the signals up: {error}");
    let (read, write) = std::io::pipe().map_err(words)?;
    os::set_nonblocking(&read).map_err(words)?;
    os::set_nonblocking(&write).map_err(words)?;
    SIGNALS.store(write.into_raw_fd(), Ordering::Relaxed);
    PROCESS.store(std::process::id(), Ordering::Relaxed);
    let action = |handler| SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    for signal in Signal::iterator() {
        let handler = match signal {
            Signal::SIGKILL | Signal::SIGSTOP => continue,
            // httpd's function for these enters CoreDumpDirectory, and lets the system write the core.
            Signal::SIGSEGV
            | Signal::SIGBUS
            | Signal::SIGABRT
            | Signal::SIGILL
            | Signal::SIGFPE
                if unixd::wants_cores() =>
            {
                continue;
            }
            Signal::SIGPIPE | Signal::SIGHUP => SigHandler::Handler(ignore),
            Signal::SIGTERM
            | Signal::SIGINT
            | Signal::SIGUSR1
            | Signal::SIGXCPU
            | Signal::SIGWINCH => SigHandler::Handler(forward),
            _ => SigHandler::SigDfl,
        };
        // SAFETY: P13: there is one thread; the handlers make system calls only.
        unsafe { nix::sys::signal::sigaction(signal, &action(handler)) }
            .map_err(|error| words(error.into()))?;
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .map_err(|error| words(error.into()))?;
    Ok(read.into())
}

/// Ignores a signal, but not on behalf of programs that the process starts.
extern "C" fn ignore(_: libc::c_int) {}

/// Hands a signal to the thread that reads it, as a record of a signalfd.
extern "C" fn forward(number: libc::c_int) {
    if std::process::id() != PROCESS.load(Ordering::Relaxed) {
        // A fork that an application has made: its signals are not this process's.
        if number == libc::SIGWINCH {
            return;
        }
        signals::end_process_with(128 + number);
    }
    let mut record = [0; os::SIGNAL_RECORD];
    record[..4].copy_from_slice(&number.to_ne_bytes());
    // SAFETY: P13: the process made the pipe before it caught the first signal, and never closes it.
    let pipe = unsafe { BorrowedFd::borrow_raw(SIGNALS.load(Ordering::Relaxed)) };
    let errno = nix::errno::Errno::last_raw();
    // A full pipe holds signals enough.
    let _ = rustix::io::write(pipe, &record);
    nix::errno::Errno::set_raw(errno);
}

/// Closes every descriptor but standard ones and `kept`: listeners, other groups' sockets, keys,
/// the logs of virtual hosts. None of them is this process's business.
fn close_others(kept: &[i32]) {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.cast_unsigned()).collect();
    kept.sort_unstable();
    let mut from = 3;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if fd > from {
            close_range(from, fd - 1);
        }
        from = fd.saturating_add(1);
    }
}

fn close_range(first: u32, last: u32) {
    // SAFETY: P16: nothing of this process uses these descriptors from here on.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    // Before Linux 5.9.
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| (first..=last).contains(fd))
        .collect();
    for fd in open {
        // SAFETY: P16: nothing in this process uses the descriptor any more.
        unsafe { libc::close(fd.cast_signed()) };
    }
}

fn set_environment(key: &str, value: &CString) -> Result<(), String> {
    let name = CString::new(key).map_err(|error| format!("{key}: {error}"))?;
    // SAFETY: P13: there is one thread, so nobody reads the environment meanwhile.
    if unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) } != 0 {
        return Err(format!("cannot set {key}: {}", std::io::Error::last_os_error()));
    }
    if key == "LC_ALL" || key == "LANG" {
        // SAFETY: P13: as above.
        unsafe { libc::setlocale(libc::LC_ALL, c"".as_ptr()) };
    }
    Ok(())
}

fn nice(priority: i32) -> Result<(), String> {
    rustix::process::setpriority_process(None, priority).map_err(|error| {
        format!("cannot set cpu-priority={priority}: {error}; only root can go below httpd's own")
    })
}
