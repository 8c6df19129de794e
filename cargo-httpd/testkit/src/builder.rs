//! The settings of a test's server.

use std::ffi::OsString;
use std::io;
use std::process::Command;
use std::time::Duration;

use httpd_config::Mpm;

use crate::command::{self, Output};
use crate::config::{self, Place};
use crate::launch::{self, StartError};
use crate::root::Root;
use crate::server::Server;
use crate::{modules, tls};

/// A server that is being described; nothing happens before [`Builder::start`].
#[derive(Clone, Debug, Default)]
#[must_use = "a server is started by `start`"]
pub struct Builder {
    pub(crate) loads: Vec<Load>,
    pub(crate) conf: String,
    pub(crate) tls: bool,
    pub(crate) tls_conf: String,
    pub(crate) http2: bool,
    pub(crate) log_level: Option<String>,
    pub(crate) allowed: Vec<String>,
    pub(crate) env: Vec<(OsString, OsString)>,
    mpm: Option<Mpm>,
    children: Option<usize>,
    threads: Option<usize>,
    files: Vec<(String, Vec<u8>, u32)>,
    wrap: Option<Vec<String>>,
    patience: Option<Duration>,
}

/// A module to load.
#[derive(Clone, Debug)]
pub(crate) enum Load {
    /// One of httpd's own, by name.
    Stock(String),
    /// A module under test, by file and symbol.
    File { file: String, symbol: String },
}

/// The result of `httpd -t` for a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigTest {
    /// True if httpd would start with it.
    pub ok: bool,
    /// Everything that it printed.
    pub output: String,
}

impl Builder {
    /// Loads a module under test: a path, or a file's name that [`find_module`](crate::find_module)
    /// looks for. Its symbol is taken from the name: `rust_module` for `mod_rust.so`,
    /// `libmod_rust.so` and `librust.so`. Its messages are logged from `trace1` on, and its errors
    /// fail the test.
    pub fn module(self, file: &str) -> Self {
        let symbol = format!("{}_module", modules::stem(file));
        self.module_as(file, &symbol)
    }

    /// Loads a module as [`Builder::module`] does, with a symbol that does not follow from the
    /// file's name.
    pub fn module_as(mut self, file: &str, symbol: &str) -> Self {
        self.loads.push(Load::File { file: file.to_owned(), symbol: symbol.to_owned() });
        self
    }

    /// Loads a module of httpd's own: `headers`, `mod_headers` or `headers_module`. Modules are
    /// loaded in the order of the calls; one that is compiled in needs nothing.
    pub fn load(mut self, name: &str) -> Self {
        self.loads.push(Load::Stock(name.to_owned()));
        self
    }

    /// The MPM. Without it, that of the environment variable `MPM`, else event.
    pub fn mpm(mut self, mpm: Mpm) -> Self {
        self.mpm = Some(mpm);
        self
    }

    /// Adds directives in server context, after the kit's own, so that they override those.
    /// `{root}`, `{htdocs}`, `{port}` and `{tls_port}` stand for this server's.
    ///
    /// `ErrorLog` of the main server must stay as it is: the kit reads it.
    pub fn conf(mut self, directives: &str) -> Self {
        add_lines(&mut self.conf, directives);
        self
    }

    /// Adds directives in the virtual host of the TLS listener.
    pub fn tls_conf(mut self, directives: &str) -> Self {
        add_lines(&mut self.tls_conf, directives);
        self
    }

    /// Writes a file below the server root, readable by all: `htdocs/x.html`.
    pub fn file(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.files.push((path.to_owned(), bytes.as_ref().to_vec(), 0o644));
        self
    }

    /// Writes a program below the server root, executable by all: `cgi-bin/x.cgi`.
    pub fn program(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.files.push((path.to_owned(), bytes.as_ref().to_vec(), 0o755));
        self
    }

    /// Adds a listener with TLS and a throwaway certificate (mod_ssl; needs the openssl program).
    pub fn tls(mut self, on: bool) -> Self {
        self.tls = on;
        self
    }

    /// Offers HTTP/2: h2c on the plain port, h2 on the one with TLS (mod_http2, which refuses to
    /// work with prefork).
    pub fn http2(mut self, on: bool) -> Self {
        self.http2 = on;
        self
    }

    /// Allows lines of the ErrorLog that hold `text`, which would fail the test otherwise. For a
    /// panic `text` may be in its message or in the line that names its place.
    pub fn allow_log(mut self, text: &str) -> Self {
        self.allowed.push(text.to_owned());
        self
    }

    /// The `LogLevel`; without it `info`, and `trace1` for the modules under test.
    pub fn log_level(mut self, levels: &str) -> Self {
        self.log_level = Some(levels.to_owned());
        self
    }

    /// Sets the number of children: 1 unless given; with prefork as many as [`Builder::threads`],
    /// so that every MPM serves as many requests at once. Worker starts more when every thread is
    /// busy; event and prefork do not. With prefork, a graceful restart is over only when one child
    /// at least was not busy.
    ///
    /// # Panics
    /// At zero.
    pub fn children(mut self, count: usize) -> Self {
        assert!(count > 0, "a server has at least one child");
        self.children = Some(count);
        self
    }

    /// Sets the number of requests that a child serves at once, with worker and event: 8 unless
    /// given.
    ///
    /// # Panics
    /// At zero.
    pub fn threads(mut self, count: usize) -> Self {
        assert!(count > 0, "a child has at least one thread");
        self.threads = Some(count);
        self
    }

