//! The parent's work for its process groups: it makes them when the configuration holds, forks
//! their processes, and forks again those that die. It never waits and has no timer: the processes
//! themselves do what takes time.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use rustix::event::EventfdFlags;
use rustix::pipe::PipeFlags;

use super::exit_status::ExitStatus;
use super::group::{Build, Descriptors, Group};
use super::identity::{self, Identity};
use super::tempo::Tempo;
use super::{exit_status, previous_generation, setup, socket, title};
use crate::gateway::{Code, Level};
use crate::httpd::other_child::{self, Forked};
use crate::httpd::{Pool, PoolRef, ProcessPool, Server, log, mpm, unixd};
use crate::os::{self, BoardMemory, Placed, Shape};
use crate::process_group::{GroupOptions, ProcessState};
use crate::server::daemon_process::announce;
use crate::server::workers::size::MOST_BLOCKED;

/// The most requests of a process that wait without a thread, and of the processes of a group
/// together. The memory of a row is not used before the row is.
const MOST_SUSPENDED: usize = 16 * 1024;
const MOST_SUSPENDED_OF_GROUP: usize = 256 * 1024;

/// A process group that a module wants.
pub(crate) struct Plan {
    pub(crate) options: GroupOptions,
    pub(crate) build: Box<Build>,
    pub(crate) finish: fn(Duration),
    /// The virtual host that it is for, by its address; `None` is all.
    pub(crate) server: Option<usize>,
}

/// The groups of the configuration that is in force.
struct Running {
    groups: Vec<PoolRef<Group>>,
    by_name: HashMap<String, usize>,
    pool: usize,
    /// httpd's parent.
    pid: u32,
    /// The groups' scoreboards, in httpd's parent until the configuration is over.
    memory: Mutex<Option<BoardMemory>>,
    /// The write end of the pipe that tells the processes whether somebody can still send requests:
    /// it is open in httpd's parent and children as long as they know the groups.
    lifeline: Mutex<Option<OwnedFd>>,
}

static RUNNING: AtomicPtr<Running> = AtomicPtr::new(std::ptr::null_mut());

