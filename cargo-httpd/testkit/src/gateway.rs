//! A gateway program under test: a binary that serves an application over FastCGI, SCGI, uwsgi or
//! HTTP, made with `mod_rust::serve`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::launch::StartError;
use crate::root::Root;
use crate::running::{CONSOLE, Running};
use crate::{log, programs};

/// A gateway program that is being described; nothing happens before [`GatewayBuilder::start`].
#[derive(Clone, Debug)]
#[must_use = "a program is started by `start`"]
pub struct GatewayBuilder {
    program: String,
    under: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    files: Vec<(String, Vec<u8>)>,
    patience: Duration,
}

/// A gateway program in a folder of its own. It serves once [`GatewayBuilder::start`] returns.
///
/// Dropping it stops it, and fails the test when it ended by itself, ended badly, left processes
/// behind, or panicked: but for what [`Gateway::log`] says of panics of applications, which are the
/// test's to judge.
#[derive(Debug)]
pub struct Gateway {
    running: Running,
}

impl Gateway {
    /// Describes a run of `program`: a path, or a name that [`find_program`](crate::find_program)
    /// looks for.
    pub fn builder(program: &str) -> GatewayBuilder {
        GatewayBuilder {
            program: program.to_owned(),
            under: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            files: Vec::new(),
            patience: Duration::from_secs(30),
        }
    }

    /// Returns the first address that it listens at for `protocol` (`fastcgi`, `scgi`, `uwsgi`,
    /// `http`), as its log says it: `127.0.0.1:41234`, or the path of a Unix socket.
    ///
    /// # Panics
    /// Panics when it does not listen for that.
    #[track_caller]
    pub fn addr(&self, protocol: &str) -> String {
        let log = self.log();
        let mark = format!("{LISTENING}{protocol} ");
        let line = log.lines().find_map(|line| line.split_once(&mark));
        match line {
            Some((_, addr)) => addr.split_whitespace().next().unwrap_or_default().to_owned(),
            None => panic!("{}", self.running.report(&format!("it does not listen: {protocol}"))),
        }
    }

    /// Returns the folder that it runs in.
    pub fn root(&self) -> &Path {
        self.running.root()
    }

    /// Returns the process id: with several worker processes, that of the master.
    pub fn pid(&self) -> i32 {
        self.running.pid()
    }

    /// Returns its standard output and standard error up to now.
    pub fn log(&self) -> String {
        self.running.read(CONSOLE)
    }

    /// Waits for a line of the log that holds `needle`, and returns the first one.
    ///
    /// # Panics
    /// Panics when none comes in time.
    #[track_caller]
    pub fn wait_log(&self, needle: &str) -> String {
        let mut found = None;
        self.running.wait_for(&format!("`{needle}` in its log"), || {
            let log = self.log();
            let whole = &log[..log.rfind('\n').map_or(0, |at| at + 1)];
            found = whole.lines().find(|line| line.contains(needle)).map(str::to_owned);
            found.is_some()
        });
        found.unwrap_or_default()
    }

    /// Waits until `probe` is true.
    ///
    /// # Panics
    /// Panics when that is not so in time: `what` says what was waited for.
    #[track_caller]
    pub fn wait_for(&self, what: &str, probe: impl FnMut() -> bool) {
        self.running.wait_for(what, probe);
    }

    /// Sends a signal to it or to one of its children.
    ///
    /// # Panics
    /// Panics when there is no such process.
    #[track_caller]
    pub fn signal(&self, pid: i32, signal: Signal) {
        self.running.signal(pid, signal);
    }

    /// Stops it by SIGTERM and waits until every process has gone. The log can still be read.
    pub fn stop(&self) {
        self.running.stop();
    }

    /// Returns the time that the kit waits for an event that should come at once.
    pub fn patience(&self) -> Duration {
        self.running.patience()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.running.conclude(Vec::new());
    }
}

const LISTENING: &str = "listening: ";
const READY: &str = "ready: ";

impl GatewayBuilder {
    /// Adds an argument. `{root}` in it stands for the folder that it will run in.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments, as [`GatewayBuilder::arg`].
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Runs it under another program, whose arguments these are: `spawn-fcgi`, `-n`, `-s`, a path,
    /// `--`. `{root}` as in [`GatewayBuilder::arg`].
    pub fn under<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.under = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// Sets an environment variable; the others are inherited.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Writes a file below the folder that it will run in, readable by all.
    pub fn file(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.files.push((path.to_owned(), bytes.as_ref().to_vec()));
        self
    }

    /// Sets how long the kit waits for what should take no time: 30 seconds unless given.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the program and waits until its log says that it is ready.
    ///
    /// # Panics
    /// Panics when that does not happen: with the command and the log.
    #[track_caller]
    pub fn start(self) -> Gateway {
        match self.try_start() {
            Ok(gateway) => gateway,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts the program and waits until its log says that it is ready.
    ///
    /// # Errors
    /// Fails when that does not happen: with the command and the log.
    pub fn try_start(self) -> Result<Gateway, StartError> {
        let other = |error: std::io::Error| {
            StartError::new(format!("cannot make the folder of a gateway program: {error}"))
        };
        let program = programs::find_program(&self.program).map_err(StartError::new)?;
        let root = Root::create().map_err(other)?;
        for (path, bytes) in &self.files {
            root.write(path, bytes, 0o644).map_err(other)?;
        }
        let shown = root.path().to_string_lossy().into_owned();
        let fill = |word: &OsString| match word.to_str() {
            Some(text) => OsString::from(text.replace("{root}", &shown)),
            None => word.clone(),
        };
        let words: Vec<OsString> = self
            .under
            .iter()
            .map(fill)
            .chain([PathBuf::from(&program).into_os_string()])
            .chain(self.args.iter().map(fill))
            .collect();
        let mut command = Command::new(&words[0]);
        command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
        command.args(&words[1..]).envs(self.env.iter().map(|(name, value)| (name, value)));
        let is_ready = |root: &Path| {
            log::read(&root.join(CONSOLE)).lines().any(|line| line.contains(READY)).then_some(())
        };
        let (running, ()) =
            Running::start("a gateway program", root, command, &[], self.patience, is_ready)?;
        Ok(Gateway { running })
    }
}
