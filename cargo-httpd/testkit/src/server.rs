//! A running server: what a test asks it, and its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use httpd_config::Mpm;
use rustix::process::Signal;

use crate::builder::{Builder, Load};
use crate::client::{Connection, RequestBuilder, Response};
use crate::command::Output;
use crate::process::Process;
use crate::root::Root;
use crate::{command, config, launch, log, modules, proc, process, wait};

/// A real httpd in a folder of its own, on a port of its own.
///
/// Dropping it stops it and fails the test, unless that has failed already, when the ErrorLog holds
/// what [`Builder::allow_log`] does not allow: a panic, a child that a signal ended, an error of a
/// module under test, a sanitizer's or valgrind's finding; or when httpd ended by itself or left
/// processes behind. The folder is removed, but kept and named when the test failed or
/// `HTTPD_TESTKIT_KEEP` is set.
///
/// It can be shared by threads. httpd ends with the test's process, however that ends.
#[derive(Debug)]
pub struct Server {
    builder: Builder,
    root: Root,
    pid: i32,
    port: u16,
    tls_port: Option<u16>,
    command: String,
    state: Mutex<State>,
}

/// The parts that a launch hands over.
pub(crate) struct Parts {
    pub(crate) process: Process,
    pub(crate) pid: i32,
    pub(crate) port: u16,
    pub(crate) tls_port: Option<u16>,
    pub(crate) command: String,
}

#[derive(Debug)]
struct State {
    process: Process,
    /// A test that ends httpd itself expects its end.
    told_to_end: bool,
    stopped: bool,
    problems: Vec<String>,
}

