//! The kernel's figures of a process: memory, threads, descriptors, children.
//!
//! For tests that look for growth, leaks and stray threads. Linux only: it reads `/proc`. Reading
//! [`fds`] and [`maps`] of a child that runs as another user takes root with `CAP_SYS_PTRACE`,
//! which some containers do not give.

use std::path::PathBuf;
use std::{fs, io};

/// Resident memory in KiB, shared pages included.
///
/// # Errors
/// Fails when the process has gone.
pub fn rss_kib(pid: i32) -> io::Result<u64> {
    status_number(pid, "VmRSS")
}

/// Resident memory that no other process shares by file or by shared memory, in KiB. Pages that a
/// fork shares count.
///
/// # Errors
/// Fails when the process has gone.
pub fn anon_kib(pid: i32) -> io::Result<u64> {
    status_number(pid, "RssAnon")
}

/// Returns the number of threads.
///
/// # Errors
/// Fails when the process has gone.
pub fn threads(pid: i32) -> io::Result<usize> {
    status_number(pid, "Threads").map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// Returns the targets of the open descriptors: `/path/of/file`, `socket:[12345]`, `pipe:[12345]`.
///
/// # Errors
/// Fails when the process has gone or may not be inspected.
pub fn fds(pid: i32) -> io::Result<Vec<PathBuf>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        match fs::read_link(entry?.path()) {
            Ok(target) => targets.push(target),
            // Closed since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(targets)
}

/// Returns the mappings, as `/proc/<pid>/maps` lists them.
///
/// # Errors
/// Fails when the process has gone or may not be inspected.
pub fn maps(pid: i32) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/maps"))
}

/// Returns the command line, its arguments joined by blanks; a process may have overwritten it with
/// a title.
///
/// # Errors
/// Fails when the process has gone.
pub fn title(pid: i32) -> io::Result<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline"))?;
    let words: Vec<_> = bytes.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    Ok(words.join(" ").trim_end().to_owned())
}

/// Returns the name of its first thread, 15 bytes at most. Other than the [`title`] it is the
/// program's own where that runs under valgrind.
///
/// # Errors
/// Fails when the process has gone.
pub fn name(pid: i32) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).map(|name| name.trim_end().to_owned())
}

/// Returns the value of `field` in `/proc/<pid>/status`, without blanks around it: `Uid`, `Groups`,
/// `Umask`.
///
/// # Errors
/// Fails when the process has gone, or the kernel does not say it.
pub fn status(pid: i32, field: &str) -> io::Result<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .map(|value| value.trim().to_owned())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no {field} of {pid}")))
}

