//! `cargo httpd new`

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};
use clap::Args;

use super::Execute;
use crate::cargo;
use crate::progress::say;
use crate::scaffold::{self, Kit, Name, Template};
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
    /// The checkout of mod_rust that the project refers to, because the crate is not published. By
    /// default the one that this tool was built from.
    #[arg(long, value_name = "PATH")]
    kit: Option<PathBuf>,
}

impl Execute for NewArgs {
    fn execute(self, _yes: bool) -> Result<()> {
        let name = self.path.file_name().and_then(|name| name.to_str());
        let name: Name =
            name.context("a project needs a name; give one, as `cargo httpd new shop`")?.parse()?;
        let kit = Kit::find(self.kit.as_deref())?;
        let folder = scaffold::destination(&self.path)?;
        let files = scaffold::create(&folder, &name, self.template, &kit)?;

        // Names of other lengths than the templates' wrap elsewhere. Without rustfmt they do not.
        let mut format = cargo::args(cargo::command(), ["fmt", "--all"]);
        let _ = format.current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null()).status();

        say(&format!(
            "Made {} for mod_rust in {}:",
            short(&folder).display(),
            kit.path().display()
        ));
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