/// Makes the groups and forks their processes. Called in httpd's parent when the configuration
/// holds.
///
/// # Errors
///
/// What stands in the way, a line each.
pub(crate) fn start(
    pconf: Pool<'_>,
    main: Server<'_>,
    prefix: Option<PathBuf>,
    plans: Vec<Plan>,
) -> Result<(), Vec<String>> {
    previous_generation::adopt(pconf, main);
    exit_status::watch_oom_kills();
    if plans.is_empty() {
        return Ok(());
    }
    let prefix = prefix_of_module(pconf, prefix)
        .map_err(|error| vec![Code::DaemonNotSetUp.line(format_args!("{error}"))])?;
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        vec![Code::DaemonNotSetUp.line(format_args!("process groups: cannot make {what}: {error}"))]
    };
    let shapes: Vec<_> = plans.iter().map(|plan| shape(&plan.options)).collect();
    let (memory, boards) =
        BoardMemory::new(&shapes).map_err(|error| failed("their scoreboards", &error))?;
    let (lifeline_read, lifeline) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed("a pipe", &error))?;
    let lifeline_read = Arc::new(lifeline_read);
    if unixd::wants_cores() {
        unixd::prepare_cores(main, pconf);
    }
    let (mut groups, mut wrong) = (Vec::new(), Vec::new());
    for (plan, board) in std::iter::zip(plans, boards) {
        let name = plan.options.name.clone();
        match make(plan, &prefix, board, lifeline_read.clone()) {
            // SAFETY: P3: in pconf; those who refer to it are records and hooks of this
            // configuration, and daemon processes, which never clear it.
            Ok(group) => groups.push(unsafe { pconf.keep(group) }),
            Err(error) => {
                wrong.push(Code::DaemonNotSetUp.line(format_args!("process group {name}: {error}")))
            }
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if groups.is_empty() {
        return Ok(());
    }
    let names = groups.iter().map(|group| group.name().to_owned());
    let by_name = names.zip(0..).collect();
    let running = pconf.own(Running {
        groups,
        by_name,
        pool: pconf.as_ptr() as usize,
        pid: std::process::id(),
        memory: Mutex::new(Some(memory)),
        lifeline: Mutex::new(Some(lifeline)),
    });
    RUNNING.store(std::ptr::from_ref(running).cast_mut(), Ordering::Release);
    // SAFETY: P13: post_config runs in httpd's parent.
    let process = unsafe { main.process_pool() }.as_ptr() as usize;
    pconf.on_clear(move || retire(process));
    fill(running);
    Ok(())
}

/// Forks a process for each slot that has none. httpd's parent calls it from time to time, as the
/// system may have refused an earlier fork.
pub(crate) fn refill() {
    with_running(|running| {
        if let Some(running) = running
            && running.pid == std::process::id()
            && !mpm::is_stopping()
        {
            fill(running);
        }
    });
}

fn fill(running: &Running) {
    // SAFETY: P3: the configuration's pool, which the running groups live in.
    let pconf = unsafe { Pool::from_ptr(running.pool as *mut _) };
    for group in &running.groups {
        for (slot, pid) in group.pids.iter().enumerate() {
            if pid.load(Ordering::Relaxed) != 0 {
                continue;
            }
            if let Err(error) = fork(pconf, group, slot) {
                // The system refuses the next one just the same: one line, and another try later.
                let line = Code::DaemonNotSetUp.line(format_args!(
                    "process group {}: cannot fork a daemon process: {error}; allow httpd \
                     more processes or memory (ulimit -u, TasksMax=), or give its groups fewer; it is \
                     tried again within ten seconds",
                    group.name()
                ));
                log::server(Server::main(), Level::Error, &line);
                return;
            }
        }
    }
}

/// Checks that a group with these options can be made: its accounts, its folders, its sockets.
///
/// # Errors
///
/// The fault, and what is allowed.
pub(crate) fn check(
    pconf: Pool<'_>,
    prefix: Option<PathBuf>,
    options: &GroupOptions,
) -> Result<(), String> {
    identity::check_folders(options)?;
    let prefix = prefix_of_module(pconf, prefix)?;
    socket::check(&prefix, &options.name, options.slots() as usize)?;
    match unixd::children_have_root() {
        Some(root) => socket::seen_below(root, &prefix).map(drop),
        None => Ok(()),
    }
}

/// Lets go of what an httpd child does not need. It keeps the lifeline, and the scoreboards for as
/// long as it lives: its threads may use them until then.
pub(crate) fn in_child() {
    with_running(|running| {
        if let Some(running) = running {
            running.memory.lock().unwrap_or_else(PoisonError::into_inner).take();
            running.groups.iter().for_each(|group| group.in_child());
        }
    });
}

/// Closes the lifeline in a daemon process, which sends no requests.
fn close_lifeline() {
    with_running(|running| {
        let lifeline = running.map(|running| &running.lifeline);
        lifeline.map(|end| end.lock().unwrap_or_else(PoisonError::into_inner).take());
    });
}

fn shape(options: &GroupOptions) -> Shape {
    let slots = options.slots() as usize;
    let suspended = (MOST_SUSPENDED_OF_GROUP / slots).min(MOST_SUSPENDED);
    Shape { slots, rows_per_slot: options.threads as usize + MOST_BLOCKED + suspended }
}

/// Returns the group of that name, if this module has processes for it.
pub(crate) fn find(name: &str) -> Option<PoolRef<Group>> {
    with_running(|running| {
        let running = running?;
        Some(running.groups[*running.by_name.get(name)?])
    })
}

/// Visits the running groups of this module.
pub(crate) fn with_groups<T>(visit: impl FnOnce(&[PoolRef<Group>]) -> T) -> T {
    with_running(|running| visit(running.map_or(&[], |running| &running.groups)))
}

fn with_running<T>(visit: impl FnOnce(Option<&Running>) -> T) -> T {
    // SAFETY: P3: it lives in pconf, and the pointer is taken back when that is cleared.
    visit(unsafe { RUNNING.load(Ordering::Acquire).as_ref() })
}

fn make(
    plan: Plan,
    prefix: &Path,
    (board, pages): Placed,
    lifeline: Arc<OwnedFd>,
) -> Result<Group, String> {
    let Plan { options, build, finish, server } = plan;
    let identity = Identity::resolve(&options)?;
    let words = |what: &str, error: &dyn std::fmt::Display| format!("cannot make {what}: {error}");
    let slots = options.slots() as usize;
    board.prepare(&options, os::monotonic_us());
    let doorbell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| words("an event counter", &error))?;
    let mut token = [0; 16];
    rustix::rand::getrandom(&mut token, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| words("a token", &error))?;
    board.group.set_token(token);
    // The only other copy, which daemon processes of other groups would inherit.
    token.fill(0);
    std::hint::black_box(&token);
    let owner = identity::socket_owner(&options)?;
    let (mut paths, mut seen, mut listeners) = (Vec::new(), Vec::new(), Vec::new());
    for slot in 0..slots {
        let path = socket::path(prefix, mpm::generation(), &options.name, slot);
        let backlog = i32::try_from(options.listen_backlog).unwrap_or(i32::MAX);
        listeners.push(socket::listen(&path, backlog, owner)?);
        seen.push(match unixd::children_have_root() {
            Some(root) => socket::seen_below(root, &path)?,
            None => path.clone(),
        });
        paths.push(path);
    }
    let mut environment = identity.environment();
    for (key, value) in [("LANG", &options.lang), ("LC_ALL", &options.locale)] {
        if let Some(value) = value {
            let value = CString::new(value.as_str()).map_err(|error| words(key, &error))?;
            environment.push((key, value));
        }
    }
    Ok(Group {
        title: title::of(&options.display_name, &options.name),
        pids: (0..slots).map(|_| AtomicI32::new(0)).collect(),
        identity,
        pages,
        board,
        paths,
        seen,
        fds: Mutex::new(Some(Descriptors { listeners, lifeline })),
        tempo: Tempo::default(),
        doorbell,
        build,
        finish,
        server,
        owner: owner.map_or_else(unixd::children_run_as, Uid::as_raw),
        environment,
        options,
    })
}

