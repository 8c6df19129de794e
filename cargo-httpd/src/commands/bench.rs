//! `cargo httpd bench`: builds the benchmark from a checkout of mod_rust, and becomes it.
//!
//! The benchmark is a package of its own (benches/runner), with its own command line: an installed
//! tool does without it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::Execute;
use crate::cargo;
use crate::ensure::{self, Need};
use crate::progress::Progress;
use crate::project::{Package, Project};

/// The package of the benchmark, and its program.
const RUNNER: &str = "mod-rust-bench";
/// The remedy in any other folder.
const NOT_HERE: &str =
    "the benchmark measures mod_rust itself; run `cargo httpd bench` in a checkout of mod_rust";

/// Compare the cost of a request with a C handler and with other servers.
///
/// The benchmark measures mod_rust itself and runs in a checkout of it only. There,
/// `cargo httpd bench --help` lists its options.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct BenchArgs {
    /// Options of the benchmark.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    args: Vec<OsString>,
}

impl Execute for BenchArgs {
    fn execute(self, yes: bool) -> Result<()> {
        let (yes, args) = self.split(yes);
        let project = Project::load().context(NOT_HERE)?;
        let package = project.packages.iter().find(|package| package.name == RUNNER);
        let Some(package) = package else {
            bail!("workspace \"{}\": {NOT_HERE}", project.root.display());
        };
        let help = args
            .iter()
            .any(|arg| ["--help", "-h", "--version", "-V"].iter().any(|known| arg == known));
        if !help {
            let step = Progress::new(1).step("Looking for httpd, its headers, libclang and wrk");
            // The rivals take part if they are installed: none is required.
            ensure::ensure(&[Need::Run, Need::Bench], yes, &step)?;
            step.done("Everything is there");
        }
        let mut command = Command::new(build(package)?);
        cargo::forget_this_tool(&mut command);
        cargo::hide_crates(&mut command);
        Err(command.args(args).exec()).context("the benchmark does not start")
    }
}

impl BenchArgs {
    /// Takes `--yes` out of the benchmark's options: it is an option of every command.
    fn split(self, yes: bool) -> (bool, Vec<OsString>) {
        let before = self.args.len();
        let args: Vec<_> = self.args.into_iter().filter(|arg| arg != "--yes").collect();
        (yes || args.len() < before, args)
    }
}

/// Builds the benchmark's program, as the tests do, and returns its path.
fn build(package: &Package) -> Result<PathBuf> {
    let mut command = cargo::args(cargo::command(), ["build", "--quiet", "--package", RUNNER]);
    let shown = cargo::shown(&command);
    command.arg("--message-format=json-render-diagnostics").current_dir(&package.dir);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.context("cargo does not run")?;
    if !output.status.success() {
        bail!("the build failed; see the messages above, and repeat it with `{shown}`");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    cargo::executable(&messages, &package.id, RUNNER)
        .with_context(|| format!("cargo built no program \"{RUNNER}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_keeps_its_own_option() {
        let split = |line: &str, yes| {
            BenchArgs { args: line.split_whitespace().map(OsString::from).collect() }.split(yes)
        };
        assert_eq!(split("--smoke --yes", false), (true, vec!["--smoke".into()]));
        assert_eq!(split("--smoke", false), (false, vec!["--smoke".into()]));
        assert_eq!(split("", true), (true, vec![]));
    }
}
