//! The product of a project: its module, the configuration that mounts it, and if it is wanted
//! the gateway program. `install` and `package` begin with it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::builder::Builder;
use crate::built_module::BuiltModule;
use crate::cargo;
use crate::cargo_args::CargoArgs;
use crate::progress::Progress;
use crate::project::{About, Package, Project, Selection};
use crate::server::short;

/// Which product.
#[derive(Args, Debug)]
pub(crate) struct ProductArgs {
    /// Build this example instead.
    #[arg(long, value_name = "NAME")]
    pub(crate) example: Option<String>,
    /// Build without optimisation.
    #[arg(long, conflicts_with = "profile")]
    pub(crate) debug: bool,
    /// Take the program that serves the applications behind other servers; by name, if there are
    /// several.
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    pub(crate) gateway: Option<Option<String>>,
    #[command(flatten)]
    pub(crate) cargo: CargoArgs,
}

/// Everything, built.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) file: BuiltModule,
    /// The text of its configuration.
    pub(crate) conf: String,
    pub(crate) program: Option<Program>,
    /// The package of the module.
    pub(crate) package: String,
    pub(crate) about: About,
}

/// The gateway program.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
}

impl Product {
    /// Returns the module's name, without `mod_`.
    pub(crate) fn module(&self) -> &str {
        self.file.symbol.strip_suffix("_module").unwrap_or(&self.file.symbol)
    }
}

impl ProductArgs {
    /// Returns the number of steps of [`ProductArgs::build`].
    pub(crate) fn steps(&self) -> usize {
        1 + usize::from(self.gateway.is_some())
    }

    /// Selects the module to build.
    pub(crate) fn select<'p>(&self, project: &'p Project) -> Result<Selection<'p>> {
        let selection = project.select(self.cargo.package.as_deref(), self.example.as_deref())?;
        if let Some(name) = &self.gateway {
            project.gateway(name.as_deref())?;
        }
        Ok(selection)
    }

    /// Builds it.
    pub(crate) fn build(
        &self,
        project: &Project,
        selection: Selection<'_>,
        progress: &Progress,
    ) -> Result<Product> {
        let builder = Builder::new(selection, self.debug, &self.cargo);
        let step = progress.hand_over(&format!("Building: {}", builder.shown()));
        let file = builder.run()?.module;
        step.done(&format!("Built {}", short(&file.path).display()));
        let program = match &self.gateway {
            Some(name) => {
                let (package, name) = project.gateway(name.as_deref())?;
                Some(self.build_program(package, name, progress)?)
            }
            None => None,
        };
        let module = file.symbol.strip_suffix("_module").unwrap_or(&file.symbol);
        let conf = selection.system_conf(module)?;
        let conf = std::fs::read_to_string(&conf)
            .with_context(|| format!("{} cannot be read", conf.display()))?;
        let package = selection.package;
        Ok(Product {
            file,
            conf,
            program,
            package: package.name.clone(),
            about: package.about.clone(),
        })
    }

    pub(crate) fn build_program(
        &self,
        package: &Package,
        name: &str,
        progress: &Progress,
    ) -> Result<Program> {
        let mut command =
            cargo::args(cargo::command(), ["build", "--package", &package.name, "--bin", name]);
        command.args(self.cargo.product(self.debug));
        cargo::as_caller(&mut command);
        if self.cargo.is_optimised(self.debug) {
            cargo::hide_crates(&mut command);
        }
        let shown = cargo::shown(&command);
        let step = progress.hand_over(&format!("Building: {shown}"));
        command.arg("--message-format=json-render-diagnostics");
        let output = output(command)?;
        let Some(messages) = output else {
            bail!("the build failed; see the messages above, and repeat it with `{shown}`")
        };
        let file = cargo::executable(&messages, &package.id, name)
            .with_context(|| format!("cargo built no program `{name}`"))?;
        step.done(&format!("Built {}", short(&file).display()));
        Ok(Program { name: name.to_owned(), file })
    }
}

/// Returns the output of cargo, `None` if it fails.
fn output(mut command: Command) -> Result<Option<String>> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.context("cargo does not run")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(output.status.success().then_some(text))
}
