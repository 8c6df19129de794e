//! Talks to the process groups of a running httpd, over the sockets on which its daemon processes
//! take requests: as root or as the user that started httpd, whom alone they let in.
//!
//! `groups`, `restart-group` and `drain-process` use it. Every slot of a group has a socket that is
//! open even while no process takes connections there, so one that does not answer is none that is
//! gone.

mod frame;
mod sockets;
mod status;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use serde_json::Value;

use self::frame::Answer;
pub(crate) use self::sockets::{Key, Where};
pub(crate) use self::status::Status;
use crate::project::Project;

/// The time that a process may take to answer. A serving process answers within a millisecond.
const PATIENCE: Duration = Duration::from_secs(3);

/// A process group that somebody answers for.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) key: Key,
    slots: BTreeMap<u64, PathBuf>,
    /// The slots that were ready when the group said its status: they are asked first the next
    /// time.
    ready: RefCell<Vec<u64>>,
}

/// Returns every group of the place that `at` names. One whose httpd is gone does not count.
///
/// # Errors
/// Fails when there is none, or this user may not talk to it.
pub(crate) fn groups(at: &Where) -> Result<Vec<Group>> {
    // Outside of a project there is none of its folders to look at.
    let project = Project::load().ok();
    let found = at.look(project.as_ref().map(|project| project.target_dir.as_path()))?;
    let mut groups = Vec::new();
    for (key, slots) in found {
        match is_alive(&slots) {
            Ok(true) => {
                let mut group = Group { key, slots, ready: RefCell::default() };
                group.complete_name()?;
                groups.push(group);
            }
            Ok(false) => {}
            Err(error) => return Err(not_let_in(&error, &key)),
        }
    }
    if groups.is_empty() {
        bail!("no running httpd has a process group {}", at.describe());
    }
    Ok(groups)
}

/// Returns the group `name`, of the newest generation.
///
/// # Errors
/// Fails when there is none, or more than one httpd has one.
pub(crate) fn group(at: &Where, name: &str) -> Result<Group> {
    let groups = groups(at)?;
    let mut known: Vec<_> = groups.iter().map(|group| group.key.group.clone()).collect();
    known.dedup();
    let mut named: Vec<_> = groups.into_iter().filter(|group| group.key.group == name).collect();
    named.sort_by(|one, other| one.key.cmp(&other.key));
    let Some(newest) = named.pop() else {
        bail!(
            "process group \"{name}\": not found {}; expected one of: {}",
            at.describe(),
            known.join(", ")
        )
    };
    let same = |other: &Group| {
        other.key.parent == newest.key.parent && other.key.prefix == newest.key.prefix
    };
    if let Some(other) = named.iter().find(|other| !same(other)) {
        bail!(
            "httpd {} and httpd {} both have a process group `{name}`; choose one with \
             --socket-prefix {} or --socket-prefix {}",
            other.key.parent,
            newest.key.parent,
            other.key.prefix.display(),
            newest.key.prefix.display()
        );
    }
    Ok(newest)
}

impl Group {
    /// Asks for the status of the whole group: the first process that answers says it. `None` if no
    /// process of the group serves just now.
    ///
    /// # Errors
    /// Fails when this user is not let in, or the answer is none.
    pub(crate) fn status(&self) -> Result<Option<(Status, Value)>> {
        let ready = self.ready.take();
        let first = self.slots.iter().filter(|(slot, _)| ready.contains(slot));
        let mut answer = self.ask("status", first.map(|(_, path)| path.as_path()))?;
        if answer.is_none() {
            answer = self.ask("status", self.slots.values().map(PathBuf::as_path))?;
        }
        let Some(text) = answer else { return Ok(None) };
        let parse = || -> serde_json::Result<(Status, Value)> {
            let value: Value = serde_json::from_str(&text)?;
            Ok((serde_json::from_value(value.clone())?, value))
        };
        let what = || format!("process group `{}` answers `{text}`", self.key.group);
        let (status, value) = parse().with_context(what)?;
        self.ready.replace(status.ready().map(|(slot, _)| slot).collect());
        Ok(Some((status, value)))
    }

