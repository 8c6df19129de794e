//! `cargo httpd install`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::Execute;
use crate::ensure::{self, Need};
use crate::product::ProductArgs;
use crate::progress::{Progress, say};
use crate::project::Project;
use crate::system::{self, Installation, System};

/// Install the module into this machine's httpd, with the files that load and configure it.
///
/// On Debian and Ubuntu: mods-available and a2enmod; elsewhere conf.modules.d and conf.d.
/// If `configtest` refuses the result, everything is restored. Files that the administrator has
/// changed since an earlier `install` are kept. httpd is restarted only with --reload.
#[derive(Args, Debug)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    product: ProductArgs,
    /// The folder for the program of --gateway.
    #[arg(long, value_name = "DIR", default_value = "/usr/local/bin", requires = "gateway")]
    bin_dir: PathBuf,
    /// Restart httpd gracefully afterwards, if it runs.
    #[arg(long)]
    reload: bool,
}

impl Execute for InstallArgs {
    fn execute(self, yes: bool) -> Result<()> {
        let progress = Progress::new(2 + self.product.steps());
        let project = Project::load()?;
        let selection = self.product.select(&project)?;

        let step = progress.step("Looking for httpd, its headers and libclang");
        ensure::ensure(&[Need::Run], yes, &step)?;
        let system = System::find()?;
        system.writable()?;
        step.done(&system.name());

        let product = self.product.build(&project, selection, &progress)?;
        let step = progress.step("Installing, and asking httpd");
        let installation = Installation {
            module: product.module().to_owned(),
            file: product.file.path.clone(),
            program: product.program.map(|program| (program.file, self.bin_dir.join(program.name))),
            conf: product.conf,
            package: (product.package, product.about.version),
        };
        let report = system::install(&system, &installation)?;
        step.done(&format!("httpd accepts mod_{}", installation.module));
        for file in &report.files {
            say(&format!("  {}", file.display()));
        }
        for (file, remark) in &report.kept {
            say(&format!("  kept, because it was changed: {} ({remark})", file.display()));
        }
        after(&system, self.reload)
    }
}

/// Restarts httpd, or says that it has not been done.
pub(super) fn after(system: &System, reload: bool) -> Result<()> {
    if !reload {
        say("httpd takes it up when it is restarted: `apachectl graceful`, or --reload here");
        return Ok(());
    }
    match system.reload()? {
        Some(pid) => say(&format!("httpd, process {pid}, restarts gracefully")),
        None => say("httpd does not run, so it is not restarted"),
    }
    Ok(())
}
