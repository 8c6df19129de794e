//! nginx and lighttpd around a test's configuration: in a folder and on a port of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use httpd_config::Httpd;
use rustix::process::Signal;

use crate::client::{Connection, RequestBuilder, Response};
use crate::config::{Place, fill};
use crate::launch::{StartError, free_ports};
use crate::root::{Root, is_privileged};
use crate::running::{CONSOLE, Failure, Running};
use crate::{lighttpd, nginx};

/// Somebody else may take a port between the search and the server's bind.
const ATTEMPTS: u32 = 10;

/// A web server other than httpd that is being described; nothing happens before
/// [`WebServerBuilder::start`].
#[derive(Clone, Debug)]
#[must_use = "a server is started by `start`"]
pub struct WebServerBuilder {
    kind: Kind,
    pub(crate) conf: String,
    pub(crate) outer: String,
    files: Vec<(String, Vec<u8>, u32)>,
    patience: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nginx,
    Lighttpd,
}

/// A real nginx or lighttpd in a folder of its own, on a port of its own.
///
/// Dropping it stops it, and fails the test when it ended by itself, ended badly or left processes
/// behind. The folder is removed, but kept and named when the test failed or `HTTPD_TESTKIT_KEEP`
/// is set.
#[derive(Debug)]
pub struct WebServer {
    running: Running,
    kind: Kind,
    port: u16,
}

impl WebServer {
    /// Describes an nginx with one worker process.
    pub fn nginx() -> WebServerBuilder {
        WebServerBuilder::new(Kind::Nginx)
    }

    /// Describes a lighttpd.
    pub fn lighttpd() -> WebServerBuilder {
        WebServerBuilder::new(Kind::Lighttpd)
    }

