//! Asking the system's httpd: whether it takes its configuration, and to read it anew.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::layout::{Layout, System};
use crate::cargo;

impl System {
    /// Whether httpd takes its configuration as it is now.
    ///
    /// # Errors
    /// With httpd's own words, if it refuses.
    pub(super) fn configtest(&self) -> Result<()> {
        self.ask(&["-t"]).map(drop)
    }

    /// Whether its configuration loads the module.
    pub(super) fn loads(&self, module: &str) -> Result<bool> {
        let symbol = format!("{module}_module");
        let said = self.ask(&["-t", "-D", "DUMP_MODULES"])?;
        Ok(said.lines().any(|line| line.split_whitespace().next() == Some(&symbol)))
    }

    /// Has a running httpd restart gracefully, and returns its process id; `None` if none runs. It
    /// must have taken its configuration: one that does not ends.
    pub(crate) fn reload(&self) -> Result<Option<i32>> {
        let said = self.ask(&["-t", "-D", "DUMP_RUN_CFG"])?;
        let file = said
            .lines()
            .find_map(|line| line.strip_prefix("PidFile: \"")?.strip_suffix('"'))
            .context("httpd does not say where its PidFile is")?;
        let Some(pid) = running(Path::new(file)) else { return Ok(None) };
        kill_process(pid, Signal::USR1)
            .with_context(|| format!("httpd, process {pid:?}, cannot be told to restart"))?;
        Ok(Some(pid.as_raw_pid()))
    }

    /// Runs httpd with the system's configuration and returns what it prints.
    fn ask(&self, args: &[&str]) -> Result<String> {
        // Debian's configuration takes variables that apache2ctl sets.
        let program = match &self.layout {
            Layout::Debian { apache2ctl, .. } => apache2ctl,
            Layout::ConfD => self.httpd.program(),
        };
        let mut command = Command::new(program);
        cargo::keep_from(&mut command, Path::new("/nonexistent"));
        command.args(args).stdin(Stdio::null());
        run(command)
    }

    /// Has `a2enmod` or `a2dismod` do its work.
    pub(super) fn set_enabled(&self, module: &str, on: bool) -> Result<()> {
        let Layout::Debian { a2enmod, a2dismod, .. } = &self.layout else { return Ok(()) };
        let mut command = Command::new(if on { a2enmod } else { a2dismod });
        if !on {
            // Without a trace in its lists of what was enabled and disabled.
            command.arg("--purge");
        }
        command.args(["--quiet", module]).stdin(Stdio::null());
        run(command).map(drop)
    }
}

/// Returns the process that wrote the PidFile, if it is still there.
fn running(pid_file: &Path) -> Option<Pid> {
    let number: i32 = std::fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    let program = std::fs::read_link(format!("/proc/{number}/exe")).ok()?;
    let name = program.file_name()?.to_str()?.trim_end_matches(" (deleted)").to_owned();
    ["apache2", "httpd"].contains(&name.as_str()).then(|| Pid::from_raw(number)).flatten()
}

fn run(mut command: Command) -> Result<String> {
    let output =
        command.output().with_context(|| format!("`{}` does not run", cargo::shown(&command)))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    let words = [said(&output.stderr), said(&output.stdout)].join("\n");
    bail!("`{}` says:\n{}", cargo::shown(&command), words.trim());
}
