//! The servers that the clients connect to.

use std::path::Path;
use std::process::Command;

use httpd_testkit::{Gateway, Mpm, Server, Signal, proc};

/// The mode of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In httpd's children.
    Embedded(Mpm),
    /// The same, over TLS.
    Tls(Mpm),
    /// In a daemon process.
    Daemon(Mpm),
    /// In a program of its own, which speaks HTTP.
    Program,
}

/// A server that runs an application.
pub(crate) enum Site {
    Httpd { server: Box<Server>, is_tls: bool },
    Program(Gateway),
}

impl Site {
    /// Mounts the application `name` at `/name`: of `module` in httpd, or of `program`.
    pub(crate) fn start(mode: Mode, name: &str, module: &str, program: &str) -> Self {
        let embedded = format!("RustAppAlias /{name} {name}");
        let (mpm, is_tls, conf) = match mode {
            Mode::Embedded(mpm) => (mpm, false, embedded),
            Mode::Tls(mpm) => (mpm, true, embedded),
            Mode::Daemon(mpm) => {
                let group = format!("RustDaemonProcess {name} threads=4\n");
                (mpm, false, format!("{group}{embedded} process-group={name}"))
            }
            Mode::Program => {
                let mount = format!("/{name}={name}");
                let builder = Gateway::builder(program).args(["--http", "127.0.0.1:0"]);
                let gateway = builder.args(["--mount", &mount, "--threads", "4"]).start();
                return Self::Program(gateway);
            }
        };
        let (children, threads) = if mpm == Mpm::Prefork { (8, 1) } else { (1, 8) };
        let builder = Server::builder().mpm(mpm).children(children).threads(threads);
        let builder = builder.module(module).tls(is_tls);
        let server = builder.conf(&conf).start();
        Self::Httpd { server: Box::new(server), is_tls }
    }

    /// Returns a URL of `scheme`, which is `http` or `ws`, or of its form over TLS.
    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        match self {
            Self::Httpd { server, is_tls: true } => {
                format!("{scheme}s://{}{path}", server.tls_addr())
            }
            Self::Httpd { server, .. } => format!("{scheme}://{}{path}", server.addr()),
            Self::Program(gateway) => format!("{scheme}://{}{path}", gateway.addr("http")),
        }
    }

    /// Returns a folder that is there as long as this is.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Httpd { server, .. } => server.root(),
            Self::Program(gateway) => gateway.root(),
        }
    }

    /// Waits until `probe` is true.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, probe: impl FnMut() -> bool) {
        match self {
            Self::Httpd { server, .. } => server.wait_for(what, probe),
            Self::Program(gateway) => gateway.wait_for(what, probe),
        }
    }

    /// Restarts gracefully, and waits until the processes before it have ended.
    pub(crate) fn restart(&self) {
        match self {
            Self::Httpd { server, .. } => {
                let before = server.children_pids();
                server.graceful();
                server.wait_for("the end of the children", || {
                    server.children_pids().iter().all(|pid| !before.contains(pid))
                });
            }
            Self::Program(gateway) => {
                let workers = || proc::children(gateway.pid()).expect("/proc");
                let before = workers();
                assert!(!before.is_empty(), "a master alone");
                gateway.signal(gateway.pid(), Signal::HUP);
                gateway.wait_for("new workers alone", || {
                    let now = workers();
                    now.len() == before.len() && !now.iter().any(|pid| before.contains(pid))
                });
            }
        }
    }
}

/// Returns the first of `programs` for which `works` is true. Says what to install if there is
/// none.
pub(crate) fn find<'n>(
    programs: &[&'n str],
    works: impl Fn(&mut Command) -> bool,
    packages: &str,
) -> Option<&'n str> {
    let found = programs.iter().find(|program| works(&mut Command::new(program)));
    if found.is_none() {
        eprintln!("skipped: none of {} works; install {packages}", programs.join(", "));
    }
    found.copied()
}
