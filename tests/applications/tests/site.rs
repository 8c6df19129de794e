//! Runs an application in each of its modes, and provides a folder for its files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use httpd_testkit::{
    Builder, Connection, Gateway, Mpm, RequestBuilder, Response, Server, Signal, WebServer, proc,
};
use tempfile::TempDir;

/// A folder that every user may write to: httpd's children and daemon processes have one of their own.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("applications-").tempdir();
        let folder = folder.expect("a folder for the application's files");
        let open = Permissions::from_mode(0o777);
        fs::set_permissions(folder.path(), open).expect("it is this test's own");
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        let parent = path.parent().expect("a file lies in a folder");
        fs::create_dir_all(parent).expect("a folder in the test's own");
        fs::write(&path, bytes).expect("a file in the test's own folder");
        path
    }
}

/// The mode of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In httpd's children.
    Embedded,
    /// In a process group of httpd's.
    Daemon,
    /// In a program of its own, which httpd's mod_proxy_fcgi asks.
    FastCgi,
    /// In a program of its own, which nginx asks.
    Nginx,
    /// In a program of its own, which clients ask over HTTP.
    Http,
}

/// The application to run.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    pub(crate) name: &'static str,
    /// The path that it is mounted at.
    pub(crate) mount: &'static str,
    pub(crate) options: Vec<(&'static str, String)>,
    /// The number of processes, if it is known.
    pub(crate) processes: usize,
    /// Further directives of httpd.
    pub(crate) conf: String,
}

impl Application {
    pub(crate) fn new(name: &'static str, mount: &'static str) -> Self {
        Self { name, mount, options: Vec::new(), processes: 1, conf: String::new() }
    }

    pub(crate) fn option(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.options.push((key, value.into()));
        self
    }

    pub(crate) fn processes(mut self, count: usize) -> Self {
        self.processes = count;
        self
    }

    pub(crate) fn conf(mut self, lines: &str) -> Self {
        self.conf.push_str(lines);
        self
    }

    pub(crate) fn start(&self, mode: Mode, mpm: Mpm) -> Site {
        let builder = Server::builder().mpm(mpm);
        let Self { name, mount, .. } = self;
        let (front, gateway) = match mode {
            Mode::Embedded => {
                let builder = self.module(builder).conf(&format!("RustAppAlias {mount} {name}"));
                // Prefork has several anyway.
                let children = if mpm == Mpm::Prefork { 8 } else { self.processes };
                (self.httpd(builder.children(children)), None)
            }
            Mode::Daemon => {
                let group = format!(
                    "RustDaemonProcess {name} processes={} threads=8\n\
                     RustAppAlias {mount} {name} process-group={name}",
                    self.processes
                );
                (self.httpd(self.module(builder).conf(&group)), None)
            }
            Mode::FastCgi => {
                let gateway = self.gateway("fastcgi");
                let addr = gateway.addr("fastcgi");
                // A connection that is kept stays with the worker that took it.
                let reuse = if self.processes == 1 { "on" } else { "off" };
                let builder =
                    ["env", "proxy", "proxy_fcgi"].into_iter().fold(builder, Builder::load);
                // httpd keeps the Content-Length of a program by that variable alone.
                let builder = builder.conf(&format!(
                    "ProxyPass \"{mount}\" \"fcgi://{addr}{mount}\" enablereuse={reuse} \
                     flushpackets=on\nProxyFCGIBackendType GENERIC\n\
                     SetEnv ap_trust_cgilike_cl 1"
                ));
                (self.httpd(builder), Some(gateway))
            }
            Mode::Nginx => {
                let gateway = self.gateway("fastcgi");
                let addr = gateway.addr("fastcgi");
                let conf = format!(
                    "location {mount} {{\n    include fastcgi_params;\n    \
                     fastcgi_param HTTP_PROXY \"\";\n    fastcgi_pass {addr};\n    \
                     fastcgi_request_buffering off;\n    fastcgi_buffering off;\n    \
                     client_max_body_size 0;\n}}"
                );
                (Front::Nginx(WebServer::nginx().conf(&conf).start()), Some(gateway))
            }
            Mode::Http => (Front::None, Some(self.gateway("http"))),
        };
        Site { front, gateway, mode }
    }

