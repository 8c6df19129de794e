//! The load: wrk, or h2load where wrk cannot speak the protocol, and what it saw.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::account;
use crate::endpoint::{Endpoint, STREAMS, Transport};
use crate::h2load;
use crate::sys;

/// Between two looks at the memory while wrk runs.
const SAMPLE: Duration = Duration::from_millis(200);

/// The options of wrk.
#[derive(Clone)]
pub(crate) struct Load {
    /// The script in the checkout.
    pub(crate) script: PathBuf,
    /// Connections kept open, where the endpoint has no number of its own.
    pub(crate) connections: u32,
    /// The most connections, whatever an endpoint has.
    pub(crate) most: u32,
    /// wrk's threads.
    pub(crate) threads: u32,
    /// The core that it is bound to.
    pub(crate) pin: Option<usize>,
}

/// The counts of one run of wrk. Times are in microseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) duration_us: u64,
    pub(crate) bytes: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    pub(crate) err_connect: u64,
    /// Mostly a kept connection that the server closed under a request.
    pub(crate) err_read: u64,
    pub(crate) err_write: u64,
    /// Answers that are not 2xx or 3xx.
    pub(crate) err_status: u64,
    pub(crate) err_timeout: u64,
    /// wrk's own CPU time.
    #[serde(default)]
    pub(crate) client_us: u64,
}

impl Figures {
    /// Failed requests of every kind.
    pub(crate) fn errors(&self) -> u64 {
        self.err_connect + self.err_read + self.err_write + self.err_status + self.err_timeout
    }
}

impl Load {
    /// Returns the load of a benchmark in that checkout.
    pub(crate) fn script(root: &Path) -> PathBuf {
        root.join("benches/wrk/load.lua")
    }

    /// Runs the client for so many seconds; `sample` is called several times a second meanwhile.
    ///
    /// # Errors
    /// Fails when the client does not run, or does not say what it counted.
    pub(crate) fn run(
        &self,
        port: u16,
        endpoint: Endpoint,
        seconds: u32,
        mut sample: impl FnMut(),
    ) -> Result<Figures> {
        let before = account::waited_children_us();
        let mut command = self.command(port, endpoint, seconds);
        let program = client(endpoint);
        let mut child = command.spawn().with_context(|| format!("{program} does not run"))?;
        // Its output is a few lines, so it fits into the pipe.
        while child.try_wait()?.is_none() {
            std::thread::sleep(SAMPLE);
            sample();
        }
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("{program} ended with {}: {}", output.status, text.trim());
        }
        let says = || format!("{program} says `{}`", text.trim());
        let mut figures = match endpoint.transport() {
            Transport::Http2 => {
                let log = std::fs::read_to_string(h2load::log_file()).unwrap_or_default();
                // The next run writes it anew.
                let _ = std::fs::remove_file(h2load::log_file());
                h2load::figures(&text, &log, seconds).with_context(says)?
            }
            _ => parse(&text).with_context(says)?,
        };
        figures.client_us = account::waited_children_us().saturating_sub(before);
        Ok(figures)
    }

    fn command(&self, port: u16, endpoint: Endpoint, seconds: u32) -> Command {
        let program = client(endpoint);
        let mut command = match self.pin {
            Some(core) => {
                let mut taskset = sys::command("taskset");
                taskset.args(["-c", &core.to_string(), program]);
                taskset
            }
            None => sys::command(program),
        };
        let connections = endpoint.connections().unwrap_or(self.connections).min(self.most);
        let path = endpoint.path();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        if endpoint.transport() == Transport::Http2 {
            let args = h2load::args(connections, STREAMS, seconds, &h2load::log_file());
            command.args(args).arg(format!("https://127.0.0.1:{port}{path}"));
            return command;
        }
        let threads = self.threads.min(connections);
        let scheme = if endpoint.transport() == Transport::Tls { "https" } else { "http" };
        command
            .arg(format!("-t{threads}"))
            .arg(format!("-c{connections}"))
            .arg(format!("-d{seconds}s"))
            .args(["--latency", "--timeout", "10s", "-s"])
            .arg(&self.script)
            .arg(format!("{scheme}://127.0.0.1:{port}{path}"))
            .env("BENCH_HEADERS", endpoint.headers());
        match endpoint.post() {
            Some(size) => command.env("BENCH_POST", size.to_string()),
            None => command.env_remove("BENCH_POST"),
        };
        command
    }
}

/// Returns the program that makes an endpoint's load.
fn client(endpoint: Endpoint) -> &'static str {
    if endpoint.transport() == Transport::Http2 { "h2load" } else { "wrk" }
}

/// Returns the line of figures that the script prints at the end.
fn parse(text: &str) -> Option<Figures> {
    let line = text.lines().find_map(|line| line.strip_prefix("FIGURES "))?;
    serde_json::from_str(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_follow_wrks_own_text() {
        let text = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 2 connections\nFIGURES \
            {\"requests\":10,\"duration_us\":1000000,\"bytes\":200,\"p50_us\":1,\"p99_us\":2,\
            \"max_us\":3,\"err_connect\":0,\"err_read\":4,\"err_write\":0,\"err_status\":1,\
            \"err_timeout\":0}\n";
        let figures = parse(text).unwrap();
        assert_eq!((figures.requests, figures.errors()), (10, 5));
        assert!(parse("unable to connect to 127.0.0.1:1 Connection refused\n").is_none());
    }
}
