//! `cargo httpd build`

use std::io::Write;

use anyhow::Result;
use clap::Args;

use super::Execute;
use crate::builder::Builder;
use crate::cargo_args::CargoArgs;
use crate::ensure::{self, Need};
use crate::progress::Progress;
use crate::project::Project;
use crate::server::short;

/// Build the module, and print the LoadModule line for it.
///
/// The module is the cdylib of the package in the current folder, or the only one in the workspace.
/// mod_NAME.so appears beside cargo's own output.
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// Build this example instead.
    #[arg(long, value_name = "NAME")]
    example: Option<String>,
    /// Build without optimisation.
    #[arg(long, conflicts_with = "profile")]
    debug: bool,
    #[command(flatten)]
    cargo: CargoArgs,
}

impl Execute for BuildArgs {
    fn execute(self, yes: bool) -> Result<()> {
        let progress = Progress::new(2);
        let project = Project::load()?;
        let selection = project.select(self.cargo.package.as_deref(), self.example.as_deref())?;

        let step = progress.step("Looking for httpd, its headers and libclang");
        ensure::ensure(&[Need::Run], yes, &step)?;
        step.done("Everything is there");

        let builder = Builder::new(selection, self.debug, &self.cargo);
        let step = progress.hand_over(&format!("Building: {}", builder.shown()));
        let module = builder.run()?.module;
        step.done(&format!("Built {}", short(&module.path).display()));
        writeln!(std::io::stdout(), "{}", module.load_line())?;
        Ok(())
    }
}
