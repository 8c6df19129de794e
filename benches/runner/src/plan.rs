//! The needs of a peer on this machine: the modules to load, the paths of its programs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use httpd_config::{Httpd, Mpm};

use crate::checkout::{Checkout, is_root};
use crate::endpoint::Transport;
use crate::peer::{Backend, Peer, Product};
use crate::sys;
use crate::workshop::Workshop;

/// The number of children and threads of httpd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// One child with as little as it can have: it starts quickly.
    Small,
    /// For a measured run.
    Usual,
    /// More than the connections of a crowd.
    Crowd,
    /// More than 256 connections.
    Many,
    /// The threads of a measured run, and connections for thousands of requests that wait.
    Waiting,
}

/// A peer that can be started.
pub(crate) struct Plan {
    /// Whom it is for.
    pub(crate) peer: &'static Peer,
    /// The program behind httpd.
    pub(crate) backend: Option<Behind>,
    /// The folder that it may write to while it runs.
    pub(crate) run: PathBuf,
    /// The web server's program, if there is one.
    pub(crate) front: Option<PathBuf>,
    head: String,
    /// The lines that load the modules of other transports than HTTP/1.1, by name.
    loads: Vec<(&'static str, String)>,
    confs: PathBuf,
    conf: PathBuf,
    mpm: Mpm,
}

/// A program behind httpd that is started with it.
pub(crate) struct Behind {
    pub(crate) kind: Backend,
    pub(crate) program: PathBuf,
    /// Its arguments, without where it listens.
    pub(crate) args: Vec<String>,
}

impl Plan {
    /// Looks the peer's modules up, and builds what is built for it.
    ///
    /// # Errors
    /// Fails when a module is not installed or a product does not build. The error names the
    /// package.
    pub(crate) fn make(
        peer: &'static Peer,
        httpd: &Httpd,
        mpm: Mpm,
        checkout: &Checkout,
        workshop: &mut Workshop<'_>,
    ) -> Result<Self> {
        let run = checkout.scratch().join("run").join(peer.name);
        if peer.is_behind_nginx() {
            return Self::behind_nginx(peer, checkout, workshop, run);
        }
        if peer.is_alone() {
            return Ok(Self {
                peer,
                backend: behind(peer, workshop, &run)?,
                run,
                front: None,
                head: String::new(),
                loads: Vec::new(),
                confs: PathBuf::new(),
                conf: PathBuf::new(),
                mpm,
            });
        }
        let mut head = String::new();
        define(&mut head, "RUN", &run);
        define(&mut head, "HTDOCS", &workshop.htdocs());
        define(&mut head, "APPS", &workshop.apps());
        define(&mut head, "TLS", &workshop.tls());
        for name in [mpm.module_name(), "unixd", "authz_core"].iter().chain(peer.modules) {
            if let Some((module, home)) = workshop.rivals().wsgi().filter(|_| *name == "wsgi") {
                head.push_str(&format!("LoadModule wsgi_module \"{}\"\n", module.display()));
                head.push_str(&format!("WSGIPythonHome \"{}\"\n", home.display()));
                continue;
            }
            match httpd.module(name).load_line(name) {
                Some(line) => head.push_str(&line),
                None => bail!("mod_{name} is not installed; install {}", peer.package),
            }
        }
        let backend = behind(peer, workshop, &run)?;
        for product in peer.products() {
            match product {
                Product::CHandler | Product::Module => {
                    let path = workshop.product(product)?;
                    let symbol = peer.own.map_or("", |(_, symbol)| symbol);
                    head.push_str(&format!("LoadModule {symbol} \"{}\"\n", path.display()));
                }
                // httpd's children run it, who may not reach cargo's folders; this one they do.
                Product::Cgi => define(&mut head, "CGI", &workshop.product(product)?),
                Product::FcgiProgram => define(&mut head, "FCGI", &workshop.product(product)?),
                // They stand behind it.
                _ => {}
            }
        }
        if let Some((user, group)) = account()? {
            head.push_str(&format!("User {user}\nGroup {group}\n"));
        }
        Ok(Self {
            peer,
            backend,
            run,
            front: Some(httpd.program().to_owned()),
            head,
            loads: Transport::Http2
                .modules()
                .iter()
                .filter_map(|name| Some((*name, httpd.module(name).load_line(name)?)))
                .collect(),
            confs: checkout.root().join("benches/conf"),
            conf: checkout.root().join(peer.conf),
            mpm,
        })
    }