    /// Returns the port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address of its listener.
    pub fn addr(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Returns the folder that everything is in.
    pub fn root(&self) -> &Path {
        self.running.root()
    }

    /// Returns the process id: with nginx, that of the master.
    pub fn pid(&self) -> i32 {
        self.running.pid()
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

    /// Returns a connection.
    ///
    /// # Panics
    /// Panics when nobody answers.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.addr(), self.patience())
    }

    /// Returns the error log up to now.
    pub fn error_log(&self) -> String {
        self.running.read(if self.kind == Kind::Nginx { ERROR_LOG } else { CONSOLE })
    }

    /// Waits until `probe` is true.
    ///
    /// # Panics
    /// Panics when that is not so in time: `what` says what was waited for.
    #[track_caller]
    pub fn wait_for(&self, what: &str, probe: impl FnMut() -> bool) {
        self.running.wait_for(what, probe);
    }

    /// Sends a signal to the server or to one of its children.
    ///
    /// # Panics
    /// Panics when there is no such process.
    #[track_caller]
    pub fn signal(&self, pid: i32, signal: Signal) {
        self.running.signal(pid, signal);
    }

    /// Stops it and waits until every process has gone. The logs can still be read.
    pub fn stop(&self) {
        self.running.stop();
    }

    /// Returns the time that the kit waits for an event that should come at once.
    pub fn patience(&self) -> Duration {
        self.running.patience()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.running.conclude(Vec::new());
    }
}

/// Below the root.
pub(crate) const ERROR_LOG: &str = "error_log";
/// A folder below the root that everybody may write to: for sockets.
pub(crate) const SCRATCH: &str = "tmp";
/// Written once it listens, below the root.
pub(crate) const PID: &str = "tmp/server.pid";

impl WebServerBuilder {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            conf: String::new(),
            outer: String::new(),
            files: Vec::new(),
            patience: Duration::from_secs(30),
        }
    }

    /// Adds lines to nginx's `server` block, or to lighttpd.conf. `{root}`, `{htdocs}` and `{port}`
    /// stand for this server's; everybody may write to the folder `{root}/tmp`.
    pub fn conf(mut self, lines: &str) -> Self {
        self.conf.push_str(lines);
        self.conf.push('\n');
        self
    }

    /// Adds lines to nginx's `http` block, before the server; with lighttpd the same as
    /// [`WebServerBuilder::conf`], but before those.
    pub fn outer_conf(mut self, lines: &str) -> Self {
        self.outer.push_str(lines);
        self.outer.push('\n');
        self
    }

    /// Writes a file below the root, readable by all: `htdocs/x.html`.
    pub fn file(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.files.push((path.to_owned(), bytes.as_ref().to_vec(), 0o644));
        self
    }

    /// Writes a program below the root, executable by all: `cgi-bin/x.cgi`.
    pub fn program(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.files.push((path.to_owned(), bytes.as_ref().to_vec(), 0o755));
        self
    }

    /// Sets how long the kit waits for what should take no time: 30 seconds unless given.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the server and waits until it serves.
    ///
    /// # Panics
    /// Panics when it does not start: with the command and what the server said.
    #[track_caller]
    pub fn start(self) -> WebServer {
        match self.try_start() {
            Ok(server) => server,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts the server and waits until it serves.
    ///
    /// # Errors
    /// Fails when it does not start: with the command and what the server said.
    pub fn try_start(self) -> Result<WebServer, StartError> {
        for _ in 1..ATTEMPTS {
            match self.attempt() {
                Err(Failure::Ended(report)) if is_port_taken(&report) => {}
                other => return Ok(other?),
            }
        }
        Ok(self.attempt()?)
    }

    fn attempt(&self) -> Result<WebServer, Failure> {
        let other =
            |error: std::io::Error| Failure::Other(format!("cannot make the root: {error}"));
        let root = Root::create().map_err(other)?;
        for (path, bytes, mode) in &self.files {
            root.write(path, bytes, *mode).map_err(other)?;
        }
        root.scratch(SCRATCH).map_err(other)?;
        let (port, _) = free_ports().map_err(other)?;
        let shown = root.path().to_string_lossy().into_owned();
        let place = Place { root: &shown, port, tls_port: None };
        let (name, text) = match self.kind {
            Kind::Nginx => ("nginx", nginx::text(self, account())),
            Kind::Lighttpd => ("lighttpd", lighttpd::text(self, account())),
        };
        let text = fill(&text, &place).map_err(Failure::Other)?;
        root.write(CONFIG, text.as_bytes(), 0o644).map_err(other)?;
        let mut command = Command::new(program(name));
        let config = root.path().join(CONFIG);
        match self.kind {
            Kind::Nginx => {
                nginx::write_parameters(&root).map_err(other)?;
                command.arg("-p").arg(root.path()).arg("-c").arg(config)
            }
            Kind::Lighttpd => command.arg("-D").arg("-f").arg(config),
        };
        // lighttpd hands its environment to programs: their stacks would be lines in every test.
        command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let is_ready = |root: &Path| {
            // The file says that the port is this server's own.
            let listens = std::fs::metadata(root.join(PID)).is_ok_and(|meta| meta.len() > 0);
            (listens && std::net::TcpStream::connect(addr).is_ok()).then_some(())
        };
        let files = &[CONFIG, ERROR_LOG];
        let (running, ()) = Running::start(name, root, command, files, self.patience, is_ready)?;
        Ok(WebServer { running, kind: self.kind, port })
    }
}

const CONFIG: &str = "server.conf";

/// Returns the user and group for the server's children, where they must be others.
fn account() -> Option<(&'static str, &'static str)> {
    is_privileged().then(Httpd::user_and_group).flatten()
}

/// Finds a server in Debian's folders too, which `PATH` need not have.
fn program(name: &str) -> String {
    let system = format!("/usr/sbin/{name}");
    if Path::new(&system).exists() { system } else { name.to_owned() }
}

fn is_port_taken(report: &str) -> bool {
    report.contains("Address already in use")
}
