//! `cargo httpd restart-group`

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::Execute;
use crate::control::{self, Group, Status, Where};
use crate::progress::{Progress, say};

/// Between two looks at the group.
const GLANCE: Duration = Duration::from_millis(50);

/// Replace the processes of a group one after the other.
///
/// Each is drained once its replacement is ready, before the next one is replaced, so no request is
/// lost. To load new code of the module, restart httpd gracefully instead. Run it as root, or as
/// the user that started httpd.
#[derive(Args, Debug)]
pub(crate) struct RestartGroupArgs {
    /// The process group.
    name: String,
    /// Give up if a replacement is not ready after this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    patience: u64,
    #[command(flatten)]
    at: Where,
}

impl Execute for RestartGroupArgs {
    fn execute(self, _yes: bool) -> Result<()> {
        let group = control::group(&self.at, &self.name)?;
        let first = look(&group)?;
        let old: Vec<_> = first.ready().collect();
        if old.is_empty() {
            bail!("process group `{}` has no process that is ready", self.name);
        }
        let progress = Progress::new(old.len());
        let patience = Duration::from_secs(self.patience);
        let mut rolling = Rolling { group: &group, old: &old, patience, taken: BTreeSet::new() };
        for (done, (slot, pid)) in old.iter().copied().enumerate() {
            let step = progress.step(&format!("Replacing process {pid}"));
            let what =
                || format!("{done} of {} processes of `{}` are replaced", old.len(), self.name);
            let result = rolling.replace(slot, pid).with_context(what)?;
            step.done(&result);
        }
        say(&format!("Every process of `{}` is replaced", self.name));
        Ok(())
    }
}

/// A group on its way from the processes `old` to others.
struct Rolling<'a> {
    group: &'a Group,
    old: &'a [(u64, u32)],
    patience: Duration,
    /// The replacements so far.
    taken: BTreeSet<u32>,
}

impl Rolling<'_> {
    /// Drains one process and waits until another one is ready in its place; says which.
    fn replace(&mut self, slot: u64, pid: u32) -> Result<String> {
        let before = look(self.group)?;
        if !before.is_ready(pid) {
            return Ok(format!("Process {pid} went by itself"));
        }
        self.group.drain(slot, pid)?;
        let deadline = Instant::now() + self.patience;
        let mut failures = before.failures;
        loop {
            let status = look(self.group)?;
            if let Some(new) = self.fresh(&status).filter(|_| !status.is_ready(pid)) {
                self.taken.insert(new);
                return Ok(format!("Process {new} took the place of {pid}"));
            }
            if status.failures > failures {
                bail!(
                    "the replacement of process {pid} does not start; the ErrorLog says why, and {}",
                    if status.is_ready(pid) {
                        "the old process goes on"
                    } else {
                        "it is tried again"
                    }
                );
            }
            // A process that settled ends a row of failures.
            failures = failures.min(status.failures);
            if Instant::now() > deadline {
                bail!(
                    "process {pid} has no replacement that is ready after {} s; see `cargo httpd \
                     groups` and the ErrorLog, or allow more with --patience",
                    self.patience.as_secs()
                );
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Returns a process that was not there before and has taken nobody's place yet.
    fn fresh(&self, status: &Status) -> Option<u32> {
        let is_old = |pid| self.old.iter().any(|(_, old)| *old == pid);
        let mut pids = status.ready().map(|(_, pid)| pid);
        pids.find(|pid| !is_old(*pid) && !self.taken.contains(pid))
    }
}

/// Returns the group's status, which somebody must be there to say.
fn look(group: &Group) -> Result<Status> {
    let name = &group.key.group;
    let status = group.status()?;
    let (status, _) =
        status.with_context(|| format!("no process of `{name}` serves; the ErrorLog says why"))?;
    Ok(status)
}
