//! Building one module: cargo, then the file that httpd loads.
//!
//! `build`, `conf` and `run` use it; `run` does it beside its event loop, so that a signal ends it.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::built_module::{Built, BuiltModule};
use crate::cargo;
use crate::cargo_args::CargoArgs;
use crate::events::Event;
use crate::project::Selection;

/// The build of one module.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    package_id: String,
    args: Vec<String>,
    target: String,
    is_optimised: bool,
}

/// A build under way. Dropping it ends it.
pub(crate) struct Building {
    child: Arc<Mutex<Option<Child>>>,
}

impl Builder {
    pub(crate) fn new(selection: Selection<'_>, debug: bool, options: &CargoArgs) -> Self {
        let mut args = vec!["build", "--package", &selection.package.name];
        if selection.target.is_example {
            args.extend(["--example", &selection.target.name]);
        } else {
            args.push("--lib");
        }
        let args = args.into_iter().map(str::to_owned);
        Self {
            package_id: selection.package.id.clone(),
            args: args.chain(options.product(debug)).collect(),
            target: selection.target.name.clone(),
            is_optimised: options.is_optimised(debug),
        }
    }

    /// Returns the line to type for the same build.
    pub(crate) fn shown(&self) -> String {
        cargo::shown(&cargo::args(cargo::command(), &self.args))
    }

    /// Builds, and puts `mod_NAME.so` beside cargo's own output.
    pub(crate) fn run(&self) -> Result<Built> {
        let output = self.command().spawn().and_then(Child::wait_with_output);
        let output = output.context("cargo does not run")?;
        self.finish(output.status.success(), &output.stdout)
    }

    /// Builds in the background, and reports [`Event::Built`].
    pub(crate) fn start(&self, events: Sender<Event>) -> Result<Building> {
        // A group of its own: Ctrl-C comes to this tool alone, and ends cargo with all its compilers.
        let mut command = self.command();
        let mut child = command.process_group(0).spawn().context("cargo does not run")?;
        let mut stdout = child.stdout.take().context("cargo has no output")?;
        let building = Building { child: Arc::new(Mutex::new(Some(child))) };
        let (child, builder) = (Arc::clone(&building.child), self.clone());
        let run = move || {
            let mut messages = Vec::new();
            let read = stdout.read_to_end(&mut messages);
            let ended = lock(&child).take();
            let waited = ended.map(|mut child| child.wait());
            let built = match (read, waited) {
                (Ok(_), Some(Ok(status))) => builder.finish(status.success(), &messages),
                (Err(error), _) | (_, Some(Err(error))) => Err(error.into()),
                (_, None) => Err(anyhow::anyhow!("the build was stopped")),
            };
            // Nobody receives it once the command has ended.
            let _ = events.send(Event::Built(built));
        };
        std::thread::Builder::new().name("build".into()).spawn(run)?;
        Ok(building)
    }

    fn command(&self) -> Command {
        let mut command = cargo::args(cargo::command(), &self.args);
        cargo::as_caller(&mut command);
        if self.is_optimised {
            cargo::hide_crates(&mut command);
        }
        command.arg("--message-format=json-render-diagnostics");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    fn finish(&self, success: bool, messages: &[u8]) -> Result<Built> {
        if !success {
            bail!(
                "the build failed; see the messages above, and repeat it with `{}`",
                self.shown()
            );
        }
        let messages = String::from_utf8_lossy(messages);
        let artifacts = cargo::cdylibs(&messages, &[&self.package_id]);
        let artifact = artifacts
            .iter()
            .find(|artifact| artifact.target == self.target)
            .with_context(|| format!("cargo built no cdylib `{}`", self.target))?;
        let folder = artifact.file.parent().context("cargo's output has no folder")?;
        let module = BuiltModule::publish(&artifact.file, folder)?;
        Ok(Built { module, dep_info: artifact.file.with_extension("d") })
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if let Some(mut child) = lock(&self.child).take() {
            // The thread has not waited for it yet, so the number is still its own.
            let _ = kill_process_group(Pid::from_child(&child), Signal::TERM);
            let _ = child.wait();
        }
    }
}

fn lock(child: &Mutex<Option<Child>>) -> std::sync::MutexGuard<'_, Option<Child>> {
    child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
