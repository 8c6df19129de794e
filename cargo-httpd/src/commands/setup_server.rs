//! `cargo httpd setup-server`

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use httpd_config::{Httpd, Mpm};

use super::Execute;
use super::serve::{GROUP, account, existing};
use crate::built_module::BuiltModule;
use crate::cargo::quoted;
use crate::ensure::{self, Need};
use crate::product::ProductArgs;
use crate::progress::{Progress, say};
use crate::project::Project;
use crate::server::{Conf, DaemonGroup, Logs, Outline, Parts, configtest, plain, short};
use crate::setup::{Setup, Tls};
use crate::system::Change;

/// Make the folder of a production server: an httpd of its own around the module, with its
/// configuration, logs and a script that controls it.
///
/// It needs httpd, and no configuration of a distribution's. DIR/apachectl starts, stops and
/// restarts it. Call this again with a new version, then `DIR/apachectl graceful`: conf/local.conf,
/// which is the administrator's, stays as it is. `configtest` must accept the result, or every file
/// is as before.
#[derive(Args, Debug)]
pub(crate) struct SetupServerArgs {
    /// The folder, which appears if it is missing.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Listen on this port of every address.
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// Listen on this address alone.
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// The server's name, for redirects and virtual hosts.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    server_name: String,
    /// Listen with TLS on this port.
    #[arg(long, value_name = "N", requires = "ssl_certificate", requires = "ssl_certificate_key")]
    https_port: Option<u16>,
    /// The certificate, with its chain, as PEM.
    #[arg(long, value_name = "FILE", requires = "https_port")]
    ssl_certificate: Option<PathBuf>,
    /// Its key, as PEM.
    #[arg(long, value_name = "FILE", requires = "https_port")]
    ssl_certificate_key: Option<PathBuf>,
    /// Redirect requests without TLS to it.
    #[arg(long, requires = "https_port")]
    https_only: bool,
    /// The MPM: event, worker or prefork.
    #[arg(long, value_name = "MPM", default_value_t = Mpm::Event)]
    mpm: Mpm,
    /// Run the applications in a process group of two processes of 15 threads.
    #[arg(long)]
    daemon: bool,
    /// The account of httpd's children, when root starts it.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Their group.
    #[arg(long, value_name = "GROUP", requires = "user")]
    group: Option<String>,
    #[command(flatten)]
    product: ProductArgs,
}

impl Execute for SetupServerArgs {
    fn execute(self, yes: bool) -> Result<()> {
        let progress = Progress::new(2 + self.product.steps());
        let project = Project::load()?;
        let selection = self.product.select(&project)?;
        let setup = Setup::new(&self.folder)?;
        let certificate = self.file("--ssl-certificate", self.ssl_certificate.as_ref())?;
        let key = self.file("--ssl-certificate-key", self.ssl_certificate_key.as_ref())?;

        let step = progress.step("Looking for httpd, its headers and libclang");
        ensure::ensure(&[Need::Run], yes, &step)?;
        let httpd = Httpd::locate()?;
        step.done(httpd.server_string());

        let product = self.product.build(&project, selection, &progress)?;
        let step = progress.step("Writing, and asking httpd");
        setup.make_folders(httpd.modules_dir())?;
        let http2 = httpd.module("http2").load_line("http2").is_some();
        let tls = self.https_port.zip(certificate.zip(key)).map(|(port, (certificate, key))| Tls {
            port,
            listen: self.address(port),
            certificate,
            key,
            only: self.https_only,
            http2,
        });
        let outline = Outline::read(&product.conf);
        let daemon = self.daemon.then(|| DaemonGroup {
            name: outline.group().unwrap_or(GROUP).to_owned(),
            is_made: outline.makes_its_group(),
        });
        let parts = Parts {
            module: BuiltModule {
                symbol: product.file.symbol.clone(),
                path: setup.module(&product),
            },
            application_conf: setup.path("conf/application.conf"),
            extra_conf: Some(setup.path("conf/local.conf")),
        };
        let account = self.account()?;
        let conf = Conf {
            httpd: &httpd,
            mpm: self.mpm,
            listen: &format!("Listen {}", self.address(self.port)),
            server_name: &self.server_name,
            logs: &Logs::files(),
            needs: &tls.as_ref().map(|tls| tls.needs(self.mpm)).unwrap_or_default(),
            server_root: &setup.root,
            account: account.as_ref().map(|(user, group)| (user.as_str(), group.as_str())),
            daemon: daemon.as_ref(),
            parts: &parts,
        };
        let mut text = conf.render()?;
        if let Some(tls) = &tls {
            text = format!("{text}\n{}", tls.conf(&setup.root, self.mpm)?);
        }
        let mut change = Change::default();
        setup.put(&product, httpd.program(), &mut change)?;
        let conf_file = setup.path("conf/httpd.conf");
        change.put(&conf_file, text.as_bytes(), 0o644)?;
        let mut call = Command::new(httpd.program());
        call.arg("-f").arg(&conf_file);
        configtest(call).context("httpd refuses the configuration, and every file is as before")?;
        change.keep()?;
        step.done("httpd accepts it");

        let control = setup.path("apachectl");
        writeln!(std::io::stdout(), "{}", short(&control).display())?;
        say(&format!(
            "`{} start` serves {}{}; after a new version `graceful`",
            quoted(plain(&control)?),
            self.url(),
            outline.path()
        ));
        if let Some(daemon) = &daemon {
            say(&format!(
                "`cargo httpd restart-group --root {} {}` replaces the processes of the group",
                quoted(plain(&setup.root)?),
                daemon.name
            ));
        }
        Ok(())
    }
}

impl SetupServerArgs {
    /// Returns the address to listen on, in the words of Listen.
    fn address(&self, port: u16) -> String {
        match &self.host {
            Some(host) if host.contains(':') => format!("[{host}]:{port}"),
            Some(host) => format!("{host}:{port}"),
            None => port.to_string(),
        }
    }

    /// Returns the URL of the server, with TLS if it has that.
    fn url(&self) -> String {
        let (scheme, port, usual) = match self.https_port {
            Some(port) => ("https", port, 443),
            None => ("http", self.port, 80),
        };
        let port = if port == usual { String::new() } else { format!(":{port}") };
        format!("{scheme}://{}{port}", self.server_name)
    }

    /// Returns the user and the group of httpd's children: the ones that were given, else the
    /// distribution's if root calls this.
    fn account(&self) -> Result<Option<(String, String)>> {
        if let Some(user) = &self.user {
            return Ok(Some((user.clone(), self.group.clone().unwrap_or_else(|| user.clone()))));
        }
        if !ensure::is_root() {
            return Ok(None);
        }
        let (user, group) = account()?;
        Ok(Some((user.to_owned(), group.to_owned())))
    }

    fn file(&self, option: &str, file: Option<&PathBuf>) -> Result<Option<PathBuf>> {
        file.map(|file| existing(option, file)).transpose()
    }
}