    /// Returns the same with these directives instead of the peer's own.
    ///
    /// # Errors
    /// Returns an error if their file cannot be written.
    pub(crate) fn with_directives(&self, directives: &str) -> Result<Self> {
        let conf = self.run.with_extension("conf");
        std::fs::write(&conf, directives)
            .with_context(|| format!("cannot write `{}`", conf.display()))?;
        Ok(Self {
            peer: self.peer,
            backend: None,
            run: self.run.clone(),
            front: self.front.clone(),
            head: self.head.clone(),
            loads: self.loads.clone(),
            confs: self.confs.clone(),
            conf,
            mpm: self.mpm,
        })
    }

    /// A peer with nginx in front.
    fn behind_nginx(
        peer: &'static Peer,
        checkout: &Checkout,
        workshop: &mut Workshop<'_>,
        run: PathBuf,
    ) -> Result<Self> {
        let Some(front) = sys::find_program("nginx") else {
            bail!("nginx is not installed; install nginx (Debian, Ubuntu, Fedora)")
        };
        let read = |file: PathBuf| {
            std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read `{}`", file.display()))
        };
        let confs = checkout.root().join("benches/conf");
        let location = read(checkout.root().join(peer.conf))?;
        let user = account()?.map(|(user, group)| format!("user {user} {group};"));
        let head = read(confs.join("nginx/nginx.conf"))?
            .replace("include ${LOCATION};", &location)
            .replace("${USER}", &user.unwrap_or_default())
            .replace("${RUN}", &run.display().to_string())
            .replace("${APPS}", &workshop.apps().display().to_string());
        Ok(Self {
            peer,
            backend: behind(peer, workshop, &run)?,
            run,
            front: Some(front),
            head,
            loads: Vec::new(),
            confs,
            conf: checkout.root().join(peer.conf),
            mpm: Mpm::Event,
        })
    }

    /// Returns the web server's arguments, of which the last names its configuration.
    pub(crate) fn front_args(&self, conf: &Path) -> Vec<OsString> {
        if self.peer.is_behind_nginx() {
            // Before it has read its configuration it would log elsewhere.
            let log = self.run.join("error.log");
            let run = self.run.clone();
            return vec![
                "-e".into(),
                log.into(),
                "-p".into(),
                run.into(),
                "-c".into(),
                conf.into(),
            ];
        }
        vec!["-DFOREGROUND".into(), "-f".into(), conf.into()]
    }

