//! The results, as the JSON file keeps them, and their medians and ratios.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::load::Figures;
use crate::machine::Machine;
use crate::peer::{LIMIT, PLAIN};

/// One bar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Bar {
    /// The subject of the comparison.
    pub(crate) what: String,
    /// The largest value that holds; `None` for a figure that is only shown.
    pub(crate) limit: Option<f64>,
    /// Against the C handler that claims its URLs; `None` if it was not measured.
    pub(crate) value: Option<f64>,
    /// The least and the largest of the rounds, where the value is their median.
    pub(crate) spread: Option<(f64, f64)>,
    /// The same against the C handler by SetHandler, to be shown beside it.
    pub(crate) plain: Option<f64>,
    /// Whether it holds, if it was measured and has a limit.
    pub(crate) holds: Option<bool>,
}

impl Bar {
    /// Returns a bar that holds up to its limit.
    pub(crate) fn at_most(what: String, limit: f64, value: Option<f64>) -> Self {
        Self::new(what, Some(limit), value)
    }

    /// Returns the same, or a figure without a limit.
    pub(crate) fn new(what: String, limit: Option<f64>, value: Option<f64>) -> Self {
        let holds = value.zip(limit).map(|(value, limit)| value <= limit);
        Self { what, limit, value, spread: None, plain: None, holds }
    }

    /// Returns a bar for the median of the rounds.
    pub(crate) fn of_rounds(what: String, limit: Option<f64>, ratio: Option<Ratio>) -> Self {
        let spread = ratio.map(|ratio| (ratio.min, ratio.max));
        Self { spread, ..Self::new(what, limit, ratio.map(|ratio| ratio.median)) }
    }
}

/// Everything that a benchmark found.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    /// Names and titles of those that took part, in the order of the tables.
    pub(crate) peers: Vec<(&'static str, &'static str)>,
    /// The peers that were left out, and the reasons.
    pub(crate) left_out: Vec<String>,
    /// PSS of an idle httpd child in KiB, by peer.
    pub(crate) idle_child_kib: BTreeMap<&'static str, u64>,
    pub(crate) rows: Vec<Row>,
    pub(crate) counts: Vec<Count>,
    pub(crate) bars: Vec<Bar>,
    pub(crate) runs: Vec<Run>,
}

/// The settings of the measurement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    pub(crate) mpm: &'static str,
    pub(crate) rounds: u32,
    pub(crate) duration_s: u32,
    /// 0 for none.
    pub(crate) warm_up_s: u32,
    pub(crate) connections: u32,
    pub(crate) threads: u32,
    /// httpd on core 0, wrk on core 1.
    pub(crate) pinned: bool,
    /// Cores used by others, above which a run does not count, if there is such a bound.
    pub(crate) max_others: Option<f64>,
}

/// One measured run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) round: u32,
    pub(crate) peer: &'static str,
    pub(crate) endpoint: Endpoint,
    pub(crate) rps: f64,
    /// CPU microseconds a request of all the peer's processes, where they can be told.
    pub(crate) cpu_us: Option<f64>,
    pub(crate) user_us: Option<f64>,
    pub(crate) system_us: Option<f64>,
    /// The part of the program behind the web server, where it is started with it.
    pub(crate) behind_us: Option<f64>,
    /// The context switches of its threads, a request.
    pub(crate) behind_switches: Option<f64>,
    /// wrk's, a request.
    pub(crate) client_us: f64,
    pub(crate) pss_mib: f64,
    /// Cores that others used meanwhile.
    pub(crate) others: f64,
    /// False if that was too much: the medians leave the run out.
    pub(crate) counted: bool,
    pub(crate) figures: Figures,
}

