//! h2load: the load over HTTP/2, and what it saw.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::load::Figures;

/// h2load's own options for a run of so many seconds. Each request gets a line in `log`.
pub(crate) fn args(connections: u32, streams: u32, seconds: u32, log: &Path) -> Vec<String> {
    vec![
        "-t1".into(),
        format!("-c{}", connections.div_ceil(streams)),
        format!("-m{streams}"),
        format!("-D{seconds}"),
        format!("--log-file={}", log.display()),
    ]
}

/// Returns the file for the requests of this process's runs.
pub(crate) fn log_file() -> PathBuf {
    std::env::temp_dir().join(format!("mod_rust-bench-h2load-{}.log", std::process::id()))
}

/// Returns the figures of a run: `text` is h2load's output, `log` has a line for each request.
///
/// # Errors
/// Returns an error if the output has no sums.
pub(crate) fn figures(text: &str, log: &str, seconds: u32) -> Result<Figures> {
    let (total, succeeded) = sums(text).context("no line `requests: `")?;
    let mut times: Vec<u64> = log.lines().filter_map(microseconds).collect();
    times.sort_unstable();
    let part = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(0);
    Ok(Figures {
        requests: succeeded,
        duration_us: u64::from(seconds) * 1_000_000,
        bytes: 0,
        p50_us: part(50),
        p99_us: part(99),
        max_us: times.last().copied().unwrap_or(0),
        err_connect: 0,
        err_read: 0,
        err_write: 0,
        err_status: total.saturating_sub(succeeded),
        err_timeout: 0,
        client_us: 0,
    })
}

/// Finds the requests that ended, and those that succeeded, in
/// `requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout`.
fn sums(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let count = |name: &str| {
        let field = line.split(", ").find_map(|field| field.strip_suffix(name))?;
        field.trim().parse().ok()
    };
    Some((count("done")?, count("succeeded")?))
}

/// Takes the time of one request: its start, its status, and the microseconds that it took.
fn microseconds(line: &str) -> Option<u64> {
    line.split('\t').nth(2)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_fail_are_errors() {
        let text = "finished in 1.00s, 4.00 req/s, 1KB/s\n\
            requests: 6 total, 6 started, 5 done, 4 succeeded, 1 failed, 0 errored, 0 timeout\n";
        let log =
            "1700000000000000\t200\t30\n1700000000000001\t200\t10\n1700000000000002\t500\t20\n";
        let figures = figures(text, log, 2).unwrap();
        assert_eq!((figures.requests, figures.errors()), (4, 1));
        assert_eq!((figures.p50_us, figures.max_us, figures.duration_us), (20, 30, 2_000_000));
    }

    #[test]
    fn without_sums_there_are_no_figures() {
        assert!(figures("could not connect\n", "", 1).is_err());
        assert!(figures("requests: many\n", "", 1).is_err());
    }
}
