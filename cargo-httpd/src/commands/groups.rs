//! `cargo httpd groups`

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::Execute;
use crate::columns::Columns;
use crate::control::{self, Group, Status, Where};
use crate::progress::seconds;

/// List the process groups of a running httpd, their processes, and what these work on.
///
/// As root or as httpd's user. Restarts counts the processes that a slot has had before.
#[derive(Args, Debug)]
pub(crate) struct GroupsArgs {
    #[command(flatten)]
    pub(crate) at: Where,
    /// Print everything that the processes say, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Execute for GroupsArgs {
    fn execute(self, _yes: bool) -> Result<()> {
        let mut all = Vec::new();
        for group in control::groups(&self.at)? {
            let status = group.status()?;
            all.push((group, status));
        }
        let text = if self.json {
            let values = all.iter().map(|(group, status)| as_json(group, status.as_ref()));
            let mut text = serde_json::to_string_pretty(&values.collect::<Vec<_>>())?;
            text.push('\n');
            text
        } else {
            let texts: Vec<_> = all
                .iter()
                .map(|(group, status)| as_text(group, status.as_ref().map(|(status, _)| status)))
                .collect();
            texts.join("\n")
        };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

/// What the group says, and which httpd it belongs to.
fn as_json(group: &Group, status: Option<&(Status, Value)>) -> Value {
    let key = &group.key;
    json!({
        "httpd": key.parent,
        "generation": key.generation,
        "socket_prefix": key.prefix.display().to_string(),
        "name": key.group,
        // null: none of its processes serves.
        "status": status.map(|(_, value)| value),
    })
}

fn as_text(group: &Group, status: Option<&Status>) -> String {
    let key = &group.key;
    let whose = format!("{} (httpd {}, generation {})", key.group, key.parent, key.generation);
    let Some(status) = status else {
        return format!("{whose}: no process serves; the ErrorLog says why\n");
    };
    let busy: u64 = status.processes.iter().map(|process| process.busy).sum();
    let ready = status.ready().count();
    let mut text = format!(
        "{whose}: {ready} processes ready, {busy} of {} threads busy, {} requests queued\n",
        status.threads * ready as u64,
        status.queued
    );
    if let Some(failure) = &status.last_failure {
        text += &format!("  {} starts failed, the last one: {failure}\n", status.failed_starts);
    }
    let mut columns = Columns::new([
        "slot", "pid", "state", "requests", "errors", "busy", "queued", "uptime", "rss", "restarts",
    ]);
    for process in status.processes.iter().filter(|process| process.is_awake()) {
        columns.row([
            process.slot.to_string(),
            process.pid.to_string(),
            process.state.clone(),
            process.requests.to_string(),
            process.errors.to_string(),
            process.busy.to_string(),
            process.queued.to_string(),
            uptime(process.uptime()),
            format!("{:.1} MiB", process.rss as f64 / f64::from(1 << 20)),
            process.restarts.to_string(),
        ]);
    }
    text += &columns.render(2);
    for process in &status.processes {
        for current in &process.current {
            let age = seconds(Duration::from_micros(current.age_us));
            let (pid, phase) = (process.pid, &current.phase);
            text += &format!("  {pid} for {age}, {phase}: {}\n", current.request.escape_debug());
        }
    }
    text
}

/// `42 s`, `7 min`, `3 h 12 min`, `5 d 2 h`.
fn uptime(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    let (hours, days) = (minutes / 60, minutes / 60 / 24);
    match (minutes, hours, days) {
        (0, ..) => format!("{} s", time.as_secs()),
        (_, 0, _) => format!("{minutes} min"),
        (.., 0) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(uptime(Duration::from_secs(seconds)), text);
        }
    }
}
