//! The bars that mod_rust has set itself, and which of them hold.

use std::collections::BTreeMap;

use crate::endpoint::Endpoint;
use crate::peer::{BARE, DAEMON, OURS, PEERS};
use crate::results::{Bar, Count, Row};

/// The highest cost of a request over the C handler's, in CPU time and in instructions.
const RATIOS: [(Endpoint, Option<f64>, Option<f64>); 5] = [
    (Endpoint::Hello, Some(1.03), Some(1.05)),
    // The Router alone takes 5,000 instructions, a quarter of what all of httpd takes.
    (Endpoint::Axum, Some(1.15), None),
    (Endpoint::Awaiting, None, Some(1.7)),
    (Endpoint::Echo, Some(1.05), None),
    (Endpoint::Stream, Some(1.05), None),
];
/// The same for a process group: CPU time.
const DAEMON_RATIOS: [(Endpoint, f64); 3] =
    [(Endpoint::Hello, 1.6), (Endpoint::Echo, 2.0), (Endpoint::Stream, 2.0)];
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
        bars.push(bar(
            format!("{}: CPU a request", endpoint.name()),
            cpu_limit,
            row.and_then(|row| row.cpu_to_limit).map(|ratio| ratio.median),
            row.and_then(|row| row.cpu_to_plain).map(|ratio| ratio.median),
        ));
        let count = counts.iter().find(|count| count.peer == OURS && count.endpoint == endpoint);
        bars.push(bar(
            format!("{}: instructions a request", endpoint.name()),
            instruction_limit,
            count.and_then(|count| count.instructions_to_limit),
            count.and_then(|count| count.instructions_to_plain),
        ));
    }
    daemon_bars(rows, counts, &mut bars);
    let mib = |peer| idle_child_kib.get(peer).map(|kib| *kib as f64 / 1024.0);
    let more = mib(OURS).zip(mib(BARE)).map(|(ours, bare)| ours - bare);
    bars.push(bar(
        "idle child: MiB more than without the module".into(),
        Some(IDLE_MIB),
        more,
        None,
    ));
    bars
}

/// Those of the daemon mode: against the C handler, and against the best of the others out of
/// process.
fn daemon_bars(rows: &[Row], counts: &[Count], bars: &mut Vec<Bar>) {
    let find = |endpoint| rows.iter().find(|row| row.peer == DAEMON && row.endpoint == endpoint);
    for (endpoint, limit) in DAEMON_RATIOS {
        let (row, name) = (find(endpoint), endpoint.name());
        bars.push(bar(
            format!("daemon {name}: CPU a request"),
            Some(limit),
            row.and_then(|row| row.cpu_to_limit).map(|ratio| ratio.median),
            row.and_then(|row| row.cpu_to_plain).map(|ratio| ratio.median),
        ));
        let count = counts.iter().find(|count| count.peer == DAEMON && count.endpoint == endpoint);
        bars.push(bar(
            format!("daemon {name}: instructions a request"),
            None,
            count.and_then(|count| count.instructions_to_limit),
            count.and_then(|count| count.instructions_to_plain),
        ));
        // By the ratios, which are taken within a round.
        let cpu = |row: &Row| row.cpu_to_limit.map(|ratio| ratio.median);
        let (what, value) =
            over_best(rows, row, endpoint, cpu, &format!("daemon {name}: CPU a request"));
        // Less, and not as much.
        let holds = value.map(|value| value < 1.0);
        bars.push(Bar { holds, ..bar(what, Some(1.0), value, None) });
    }
    let p99 = |row: &Row| Some(row.p99_us).filter(|p99| p99.is_finite());
    let what = "daemon hello on 64 connections: p99";
    let (what, value) = over_best(rows, find(Endpoint::Crowd), Endpoint::Crowd, p99, what);
    bars.push(bar(what, Some(1.0), value, None));
}

/// Returns a figure of ours over the least among the rivals out of process, whose name comes with
/// it.
fn over_best(
    rows: &[Row],
    ours: Option<&Row>,
    endpoint: Endpoint,
    figure: impl Fn(&Row) -> Option<f64>,
    what: &str,
) -> (String, Option<f64>) {
    let is_rival = |name| PEERS.iter().any(|peer| peer.name == name && peer.is_outside_rival());
    let rivals = rows.iter().filter(|row| row.endpoint == endpoint && is_rival(row.peer));
    let best = rivals
        .filter_map(|row| Some((row.peer, figure(row)?)))
        .min_by(|one, other| one.1.total_cmp(&other.1));
    let value = ours.and_then(&figure).zip(best).map(|(ours, (_, best))| ours / best);
    let name = best.map_or("nobody was measured", |(name, _)| name);
    (format!("{what} over that of the best rival out of process ({name})"), value)
}

fn bar(what: String, limit: Option<f64>, value: Option<f64>, plain: Option<f64>) -> Bar {
    let holds = value.zip(limit).map(|(value, limit)| value <= limit);
    Bar { what, limit, value, plain, holds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Ratio;

    #[test]
    fn a_bar_holds_up_to_its_limit() {
        for (value, holds) in [(None, None), (Some(1.05), Some(true)), (Some(1.051), Some(false))] {
            assert_eq!(bar(String::new(), Some(1.05), value, None).holds, holds);
        }
        assert_eq!(bar(String::new(), None, Some(9.0), None).holds, None);
    }

    #[test]
    fn nothing_measured_is_nothing_held() {
        let bars = bars(&[], &[], &BTreeMap::new());
        assert_eq!(bars.len(), 21);
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