    /// Puts the whole name in place of one that the socket's name has cut, as far as a process of
    /// the group says it.
    fn complete_name(&mut self) -> Result<()> {
        let Some((start, _)) = self.key.group.split_once('~') else { return Ok(()) };
        if let Some((_, value)) = self.status()?
            && let Some(name) = value["name"].as_str().filter(|name| name.starts_with(start))
        {
            self.key.group = name.to_owned();
        }
        Ok(())
    }

    /// Tells the process `pid`, which `status` showed at `slot`, to finish its requests and go;
    /// another one takes its place before.
    ///
    /// # Errors
    /// Fails when it does not answer, or another process is there by now.
    pub(crate) fn drain(&self, slot: u64, pid: u32) -> Result<()> {
        let what = || format!("process {pid} of group `{}` cannot be drained", self.key.group);
        let path = self.slots.get(&slot).with_context(|| format!("slot {slot} has no socket"));
        let answer = ask(path.with_context(what)?, &format!("drain {pid}"));
        let text = match answer.map_err(|error| not_let_in(&error, &self.key)).with_context(what)? {
            Answer::Reply(text) => text,
            Answer::Refused(why) => return Err(self.refused(&why)).with_context(what),
        };
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        match value["error"].as_str() {
            Some(error) => Err(anyhow!("{error}")).with_context(what),
            None => Ok(()),
        }
    }

    fn refused(&self, why: &str) -> anyhow::Error {
        let Key { group, parent, .. } = &self.key;
        anyhow!("process group `{group}` of httpd {parent}: refused: {why}; run this as root")
    }

    /// Asks slots at once, since one without a process does not answer.
    fn ask<'p>(
        &self,
        command: &'static str,
        slots: impl Iterator<Item = &'p Path>,
    ) -> Result<Option<String>> {
        let (sender, answers) = mpsc::channel();
        for path in slots {
            let (path, sender) = (path.to_owned(), sender.clone());
            let run = move || drop(sender.send(ask(&path, command)));
            std::thread::Builder::new().name("ask".into()).spawn(run)?;
        }
        drop(sender);
        let mut refused = None;
        for answer in answers {
            match answer {
                Ok(Answer::Reply(text)) => return Ok(Some(text)),
                Ok(Answer::Refused(why)) => refused = Some(self.refused(&why)),
                Err(error) if is_silence(&error) => {}
                Err(error) => refused = Some(not_let_in(&error, &self.key)),
            }
        }
        refused.map_or(Ok(None), Err)
    }
}

