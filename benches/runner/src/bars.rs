//! The bars that mod_rust has set itself, and which of them hold.

use std::collections::BTreeMap;

use crate::endpoint::Endpoint;
use crate::peer::{BARE, DAEMON, OURS, PEERS};
use crate::results::{Bar, Count, Row};

/// The highest cost of a request over the C handler's, in CPU time and in instructions.
const RATIOS: [(Endpoint, Option<f64>, Option<f64>); 15] = [
    (Endpoint::Hello, None, Some(1.04)),
    (Endpoint::Headers, None, None),
    (Endpoint::File, None, None),
    (Endpoint::One, None, None),
    (Endpoint::Eight, None, None),
    (Endpoint::Crowd, Some(1.03), None),
    (Endpoint::Many, None, None),
    (Endpoint::Tls, None, None),
    (Endpoint::Http2, None, None),
    (Endpoint::Axum, Some(1.15), Some(1.25)),
    (Endpoint::AxumHeaders, None, None),
    (Endpoint::Awaiting, None, Some(1.7)),
    (Endpoint::Sleeping, None, None),
    (Endpoint::Echo, Some(1.0), None),
    (Endpoint::Stream, Some(0.9), None),
];
/// The same for a process group: CPU time.
const DAEMON_RATIOS: [(Endpoint, f64); 3] =
    [(Endpoint::Hello, 1.6), (Endpoint::Echo, 1.8), (Endpoint::Stream, 1.8)];
/// The rivals whose latency on one connection a process group must be below.
const PROXIES: [&str; 2] = ["proxy-http-tcp", "proxy-http-unix"];
/// The most memory of an idle child over one without the module, in MiB.
const IDLE_MIB: f64 = 2.0;

/// Computes all of them.
pub(crate) fn bars(
    rows: &[Row],
    counts: &[Count],
    idle_child_kib: &BTreeMap<&'static str, u64>,
) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (endpoint, cpu_limit, instruction_limit) in RATIOS {
        let row = rows.iter().find(|row| row.peer == OURS && row.endpoint == endpoint);
        let cpu = format!("{}: CPU a request", endpoint.name());
        let instructions = format!("{}: instructions a request", endpoint.name());
        bars.push(cpu_bar(cpu, cpu_limit, row));
        let count = counts.iter().find(|count| count.peer == OURS && count.endpoint == endpoint);
        bars.push(count_bar(instructions, instruction_limit, count));
    }
    daemon_bars(rows, counts, &mut bars);
    let mib = |peer| idle_child_kib.get(peer).map(|kib| *kib as f64 / 1024.0);
    let more = mib(OURS).zip(mib(BARE)).map(|(ours, bare)| ours - bare);
    let what = "idle child: MiB more than without the module".into();
    bars.push(Bar::at_most(what, IDLE_MIB, more));
    bars
}

/// Those of the daemon mode: against the C handler, and against the best of the others out of
/// process.
fn daemon_bars(rows: &[Row], counts: &[Count], bars: &mut Vec<Bar>) {
    let find = |endpoint| rows.iter().find(|row| row.peer == DAEMON && row.endpoint == endpoint);
    for (endpoint, limit) in DAEMON_RATIOS {
        let (row, name) = (find(endpoint), endpoint.name());
        bars.push(cpu_bar(format!("daemon {name}: CPU a request"), Some(limit), row));
        let count = counts.iter().find(|count| count.peer == DAEMON && count.endpoint == endpoint);
        bars.push(count_bar(format!("daemon {name}: instructions a request"), None, count));
        // By the ratios, which are taken within a round.
        let cpu = |row: &Row| row.cpu_to_limit.map(|ratio| ratio.median);
        let what = format!("daemon {name}: CPU a request");
        let (what, value) = over_best(rows, row, cpu, &what, is_outside);
        // Less, and not as much.
        let holds = value.map(|value| value < 1.0);
        bars.push(Bar { holds, ..Bar::at_most(what, 1.0, value) });
    }
    let p99 = |row: &Row| Some(row.p99_us).filter(|p99| p99.is_finite());
    let what = "daemon hello on 64 connections: p99";
    let (what, value) = over_best(rows, find(Endpoint::Crowd), p99, what, is_outside);
    bars.push(Bar::at_most(what, 1.0, value));
    let p50 = |row: &Row| Some(row.p50_us).filter(|p50| p50.is_finite());
    let what = "daemon hello on 1 connection: p50";
    let is_proxy = |name: &str| PROXIES.contains(&name);
    let (what, value) = over_best(rows, find(Endpoint::One), p50, what, is_proxy);
    let holds = value.map(|value| value < 1.0);
    bars.push(Bar { holds, ..Bar::at_most(what, 1.0, value) });
}

