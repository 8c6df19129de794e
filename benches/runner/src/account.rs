//! The cost of a peer's processes: CPU time and memory, of all of them together.
//!
//! In a cgroup v2 folder of the peer's own where that can be made: then the kernel keeps the sum,
//! to the microsecond, and processes that ended count. Else from `/proc`: the scheduler's figure of
//! each thread, and the ticks of children that were waited for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys;

const PREFIX: &str = "mod_rust-bench";

/// The source of CPU time on this machine.
#[derive(Clone, Debug)]
pub(crate) enum Method {
    /// In cgroups below this folder.
    Cgroup(PathBuf),
    /// From `/proc`.
    Proc,
}

/// The processes of one running peer.
pub(crate) struct Account {
    cgroup: Option<PathBuf>,
    roots: Vec<u32>,
}

/// CPU time in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// In all.
    pub(crate) total: u64,
    /// In user space, as the kernel's ticks sample it.
    pub(crate) user: u64,
    /// In the kernel, likewise.
    pub(crate) system: u64,
}

impl std::ops::Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            user: self.user + other.user,
            system: self.system + other.system,
        }
    }
}

impl Method {
    /// Tries to run a process in a cgroup of its own.
    pub(crate) fn find() -> Self {
        let Some(parent) = own_cgroup() else { return Self::Proc };
        remove_stale(&parent);
        let Some(folder) = make_cgroup(&parent) else { return Self::Proc };
        let entered = Command::new("sh")
            .args(["-c", "echo $$ > \"$0\""])
            .arg(folder.join("cgroup.procs"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        let readable = read_cpu_stat(&folder).is_some();
        // It is empty again: the one process was waited for.
        let _ = fs::remove_dir(&folder);
        if entered && readable { Self::Cgroup(parent) } else { Self::Proc }
    }

    /// True if processes that ended without being waited for count.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self, Self::Cgroup(_))
    }

    /// Returns its description for the report.
    pub(crate) fn description(&self) -> &'static str {
        match self {
            Self::Cgroup(_) => "cgroup v2 (every process, those that ended included)",
            Self::Proc => "/proc (children that nobody waits for are missing)",
        }
    }
}

impl Account {
    /// An account without processes.
    pub(crate) fn open(method: &Method) -> Self {
        let cgroup = match method {
            Method::Cgroup(parent) => make_cgroup(parent),
            Method::Proc => None,
        };
        Self { cgroup, roots: Vec::new() }
    }

    /// Returns the file that a process writes its id to, to belong to this account with all its
    /// children.
    pub(crate) fn entrance(&self) -> Option<PathBuf> {
        self.cgroup.as_ref().map(|folder| folder.join("cgroup.procs"))
    }

    /// Counts a process that was started, and its children.
    pub(crate) fn add(&mut self, pid: u32) {
        self.roots.push(pid);
    }

    /// Returns every process of the account that is there now.
    pub(crate) fn pids(&self) -> Vec<u32> {
        if let Some(folder) = &self.cgroup {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            return text.lines().filter_map(|line| line.parse().ok()).collect();
        }
        let mut found = Vec::new();
        let mut todo = self.roots.clone();
        while let Some(pid) = todo.pop() {
            if is_alive(pid) {
                found.push(pid);
                todo.extend(children(pid));
            }
        }
        found
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> Cpu {
        match &self.cgroup {
            Some(folder) => read_cpu_stat(folder).unwrap_or_default(),
            None => {
                let each = self.pids().into_iter().filter_map(proc_cpu);
                each.fold(Cpu::default(), |sum, cpu| sum + cpu)
            }
        }
    }

    /// Returns the number of context switches of their present threads so far.
    pub(crate) fn switches(&self) -> u64 {
        self.pids().into_iter().map(switches).sum()
    }

    /// Anonymous memory of all processes, in KiB: what they have allocated and touched.
    pub(crate) fn anonymous_kib(&self) -> u64 {
        self.pids().into_iter().map(anonymous_kib).sum()
    }

    /// Proportional set size of all processes, in KiB.
    pub(crate) fn pss_kib(&self) -> u64 {
        self.pids().into_iter().map(pss_kib).sum()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if let Some(folder) = &self.cgroup {
            // Only an empty one goes; the next benchmark removes what stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Returns the direct children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
        .collect()
}

/// Proportional set size of one process, in KiB; nothing if it is gone.
pub(crate) fn pss_kib(pid: u32) -> u64 {
    kib(pid, "smaps_rollup", "Pss:")
}

/// Resident memory of one process, in KiB; nothing if it is gone.
pub(crate) fn rss_kib(pid: u32) -> u64 {
    kib(pid, "smaps_rollup", "Rss:")
}

/// Anonymous resident memory of one process, in KiB; nothing if it is gone.
fn anonymous_kib(pid: u32) -> u64 {
    kib(pid, "status", "RssAnon:")
}

/// Returns a field of a file of `/proc/PID`.
fn kib(pid: u32, file: &str, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Context switches of the threads of one process, of their own will or not.
fn switches(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    texts.map(|text| parse_switches(&text)).sum()
}

fn parse_switches(status: &str) -> u64 {
    let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

/// CPU microseconds of the children that this tool has waited for, and of theirs.
pub(crate) fn waited_children_us() -> u64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    parse_stat(&text).map_or(0, |stat| to_us(stat.children_user + stat.children_system))
}

/// CPU microseconds of this tool itself.
pub(crate) fn own_us() -> u64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    parse_stat(&text).map_or(0, |stat| to_us(stat.user + stat.system))
}

fn own_cgroup() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then_some(point)
    })?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount).join(own)).filter(|folder| folder.is_dir())
}