    /// Adds the module and its options to an httpd.
    fn module(&self, builder: Builder) -> Builder {
        let builder = builder.module(&format!("mod_{}.so", self.name));
        self.options.iter().fold(builder, |builder, (key, value)| {
            builder.conf(&format!("RustAppOption {key} \"{value}\""))
        })
    }

    fn httpd(&self, builder: Builder) -> Front {
        let is_edited = self.conf.contains("Header ");
        let builder = if is_edited { builder.load("headers") } else { builder };
        Front::Httpd(Box::new(builder.conf(&self.conf).start()))
    }

    /// Returns the program that serves the application over `protocol`.
    fn gateway(&self, protocol: &str) -> Gateway {
        let Self { name, mount, processes, .. } = self;
        let program = match *name {
            "books" => env!("CARGO_BIN_EXE_books-gateway"),
            "chores" => env!("CARGO_BIN_EXE_chores-gateway"),
            "files" => env!("CARGO_BIN_EXE_files-gateway"),
            "office" => env!("CARGO_BIN_EXE_office-gateway"),
            "starwars" => env!("CARGO_BIN_EXE_starwars-gateway"),
            other => panic!("no program serves {other}"),
        };
        let mut builder = Gateway::builder(program)
            .args([&format!("--{protocol}"), "127.0.0.1:0", "--workers", &processes.to_string()])
            .args(["--mount", &format!("{mount}={name}"), "--log-level", "debug"]);
        for (key, value) in &self.options {
            builder = builder.args(["--option", &format!("{key}={value}")]);
        }
        builder.start()
    }
}

/// The server that the clients connect to.
pub(crate) enum Front {
    Httpd(Box<Server>),
    Nginx(WebServer),
    /// The program itself.
    None,
}

/// A server that runs an application, or asks a program that does.
pub(crate) struct Site {
    pub(crate) front: Front,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) mode: Mode,
}

impl Site {
    pub(crate) fn addr(&self) -> SocketAddr {
        match &self.front {
            Front::Httpd(server) => server.addr(),
            Front::Nginx(server) => server.addr(),
            Front::None => self.program().addr("http").parse().expect("an address"),
        }
    }

    /// Returns the program that has no server before it.
    fn program(&self) -> &Gateway {
        self.gateway.as_ref().expect("a program")
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.request("GET", target).send()
    }

