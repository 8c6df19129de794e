//! The machine: what it is, and how busy it is beside the benchmark.

use std::fs;
use std::process::Command;
use std::time::Instant;

use httpd_config::Httpd;
use serde::Serialize;

use crate::sys;

/// The description of the machine, above the tables.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) system: String,
    pub(crate) httpd: String,
    pub(crate) rustc: String,
    pub(crate) wrk: String,
    pub(crate) mod_rust: String,
    /// Names and versions of the rivals from PyPI.
    pub(crate) rivals: Vec<String>,
    /// The source of CPU times.
    pub(crate) cpu_time: &'static str,
    /// The load averages before the run.
    pub(crate) load: String,
}

impl Machine {
    /// Asks the system and the programs.
    pub(crate) fn describe(httpd: &Httpd, cpu_time: &'static str, rivals: Vec<String>) -> Self {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let memory: u64 = field(&read("/proc/meminfo"), "MemTotal", ':')
            .and_then(|value| value.split(' ').next()?.parse().ok())
            .unwrap_or(0);
        Self {
            date: first_line("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            cpu: field(&read("/proc/cpuinfo"), "model name", ':').unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: memory / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: field(&read("/etc/os-release"), "PRETTY_NAME", '=')
                .map(|name| name.trim_matches('"').to_owned())
                .unwrap_or_default(),
            httpd: httpd.server_string().to_owned(),
            rustc: first_line("rustc", &["--version"]),
            wrk: first_line("wrk", &["--version"]),
            mod_rust: commit(),
            rivals,
            cpu_time,
            load: read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(", "),
        }
    }
}

/// The CPU time of the machine so far.
pub(crate) struct Load {
    at: Instant,
    busy_us: u64,
}

impl Load {
    /// Looks at it now.
    pub(crate) fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let busy_us = busy_ticks(&text) * 1_000_000 / sys::ticks_per_second();
        Self { at: Instant::now(), busy_us }
    }

    /// Returns the cores that others used since then; `ours_us` is the benchmark's own CPU time.
    pub(crate) fn others_since(&self, ours_us: u64) -> f64 {
        let now = Self::now();
        let elapsed = (now.at - self.at).as_micros().max(1) as f64;
        let busy = now.busy_us.saturating_sub(self.busy_us) as f64;
        ((busy - ours_us as f64) / elapsed).max(0.0)
    }
}

/// Ticks of all cores in which something ran, time that the hypervisor took included.
fn busy_ticks(stat: &str) -> u64 {
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().flat_map(str::parse).collect();
    // user nice system idle iowait irq softirq steal; what follows is in user already.
    ticks.iter().take(8).enumerate().filter(|(i, _)| !matches!(i, 3 | 4)).map(|(_, t)| t).sum()
}

fn field(text: &str, name: &str, separator: char) -> Option<String> {
    let mut fields = text.lines().filter_map(|line| line.split_once(separator));
    fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn first_line(program: &str, args: &[&str]) -> String {
    // wrk ends its version text with a failure status.
    let Ok(output) = Command::new(program).args(args).output() else { return String::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next().unwrap_or_default();
    line.split(" Copyright").next().unwrap_or_default().trim().to_owned()
}

fn commit() -> String {
    let commit = first_line("git", &["rev-parse", "--short=12", "HEAD"]);
    let changed = first_line("git", &["status", "--porcelain", "--untracked-files=no"]);
    let version = env!("CARGO_PKG_VERSION");
    match (commit.as_str(), changed.as_str()) {
        ("", _) => version.to_owned(),
        (commit, "") => format!("{version} at {commit}"),
        (commit, _) => format!("{version} at {commit} with changes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_are_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 3 400 500 6 7 8 900 1000\ncpu0 1\n"), 27);
        assert_eq!(busy_ticks(""), 0);
    }

    #[test]
    fn others_are_never_less_than_nothing() {
        let before = Load::now();
        assert!(before.others_since(u64::MAX) >= 0.0);
    }
}