    /// Returns the web server's configuration. A transport beside HTTP/1.1 has a port of its own.
    pub(crate) fn front_conf(
        &self,
        port: u16,
        secure: Option<(Transport, u16)>,
        backend: Option<&str>,
        size: Size,
    ) -> String {
        if self.peer.is_behind_nginx() {
            let connections = if size == Size::Waiting { "18000" } else { "1024" };
            let backend = backend.unwrap_or_default();
            let kind = if backend.starts_with('/') { "unix:" } else { "" };
            return self
                .head
                .replace("${PORT}", &port.to_string())
                .replace("${CONNECTIONS}", connections)
                .replace("${BACKEND}", &format!("{kind}{backend}"));
        }
        let mut conf = self.head.clone();
        conf.push_str(&format!("Define PORT {port}\n"));
        if let Some(address) = backend {
            conf.push_str(&format!("Define BACKEND \"{address}\"\n"));
        }
        let mpm = match (self.mpm, size) {
            (Mpm::Prefork, Size::Usual) => "prefork.conf",
            (Mpm::Prefork, Size::Small) => "prefork-small.conf",
            (Mpm::Prefork, Size::Crowd) => "prefork-crowd.conf",
            (Mpm::Prefork, Size::Many) => "prefork-many.conf",
            (Mpm::Worker | Mpm::Event, Size::Many) => "threaded-many.conf",
            (Mpm::Worker | Mpm::Event, Size::Usual) => "threaded.conf",
            (Mpm::Worker | Mpm::Event, Size::Small) => "threaded-small.conf",
            (Mpm::Worker | Mpm::Event, Size::Crowd) => "threaded-crowd.conf",
            (Mpm::Prefork, Size::Waiting) => "prefork.conf",
            (Mpm::Worker | Mpm::Event, Size::Waiting) => "threaded-waiting.conf",
        };
        let mut files =
            vec![self.confs.join("common.conf"), self.confs.join(mpm), self.conf.clone()];
        if let Some((transport, port)) = secure {
            conf.push_str(&format!("Define SECURE_PORT {port}\n"));
            let modules = transport.modules();
            let loads = self.loads.iter().filter(|(name, _)| modules.contains(name));
            conf.extend(loads.map(|(_, line)| line.as_str()));
            files.push(self.confs.join("secure.conf"));
        }
        for file in files {
            conf.push_str(&format!("Include \"{}\"\n", file.display()));
        }
        conf
    }
}

/// Returns the program behind the web server, if there is one.
fn behind(peer: &Peer, workshop: &mut Workshop<'_>, run: &Path) -> Result<Option<Behind>> {
    let Some(kind) = peer.backend else { return Ok(None) };
    let mut behind = None;
    for product in peer.products() {
        let args = match product {
            Product::AxumBackend
            | Product::FcgiBackend
            | Product::ScgiBackend
            | Product::FastCgiBackend => Vec::new(),
            Product::Uwsgi => uwsgi_args(workshop)?,
            Product::GatewayBackend if peer.is_alone() => waiting_args()?,
            Product::GatewayBackend => GATEWAY.map(str::to_owned).to_vec(),
            Product::OuterBackend => OUTER.map(str::to_owned).to_vec(),
            Product::PhpFpm => php_args(workshop, run)?,
            Product::CHandler | Product::Cgi | Product::FcgiProgram | Product::Module => continue,
        };
        behind = Some(Behind { kind, program: workshop.product(product)?, args });
    }
    Ok(behind)
}

/// The options of mod_rust's gateway program: one process, which is enough, of 15 threads.
const GATEWAY: [&str; 4] = ["--socket-mode", "666", "--log-level", "warn"];

/// Returns the same for thousands of requests that wait, on four threads.
fn waiting_args() -> Result<Vec<String>> {
    let size = ["--threads", "4", "--max-connections", "18000", "--queue-size", "18000"];
    let mut args: Vec<_> =
        size.into_iter().chain(["--log-level", "warn"]).map(str::to_owned).collect();
    if let Some((user, group)) = account()? {
        args.extend(["--user".into(), user, "--group".into(), group]);
    }
    Ok(args)
}

/// The options of outer_cgi's program: it has a thread for each connection, of which httpd keeps
/// 50.
const OUTER: [&str; 5] = ["fcgi-unix", "--chmod", "666", "--max-connections", "64"];

/// Returns the options of PHP-FPM: a process for each connection, as it has no threads.
fn php_args(workshop: &Workshop<'_>, run: &Path) -> Result<Vec<String>> {
    let conf = workshop.apps().join("php-fpm.conf");
    let user = account()?.map(|(user, group)| format!("user = {user}\ngroup = {group}\n"));
    let text = format!(
        "[global]\nerror_log = /dev/stderr\nlog_level = warning\n[bench]\nlisten = {}\n\
         listen.mode = 0666\npm = static\npm.max_children = 64\n\
         php_admin_value[opcache.enable] = 1\n{}",
        run.join("backend.sock").display(),
        user.unwrap_or_default(),
    );
    std::fs::write(&conf, text).with_context(|| format!("cannot write `{}`", conf.display()))?;
    Ok(vec!["--nodaemonize".into(), "--fpm-config".into(), conf.display().to_string()])
}

/// Returns the account that a web server's children run as, if this process may choose.
fn account() -> Result<Option<(String, String)>> {
    if !is_root() {
        return Ok(None);
    }
    let Some((user, group)) = Httpd::user_and_group() else {
        bail!("no account for the web server: run the benchmark as another user than root")
    };
    Ok(Some((user.to_string(), group.to_string())))
}

/// Returns the options of uWSGI: as many processes and threads as the other daemons have.
fn uwsgi_args(workshop: &Workshop<'_>) -> Result<Vec<String>> {
    let (_, mut args) = workshop.rivals().uwsgi()?;
    let app = workshop.apps().join("app.py").display().to_string();
    args.extend(["--wsgi-file".to_owned(), app]);
    let rest = [
        "--master",
        "--need-app",
        "--processes=2",
        "--threads=15",
        // Which worker gets a connection is settled in user space: that is cheaper.
        "--thunder-lock",
        "--chmod-socket=666",
        "--disable-logging",
        "--die-on-term",
    ];
    args.extend(rest.map(str::to_owned));
    Ok(args)
}

fn define(conf: &mut String, name: &str, path: &Path) {
    conf.push_str(&format!("Define {name} \"{}\"\n", path.display()));
}
