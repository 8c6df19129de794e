//! `cargo httpd conf`

use std::io::Write;

use anyhow::Result;
use clap::Args;

use super::Execute;
use super::serve::ServeArgs;
use crate::builder::Builder;
use crate::progress::Progress;
use crate::project::Project;
use crate::server::loopback;

/// Print the httpd.conf that `run` uses with the same options.
///
/// The command builds the module first, because the configuration contains its file and its name.
/// `run` loads copies of the module and of the included files, so that an edit cannot end a running
/// server; the rest is the same.
#[derive(Args, Debug)]
pub(crate) struct ConfArgs {
    #[command(flatten)]
    serve: ServeArgs,
}

impl Execute for ConfArgs {
    fn execute(self, yes: bool) -> Result<()> {
        let progress = Progress::new(2);
        let project = Project::load()?;
        // The port may well be in use: by the `run` that this is asked about.
        let port = (self.serve.port, loopback::has_ipv6());
        let site = self.serve.prepare(&project, port, yes, &progress)?;

        let builder = Builder::new(site.selection, self.serve.debug, &self.serve.cargo);
        let step = progress.hand_over(&format!("Building: {}", builder.shown()));
        let module = builder.run()?.module;
        step.done("Built");
        std::io::stdout().write_all(site.conf(&site.parts(&module))?.as_bytes())?;
        Ok(())
    }
}