/// Modules that use one group have sockets of their own: names of other modules than the stock one
/// hold the module's.
fn of_module(prefix: PathBuf) -> PathBuf {
    match log::module_name() {
        None | Some("mod_rust") => prefix,
        Some(module) => {
            let mut prefix = prefix.into_os_string();
            prefix.push(format!(".{module}"));
            prefix.into()
        }
    }
}

/// Returns the beginning of the paths of this module's sockets: `prefix` is RustSocketPrefix.
fn prefix_of_module(pconf: Pool<'_>, prefix: Option<PathBuf>) -> Result<PathBuf, String> {
    if let Some(prefix) = prefix {
        return Ok(of_module(prefix));
    }
    let path = pconf.runtime_path(log::module_name().unwrap_or("mod_rust"));
    path.and_then(|path| Some(PathBuf::from(path.to_str().ok()?))).ok_or_else(|| {
        "DefaultRuntimeDir is not the path of a folder: set RustSocketPrefix to a path for the \
         sockets of process groups"
            .into()
    })
}

/// Forks the process of a slot.
fn fork(pconf: Pool<'_>, group: &PoolRef<Group>, slot: usize) -> std::io::Result<()> {
    match other_child::fork(pconf)? {
        Forked::Child => {
            close_lifeline();
            setup::run(*group, slot)
        }
        Forked::Parent(pid) => {
            group.pids[slot].store(pid, Ordering::Relaxed);
            other_child::supervise(pconf, pid, on_end);
            Ok(())
        }
    }
}