    /// Sets an environment variable of httpd; the others are inherited.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs httpd under another program, as `valgrind` or `strace -f -D -o file`, with deadlines 20
    /// times as long. What valgrind finds, in the children too, fails the test. Without it, and
    /// within it, that of `HTTPD_TESTKIT_WRAP`, split at blanks; an empty one means none at all.
    pub fn wrap(mut self, command: &[&str]) -> Self {
        self.wrap = Some(command.iter().map(|word| (*word).to_owned()).collect());
        self
    }

    /// Sets how long the kit waits for what should take no time, before it gives up: 30 seconds
    /// unless given; connections have this time-out at first. Under a wrapper it is 20 times as
    /// long.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Starts the server and waits until it serves.
    ///
    /// # Panics
    /// Panics when it does not start: with the configuration, the command and what httpd said.
    #[track_caller]
    pub fn start(self) -> Server {
        match self.try_start() {
            Ok(server) => server,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts the server and waits until it serves.
    ///
    /// # Errors
    /// Fails when it does not start: with the configuration, the command and what httpd said.
    pub fn try_start(self) -> Result<Server, StartError> {
        launch::start(self)
    }

    /// Runs `httpd -t` with the configuration that [`Builder::start`] would use.
    ///
    /// # Panics
    /// Panics when httpd cannot be run at all.
    #[track_caller]
    pub fn configtest(&self) -> ConfigTest {
        let output = self.httpd(&["-t"]);
        let text = String::from_utf8_lossy(&output.stdout) + output.stderr.as_str();
        ConfigTest { ok: output.exit == Some(0), output: text.into_owned() }
    }

    /// Runs httpd to its end with this configuration and `args`: `-S`, `-M`, `-t -D DUMP_HOOKS`.
    ///
    /// # Panics
    /// Panics when httpd cannot be run at all, or serves instead of ending.
    #[track_caller]
    pub fn httpd(&self, args: &[&str]) -> Output {
        match self.try_httpd(args) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns the MPM that it will run with.
    pub(crate) fn chosen_mpm(&self) -> Result<Mpm, String> {
        self.mpm.map_or_else(crate::mpm::default, Ok)
    }

    pub(crate) fn child_count(&self) -> usize {
        let prefork = self.chosen_mpm() == Ok(Mpm::Prefork);
        self.children.unwrap_or(if prefork { self.thread_count() } else { 1 })
    }

    pub(crate) fn thread_count(&self) -> usize {
        self.threads.unwrap_or(8)
    }

    /// Returns the words before httpd's own command line: the builder's program, and within it that
    /// of the environment.
    pub(crate) fn wrap_words(&self) -> Vec<String> {
        let mut words = self.wrap.clone().unwrap_or_default();
        if self.wrap.is_none() || !words.is_empty() {
            let within = std::env::var("HTTPD_TESTKIT_WRAP").unwrap_or_default();
            words.extend(within.split_whitespace().map(str::to_owned));
        }
        words
    }

    /// Returns the time limit of an event that should come at once.
    pub(crate) fn deadline(&self) -> Duration {
        let patience = self.patience.unwrap_or(Duration::from_secs(30));
        patience * if self.wrap_words().is_empty() { 1 } else { 20 }
    }

    /// Makes the server root with everything but httpd.conf in it.
    pub(crate) fn make_root(&self) -> Result<Root, String> {
        let make = || {
            let root = Root::create()?;
            for (path, bytes, mode) in &self.files {
                root.write(path, bytes, *mode)?;
            }
            Ok(root)
        };
        let failed = |error: io::Error| format!("cannot make the server root: {error}");
        let root = make().map_err(failed)?;
        if self.tls {
            let made = tls::certificate()?;
            root.write(config::CERTIFICATE, made.certificate.as_bytes(), 0o644).map_err(failed)?;
            root.write(config::KEY, made.key.as_bytes(), 0o600).map_err(failed)?;
        }
        Ok(root)
    }

    /// Writes httpd.conf into `root`.
    pub(crate) fn write_config(
        &self,
        root: &Root,
        port: u16,
        tls_port: Option<u16>,
    ) -> Result<(), String> {
        let path = root.path().to_string_lossy();
        let text = config::text(self, modules::httpd()?, &Place { root: &path, port, tls_port })?;
        root.write("httpd.conf", text.as_bytes(), 0o644)
            .map_err(|error| format!("cannot write httpd.conf: {error}"))
    }

    /// Returns the command that runs httpd, under the wrapper if there is one, without arguments.
    pub(crate) fn command(&self) -> Result<Command, String> {
        let httpd = modules::httpd()?.program();
        Ok(match self.wrap_words().split_first() {
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(httpd);
                command
            }
            None => Command::new(httpd),
        })
    }

    fn try_httpd(&self, args: &[&str]) -> Result<Output, String> {
        let root = self.make_root()?;
        // No port is opened, but the configuration must name some.
        self.write_config(&root, 1, self.tls.then_some(2))?;
        let mut command = self.command()?;
        command.arg("-f").arg(root.path().join("httpd.conf")).args(args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command::run(&mut command, self.deadline()).map_err(|error| error.to_string())
    }
}

fn add_lines(text: &mut String, lines: &str) {
    text.push_str(lines);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}
