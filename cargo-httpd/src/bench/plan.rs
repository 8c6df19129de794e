//! What a peer needs to start on this machine: which modules to load, where its programs are.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use httpd_config::{Httpd, Mpm};

use super::checkout::{Checkout, is_root};
use super::peer::{Backend, Peer, Product};
use super::server::Size;
use super::workshop::Workshop;

/// A peer that can be started.
pub(super) struct Plan {
    /// Whom it is for.
    pub(super) peer: &'static Peer,
    /// The program behind httpd.
    pub(super) backend: Option<Behind>,
    /// Where it may write while it runs.
    pub(super) run: PathBuf,
    /// httpd's program.
    pub(super) httpd: PathBuf,
    head: String,
    confs: PathBuf,
    conf: PathBuf,
    mpm: Mpm,
}

/// A program behind httpd that is started with it.
pub(super) struct Behind {
    pub(super) kind: Backend,
    pub(super) program: PathBuf,
    /// Its arguments, without where it listens.
    pub(super) args: Vec<String>,
}

impl Plan {
    /// Looks the peer's modules up, and builds what is built for it.
    ///
    /// # Errors
    /// When a module is not installed or a product does not build. The error names the package.
    pub(super) fn make(
        peer: &'static Peer,
        httpd: &Httpd,
        mpm: Mpm,
        checkout: &Checkout,
        workshop: &mut Workshop<'_>,
    ) -> Result<Self> {
        let run = checkout.scratch().join("run").join(peer.name);
        let mut head = String::new();
        define(&mut head, "RUN", &run);
        define(&mut head, "HTDOCS", &workshop.htdocs());
        define(&mut head, "APPS", &workshop.apps());
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
        let mut backend = None;
        for product in peer.products() {
            let path = workshop.product(product)?;
            match product {
                Product::CHandler | Product::Module => {
                    let symbol = peer.own.map_or("", |(_, symbol)| symbol);
                    head.push_str(&format!("LoadModule {symbol} \"{}\"\n", path.display()));
                }
                // httpd's children run it, who may not reach cargo's folders; this one they do.
                Product::Cgi => define(&mut head, "CGI", &path),
                Product::FcgiProgram => define(&mut head, "FCGI", &path),
                Product::AxumBackend
                | Product::FcgiBackend
                | Product::ScgiBackend
                | Product::Uwsgi => {
                    let args = match product {
                        Product::Uwsgi => uwsgi_args(workshop)?,
                        _ => Vec::new(),
                    };
                    backend = peer.backend.map(|kind| Behind { kind, program: path, args });
                }
            }
        }
        if is_root() {
            let Some((user, group)) = Httpd::user_and_group() else {
                bail!(
                    "no account for httpd's children: run the benchmark as another user than root"
                );
            };
            head.push_str(&format!("User {user}\nGroup {group}\n"));
        }
        Ok(Self {
            peer,
            backend,
            run,
            httpd: httpd.program().to_owned(),
            head,
            confs: checkout.root().join("benches/conf"),
            conf: checkout.root().join(peer.conf),
            mpm,
        })
    }

    /// The httpd.conf.
    pub(super) fn httpd_conf(&self, port: u16, backend: Option<&str>, size: Size) -> String {
        let mut conf = self.head.clone();
        conf.push_str(&format!("Define PORT {port}\n"));
        if let Some(address) = backend {
            conf.push_str(&format!("Define BACKEND \"{address}\"\n"));
        }
        let mpm = match (self.mpm, size) {
            (Mpm::Prefork, Size::Usual) => "prefork.conf",
            (Mpm::Prefork, Size::Small) => "prefork-small.conf",
            (Mpm::Prefork, Size::Crowd) => "prefork-crowd.conf",
            (Mpm::Worker | Mpm::Event, Size::Usual) => "threaded.conf",
            (Mpm::Worker | Mpm::Event, Size::Small) => "threaded-small.conf",
            (Mpm::Worker | Mpm::Event, Size::Crowd) => "threaded-crowd.conf",
        };
        for file in [self.confs.join("common.conf"), self.confs.join(mpm), self.conf.clone()] {
            conf.push_str(&format!("Include \"{}\"\n", file.display()));
        }
        conf
    }
}

/// What uWSGI runs with: as many processes and threads as the other daemons have.
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
