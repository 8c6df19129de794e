//! `cargo httpd new`

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::Execute;
use crate::cargo;
use crate::progress::say;
use crate::scaffold::{self, KitArgs, Name, Template};
use crate::server::short;

/// Make a project of your own: an application, the httpd module around it, and a program that
/// serves it behind any other server.
///
/// The folder must not exist yet. Its last part is the name of the project, its module and its
/// mount point: 2 to 40 lower-case letters, digits, - and _, beginning with a letter.
#[derive(Args, Debug)]
pub(crate) struct NewArgs {
    /// The folder to make, such as `shop`.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The kind of the application.
    #[arg(long, value_enum, default_value_t)]
    template: Template,
    /// Make no git repository. Else there is one, unless the folder lies in one already.
    #[arg(long)]
    no_git: bool,
    #[command(flatten)]
    kit: KitArgs,
}

impl Execute for NewArgs {
    fn execute(self, _yes: bool) -> Result<()> {
        let name = self.path.file_name().and_then(|name| name.to_str());
        let name: Name =
            name.context("a project needs a name; give one, as `cargo httpd new shop`")?.parse()?;
        let kit = self.kit.find()?;
        let folder = scaffold::destination(&self.path)?;
        let files = scaffold::create(&folder, &name, self.template, &kit)?;

        scaffold::tidy(&folder, &["fmt", "--all"]);
        if !self.no_git {
            scaffold::init_git(&folder);
        }

        say(&format!("Made {} for {}:", short(&folder).display(), kit.name()));
        for file in files {
            writeln!(std::io::stdout(), "{}", short(&folder.join(file)).display())?;
        }
        let cd = cargo::quoted(&self.path.to_string_lossy());
        say(&format!(
            "Next: `cd {cd}`, `cargo httpd run`, and look at http://localhost:8080/{}",
            name.as_str()
        ));
        Ok(())
    }
}