/// Whether somebody listens at one of the sockets.
fn is_alive(slots: &BTreeMap<u64, PathBuf>) -> io::Result<bool> {
    for path in slots.values() {
        match connect(path) {
            Ok(_) => return Ok(true),
            Err(error) if is_silence(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn ask(path: &Path, command: &str) -> io::Result<Answer> {
    let mut stream = connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&frame::control(command)?)?;
    frame::answer(&mut stream)
}

/// Connects, or fails at once: where no process takes connections, as many wait as the socket
/// holds.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let stream =
        UnixStream::from(rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?);
    stream.set_nonblocking(true)?;
    rustix::net::connect(&stream, &SocketAddrUnix::new(path)?)?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// True for what a socket without a process behind it does.
fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::NotFound
            | ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
    )
}

fn not_let_in(error: &io::Error, key: &Key) -> anyhow::Error {
    let (group, prefix) = (&key.group, key.prefix.display());
    match error.kind() {
        ErrorKind::PermissionDenied => anyhow!(
            "process group `{group}` of httpd {}: only root and the user that started httpd may connect; \
             run this as one of them",
            key.parent
        ),
        _ => anyhow!("process group `{group}`, sockets `{prefix}.*`: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Returns a slot's socket with a process that answers `answers`, one a connection.
    fn slot(path: &Path, answers: Vec<Vec<u8>>) -> std::thread::JoinHandle<Vec<Vec<u8>>> {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut header = [0; 8];
                // A look whether somebody listens asks nothing.
                if stream.read_exact(&mut header).is_err() {
                    continue;
                }
                let mut command = vec![0; usize::from(header[0])];
                stream.read_exact(&mut command).unwrap();
                asked.push(command);
                stream.write_all(&answer).unwrap();
            }
            asked
        })
    }

    fn reply(text: &str) -> Vec<u8> {
        [&u32::try_from(text.len()).unwrap().to_le_bytes()[..], &[33, 0, 0, 0], text.as_bytes()]
            .concat()
    }

    fn folder(name: &str) -> PathBuf {
        let folder = format!("cargo-httpd-control-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn the_answering_slot_represents_the_group() {
        let folder = folder("status");
        let key = Key { prefix: folder.join("r"), parent: 5, generation: 0, group: "a".into() };
        let paths = [0, 1, 2].map(|slot| folder.join(format!("r.5.0.a.{slot}.sock")));
        // One without a process, one whose httpd has gone, one that answers.
        let dormant = UnixListener::bind(&paths[0]).unwrap();
        drop(UnixListener::bind(&paths[1]).unwrap());
        let text = r#"{"name":"a","processes":[{"slot":2,"pid":9,"state":"ready"}]}"#;
        let drained = r#"{"pid":9}"#;
        let other = r#"{"error":"process 10 is here now"}"#;
        let server = slot(&paths[2], vec![reply(text), reply(drained), reply(other)]);
        let slots = (0..).zip(paths).collect();
        let group = Group { key, slots, ready: RefCell::default() };
        let (status, _) = group.status().unwrap().unwrap();
        assert_eq!(status.ready().next(), Some((2, 9)));
        group.drain(2, 9).unwrap();
        let error = format!("{:#}", group.drain(2, 9).unwrap_err());
        assert!(error.contains("process 9") && error.contains("process 10 is here now"), "{error}");
        assert_eq!(server.join().unwrap(), [&b"status"[..], b"drain 9", b"drain 9"]);
        drop(dormant);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_name_that_was_cut_is_completed() {
        let folder = folder("cut");
        let name = "a".repeat(64);
        let cut = format!("{}~0123abcd", &name[..15]);
        let text = format!("{{\"name\":\"{name}\",\"processes\":[]}}");
        let server =
            slot(&folder.join(format!("r.5.0.{cut}.0.sock")), vec![Vec::new(), reply(&text)]);
        let at = Where::of_prefix(&folder.join("r"));
        assert_eq!(group(&at, &name).unwrap().key.group, name);
        assert_eq!(server.join().unwrap(), [&b"status"[..]]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_full_socket_is_silent() {
        let folder = folder("full");
        let path = folder.join("s");
        let _dormant = UnixListener::bind(&path).unwrap();
        let mut waiting = Vec::new();
        let error = loop {
            match connect(&path) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
        };
        assert!(is_silence(&error), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_group_is_found_by_name_in_the_newest_generation() {
        let folder = folder("find");
        let bind = |name: &str| UnixListener::bind(folder.join(name)).unwrap();
        let at = Where::of_prefix(&folder.join("r"));
        let error = group(&at, "a").unwrap_err().to_string();
        assert!(error.starts_with("no running httpd has a process group with sockets"), "{error}");
        let _old = bind("r.5.0.a.0.sock");
        let _new = bind("r.5.10.a.0.sock");
        drop(bind("r.5.11.a.0.sock"));
        assert_eq!(group(&at, "a").unwrap().key.generation, 10);
        let error = group(&at, "b").unwrap_err().to_string();
        assert!(
            error.contains("process group \"b\": not found")
                && error.ends_with("expected one of: a"),
            "{error}"
        );
        let _other = bind("r.6.0.a.0.sock");
        let error = group(&at, "a").unwrap_err().to_string();
        assert!(error.starts_with("httpd 5 and httpd 6 both have"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