/// Returns the process group and the session that a process belongs to.
///
/// # Errors
/// Fails when the process has gone.
pub fn group_and_session(pid: i32) -> io::Result<(i32, i32)> {
    Stat::read(pid)
        .map(|stat| (stat.group, stat.session))
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Returns the nice value of a process, -20 to 19.
///
/// # Errors
/// Fails when the process has gone.
pub fn nice(pid: i32) -> io::Result<i32> {
    Stat::read(pid).map(|stat| stat.nice).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Returns the processes of httpd's session, in order: whatever its modules started is among them,
/// unless it made a session of its own.
///
/// # Errors
/// Fails when there is no `/proc`.
pub fn in_session(session: i32) -> io::Result<Vec<i32>> {
    let of_session = |stat: &Stat| stat.session == session && stat.is_alive();
    Ok(all()?.into_iter().filter(of_session).map(|stat| stat.pid).collect())
}

/// Returns the processes whose parent is `pid`, in order. Empty when it has gone.
///
/// # Errors
/// Fails when there is no `/proc`.
pub fn children(pid: i32) -> io::Result<Vec<i32>> {
    let of_pid = |stat: &Stat| stat.parent == pid && stat.is_alive();
    Ok(all()?.into_iter().filter(of_pid).map(|stat| stat.pid).collect())
}

/// True while the process runs: one that has ended and was not yet waited for does not.
pub fn is_alive(pid: i32) -> bool {
    Stat::read(pid).is_some_and(|stat| stat.is_alive())
}

/// A TCP socket that some process holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TcpSocket {
    /// Its own port.
    pub(crate) port: u16,
    pub(crate) listens: bool,
    /// The target, in the form of [`fds`].
    pub(crate) name: PathBuf,
}

/// Returns every TCP socket that a process holds, of the network namespace of the calling thread.
pub(crate) fn tcp_sockets() -> io::Result<Vec<TcpSocket>> {
    let v4 = fs::read_to_string("/proc/thread-self/net/tcp")?;
    // Absent where the kernel has no IPv6.
    let v6 = fs::read_to_string("/proc/thread-self/net/tcp6").unwrap_or_default();
    Ok(v4.lines().chain(v6.lines()).filter_map(TcpSocket::parse).collect())
}

impl TcpSocket {
    /// Returns a line of `/proc/net/tcp`: slot, local and remote address, state (0A is LISTEN),
    /// queues, timer, retransmits, uid, time-out, inode. That is 0 once nobody holds the socket.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split_whitespace().collect();
        let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
        let listens = *fields.get(3)? == "0A";
        let inode = fields.get(9).filter(|inode| **inode != "0")?;
        Some(Self { port, listens, name: format!("socket:[{inode}]").into() })
    }
}

fn status_number(pid: i32, field: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| {
            // A process that has ended has no memory any more.
            io::Error::new(io::ErrorKind::NotFound, format!("process {pid} has no {field}"))
        })
}

fn all() -> io::Result<Vec<Stat>> {
    let mut stats = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        stats.extend(pid.and_then(Stat::read));
    }
    stats.sort_by_key(|stat| stat.pid);
    Ok(stats)
}

struct Stat {
    pid: i32,
    state: char,
    parent: i32,
    group: i32,
    session: i32,
    nice: i32,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `pid (name) state parent group session ... nice ...`, where the name may hold blanks and
    /// brackets.
    fn parse(pid: i32, text: &str) -> Option<Self> {
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let session = fields.next()?.parse().ok()?;
        // The 19th of all fields.
        let nice = fields.nth(12).and_then(|nice| nice.parse().ok()).unwrap_or(0);
        Some(Self { pid, state, parent, group, session, nice })
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stat_lines_with_odd_names() {
        let stat = Stat::parse(7, "7 (a) b (c)) S 1 9 9 0 -1").unwrap();
        assert_eq!((stat.state, stat.parent, stat.group), ('S', 1, 9));
        assert!(stat.is_alive());
        assert!(!Stat::parse(7, "7 (x) Z 1 9 9 0").unwrap().is_alive());
        assert!(Stat::parse(7, "7 (x) S").is_none());
    }

    #[test]
    fn reads_sockets() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 \
                    33        0 4711 1 0000000000000000 100 0 0 10 0";
        let mut socket = TcpSocket { port: 8080, listens: true, name: "socket:[4711]".into() };
        assert_eq!(TcpSocket::parse(line), Some(socket.clone()));
        socket.listens = false;
        assert_eq!(TcpSocket::parse(&line.replace(" 0A ", " 01 ")), Some(socket));
        assert_eq!(TcpSocket::parse(&line.replace(" 4711 ", " 0 ")), None);
        assert_eq!(TcpSocket::parse("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn knows_this_process() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(is_alive(me));
        assert!(rss_kib(me).unwrap() >= anon_kib(me).unwrap());
        assert!(threads(me).unwrap() >= 1);
        assert!(!fds(me).unwrap().is_empty());
        assert!(maps(me).unwrap().contains("[stack]"));
        assert!(title(me).unwrap().contains("testkit"));
        assert!((1..=15).contains(&name(me).unwrap().len()));
        let gone = rss_kib(i32::MAX).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
