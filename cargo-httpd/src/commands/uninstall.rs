//! `cargo httpd uninstall`

use anyhow::Result;
use clap::Args;

use super::Execute;
use super::install::after;
use crate::progress::{Progress, say};
use crate::project::Project;
use crate::system::{self, System};

/// Remove a module from this machine's httpd, with everything that `install` added.
///
/// Files that were changed since are kept, and named. If `configtest` refuses the result,
/// everything stays. httpd is restarted only with --reload.
#[derive(Args, Debug)]
pub(crate) struct UninstallArgs {
    /// The module, without `mod_`. By default that of the project in the current folder.
    #[arg(value_name = "NAME")]
    module: Option<String>,
    /// Restart httpd gracefully afterwards, if it runs.
    #[arg(long)]
    reload: bool,
}

impl Execute for UninstallArgs {
    fn execute(self, _yes: bool) -> Result<()> {
        let progress = Progress::new(1);
        let system = System::find()?;
        let package = match self.module {
            Some(_) => None,
            None => package()?,
        };
        let manifest = system::installed(&system, self.module.as_deref(), package.as_deref())?;
        system.writable()?;
        let step = progress.step(&format!(
            "Taking mod_{} of {} {} out of {}, and asking httpd",
            manifest.module,
            manifest.package,
            manifest.version,
            system.name()
        ));
        let report = system::uninstall(&system, &manifest)?;
        step.done(&format!("httpd accepts its configuration without mod_{}", manifest.module));
        for file in &report.files {
            say(&format!("  removed: {}", file.display()));
        }
        for (file, remark) in &report.kept {
            say(&format!("  kept: {} ({remark})", file.display()));
        }
        after(&system, self.reload)
    }
}

/// Returns the package of the project around the current folder, if there is one.
fn package() -> Result<Option<String>> {
    let Ok(project) = Project::load() else { return Ok(None) };
    let selection = project.select(None, None);
    Ok(selection.ok().map(|selection| selection.package.name.clone()))
}