    pub(crate) fn request(&self, method: &str, target: &str) -> RequestBuilder<'static> {
        match &self.front {
            Front::Httpd(server) => server.request(method, target),
            Front::Nginx(server) => server.request(method, target),
            Front::None => panic!("{method} {target}: ask through a connection"),
        }
    }

    pub(crate) fn connect(&self) -> Connection {
        match &self.front {
            Front::Httpd(server) => server.connect(),
            Front::Nginx(server) => server.connect(),
            Front::None => Connection::open(self.addr(), self.program().patience()),
        }
    }

    /// Waits until `probe` is true.
    pub(crate) fn wait_for(&self, what: &str, probe: impl FnMut() -> bool) {
        match &self.front {
            Front::Httpd(server) => server.wait_for(what, probe),
            Front::Nginx(server) => server.wait_for(what, probe),
            Front::None => self.program().wait_for(what, probe),
        }
    }

    /// Waits for a line that the application logged. What belongs to a request goes to the web
    /// server's log over FastCGI, the rest to the program's.
    pub(crate) fn wait_log(&self, needle: &str) -> String {
        let mut found = None;
        self.wait_for(&format!("`{needle}` in a log"), || {
            let logs = self.logs();
            found = logs.lines().find(|line| line.contains(needle)).map(str::to_owned);
            found.is_some()
        });
        found.unwrap_or_default()
    }

    fn logs(&self) -> String {
        let front = match &self.front {
            Front::Httpd(server) => server.error_log(),
            Front::Nginx(server) => server.error_log(),
            Front::None => String::new(),
        };
        front + &self.gateway.as_ref().map(Gateway::log).unwrap_or_default()
    }

    /// Has new processes run the application, gracefully.
    pub(crate) fn restart(&self) {
        match (&self.gateway, &self.front) {
            (None, Front::Httpd(server)) => server.graceful(),
            (Some(gateway), _) => {
                let workers = || proc::children(gateway.pid()).expect("/proc");
                let before = workers();
                gateway.signal(gateway.pid(), Signal::HUP);
                gateway.wait_for("new workers alone", || {
                    let now = workers();
                    now.len() == before.len() && !now.iter().any(|pid| before.contains(pid))
                });
            }
            (None, Front::Nginx(_) | Front::None) => panic!("it runs no application"),
        }
    }

    /// Counts the processes that have served requests since, whose lines in httpd's access log hold
    /// `line`.
    pub(crate) fn count_processes(&self, group: &str, line: &str) -> impl Fn() -> usize {
        let ticks = move |pid: i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // utime and stime (proc(5)), behind the name in parentheses.
            let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>()
        };
        let workers = || {
            let pid = self.gateway.as_ref().map(Gateway::pid);
            pid.map(|pid| proc::children(pid).expect("/proc")).unwrap_or_default()
        };
        let before: BTreeMap<i32, u64> = workers().iter().map(|pid| (*pid, ticks(*pid))).collect();
        move || match &self.front {
            Front::Httpd(server) if self.mode == Mode::Daemon => {
                let processes = server.group(group).processes();
                processes.iter().filter(|process| process.requests > 0).count()
            }
            Front::Httpd(server) if self.mode == Mode::Embedded => {
                let log = server.access_log();
                let lines = log.lines().filter(|found| found.contains(line));
                lines
                    .filter_map(|found| found.split(' ').next_back())
                    .collect::<BTreeSet<_>>()
                    .len()
            }
            // Nothing says which worker has served what; but who has worked has used the processor.
            _ => before.iter().filter(|(pid, before)| ticks(**pid) >= **before + 5).count(),
        }
    }

    /// Stops the front, then what is behind it.
    pub(crate) fn stop(&self) {
        match &self.front {
            Front::Httpd(server) => server.stop(),
            Front::Nginx(server) => server.stop(),
            Front::None => {}
        }
        if let Some(gateway) = &self.gateway {
            gateway.stop();
        }
    }

    /// Runs curl for `target`, with `words` before the URL, and returns its output.
    pub(crate) fn curl(&self, words: &[&str], target: &str) -> Vec<u8> {
        let url = format!("http://{}{target}", self.addr());
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--max-time", "60"]);
        let output = command.args(words).arg(url).output().expect("curl is installed");
        assert!(output.status.success(), "{target}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

/// Makes tests of functions that take a [`Mode`] and an [`Mpm`]: each mode, with two MPMs
/// where there are any.
macro_rules! in_every_mode {
    ($($name:ident)+) => {$(
        mod $name {
            use $crate::site::Mode;
            use httpd_testkit::{Mpm, is_wanted};

            fn run(mode: Mode, mpm: Mpm) {
                if is_wanted(mpm) {
                    super::$name(mode, mpm);
                }
            }

            #[test]
            fn embedded_event() {
                run(Mode::Embedded, Mpm::Event);
            }

            #[test]
            fn embedded_prefork() {
                run(Mode::Embedded, Mpm::Prefork);
            }

            #[test]
            fn daemon_event() {
                run(Mode::Daemon, Mpm::Event);
            }

            #[test]
            fn daemon_prefork() {
                run(Mode::Daemon, Mpm::Prefork);
            }

            #[test]
            fn fastcgi_event() {
                run(Mode::FastCgi, Mpm::Event);
            }

            #[test]
            fn fastcgi_prefork() {
                run(Mode::FastCgi, Mpm::Prefork);
            }

            #[test]
            fn fastcgi_nginx() {
                run(Mode::Nginx, Mpm::Event);
            }
        }
    )+};
}

pub(crate) use in_every_mode;