fn make_cgroup(parent: &Path) -> Option<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = parent.join(format!("{PREFIX}-{}-{number}", std::process::id()));
    fs::create_dir(&folder).ok().map(|()| folder)
}

/// Removes the empty cgroups of benchmarks that were interrupted.
fn remove_stale(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_prefix('-'));
        let pid = rest.and_then(|rest| rest.split('-').next()?.parse().ok());
        if pid.is_some_and(|pid: u32| !Path::new(&format!("/proc/{pid}")).exists()) {
            // One that still holds processes cannot be removed, and stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn read_cpu_stat(folder: &Path) -> Option<Cpu> {
    parse_cpu_stat(&fs::read_to_string(folder.join("cpu.stat")).ok()?)
}

fn parse_cpu_stat(text: &str) -> Option<Cpu> {
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok())
    };
    Some(Cpu {
        total: field("usage_usec")?,
        user: field("user_usec")?,
        system: field("system_usec")?,
    })
}

/// True unless the process is gone or only waits to be waited for.
fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|text| parse_stat(&text))
        .is_some_and(|stat| stat.state != 'Z')
}

/// Returns one process and the children that it waited for.
fn proc_cpu(pid: u32) -> Option<Cpu> {
    let stat = parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let nanoseconds: u64 = tasks
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    // The ticks know of threads that ended, the scheduler's figures are finer.
    let own = (nanoseconds / 1000).max(to_us(stat.user + stat.system));
    Some(Cpu {
        total: own + to_us(stat.children_user + stat.children_system),
        user: to_us(stat.user + stat.children_user),
        system: to_us(stat.system + stat.children_system),
    })
}

fn to_us(ticks: u64) -> u64 {
    ticks * 1_000_000 / sys::ticks_per_second()
}

/// The fields of `/proc/PID/stat` that count, in ticks.
struct Stat {
    state: char,
    user: u64,
    system: u64,
    children_user: u64,
    children_system: u64,
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name in parentheses may hold anything, spaces and parentheses too.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut numbers = fields.skip(10).map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Stat {
        state,
        user: next()?,
        system: next()?,
        children_user: next()?,
        children_system: next()?,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn stat_of_an_odd_name() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 1 0 5 6 7";
        let stat = parse_stat(line).unwrap();
        assert_eq!(stat.state, 'S');
        assert_eq!((stat.user, stat.system), (11, 22));
        assert_eq!((stat.children_user, stat.children_system), (33, 44));
        assert!(parse_stat("7 (a) S 1").is_none());
    }

    #[test]
    fn switches_of_both_kinds_count() {
        let text = "Name:\ta\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t30\n";
        assert_eq!(parse_switches(text), 37);
        assert!(switches(std::process::id()) > 0);
    }

    #[test]
    fn cpu_stat() {
        let cpu = parse_cpu_stat("usage_usec 30\nuser_usec 10\nsystem_usec 20\nnice_usec 0\n");
        let cpu = cpu.unwrap();
        assert_eq!((cpu.total, cpu.user, cpu.system), (30, 10, 20));
        assert!(parse_cpu_stat("usage_usec x\n").is_none());
    }

    /// Starts a process with a session and a group of its own, as a daemon does. It is counted as a
    /// child.
    #[test]
    fn a_child_in_a_session_of_its_own_is_seen() {
        let mut shell = Command::new("sh")
            .args(["-c", "setsid sh -c 'echo $$; read line'; exit"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut account = Account::open(&Method::Proc);
        account.add(shell.id());
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let child = line.trim().parse().unwrap();
        assert!(account.pids().contains(&child), "{child}");
        // The end of its input ends it.
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(account.pids().is_empty());
    }

    #[test]
    fn own_process_is_seen_in_proc() {
        let mut account = Account::open(&Method::Proc);
        account.add(std::process::id());
        assert!(account.pids().contains(&std::process::id()));
        assert!(account.pss_kib() > 0 && account.anonymous_kib() > 0);
        let before = account.cpu().total;
        // More than a tick's worth of work, so that the clock must move. Processes that other tests
        // start count as well until they end, so that the total may fall again.
        let end = Instant::now() + Duration::from_secs(60);
        while account.cpu().total < before + 20_000 {
            assert!(Instant::now() < end, "no time is counted");
        }
    }
}
