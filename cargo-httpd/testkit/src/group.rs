//! The process groups of a module built with mod_rust: which of their processes serve, and waiting
//! until they do.
//!
//! A daemon process answers the CONTROL command `status` for its whole group, to root and httpd's
//! own user. One that does not serve yet answers as soon as it does, so a question that got no
//! answer is left standing at its socket, and is no busy waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::Value;

use crate::server::Server;
use crate::{proc, wait};

/// A process of a group, as the group says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupProcess {
    /// Its place in the group.
    pub slot: u64,
    /// Its process id.
    pub pid: i32,
    /// `dormant`, `starting`, `ready`, `draining`.
    pub state: String,
    /// Why it is draining, or wants to be replaced.
    pub reason: Option<String>,
    /// Requests that hold or want one of its threads.
    pub running: u64,
    /// Requests that wait without a thread.
    pub parked: u64,
    /// Requests that it has done.
    pub requests: u64,
}

/// A process group of a [`Server`]: see [`Server::group`].
#[derive(Debug)]
pub struct Group<'s> {
    server: &'s Server,
    name: String,
    /// Questions that have no answer yet, by socket.
    asked: Mutex<BTreeMap<PathBuf, UnixStream>>,
}

impl Server {
    /// Returns the process group `name` of a module that was built with mod_rust, in the
    /// configuration that is in force. Its sockets are below `DefaultRuntimeDir`, as they are
    /// unless the configuration says otherwise; to ask takes root, or the user that httpd runs as.
    pub fn group(&self, name: &str) -> Group<'_> {
        Group { server: self, name: name.to_owned(), asked: Mutex::default() }
    }
}

impl Group<'_> {
    /// Waits until `count` processes are ready, none of which is to be replaced, and returns their
    /// ids in the order of their slots.
    ///
    /// # Panics
    /// Panics when that is not so in time.
    #[track_caller]
    pub fn wait_ready(&self, count: usize) -> Vec<i32> {
        let is_ready =
            |process: &GroupProcess| process.state == "ready" && process.reason.is_none();
        let processes = self.wait_status(&format!("{count} ready processes"), |processes| {
            processes.iter().filter(|process| is_ready(process)).count() == count
        });
        processes.iter().filter(|process| is_ready(process)).map(|process| process.pid).collect()
    }

    /// Waits until the group's processes are as `probe` wants them, and returns them.
    ///
    /// # Panics
    /// Panics when that is not so in time: `what` says what was waited for.
    #[track_caller]
    pub fn wait_status(
        &self,
        what: &str,
        mut probe: impl FnMut(&[GroupProcess]) -> bool,
    ) -> Vec<GroupProcess> {
        let patience = self.server.patience();
        let end = Instant::now() + patience;
        let mut last = None;
        let found = wait::until(end, || {
            let processes = self.ask("status", end).ok().and_then(|text| processes(&text))?;
            let found = probe(&processes).then(|| processes.clone());
            last = Some(processes);
            found
        });
        found.unwrap_or_else(|| {
            let headline =
                format!("waited {patience:?} in vain for {what} of group {}: {last:#?}", self.name);
            panic!("{}", self.server.report(&headline))
        })
    }

    /// Returns its processes.
    ///
    /// # Panics
    /// Panics when none of them serves in time.
    #[track_caller]
    pub fn processes(&self) -> Vec<GroupProcess> {
        self.wait_status("a process that serves", |_| true)
    }

    /// Returns the ids of all its processes, also of those that do not serve, in order: the
    /// children of httpd's whose name is the group's. Nobody is asked for that.
    ///
    /// A name has 15 bytes, so that groups which begin with the same nine letters are not told
    /// apart.
    pub fn pids(&self) -> Vec<i32> {
        let title = format!("(rust:{})", self.name);
        let wanted = title.get(..15).unwrap_or(&title);
        let mut pids = self.server.children_pids();
        pids.retain(|pid| proc::name(*pid).is_ok_and(|name| name == wanted));
        pids
    }

    /// All that its status says, as JSON.
    ///
    /// # Panics
    /// Panics when no process serves in time, or it does not say JSON.
    #[track_caller]
    pub fn status(&self) -> Value {
        match self.ask("status", Instant::now() + self.server.patience()) {
            Ok(text) => serde_json::from_str(&text).expect("a status in JSON"),
            Err(error) => {
                panic!("{}", self.server.report(&format!("no status of {}: {error}", self.name)))
            }
        }
    }

    /// Sends a CONTROL command to the process of `slot`, and returns its answer.
    ///
    /// # Errors
    /// Fails when it does not take the connection, or closes it without an answer.
    pub fn control(&self, slot: u64, command: &str) -> io::Result<String> {
        let path = self.sockets().into_iter().find(|(number, _)| *number == slot);
        let (_, path) = path.ok_or(ErrorKind::NotFound)?;
        let mut stream = send(&path, command)?;
        stream.set_read_timeout(Some(self.server.patience()))?;
        answer(&mut stream)
    }

    /// Returns the sockets of its slots, of the newest generation.
    pub fn sockets(&self) -> Vec<(u64, PathBuf)> {
        let folder = self.server.root().join("run");
        // mod_x.<httpd's pid>.<generation>.<group>.<slot>.sock
        let parse = |path: PathBuf| {
            let name = path.file_name()?.to_str()?.strip_suffix(".sock")?;
            let (_, rest) = name.split_once('.')?;
            let rest = rest.strip_prefix(&format!("{}.", self.server.pid()))?;
            let (generation, rest) = rest.split_once('.')?;
            let (group, slot) = rest.rsplit_once('.')?;
            let number = |text: &str| text.parse::<u64>().ok();
            // A long name is cut, and ends with a checksum.
            let is_own = match group.split_once('~') {
                Some((start, _)) => self.name.len() > group.len() && self.name.starts_with(start),
                None => group == self.name,
            };
            is_own.then_some((number(generation)?, number(slot)?, path.clone()))
        };
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let found: Vec<_> = entries.filter_map(|entry| parse(entry.path())).collect();
        let newest = found.iter().map(|(generation, ..)| *generation).max();
        let mut sockets: Vec<_> = found
            .into_iter()
            .filter(|(generation, ..)| Some(*generation) == newest)
            .map(|(_, slot, path)| (slot, path))
            .collect();
        sockets.sort_unstable();
        sockets
    }

    /// Asks whoever answers.
    fn ask(&self, command: &str, end: Instant) -> io::Result<String> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let sockets = self.sockets();
        asked.retain(|path, _| sockets.iter().any(|(_, known)| known == path));
        // An answer to a question of an earlier call may be older than this call: it only shows that
        // the process answers by now.
        let mut old: BTreeSet<PathBuf> = asked.keys().cloned().collect();
        wait::until(end, || {
            for (_, path) in &sockets {
                if old.contains(path) {
                    if asked.get(path).is_some_and(is_silent) {
                        continue;
                    }
                    old.remove(path);
                    asked.remove(path);
                }
                if !asked.contains_key(path)
                    && let Ok(stream) = send(path, command)
                {
                    asked.insert(path.clone(), stream);
                }
                let Some(stream) = asked.get_mut(path) else { continue };
                if is_silent(stream) {
                    continue;
                }
                let answer = stream
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .and_then(|()| answer(stream));
                asked.remove(path);
                if let Ok(answer) = answer {
                    return Some(Ok(answer));
                }
            }
            // Sockets of another generation may be there now.
            (self.sockets() != sockets).then(|| Err(ErrorKind::NotFound.into()))
        })
        .unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))
    }
}

