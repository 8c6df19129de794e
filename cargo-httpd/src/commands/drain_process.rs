//! `cargo httpd drain-process`

use anyhow::{Result, bail};
use clap::Args;

use super::Execute;
use crate::control::{self, Where};
use crate::progress::say;

/// Replace one daemon process, after it has finished its requests.
///
/// Another process is ready first, and no request is lost. Run it as root, or as the user that
/// started httpd.
#[derive(Args, Debug)]
pub(crate) struct DrainProcessArgs {
    /// The process id, as `groups` shows it.
    pid: u32,
    #[command(flatten)]
    at: Where,
}

impl Execute for DrainProcessArgs {
    fn execute(self, _yes: bool) -> Result<()> {
        let mut known = Vec::new();
        for group in control::groups(&self.at)? {
            let Some((status, _)) = group.status()? else { continue };
            let process = status.processes.iter().find(|process| process.pid == Some(self.pid));
            let Some(process) = process else {
                known.extend(status.ready().map(|(_, pid)| pid.to_string()));
                continue;
            };
            if !status.is_ready(self.pid) {
                bail!("process {} is {}, not ready: it cannot be drained", self.pid, process.state);
            }
            group.drain(process.slot, self.pid)?;
            say(&format!("Process {} of group `{}` drains", self.pid, group.key.group));
            return Ok(());
        }
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        bail!("no process group has a process {}; ready are: {known}", self.pid)
    }
}