/// Clears away the leftovers of a process of the running configuration that has ended, and has
/// another take its slot.
fn on_end(pid: i32, status: other_child::WaitStatus) {
    with_running(|running| {
        let Some(running) = running else { return };
        let found = running.groups.iter().find_map(|group| {
            let mut pids = group.pids.iter();
            let slot = pids.position(|known| known.load(Ordering::Relaxed) == pid)?;
            Some((group, slot))
        });
        let Some((group, slot)) = found else { return };
        group.pids[slot].store(0, Ordering::Relaxed);
        let now = os::monotonic_us();
        let dead = group.board.clear_dead(slot, now);
        let ended = ExitStatus::of(status);
        let is_crash = ended.is_crash(&dead);
        if let Some(status) = ended.wait_status() {
            group.board.slots[slot].set_last_exit(status);
        }
        let failure = group.board.died(&group.options, &dead, is_crash, now);
        let is_stopping = mpm::is_stopping();
        if !is_stopping {
            fill(running);
        }
        let is_forked = group.pids[slot].load(Ordering::Relaxed) != 0;
        if is_crash {
            let next = match failure {
                _ if is_stopping => "none takes its place, as httpd stops".to_owned(),
                _ if !is_forked => {
                    let code = Code::DaemonNotSetUp;
                    format!("none takes its place yet, as it cannot be forked ({code} says why)")
                }
                Some(failure) if failure.pause_us > 0 => {
                    format!("the next is started in {} ms", failure.pause_us / 1000)
                }
                _ => "another takes its place".to_owned(),
            };
            let what = match (dead.state, dead.lost_requests) {
                (ProcessState::Ready | ProcessState::Draining | ProcessState::Failed, 1) => {
                    ", with 1 request in it".to_owned()
                }
                (ProcessState::Ready | ProcessState::Draining | ProcessState::Failed, count) => {
                    format!(", with {count} requests in it")
                }
                _ => ", before it was ready".to_owned(),
            };
            let line = Code::DaemonEnded.line(format_args!(
                "process group {}: daemon process {pid} {ended}{what}; {next}",
                group.name()
            ));
            log::server(Server::main(), Level::Error, &line);
        }
        group.ring();
        announce(group.board.group);
    });
}

/// Lets go of the processes when the configuration is cleared. They serve on until the last httpd
/// child that knows them has gone.
fn retire(process: usize) {
    let running = RUNNING.swap(std::ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: P3: cleanups of pconf run before it is freed.
    let Some(running) = (unsafe { running.as_ref() }) else { return };
    if running.pid != std::process::id() {
        // A child of httpd's exits: the processes and their sockets are the parent's.
        return;
    }
    // SAFETY: P13: httpd's parent clears its configuration in its one thread; `start` took the
    // address of the process's pool, which outlives every configuration.
    let pool = unsafe { ProcessPool::from_ptr(process as *mut _) };
    running.lifeline.lock().unwrap_or_else(PoisonError::into_inner).take();
    let memory = running.memory.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(memory) = memory {
        // SAFETY: P12, P13: this is httpd's parent, whose one thread is here. Nobody finds the
        // groups any more, and what drops them does not look at their boards.
        unsafe { memory.unmap() };
    }
    for group in &running.groups {
        group.in_child();
        for (pid, path) in std::iter::zip(&group.pids, &group.paths) {
            match pid.load(Ordering::Relaxed) {
                pid if pid > 0 && !mpm::is_exiting() => {
                    previous_generation::add(pool, pid, path, group.name());
                    // Its streams without an end would keep the httpd children that have them.
                    let _ = kill(Pid::from_raw(pid), Signal::SIGWINCH);
                }
                _ => drop(std::fs::remove_file(path)),
            }
        }
    }
    if mpm::is_exiting() {
        previous_generation::remove_all(pool);
    }
}

impl Group {
    /// Wakes the processes that wait for something to do.
    pub(super) fn ring(&self) {
        // A counter that is full rings as well.
        let _ = rustix::io::write(&self.doorbell, &1_u64.to_ne_bytes());
    }
}