fn processes(status: &str) -> Option<Vec<GroupProcess>> {
    let status: Value = serde_json::from_str(status).ok()?;
    let number = |value: &Value, name: &str| value[name].as_u64().unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let process = |value: &Value| {
        Some(GroupProcess {
            slot: number(value, "slot"),
            pid: i32::try_from(value["pid"].as_u64()?).ok()?,
            state: text(&value["state"])?,
            reason: text(&value["reason"]),
            running: number(value, "running"),
            parked: number(value, "parked"),
            requests: number(value, "requests"),
        })
    };
    Some(status["processes"].as_array()?.iter().filter_map(process).collect())
}

/// Whether nothing has come, nor the end.
fn is_silent(stream: &UnixStream) -> bool {
    let mut byte = [0];
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
    matches!(
        rustix::net::recv(stream, &mut byte, flags),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR)
    )
}

const HEADER: usize = 8;
const CONTROL: u8 = 32;
const REPLY: u8 = 33;

/// Connects without waiting, and sends a CONTROL frame: u32 length, u8 kind, three zeroes, text.
fn send(path: &PathBuf, command: &str) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let mut stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    let length = u32::try_from(command.len()).map_err(io::Error::other)?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend_from_slice(&[CONTROL, 0, 0, 0]);
    frame.extend_from_slice(command.as_bytes());
    stream.write_all(&frame)?;
    Ok(stream)
}

fn answer(stream: &mut UnixStream) -> io::Result<String> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header)?;
    let [a, b, c, d, kind, ..] = header;
    let mut payload = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
    stream.read_exact(&mut payload)?;
    let text = String::from_utf8_lossy(&payload).into_owned();
    if kind == REPLY { Ok(text) } else { Err(io::Error::other(format!("frame {kind}: {text}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_names_its_processes() {
        let status = r#"{"name":"a","processes":[
            {"slot":0,"pid":7,"state":"ready","reason":null,"running":1,"parked":0,"requests":3},
            {"slot":1,"pid":null,"state":"empty"}]}"#;
        let found = processes(status).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].pid, &*found[0].state, found[0].requests), (7, "ready", 3));
        assert_eq!(found[0].reason, None);
        assert!(processes("{}").is_none() && processes("x").is_none());
    }
}