/// True for a rival whose application runs out of process.
fn is_outside(name: &str) -> bool {
    PEERS.iter().any(|peer| peer.name == name && peer.is_outside_rival())
}

/// Returns a figure of ours over the least among some rivals, whose name comes with it.
fn over_best(
    rows: &[Row],
    ours: Option<&Row>,
    figure: impl Fn(&Row) -> Option<f64>,
    what: &str,
    is_rival: impl Fn(&str) -> bool,
) -> (String, Option<f64>) {
    let rivals = rows
        .iter()
        .filter(|row| ours.is_some_and(|ours| ours.endpoint == row.endpoint) && is_rival(row.peer));
    let best = rivals
        .filter_map(|row| Some((row.peer, figure(row)?)))
        .min_by(|one, other| one.1.total_cmp(&other.1));
    let value = ours.and_then(&figure).zip(best).map(|(ours, (_, best))| ours / best);
    let name = best.map_or("nobody was measured", |(name, _)| name);
    (format!("{what} over that of the best rival out of process ({name})"), value)
}

/// Returns a bar for CPU a request over the C handler's.
fn cpu_bar(what: String, limit: Option<f64>, row: Option<&Row>) -> Bar {
    let plain = row.and_then(|row| row.cpu_to_plain).map(|ratio| ratio.median);
    Bar { plain, ..Bar::of_rounds(what, limit, row.and_then(|row| row.cpu_to_limit)) }
}

/// Returns the same for instructions.
fn count_bar(what: String, limit: Option<f64>, count: Option<&Count>) -> Bar {
    let plain = count.and_then(|count| count.instructions_to_plain);
    Bar { plain, ..Bar::new(what, limit, count.and_then(|count| count.instructions_to_limit)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Ratio;

    #[test]
    fn a_bar_holds_up_to_its_limit() {
        for (value, holds) in [(None, None), (Some(1.05), Some(true)), (Some(1.051), Some(false))] {
            assert_eq!(Bar::at_most(String::new(), 1.05, value).holds, holds);
        }
        assert_eq!(Bar::new(String::new(), None, Some(9.0)).holds, None);
    }

    #[test]
    fn nothing_measured_is_nothing_held() {
        let bars = bars(&[], &[], &BTreeMap::new());
        assert_eq!(bars.len(), 42);
        assert!(bars.iter().all(|bar| bar.holds.is_none()));
    }

    fn row(peer: &'static str, endpoint: Endpoint, cpu: f64, p99_us: f64) -> Row {
        let ratio = Ratio { median: cpu, min: cpu, max: cpu };
        Row { cpu_us: Some(cpu), cpu_to_limit: Some(ratio), p99_us, ..Row::blank(endpoint, peer) }
    }

    #[test]
    fn the_daemon_must_be_below_the_best_rival_out_of_process() {
        let held = |cpu: f64, p99: f64| {
            let rows = [
                row(DAEMON, Endpoint::Hello, cpu, 1.0),
                row("proxy-fcgi", Endpoint::Hello, 2.5, 1.0),
                row("proxy-http-unix", Endpoint::Hello, 1.5, 1.0),
                // Cheaper, and none of those that count: they run inside httpd.
                row("lua", Endpoint::Hello, 1.0, 1.0),
                row(OURS, Endpoint::Hello, 1.0, 1.0),
                row(DAEMON, Endpoint::Crowd, 1.0, p99),
                row("proxy-fcgi", Endpoint::Crowd, 1.0, 4000.0),
            ];
            let bars = bars(&rows, &[], &BTreeMap::new());
            let of = |start: &str| bars.iter().find(|bar| bar.what.starts_with(start)).unwrap();
            let rival = of("daemon hello: CPU a request over");
            assert!(rival.what.ends_with("(proxy-http-unix)"), "{}", rival.what);
            (of("daemon hello: CPU a request").holds, rival.holds, of("daemon hello on 64").holds)
        };
        assert_eq!(held(1.4, 4000.0), (Some(true), Some(true), Some(true)));
        assert_eq!(held(1.5, 4001.0), (Some(true), Some(false), Some(false)));
        assert_eq!(held(1.7, 9.0), (Some(false), Some(false), Some(true)));
    }

    #[test]
    fn memory_is_the_difference_to_the_bare_child() {
        let idle = BTreeMap::from([(OURS, 5 * 1024), (BARE, 4 * 1024)]);
        let bars = bars(&[], &[], &idle);
        assert_eq!(bars.last().and_then(|bar| bar.value), Some(1.0));
    }
}