/// A ratio or another figure of every round that has what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// A line of a table: one peer at one endpoint.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) endpoint: Endpoint,
    pub(crate) peer: &'static str,
    pub(crate) counted: usize,
    pub(crate) not_counted: usize,
    pub(crate) rps: f64,
    pub(crate) cpu_us: Option<f64>,
    /// The part of the program behind the web server, and how often its threads were switched.
    pub(crate) behind_us: Option<f64>,
    pub(crate) behind_switches: Option<f64>,
    /// That part over that of mod_rust's FastCGI behind the same web server.
    pub(crate) behind_to_ours: Option<Ratio>,
    /// CPU a request, over the C handler that claims its URLs.
    pub(crate) cpu_to_limit: Option<Ratio>,
    /// The same over the C handler by SetHandler.
    pub(crate) cpu_to_plain: Option<Ratio>,
    pub(crate) rps_to_limit: Option<Ratio>,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) client_us: f64,
    pub(crate) pss_mib: f64,
    pub(crate) errors: u64,
    pub(crate) requests: u64,
}

/// Counts of one request of one peer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Count {
    pub(crate) endpoint: Endpoint,
    pub(crate) peer: &'static str,
    /// In user space, of all processes.
    pub(crate) instructions: Option<f64>,
    pub(crate) instructions_to_limit: Option<f64>,
    pub(crate) instructions_to_plain: Option<f64>,
    /// By name, the most frequent first.
    pub(crate) system_calls: Option<Vec<(String, f64)>>,
    /// Instructions by shared object and by function, the costliest first.
    pub(crate) objects: Vec<(String, f64)>,
    pub(crate) functions: Vec<(String, f64)>,
}

#[cfg(test)]
impl Row {
    /// A line with nothing in it.
    pub(crate) fn blank(endpoint: Endpoint, peer: &'static str) -> Self {
        Self {
            endpoint,
            peer,
            counted: 1,
            not_counted: 0,
            rps: 1.0,
            cpu_us: None,
            behind_us: None,
            behind_switches: None,
            behind_to_ours: None,
            cpu_to_limit: None,
            cpu_to_plain: None,
            rps_to_limit: None,
            p50_us: 1.0,
            p99_us: 1.0,
            client_us: 1.0,
            pss_mib: 1.0,
            errors: 0,
            requests: 1,
        }
    }
}

/// Returns the middle value, or the mean of the two in the middle; `None` of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Makes the table's lines of the runs: medians, and ratios within the same round. `ours` names
/// mod_rust's program behind the same server as a peer.
pub(crate) fn rows(
    peers: &[(&'static str, &'static str)],
    runs: &[Run],
    ours: impl Fn(&str) -> Option<&'static str>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for endpoint in Endpoint::ALL {
        for (peer, _) in peers {
            let all: Vec<_> =
                runs.iter().filter(|r| r.peer == *peer && r.endpoint == endpoint).collect();
            let counted: Vec<_> = all.iter().copied().filter(|run| run.counted).collect();
            if all.is_empty() {
                continue;
            }
            let middle = |field: fn(&Run) -> f64| {
                median(counted.iter().map(|run| field(run))).unwrap_or(f64::NAN)
            };
            let to = |reference: &str, field: fn(&Run) -> Option<f64>| {
                Ratio::of(counted.iter().filter_map(|run| {
                    let other = runs.iter().find(|other| {
                        other.peer == reference
                            && other.endpoint == endpoint.reference()
                            && other.round == run.round
                            && other.counted
                    })?;
                    Some(field(run)? / field(other)?)
                }))
            };
            rows.push(Row {
                endpoint,
                peer,
                counted: counted.len(),
                not_counted: all.len() - counted.len(),
                rps: middle(|run| run.rps),
                cpu_us: median(counted.iter().filter_map(|run| run.cpu_us)),
                behind_us: median(counted.iter().filter_map(|run| run.behind_us)),
                behind_switches: median(counted.iter().filter_map(|run| run.behind_switches)),
                behind_to_ours: ours(peer).and_then(|ours| to(ours, |run| run.behind_us)),
                cpu_to_limit: to(LIMIT, |run| run.cpu_us),
                cpu_to_plain: to(PLAIN, |run| run.cpu_us),
                rps_to_limit: to(LIMIT, |run| Some(run.rps)),
                p50_us: middle(|run| run.figures.p50_us as f64),
                p99_us: middle(|run| run.figures.p99_us as f64),
                client_us: middle(|run| run.client_us),
                pss_mib: counted.iter().map(|run| run.pss_mib).fold(0.0, f64::max),
                // Of every run: a failed request is one however busy the machine was.
                errors: all.iter().map(|run| run.figures.errors()).sum(),
                requests: all.iter().map(|run| run.figures.requests).sum(),
            });
        }
    }
    rows
}

