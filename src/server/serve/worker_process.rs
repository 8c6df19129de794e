//! The worker processes as the master sees them.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::control::{self, MasterChannel, WorkerMessage};
use super::listen::Bound;
use super::logs::{LogKind, Logs};
use crate::os;
use crate::process_group::Reason;

/// The parts with which the master starts workers.
#[derive(Debug)]
pub(super) struct WorkerTemplate {
    /// The program's path, which leads to another program after it was replaced.
    pub(super) program: PathBuf,
    /// The arguments of the master, the program's name first.
    pub(super) arguments: Vec<OsString>,
}

impl WorkerTemplate {
    /// Returns the path of this very program: by the path that it was started by, so that a
    /// symbolic link that is changed leads to the new one.
    ///
    /// # Errors
    ///
    /// Returns an error if that cannot be told.
    pub(super) fn of(arguments: Vec<OsString>) -> io::Result<Self> {
        let named = arguments.first().map(Path::new).filter(|name| name.components().count() > 1);
        let program = match named.map(std::path::absolute) {
            Some(Ok(path)) if path.is_file() => path,
            _ => std::env::current_exe()?,
        };
        Ok(Self { program, arguments })
    }

    /// Starts a worker.
    ///
    /// # Errors
    ///
    /// Returns an error if the program is not there, or the system has no room for a process.
    pub(super) fn start(
        &self,
        listeners: &[Bound],
        logs: &Logs,
        generation: u64,
    ) -> io::Result<WorkerProcess> {
        let kinds = LogKind::ALL.into_iter();
        let files: Vec<_> = kinds.filter_map(|kind| Some((kind, logs.file(kind)?))).collect();
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.program);
        command
            .args(self.arguments.get(1..).unwrap_or_default())
            .env(control::VARIABLE, control::variable(&theirs, listeners, &files))
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_PID")
            .env_remove("WATCHDOG_USEC")
            .stdin(Stdio::null());
        let inherited = || {
            let sockets = listeners.iter().map(|listener| &listener.socket);
            let files = files.iter().map(|(_, file)| file.as_fd());
            sockets.map(AsFd::as_fd).chain(files).chain([theirs.as_fd()])
        };
        // The master has one thread: nothing else can be started between.
        inherited().try_for_each(|fd| os::keep_on_exec(fd, true))?;
        let child = command.spawn();
        inherited().try_for_each(|fd| os::keep_on_exec(fd, false))?;
        Ok(WorkerProcess {
            child: child?,
            ear: MasterChannel::new(ours)?,
            generation,
            started: Instant::now(),
            ready: None,
            told: None,
            is_outgoing: false,
            is_too_large: false,
            kill_at: None,
        })
    }
}

/// A worker process.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    child: Child,
    pub(super) ear: MasterChannel,
    /// Which of the programs on disk, one after the other, it was started from.
    pub(super) generation: u64,
    pub(super) started: Instant,
    pub(super) ready: Option<Instant>,
    /// Why it could not start, as it said.
    pub(super) told: Option<String>,
    /// It has reached a limit, and serves until another is ready.
    pub(super) is_outgoing: bool,
    /// It has reached `--memory-limit`, of which the master has not taken note.
    pub(super) is_too_large: bool,
    /// It is to end, and will be killed then.
    pub(super) kill_at: Option<Instant>,
}

impl WorkerProcess {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has been told to end.
    pub(super) const fn is_leaving(&self) -> bool {
        self.kill_at.is_some()
    }

    /// Whether no other worker has to take its place.
    pub(super) const fn is_staying(&self) -> bool {
        !self.is_leaving() && !self.is_outgoing
    }

    /// Whether it serves until another worker is ready in its place.
    pub(super) const fn is_serving_out(&self) -> bool {
        self.is_outgoing && !self.is_leaving()
    }

    /// Hears what it said.
    pub(super) fn listen(&mut self) {
        for said in self.ear.listen() {
            match said {
                WorkerMessage::Ready => self.ready = self.ready.or_else(|| Some(Instant::now())),
                WorkerMessage::Replace(reason) => {
                    self.is_outgoing = true;
                    self.is_too_large |= reason == Reason::MemoryLimit.word();
                }
                WorkerMessage::Failed(why) => self.told = Some(why),
            }
        }
    }

    /// Tells it to end: its requests have so long.
    pub(super) fn drain(&mut self, time: Duration) {
        if self.kill_at.is_none() {
            self.kill_at = Some(Instant::now() + time);
            self.signal(Signal::TERM);
        }
    }

    pub(super) fn kill(&mut self) {
        // It is gone, or will be.
        let _ = self.child.kill();
    }

    /// Hands it the files of logs.
    pub(super) fn hand_logs(&self, logs: &Logs) {
        self.ear.hand_logs(logs);
    }

    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// The end, if it has come.
    pub(super) fn end(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten()?;
        // Its last message may not have been read yet.
        self.listen();
        Some(status)
    }
}

/// `was ended by signal 9`, `exited with status 1`, and why.
pub(super) fn describe(worker: &WorkerProcess, status: ExitStatus) -> String {
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("exited with status {code}"),
        (None, None) => "ended".to_owned(),
    };
    match &worker.told {
        Some(why) => format!("worker {} {how}: {why}", worker.id()),
        None => format!("worker {} {how}", worker.id()),
    }
}
