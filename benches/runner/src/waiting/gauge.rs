//! The cost of a server during a run: CPU time, memory, and the load of others.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::account;
use crate::machine::Load;
use crate::server::Server;

/// Between two looks at the memory.
const SAMPLE: Duration = Duration::from_millis(200);

/// The figures of a server since a moment.
pub(crate) struct Gauge<'a> {
    server: &'a Server,
    idle_kib: u64,
    peak_kib: u64,
    since: Since,
}

/// CPU time up to a moment.
struct Since {
    load: Load,
    server_us: u64,
    own_us: u64,
}

impl Since {
    fn now(server: &Server) -> Self {
        let (server_us, own_us) = (server.cpu().total, account::own_us());
        Self { load: Load::now(), server_us, own_us }
    }
}

impl<'a> Gauge<'a> {
    /// Looks at an idle server.
    pub(crate) fn start(server: &'a Server) -> Self {
        let idle_kib = server.anonymous_kib();
        Self { server, idle_kib, peak_kib: idle_kib, since: Since::now(server) }
    }

    /// Counts CPU time from now on.
    pub(crate) fn restart(&mut self) {
        self.since = Since::now(self.server);
    }

    /// Looks at the memory until a moment, or until it is over.
    pub(crate) async fn watch(&mut self, end: Instant, is_over: impl Fn() -> bool) {
        while !is_over() && Instant::now() < end {
            sleep(SAMPLE.min(end - Instant::now())).await;
            self.peak_kib = self.peak_kib.max(self.server.anonymous_kib());
        }
    }

    /// Returns the CPU microseconds of the server, and the cores that others used.
    pub(crate) fn used(&self) -> (u64, f64) {
        let server = self.server.cpu().total.saturating_sub(self.since.server_us);
        let own = account::own_us().saturating_sub(self.since.own_us);
        (server, self.since.load.others_since(server + own))
    }

    /// Returns the memory beyond that of the idle server, a connection.
    pub(crate) fn memory_kib(&self, connections: u32) -> f64 {
        (self.peak_kib - self.idle_kib) as f64 / f64::from(connections)
    }
}

/// Returns that part of `wanted` values, of which those that are missing are the largest.
pub(crate) fn percentile(values: &mut [f64], wanted: usize, part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (wanted as f64 * part).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn what_is_missing_is_the_slowest() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 100, 0.5), Some(50.0));
        assert_eq!(percentile(&mut values, 100, 0.99), Some(99.0));
        assert_eq!(percentile(&mut values, 101, 0.99), Some(100.0));
        assert_eq!(percentile(&mut values, 102, 0.99), None);
        assert_eq!(percentile(&mut [], 0, 0.5), None);
    }
}
