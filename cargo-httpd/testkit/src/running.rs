//! A server process that is not httpd, in a folder of its own: started, waited for, stopped, and
//! reported on when something went wrong.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::launch::StartError;
use crate::process::Process;
use crate::root::Root;
use crate::{log, process, wait};

/// The file of standard output and standard error, below the root.
pub(crate) const CONSOLE: &str = "console";

/// A process that was started, with its folder.
///
/// Dropping it stops it, and fails the test, unless that has failed already, when it ended by
/// itself, ended badly or left processes behind. The folder is then kept and named.
#[derive(Debug)]
pub(crate) struct Running {
    name: &'static str,
    root: Root,
    command: String,
    /// Files below the root that a report shows.
    files: &'static [&'static str],
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    process: Process,
    pid: i32,
    told_to_end: bool,
    stopped: bool,
    problems: Vec<String>,
}

/// Why a process does not serve.
pub(crate) enum Failure {
    /// It ended before it did.
    Ended(String),
    /// Anything else.
    Other(String),
}

impl From<Failure> for StartError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Ended(report) | Failure::Other(report) => Self::new(report),
        }
    }
}

impl Running {
    /// Starts `command` in `root` and waits until `is_ready` gives something: it is asked again and
    /// again. Standard output and standard error go to the file `console`.
    pub(crate) fn start<T>(
        name: &'static str,
        root: Root,
        mut command: Command,
        files: &'static [&'static str],
        patience: Duration,
        mut is_ready: impl FnMut(&Path) -> Option<T>,
    ) -> Result<(Self, T), Failure> {
        let shown = format!("{command:?}");
        let failed = |headline: String| Failure::Other(report(&headline, &shown, &root, files));
        let console = File::create(root.path().join(CONSOLE)).and_then(|out| {
            let err = out.try_clone()?;
            command.stdout(out).stderr(err);
            Ok(())
        });
        console.map_err(|error| failed(format!("cannot write: {error}")))?;
        command.current_dir(root.path()).stdin(Stdio::null());
        let mut process = Process::spawn(name, command)
            .map_err(|error| failed(format!("{name} cannot be started: {error}")))?;
        let met = wait::until(Instant::now() + patience * 2, || {
            // In this order: what a process wrote before it ended is there once it has ended.
            let ended = process.try_wait().transpose();
            match is_ready(root.path()) {
                // Another process answers.
                Some(_) if ended.is_some() => Some(Met::Ended(ended?)),
                Some(ready) => Some(Met::Ready(ready)),
                None => Some(Met::Ended(ended?)),
            }
        });
        match met {
            Some(Met::Ready(ready)) => {
                let pid = process.pid();
                let state = State {
                    process,
                    pid,
                    told_to_end: false,
                    stopped: false,
                    problems: Vec::new(),
                };
                let state = Mutex::new(state);
                Ok((Self { name, root, command: shown, files, patience, state }, ready))
            }
            Some(Met::Ended(status)) => {
                let headline = match status {
                    Ok(status) => format!("{name} ended instead of serving: {status}"),
                    Err(error) => format!("{name} cannot be waited for: {error}"),
                };
                let report = report(&headline, &shown, &root, files);
                Err(Failure::Ended(report))
            }
            None => Err(failed(format!("{name} does not serve after {:?}", patience * 2))),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.state().pid
    }

    pub(crate) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Returns the text of a file below the root, up to now.
    pub(crate) fn read(&self, file: &str) -> String {
        log::read(&self.root().join(file))
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, mut probe: impl FnMut() -> bool) {
        if wait::until(Instant::now() + self.patience, || probe().then_some(())).is_none() {
            panic!("{}", self.report(&format!("waited {:?} in vain for {what}", self.patience)));
        }
    }

    #[track_caller]
    pub(crate) fn signal(&self, pid: i32, signal: Signal) {
        let mut state = self.state();
        if pid == state.pid
            && [Signal::TERM, Signal::INT, Signal::QUIT, Signal::KILL].contains(&signal)
        {
            state.told_to_end = true;
        }
        if let Err(error) = process::signal(pid, signal) {
            panic!("cannot send {signal:?} to process {pid}: {error}");
        }
    }

    /// Stops it by SIGTERM and waits until every process of its session has gone.
    pub(crate) fn stop(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        if std::mem::replace(&mut state.stopped, true) {
            return;
        }
        if let Ok(Some(status)) = state.process.try_wait()
            && !state.told_to_end
        {
            state.problems.push(format!("{} ended by itself: {status}", self.name));
        }
        match state.process.terminate(state.pid, self.patience * 2) {
            Ok(end) => {
                state.problems.extend(end.problems);
                // lighttpd ends with 1 where SIGTERM found connections open.
                let is_fine = end.status.success()
                    || (self.name == "lighttpd" && end.status.code() == Some(1));
                if !is_fine && !state.told_to_end && state.problems.is_empty() {
                    state.problems.push(format!("{} ended with {}", self.name, end.status));
                }
            }
            Err(error) => {
                state.problems.push(format!("{} cannot be stopped: {error}", self.name));
            }
        }
    }

    /// `headline`, and everything that is known about it.
    pub(crate) fn report(&self, headline: &str) -> String {
        report(headline, &self.command, &self.root, self.files)
    }

    /// To be called when the owner is dropped: `problems` are those that it found itself.
    #[allow(clippy::print_stderr, reason = "the test harness shows it with the failed test")]
    pub(crate) fn conclude(&mut self, problems: Vec<String>) {
        self.stop();
        let mut all = self.state().problems.clone();
        all.extend(problems);
        let failed = std::thread::panicking();
        let keep = std::env::var_os("HTTPD_TESTKIT_KEEP").is_some_and(|value| !value.is_empty());
        if keep || failed || !all.is_empty() {
            eprintln!("the root of {} is kept: {}", self.name, self.root.keep().display());
        }
        if failed {
            eprintln!("{}", self.report(&format!("{} of the failed test:", self.name)));
        } else if !all.is_empty() {
            panic!("{}", self.report(&all.join("\n")));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held it must still stop its server.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Met<T> {
    Ready(T),
    Ended(std::io::Result<ExitStatus>),
}

fn report(headline: &str, command: &str, root: &Root, files: &[&str]) -> String {
    let mut text = format!("{headline}\n--- command ---\n{command}\n");
    for file in [&[CONSOLE], files].concat() {
        let whole = log::read(&root.path().join(file));
        let _ = writeln!(text, "--- {file} (its end) ---\n{}", log::tail(&whole));
    }
    text + "---"
}