/// Fills in the ratios of the instruction counts.
pub(crate) fn compare_counts(counts: &mut [Count]) {
    let of = |counts: &[Count], peer: &str, endpoint: Endpoint| {
        let reference = endpoint.counted_reference();
        let found = counts.iter().find(|c| c.peer == peer && c.endpoint == reference);
        found.and_then(|count| count.instructions)
    };
    for i in 0..counts.len() {
        let endpoint = counts[i].endpoint;
        let (limit, plain) = (of(counts, LIMIT, endpoint), of(counts, PLAIN, endpoint));
        let own = counts[i].instructions;
        counts[i].instructions_to_limit = own.zip(limit).map(|(own, limit)| own / limit);
        counts[i].instructions_to_plain = own.zip(plain).map(|(own, plain)| own / plain);
    }
}

impl Ratio {
    /// Returns the median with the least and the largest; `None` of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        Some(Self {
            median: median(values.iter().copied())?,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::OURS;

    fn run(round: u32, peer: &'static str, endpoint: Endpoint, cpu_us: f64, counted: bool) -> Run {
        let text = "{\"requests\":10,\"duration_us\":1,\"bytes\":2,\"p50_us\":1,\"p99_us\":2,\
            \"max_us\":3,\"err_connect\":0,\"err_read\":1,\"err_write\":0,\"err_status\":0,\
            \"err_timeout\":0}";
        Run {
            round,
            peer,
            endpoint,
            rps: 1000.0 / cpu_us,
            cpu_us: Some(cpu_us),
            user_us: None,
            system_us: None,
            behind_us: None,
            behind_switches: None,
            client_us: 1.0,
            pss_mib: cpu_us,
            others: 0.0,
            counted,
            figures: serde_json::from_str(text).unwrap(),
        }
    }

    #[test]
    fn medians() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let runs = [
            run(0, LIMIT, Endpoint::Hello, 10.0, true),
            run(1, LIMIT, Endpoint::Hello, 20.0, true),
            run(2, LIMIT, Endpoint::Hello, 10.0, false),
            run(0, OURS, Endpoint::Hello, 11.0, true),
            run(1, OURS, Endpoint::Hello, 24.0, true),
            run(2, OURS, Endpoint::Hello, 50.0, true),
            run(1, OURS, Endpoint::Axum, 30.0, true),
        ];
        let rows = rows(&[(LIMIT, ""), (OURS, "")], &runs, |_| None);
        let [limit, ours, axum] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((limit.counted, limit.not_counted), (2, 1));
        assert_eq!((limit.errors, limit.requests), (3, 30));
        assert_eq!(limit.pss_mib, 20.0);
        // The third round has no reference that counts.
        let ratio = ours.cpu_to_limit.unwrap();
        assert!((ratio.median - 1.15).abs() < 1e-9, "{ratio:?}");
        assert!((ratio.min - 1.1).abs() < 1e-9 && (ratio.max - 1.2).abs() < 1e-9, "{ratio:?}");
        assert_eq!(ours.cpu_to_plain, None);
        assert_eq!(axum.cpu_to_limit.unwrap().median, 1.5);
    }

    #[test]
    fn instructions_are_compared_with_both_c_handlers() {
        let count = |peer, endpoint, instructions| Count {
            endpoint,
            peer,
            instructions,
            instructions_to_limit: None,
            instructions_to_plain: None,
            system_calls: None,
            objects: Vec::new(),
            functions: Vec::new(),
        };
        let mut counts = [
            count(LIMIT, Endpoint::Hello, Some(100.0)),
            count(PLAIN, Endpoint::Hello, Some(200.0)),
            count(OURS, Endpoint::Axum, Some(150.0)),
            count(OURS, Endpoint::Echo, Some(150.0)),
        ];
        compare_counts(&mut counts);
        assert_eq!(counts[2].instructions_to_limit, Some(1.5));
        assert_eq!(counts[2].instructions_to_plain, Some(0.75));
        assert_eq!(counts[3].instructions_to_limit, None);
    }
}