impl Server {
    /// Describes a server.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the plain port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address of the plain listener.
    pub fn addr(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Returns the address of the listener with TLS.
    ///
    /// # Panics
    /// Without [`Builder::tls`].
    #[track_caller]
    pub fn tls_addr(&self) -> SocketAddr {
        let port = self.tls_port.expect("a server that was built with .tls(true)");
        ([127, 0, 0, 1], port).into()
    }

    /// `http://localhost:<port><path>`.
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// `https://localhost:<TLS port><path>`.
    ///
    /// # Panics
    /// Without [`Builder::tls`].
    #[track_caller]
    pub fn tls_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls_addr().port())
    }

    /// Returns the file with the certificate that the listener with TLS shows, self-signed.
    pub fn certificate(&self) -> PathBuf {
        self.root().join(config::CERTIFICATE)
    }

    /// Returns the server root.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Returns the MPM that it runs with.
    pub fn mpm(&self) -> Mpm {
        self.builder.chosen_mpm().expect("a server that started has an MPM")
    }

    /// Returns the process id of httpd's parent.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns the process ids of the parent's children, in order; those of its modules (mod_cgid's
    /// daemon) are among them.
    pub fn children_pids(&self) -> Vec<i32> {
        proc::children(self.pid).expect("/proc")
    }

    /// GETs `target` on a connection of its own.
    ///
    /// # Panics
    /// Panics when there is no response.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.request("GET", target).send()
    }

    /// Returns a request on a connection of its own.
    pub fn request(&self, method: &str, target: &str) -> RequestBuilder<'static> {
        RequestBuilder::to(self.addr(), self.patience(), method, target)
    }

    /// Returns a connection to the plain listener.
    ///
    /// # Panics
    /// Panics when nobody answers there.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.addr(), self.patience())
    }

    /// Runs the real curl, which trusts the server's certificate, silently, with a time limit. Its
    /// arguments are what follows; [`Server::url`] and [`Server::tls_url`] go well with it.
    ///
    /// # Panics
    /// Panics when curl is not installed or does not end.
    #[track_caller]
    pub fn curl<S: AsRef<str>>(&self, args: &[S]) -> Output {
        let mut words: Vec<String> = Vec::new();
        if self.tls_port.is_some() {
            words.extend(["--cacert".to_owned(), self.certificate().display().to_string()]);
        }
        words.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        let output = command::curl(&words, self.patience());
        output.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs another client to its end, within a time limit: `nghttp`, `h2load`, `openssl s_client`.
    ///
    /// # Panics
    /// Panics when it is not installed or does not end.
    #[track_caller]
    pub fn run<S: AsRef<str>>(&self, program: &str, args: &[S]) -> Output {
        let mut command = std::process::Command::new(program);
        command.args(args.iter().map(AsRef::as_ref)).current_dir(self.root());
        let output = command::run(&mut command, self.patience() * 3);
        output.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Returns the ErrorLog up to now.
    pub fn error_log(&self) -> String {
        log::read(&self.root().join("error_log"))
    }

    /// Returns the access log up to now: client, time, request line, status, bytes, how the
    /// connection ended, microseconds, process id. A line is written after its response.
    pub fn access_log(&self) -> String {
        log::read(&self.root().join("access_log"))
    }

    /// Returns httpd's standard output and standard error, a wrapper's messages included.
    pub fn console(&self) -> String {
        log::read(&self.root().join("console"))
    }

    /// Waits for a line of the ErrorLog that holds `needle`, and returns the first one.
    ///
    /// # Panics
    /// Panics when none comes in time.
    #[track_caller]
    pub fn wait_log(&self, needle: &str) -> String {
        self.wait_log_count(needle, 1).swap_remove(0)
    }

    /// Waits for `count` lines of the ErrorLog that hold `needle`, and returns every one.
    ///
    /// # Panics
    /// Panics when fewer come in time.
    #[track_caller]
    pub fn wait_log_count(&self, needle: &str, count: usize) -> Vec<String> {
        self.wait_lines("error_log", needle, count)
    }

    /// Waits for a line of the access log that holds `needle`, and returns the first one.
    ///
    /// # Panics
    /// Panics when none comes in time.
    #[track_caller]
    pub fn wait_access_log(&self, needle: &str) -> String {
        self.wait_lines("access_log", needle, 1).swap_remove(0)
    }

    /// Waits until `probe` is true.
    ///
    /// # Panics
    /// Panics when that is not so in time: `what` says what was waited for.
    #[track_caller]
    pub fn wait_for(&self, what: &str, mut probe: impl FnMut() -> bool) {
        let patience = self.patience();
        if wait::until(Instant::now() + patience, || probe().then_some(())).is_none() {
            panic!("{}", self.report(&format!("waited {patience:?} in vain for {what}")));
        }
    }

    /// Sends a signal to httpd's parent or to one of its children.
    ///
    /// # Panics
    /// Panics when there is no such process.
    #[track_caller]
    pub fn signal(&self, pid: i32, signal: Signal) {
        let mut state = self.state();
        if pid == self.pid && ![Signal::USR1, Signal::HUP].contains(&signal) {
            state.told_to_end = true;
        }
        if let Err(error) = process::signal(pid, signal) {
            panic!("cannot send {signal:?} to process {pid}: {error}");
        }
    }

    /// Stops the server and waits until every process has gone. The logs can still be read. To stop
    /// twice is to stop once.
    ///
    /// If no client keeps a connection, it lets the children end gracefully (SIGWINCH) before the
    /// parent gets SIGTERM: a child that gets it in the moment of closing a connection may crash
    /// within httpd, which is not a fault of a module's. To see what SIGTERM alone does, send it by
    /// [`Server::signal`] before.
    pub fn stop(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.stopped, true) {
            return;
        }
        match state.process.try_wait() {
            Ok(None) if !state.told_to_end => self.drain(),
            Ok(Some(status)) if !state.told_to_end => {
                state.problems.push(format!("httpd ended by itself: {status}"));
            }
            _ => {}
        }
        state.end(self.pid, self.patience() * 2);
    }

    /// Returns the text of httpd.conf.
    pub fn config(&self) -> String {
        log::read(&self.root().join("httpd.conf"))
    }

    /// Replaces httpd.conf; it is in force after [`Server::graceful`] or [`Server::restart`].
    ///
    /// # Panics
    /// Panics when it cannot be written.
    pub fn write_config(&self, text: &str) {
        self.write_file("httpd.conf", text);
    }

    /// Writes a file below the server root, readable by all.
    ///
    /// # Panics
    /// Panics when it cannot be written.
    #[track_caller]
    pub fn write_file(&self, path: &str, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.root.write(path, bytes.as_ref(), 0o644) {
            panic!("cannot write {path}: {error}");
        }
    }

    /// Returns the faults that would fail the test if the server were dropped now.
    pub fn problems(&self) -> Vec<String> {
        let modules: Vec<_> = std::iter::once("rust".to_owned())
            .chain(self.builder.loads.iter().filter_map(|load| match load {
                Load::File { symbol, .. } => Some(modules::stem(symbol).to_owned()),
                Load::Stock(_) => None,
            }))
            .collect();
        let mut problems = self.state().problems.clone();
        for text in [self.error_log(), self.console()] {
            problems.extend(log::problems(&text, &modules, &self.builder.allowed));
        }
        problems
    }

    /// Returns the time that the kit waits for an event that should come at once
    /// ([`Builder::patience`]).
    pub fn patience(&self) -> Duration {
        self.builder.deadline()
    }

    pub(crate) fn new(builder: Builder, root: Root, parts: Parts) -> Self {
        let Parts { process, pid, port, tls_port, command } = parts;
        let problems = Vec::new();
        let state = State { process, told_to_end: false, stopped: false, problems };
        let state = Mutex::new(state);
        Self { builder, root, pid, port, tls_port, command, state }
    }

    /// `headline`, and everything that is known about the server.
    pub(crate) fn report(&self, headline: &str) -> String {
        launch::report(headline, &self.command, &self.root)
    }

    /// True once httpd has gone.
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.state().process.try_wait(), Ok(None))
    }

    #[track_caller]
    fn wait_lines(&self, file: &str, needle: &str, count: usize) -> Vec<String> {
        let path = self.root().join(file);
        let patience = self.patience();
        let found = wait::until(Instant::now() + patience, || {
            let text = log::read(&path);
            // A line without its end is still being written.
            let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
            let lines = whole.lines().filter(|line| line.contains(needle));
            let lines: Vec<_> = lines.map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        });
        match found {
            Some(lines) => lines,
            None => {
                let what =
                    format!("waited {patience:?} in vain for {count} of `{needle}` in {file}");
                panic!("{}", self.report(&what))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held it must still stop its server.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, pid: i32, patience: Duration) {
        match self.process.terminate(pid, patience) {
            Ok(end) => {
                self.problems.extend(end.problems);
                if !end.status.success() && !self.told_to_end && self.problems.is_empty() {
                    self.problems.push(format!("httpd ended with {}", end.status));
                }
            }
            Err(error) => self.problems.push(format!("httpd cannot be stopped: {error}")),
        }
    }
}

impl Drop for Server {
    #[allow(clippy::print_stderr, reason = "the test harness shows it with the failed test")]
    fn drop(&mut self) {
        self.stop();
        let problems = self.problems();
        let failed = std::thread::panicking();
        let keep = std::env::var_os("HTTPD_TESTKIT_KEEP").is_some_and(|value| !value.is_empty());
        let mut headline = String::from("httpd's log must not hold this:\n");
        headline += &problems.join("\n");
        if keep || failed || !problems.is_empty() {
            let kept = self.root.keep();
            headline += &format!("\n(the server root is kept: {})", kept.display());
            eprintln!("the server root is kept: {}", kept.display());
        }
        if !failed && !problems.is_empty() {
            panic!("{}", self.report(&headline));
        }
        if failed {
            eprintln!("{}", self.report("the server of the failed test:"));
        }
    }
}
