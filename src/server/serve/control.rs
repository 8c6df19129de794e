//! The messages of master and worker: the worker says that it is ready, or why it is not, and the
//! master hands it the files of logs; the end of either is the end of the line.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::listen::Bound;
use super::logs::{LogKind, Logs};
use crate::os;
use crate::process_group::Reason;
use crate::server::site::Mode;

/// The variable that makes a process a worker: the master's id, the number of its line to the
/// master, then `protocol:number` of each listener and `log:number` of each log that is a file.
pub(super) const VARIABLE: &str = "MOD_RUST_WORKER";

/// The value of [`VARIABLE`].
pub(super) fn variable(
    line: &UnixStream,
    listeners: &[Bound],
    logs: &[(LogKind, Arc<File>)],
) -> String {
    let mut value = format!("{} {}", std::process::id(), line.as_raw_fd());
    for listener in listeners {
        value += &format!(" {}:{}", listener.protocol.name(), listener.socket.as_raw_fd());
    }
    for (kind, file) in logs {
        value += &format!(" {}:{}", kind.name(), file.as_raw_fd());
    }
    value
}

/// The things that a worker has from its master.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) channel: WorkerChannel,
    pub(super) listeners: Vec<Bound>,
    pub(super) logs: Vec<(LogKind, File)>,
}

/// Whether `value` is meant for this process, and not for a worker whose application started it.
pub(super) fn is_meant(value: &str) -> bool {
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    let mut words = value.split(' ');
    let (master, line) = (words.next(), words.next().unwrap_or_default());
    // The master may have gone already. What a worker has is closed in what it starts.
    parent.as_deref() == master
        || std::fs::read_link(format!("/proc/self/fd/{line}"))
            .is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"socket:"))
}

/// The value of [`VARIABLE`] in a worker.
///
/// # Errors
///
/// Returns an error if it is not what a master writes.
pub(super) fn read_variable(value: &str) -> Result<Handed, String> {
    let wrong = || format!("{VARIABLE}={value}: only the program itself sets this");
    let inherit = |number: &str| {
        let number = number.parse().map_err(|_| wrong())?;
        os::inherit(number).map_err(|error| format!("{VARIABLE}={value}: {error}"))
    };
    let mut words = value.split(' ').skip(1);
    let line = inherit(words.next().unwrap_or_default())?;
    let (mut listeners, mut logs) = (Vec::new(), Vec::new());
    for word in words {
        let (name, number) = word.split_once(':').ok_or_else(wrong)?;
        if let Some(kind) = LogKind::ALL.into_iter().find(|kind| kind.name() == name) {
            logs.push((kind, File::from(inherit(number)?)));
            continue;
        }
        let all = [Mode::FastCgi, Mode::Scgi, Mode::Uwsgi, Mode::Http];
        let protocol = all.into_iter().find(|mode| mode.name() == name).ok_or_else(wrong)?;
        let listener = Bound::adopt(protocol, inherit(number)?);
        listeners.push(listener.map_err(|error| format!("{VARIABLE}={value}: {error}"))?);
    }
    Ok(Handed { channel: WorkerChannel { stream: UnixStream::from(line) }, listeners, logs })
}

/// The worker's end.
#[derive(Debug)]
pub(super) struct WorkerChannel {
    stream: UnixStream,
}

impl WorkerChannel {
    pub(super) fn ready(&self) {
        // Without a master there is nobody to tell, and soon the end.
        let _ = (&self.stream).write_all(b"ready\n");
    }

    /// Asks for another worker in this one's place, for this reason.
    pub(super) fn replace(&self, reason: Reason) {
        let _ = (&self.stream).write_all(format!("replace {}\n", reason.word()).as_bytes());
    }

    pub(super) fn failed(&self, why: &str) {
        let _ = (&self.stream).write_all(format!("failed {}\n", why.replace('\n', " ")).as_bytes());
    }

    /// Takes the files of logs that the master has opened anew.
    pub(super) fn take_logs(&self, logs: &Logs) {
        let mut name = [0; 1];
        while let Ok(Some((1, file))) = os::receive_with_descriptor(&self.stream, &mut name) {
            let kind = LogKind::ALL.into_iter().find(|kind| mark(*kind) == name[0]);
            if let (Some(kind), Some(file)) = (kind, file) {
                logs.replace(kind, file.into());
            }
        }
    }

    /// Whether the master is gone.
    pub(super) fn is_cut(&self) -> bool {
        os::has_hung_up(&self.stream)
    }
}

impl AsFd for WorkerChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The master's end, with what was said so far.
#[derive(Debug)]
pub(super) struct MasterChannel {
    stream: UnixStream,
    said: Vec<u8>,
    /// Nothing more will come.
    pub(super) is_closed: bool,
}

/// The byte that a log's file comes with.
const fn mark(kind: LogKind) -> u8 {
    match kind {
        LogKind::Program => b'l',
        LogKind::Access => b'a',
    }
}

/// A worker's message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WorkerMessage {
    Ready,
    /// It is to be replaced: the limit with this name is reached.
    Replace(String),
    Failed(String),
}

impl MasterChannel {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, said: Vec::new(), is_closed: false })
    }

    /// Hands the files of logs to the worker.
    pub(super) fn hand_logs(&self, logs: &Logs) {
        for kind in LogKind::ALL {
            let Some(file) = logs.file(kind) else { continue };
            match os::send_with_descriptor(&self.stream, &[mark(kind)], file.as_fd()) {
                Ok(Some(_)) => {}
                Ok(None) => logs.complain(kind, &io::ErrorKind::WouldBlock.into()),
                // The worker is gone.
                Err(_) => return,
            }
        }
    }

    /// Returns the messages since the last call.
    pub(super) fn listen(&mut self) -> Vec<WorkerMessage> {
        let mut buffer = [0; 1024];
        while !self.is_closed {
            match (&self.stream).read(&mut buffer) {
                Ok(read @ 1..) => self.said.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.is_closed = true,
            }
        }
        let mut all = Vec::new();
        while let Some(end) = self.said.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.said.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]).into_owned();
            match line.split_once(' ') {
                None if line == "ready" => all.push(WorkerMessage::Ready),
                Some(("replace", reason)) => all.push(WorkerMessage::Replace(reason.into())),
                Some(("failed", why)) => all.push(WorkerMessage::Failed(why.into())),
                _ => {}
            }
        }
        all
    }
}

impl AsFd for MasterChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_for_the_masters_own_child() {
        assert!(!is_meant("1000000000 1000000"));
        assert!(is_meant(&format!("{} 1000000", std::os::unix::process::parent_id())));
        let (one, _other) = UnixStream::pair().unwrap();
        assert!(is_meant(&variable(&one, &[], &[])), "the master is gone, its line is there");
    }

    #[test]
    fn is_heard() {
        let (one, other) = UnixStream::pair().unwrap();
        let (line, mut ear) = (WorkerChannel { stream: one }, MasterChannel::new(other).unwrap());
        assert_eq!(ear.listen(), []);
        line.failed("no\ndatabase");
        line.ready();
        line.replace(Reason::MemoryLimit);
        assert_eq!(
            ear.listen(),
            [
                WorkerMessage::Failed("no database".into()),
                WorkerMessage::Ready,
                WorkerMessage::Replace("memory_limit".into())
            ]
        );
        assert!(!ear.is_closed && !line.is_cut());
        drop(line);
        assert_eq!(ear.listen(), []);
        assert!(ear.is_closed);
    }
}
