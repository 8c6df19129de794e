//! The bars that mod_rust has set itself, and which of them hold.

use std::collections::BTreeMap;

use serde::Serialize;

use super::endpoint::Endpoint;
use super::peer::{BARE, OURS};
use super::results::{Count, Row};

/// What a request may cost over the C handler's, in CPU time and in instructions.
const RATIOS: [(Endpoint, f64, Option<f64>); 4] = [
    (Endpoint::Hello, 1.03, Some(1.05)),
    // The Router alone takes 5,000 instructions, a quarter of what all of httpd takes.
    (Endpoint::Axum, 1.15, None),
    (Endpoint::Echo, 1.05, None),
    (Endpoint::Stream, 1.05, None),
];
/// What an idle child may hold more than one without the module, in MiB.
const IDLE_MIB: f64 = 2.0;

/// One bar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Bar {
    /// What is compared.
    pub(super) what: String,
    /// The largest value that holds; `None` for a figure that is only shown.
    pub(super) limit: Option<f64>,
    /// Against the C handler that claims its URLs; `None` if it was not measured.
    pub(super) value: Option<f64>,
    /// The same against the C handler by SetHandler, to be shown beside it.
    pub(super) plain: Option<f64>,
    /// Whether it holds, if it was measured and has a limit.
    pub(super) holds: Option<bool>,
}

/// Computes all of them.
pub(super) fn bars(
    rows: &[Row],
    counts: &[Count],
    idle_child_kib: &BTreeMap<&'static str, u64>,
) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (endpoint, cpu_limit, instruction_limit) in RATIOS {
        let row = rows.iter().find(|row| row.peer == OURS && row.endpoint == endpoint);
        bars.push(bar(
            format!("{}: CPU a request", endpoint.name()),
            Some(cpu_limit),
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

fn bar(what: String, limit: Option<f64>, value: Option<f64>, plain: Option<f64>) -> Bar {
    let holds = value.zip(limit).map(|(value, limit)| value <= limit);
    Bar { what, limit, value, plain, holds }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(bars.len(), 9);
        assert!(bars.iter().all(|bar| bar.holds.is_none()));
    }

    #[test]
    fn memory_is_the_difference_to_the_bare_child() {
        let idle = BTreeMap::from([(OURS, 5 * 1024), (BARE, 4 * 1024)]);
        let bars = bars(&[], &[], &idle);
        assert_eq!(bars.last().and_then(|bar| bar.value), Some(1.0));
    }
}
