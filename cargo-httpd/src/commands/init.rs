//! `cargo httpd init`

use std::io::Write;

use anyhow::{Context, Result};
use clap::Args;

use super::Execute;
use crate::progress::say;
use crate::project::Project;
use crate::scaffold::init::Application;
use crate::scaffold::{self, KitArgs, Name};
use crate::server::short;

/// Add an httpd module and a gateway program to an application that is there: a crate with a
/// function that returns an axum `Router`.
///
/// The packages module/ and gateway/ appear in the crate's folder and become members of its
/// workspace. A crate that has only a src/main.rs becomes a library with the same code, which
/// main.rs calls. What is private on the way to the function becomes public.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// The package of the application; that of the current folder, unless given.
    #[arg(short, long, value_name = "NAME")]
    package: Option<String>,
    /// The name of the module, the application and its mount point; the package's, unless given.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The function that returns the Router, where there are several: `routes::app`.
    #[arg(long, value_name = "PATH")]
    router: Option<String>,
    #[command(flatten)]
    kit: KitArgs,
}

impl Execute for InitArgs {
    fn execute(self, _yes: bool) -> Result<()> {
        let project = Project::load()?;
        let package = project.package(self.package.as_deref())?;
        let name: Name = match &self.name {
            Some(name) => name.parse()?,
            None => package.name.parse().context("choose another name with --name")?,
        };
        let kit = self.kit.find()?;
        let application = Application::find(package, name.clone(), self.router.as_deref())?;
        let written = application.write(&project, &kit)?;
        let packages = application.packages();
        let format = ["fmt", "--package", &packages[0], "--package", &packages[1]];
        scaffold::tidy(&project.root, &format);

        say(&format!("Made a module and a gateway around {}:", application.function()));
        for (title, files) in [("", &written.made), ("changed: ", &written.changed)] {
            for file in files {
                writeln!(std::io::stdout(), "{title}{}", short(file).display())?;
            }
        }
        say(&format!(
            "Next: `cargo httpd run`, and look at http://localhost:8080/{}. module/httpd.conf \
             mounts the application.",
            name.as_str()
        ));
        Ok(())
    }
}
