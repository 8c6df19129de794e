//! Options of `run` and `conf`: the same options lead to the same httpd.conf.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use httpd_config::{Httpd, Mpm};

use crate::built_module::BuiltModule;
use crate::cargo;
use crate::cargo_args::CargoArgs;
use crate::ensure::{self, Need};
use crate::progress::Progress;
use crate::project::{Project, Selection};
use crate::server::{Conf, DaemonGroup, Logs, Outline, Parts, ServerRoot, on_loopback};

/// The options for serving a module.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Listen on this port of localhost. 0 means a free one.
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub(crate) port: u16,
    /// The MPM: event, worker or prefork.
    #[arg(long, value_name = "MPM", default_value_t = Mpm::Event)]
    pub(crate) mpm: Mpm,
    /// Run the applications in a process group of two processes of 15 threads, not in httpd's
    /// children. It has the name that their configuration gives to one, else `rust`.
    #[arg(long)]
    pub(crate) daemon: bool,
    /// Serve this example, with the .conf file beside its source.
    #[arg(long, value_name = "NAME")]
    pub(crate) example: Option<String>,
    /// Build without optimisation.
    #[arg(long, conflicts_with = "profile")]
    pub(crate) debug: bool,
    /// Add the directives of this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) conf: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cargo: CargoArgs,
}

/// The process group of applications whose configuration names none.
pub(super) const GROUP: &str = "rust";

/// Everything that is known before the module is built.
pub(crate) struct Site<'p> {
    pub(crate) selection: Selection<'p>,
    pub(crate) httpd: Httpd,
    pub(crate) application_conf: PathBuf,
    pub(crate) extra_conf: Option<PathBuf>,
    /// The place of the server root.
    pub(crate) server_root: PathBuf,
    pub(crate) port: u16,
    target_dir: PathBuf,
    ipv6: bool,
    mpm: Mpm,
    /// The outline of `application_conf`.
    outline: Outline,
    daemon: Option<DaemonGroup>,
}

impl ServeArgs {
    /// Checks the options, and makes sure of httpd: the first step of `progress`. `port` is the one
    /// to use, with a flag for IPv6.
    pub(crate) fn prepare<'p>(
        &self,
        project: &'p Project,
        (port, ipv6): (u16, bool),
        yes: bool,
        progress: &Progress,
    ) -> Result<Site<'p>> {
        let selection = project.select(self.cargo.package.as_deref(), self.example.as_deref())?;
        let application_conf = selection.application_conf()?;
        let extra_conf = self.conf.as_deref().map(|file| existing("--conf", file)).transpose()?;

        let step = progress.step("Looking for httpd, its headers and libclang");
        ensure::ensure(&[Need::Run], yes, &step)?;
        let httpd = Httpd::locate()?;
        step.done(&format!("{} ({})", httpd.server_string(), httpd.program().display()));

        let (target_dir, library) = (&project.target_dir, selection.target.name.as_str());
        // A file that cannot be read is named by `stage`.
        let outline = std::fs::read_to_string(&application_conf).unwrap_or_default();
        let outline = Outline::read(&outline);
        let group = outline.group().unwrap_or(GROUP);
        let server_root = ServerRoot::place(target_dir, library, group, port, ensure::is_root());
        let daemon = self
            .daemon
            .then(|| DaemonGroup { name: group.to_owned(), is_made: outline.makes_its_group() });
        Ok(Site {
            selection,
            httpd,
            application_conf,
            extra_conf,
            server_root,
            port,
            target_dir: project.target_dir.clone(),
            ipv6,
            mpm: self.mpm,
            outline,
            daemon,
        })
    }
}

impl Site<'_> {
    /// Returns a call of httpd with `conf_file`.
    pub(crate) fn call(&self, conf_file: &Path) -> Command {
        let mut command = Command::new(self.httpd.program());
        cargo::keep_from(&mut command, &self.target_dir);
        command.arg("-f").arg(conf_file);
        command
    }

    /// Returns the module that was built, and the files that its configuration includes.
    pub(crate) fn parts(&self, module: &BuiltModule) -> Parts {
        Parts {
            module: module.clone(),
            application_conf: self.application_conf.clone(),
            extra_conf: self.extra_conf.clone(),
        }
    }

    /// Returns the URL path of a mount.
    pub(crate) fn path(&self) -> &str {
        self.outline.path()
    }

    /// Returns the name of the process group, if the applications run in one.
    pub(crate) fn group(&self) -> Option<&str> {
        let made = self.outline.group().filter(|_| self.outline.makes_its_group());
        self.daemon.as_ref().map(|group| group.name.as_str()).or(made)
    }

    /// Returns the text of httpd.conf.
    pub(crate) fn conf(&self, parts: &Parts) -> Result<String> {
        let account = if ensure::is_root() { Some(account()?) } else { None };
        let conf = Conf {
            httpd: &self.httpd,
            mpm: self.mpm,
            listen: &on_loopback(self.port, self.ipv6),
            server_name: "localhost",
            logs: &Logs::terminal(),
            needs: &[],
            server_root: &self.server_root,
            account,
            daemon: self.daemon.as_ref(),
            parts,
        };
        conf.render()
    }
}

pub(super) fn account() -> Result<(&'static str, &'static str)> {
    Httpd::user_and_group().context(
        "httpd's children need an account when root starts it, and there is neither www-data nor \
         apache; start this as an ordinary user",
    )
}

pub(super) fn existing(option: &str, file: &Path) -> Result<PathBuf> {
    match file.canonicalize() {
        Ok(path) if path.is_file() => Ok(path),
        _ => bail!("{option} \"{}\": not a file", file.display()),
    }
}
