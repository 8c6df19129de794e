//! `cargo httpd groups`

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::Execute;
use crate::columns::Columns;
use crate::control::{self, Key, Status, Where};
use crate::progress::seconds;

/// List the process groups of a running httpd, their processes, and their requests.
///
/// Run it as root, or as the user that started httpd. The column restarts counts the replacements
/// of the process; parked counts requests that wait without a thread.
#[derive(Args, Debug)]
pub(crate) struct GroupsArgs {
    #[command(flatten)]
    pub(crate) at: Where,
    /// Print the complete status, as JSON.
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
            let values = all.iter().map(|(group, status)| as_json(&group.key, status.as_ref()));
            let mut text = serde_json::to_string_pretty(&values.collect::<Vec<_>>())?;
            text.push('\n');
            text
        } else {
            let texts: Vec<_> = all
                .iter()
                .map(|(group, status)| {
                    as_text(&group.key, status.as_ref().map(|(status, _)| status))
                })
                .collect();
            texts.join("\n")
        };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

/// Returns the status of a group, and the httpd that it belongs to.
fn as_json(key: &Key, status: Option<&(Status, Value)>) -> Value {
    json!({
        "httpd": key.parent,
        "generation": key.generation,
        "socket_prefix": key.prefix.display().to_string(),
        "name": key.group,
        // null: none of its processes serves.
        "status": status.map(|(_, value)| value),
    })
}

fn as_text(key: &Key, status: Option<&Status>) -> String {
    let whose = format!("{} (httpd {}, generation {})", key.group, key.parent, key.generation);
    let Some(status) = status else {
        return format!("{whose}: no process serves; the ErrorLog says why\n");
    };
    let processes: Vec<_> = status.processes.iter().filter(|p| p.is_awake()).collect();
    let busy: u64 = processes.iter().map(|process| process.busy()).sum();
    let queued: u64 = processes.iter().map(|process| process.queued()).sum();
    let ready = status.ready().count();
    let threads = status.threads;
    let mut text = format!(
        "{whose}: {ready} processes ready, {busy} of {threads} threads busy, {queued} requests queued\n"
    );
    if status.failures > 0 {
        // With a process that is ready, requests go there.
        let open = status.open_for_us.filter(|_| ready == 0).map(Duration::from_micros);
        let open = open.map(|time| match time {
            Duration::ZERO => "; requests are refused, the next is tried now".to_owned(),
            time => format!("; requests are refused, the next is tried in {}", seconds(time)),
        });
        let (failures, open) = (status.failures, open.unwrap_or_default());
        text += &format!("  {failures} starts failed in a row, the ErrorLog says why{open}\n");
    }
    let mut columns = Columns::new([
        "pid", "state", "requests", "busy", "queued", "parked", "uptime", "rss", "restarts",
    ]);
    for process in &processes {
        let reason = process.reason.as_ref().map(|reason| format!(" ({reason})"));
        columns.row([
            process.pid.map_or_else(String::new, |pid| pid.to_string()),
            process.state.clone() + &reason.unwrap_or_default(),
            process.requests.to_string(),
            process.busy().to_string(),
            process.queued().to_string(),
            process.parked.to_string(),
            uptime(process.uptime()),
            format!("{:.1} MiB", process.resident as f64 / f64::from(1 << 20)),
            process.deaths.to_string(),
        ]);
    }
    text += &columns.render(2);
    for process in &processes {
        for request in &process.working_on {
            let age = seconds(Duration::from_micros(request.age_us));
            let (pid, phase) = (process.pid.unwrap_or_default(), &request.phase);
            text += &format!("  {pid} {phase} for {age}: {}\n", request.text.escape_debug());
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
    fn a_group_is_a_table_and_what_it_works_on() {
        let text = r#"{"threads":30,"failures":2,"open_for_us":4000000,"processes":[
            {"slot":0,"pid":70,"state":"ready","threads":15,"running":17,"requests":1234,
             "age_us":99000000,"ready_age_us":65000000,"resident":10485760,"deaths":1,
             "working_on":[{"text":"GET localhost /x","age_us":1500000,"phase":"body"}]},
            {"slot":1,"pid":8,"state":"draining","reason":"restart_interval","threads":15},
            {"slot":2,"pid":9,"state":"dormant"}]}"#;
        let status = serde_json::from_str(text).unwrap();
        let expected = "\
a (httpd 5, generation 1): 1 processes ready, 15 of 30 threads busy, 2 requests queued
  2 starts failed in a row, the ErrorLog says why
  pid  state                        requests  busy  queued  parked  uptime       rss  restarts
   70  ready                            1234    15       2       0   1 min  10.0 MiB         1
    8  draining (restart_interval)         0     0       0       0     0 s   0.0 MiB         0
  70 body for 1.5 s: GET localhost /x
";
        let key = Key { prefix: "/r".into(), parent: 5, generation: 1, group: "a".into() };
        assert_eq!(as_text(&key, Some(&status)), expected);
        let status = r#"{"failures":3,"open_for_us":4000000}"#;
        let open = as_text(&key, Some(&serde_json::from_str(status).unwrap()));
        let refused = "says why; requests are refused, the next is tried in 4.0 s\n";
        assert!(open.contains(refused), "{open}");
        let none = "a (httpd 5, generation 1): no process serves; the ErrorLog says why\n";
        assert_eq!(as_text(&key, None), none);
    }

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
