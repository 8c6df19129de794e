//! The results as Markdown, for the terminal and for a file.

use crate::endpoint::Endpoint;
use crate::machine::Machine;
use crate::peer::{DAEMON, LIMIT, OURS, PLAIN};
use crate::results::{Bar, Count, Ratio, Results, Row};
use crate::table::Table;

/// Rows of the table of functions.
const FUNCTIONS: usize = 15;

/// Everything that was measured, the bars last.
pub(crate) fn report(results: &Results) -> String {
    let mut text = head(results);
    for endpoint in Endpoint::ALL {
        let rows: Vec<_> = results.rows.iter().filter(|row| row.endpoint == endpoint).collect();
        if !rows.is_empty() {
            text.push_str(&heading(endpoint));
            text.push_str(&rows_table(results, &rows));
        }
    }
    text.push_str(&counts(results));
    text.push_str("\n### Bars\n\n");
    text.push_str(&format!(
        "Over \"{}\"; beside it, over \"{}\".\n\n",
        title(results, LIMIT),
        title(results, PLAIN)
    ));
    text.push_str(&bar_lines(&results.bars));
    text
}

/// Returns the counted instructions and system calls, if there are any.
pub(crate) fn counts(results: &Results) -> String {
    let mut text = String::new();
    if !results.counts.is_empty() {
        text.push_str(
            "\n### Instructions and system calls a request\n\nIn user space, of all processes of the \
             peer, for one request on a kept connection.\n",
        );
    }
    for endpoint in Endpoint::ALL {
        let counts: Vec<_> = results.counts.iter().filter(|c| c.endpoint == endpoint).collect();
        if !counts.is_empty() {
            text.push_str(&heading(endpoint));
            text.push_str(&counts_table(results, &counts));
            for (peer, name) in [(OURS, "mod_rust"), (DAEMON, "mod_rust daemon")] {
                text.push_str(&differences(results, peer, name, endpoint));
            }
        }
    }
    text
}

pub(crate) fn head(results: &Results) -> String {
    let (machine, settings) = (&results.machine, &results.settings);
    let mut text = machine_line(machine, settings.mpm);
    if settings.rounds > 0 {
        text.push_str(&format!(
            "wrk -t{} -c{} -d{}s after {} s of warm-up, {} interleaved rounds{}; medians, ratios within \
             the same round (least to most); CPU time from {}.\n",
            settings.threads,
            settings.connections,
            settings.duration_s,
            settings.warm_up_s,
            settings.rounds,
            if settings.pinned { ", httpd on one core and wrk on another" } else { "" },
            machine.cpu_time,
        ));
    }
    if let Some(most) = settings.max_others.filter(|_| settings.rounds > 0) {
        let left: usize = results.rows.iter().map(|row| row.not_counted).sum();
        let all = results.runs.len();
        text.push_str(&format!(
            "{left} of {all} runs are left out, since others used more than {most} cores meanwhile.\n"
        ));
    }
    text.push_str(&left_out(&results.left_out));
    text
}

/// Returns the line about the machine, and that about rivals from PyPI.
pub(crate) fn machine_line(machine: &Machine, mpm: &str) -> String {
    let mut text = format!(
        "{}, {} cores, {} MiB; {}, Linux {}; {}, {mpm} MPM; {}; {}; mod_rust {}; {}; load {} before \
         the run.\n",
        machine.cpu,
        machine.cores,
        machine.memory_mib,
        machine.system,
        machine.kernel,
        machine.httpd,
        machine.rustc,
        machine.wrk,
        machine.mod_rust,
        machine.date,
        machine.load,
    );
    if !machine.rivals.is_empty() {
        text.push_str(&format!("From PyPI: {}.\n", machine.rivals.join(", ")));
    }
    text
}

/// Returns a line for each peer that is left out.
pub(crate) fn left_out(peers: &[String]) -> String {
    peers.iter().map(|line| format!("Left out: {line}\n")).collect()
}

pub(crate) fn heading(endpoint: Endpoint) -> String {
    format!("\n**{}** ({})\n\n", endpoint.name(), endpoint.description())
}

fn rows_table(results: &Results, rows: &[&Row]) -> String {
    let mut table = Table::new(&[
        "peer",
        "req/s",
        "CPU us/req",
        "CPU x limit",
        "CPU x SetHandler",
        "p50 ms",
        "p99 ms",
        "PSS MiB",
        "errors",
    ]);
    for row in rows {
        table.row(vec![
            title(results, row.peer),
            number(Some(row.rps), 0),
            number(row.cpu_us, 1),
            ratio(row.cpu_to_limit),
            number(row.cpu_to_plain.map(|ratio| ratio.median), 2),
            number(Some(row.p50_us / 1000.0), 2),
            number(Some(row.p99_us / 1000.0), 2),
            if row.counted > 0 { number(Some(row.pss_mib), 1) } else { "-".into() },
            row.errors.to_string(),
        ]);
    }
    table.render()
}

fn counts_table(results: &Results, counts: &[&Count]) -> String {
    let mut table =
        Table::new(&["peer", "instructions", "x limit", "x SetHandler", "system calls", "<which"]);
    for count in counts {
        let calls = count.system_calls.as_deref().unwrap_or_default();
        let which = calls.iter().take(8).map(|(name, calls)| format!("{name} {calls:.1}"));
        table.row(vec![
            title(results, count.peer),
            number(count.instructions, 0),
            number(count.instructions_to_limit, 3),
            number(count.instructions_to_plain, 3),
            number(count.system_calls.as_ref().map(|_| calls.iter().map(|c| c.1).sum()), 1),
            which.collect::<Vec<_>>().join(", "),
        ]);
    }
    table.render()
}

/// Lists a peer's instructions by function, without callees, beside the C handler's.
fn differences(results: &Results, peer: &str, name: &str, endpoint: Endpoint) -> String {
    let find = |peer, endpoint| {
        results.counts.iter().find(|count| count.peer == peer && count.endpoint == endpoint)
    };
    let (Some(ours), Some(limit)) =
        (find(peer, endpoint), find(LIMIT, endpoint.counted_reference()))
    else {
        return String::new();
    };
    let mut text = format!("\n{name}, by object and function, without callees:\n\n");
    let mut table = Table::new(&["where", name, "C handler", "difference"]);
    let objects = compare(&ours.objects, &limit.objects);
    let functions = compare(&ours.functions, &limit.functions);
    for (name, ours, theirs) in objects.into_iter().chain(functions.into_iter().take(FUNCTIONS)) {
        let signed = format!("{:+.0}", ours - theirs);
        table.row(vec![name, format!("{ours:.0}"), format!("{theirs:.0}"), signed]);
    }
    text.push_str(&table.render());
    text
}

/// Both sides of each name, the largest difference first.
fn compare(ours: &[(String, f64)], theirs: &[(String, f64)]) -> Vec<(String, f64, f64)> {
    let of = |list: &[(String, f64)], name: &str| {
        list.iter().find(|(other, _)| other == name).map_or(0.0, |(_, cost)| *cost)
    };
    let mut names: Vec<_> = ours.iter().chain(theirs).map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let mut both: Vec<_> = names
        .into_iter()
        .map(|name| {
            let (ours, theirs) = (of(ours, &name), of(theirs, &name));
            (name, ours, theirs)
        })
        .filter(|(_, ours, theirs)| (ours - theirs).abs() >= 1.0)
        .collect();
    both.sort_by(|one, other| (other.1 - other.2).abs().total_cmp(&(one.1 - one.2).abs()));
    both
}

/// Returns a line for each bar, and one that sums them up.
pub(crate) fn bar_lines(bars: &[Bar]) -> String {
    let mut text: String = bars.iter().map(bar_line).collect();
    let count = |held| bars.iter().filter(|bar| bar.limit.is_some() && bar.holds == held).count();
    let missed = bars
        .iter()
        .filter(|bar| bar.holds == Some(false))
        .filter_map(|bar| Some(format!("{}{}", bar.what, distance(bar.value?, bar.limit?))));
    let missed: Vec<_> = missed.collect();
    text.push_str(&format!(
        "\nOf {} bars, {} hold, {} do not hold, {} were not measured.{}\n",
        bars.iter().filter(|bar| bar.limit.is_some()).count(),
        count(Some(true)),
        count(Some(false)),
        count(None),
        if missed.is_empty() { String::new() } else { format!(" Missed: {}.", missed.join("; ")) },
    ));
    text
}

fn bar_line(bar: &Bar) -> String {
    let Bar { what, value, .. } = bar;
    let spread = match bar.spread {
        Some((min, max)) if min < max => format!(" ({min:.3} to {max:.3})"),
        _ => String::new(),
    };
    let plain = bar.plain.map_or(String::new(), |plain| format!(" (SetHandler: {plain:.3})"));
    match (value, bar.limit, bar.holds) {
        (Some(value), Some(limit), Some(true)) => {
            let below = distance(*value, limit);
            format!("- holds: {what}: {value:.3}{spread}, at most {limit}{below}{plain}\n")
        }
        (Some(value), Some(limit), _) => {
            let over = distance(*value, limit);
            format!("- does not hold: {what}: {value:.3}{spread}, over {limit}{over}{plain}\n")
        }
        (Some(value), None, _) => format!("- has no bar: {what}: {value:.3}{spread}{plain}\n"),
        (None, Some(limit), _) => format!("- not measured: {what}, at most {limit}\n"),
        (None, None, _) => String::new(),
    }
}

/// Returns how far a value is from its limit.
fn distance(value: f64, limit: f64) -> String {
    match (value - limit) / limit * 100.0 {
        part if part.is_finite() => format!(" ({part:+.0} %)"),
        _ => String::new(),
    }
}

pub(crate) fn title(results: &Results, peer: &str) -> String {
    let found = results.peers.iter().find(|(name, _)| *name == peer);
    found.map_or(peer, |(_, title)| title).to_owned()
}

pub(crate) fn ratio(ratio: Option<Ratio>) -> String {
    spread(ratio, 2)
}

/// Returns the median with so many decimals, and the least and the largest if they differ.
pub(crate) fn spread(ratio: Option<Ratio>, decimals: usize) -> String {
    let show = |value| number(Some(value), decimals);
    match ratio {
        None => "-".into(),
        Some(r) if r.min == r.max => show(r.median),
        Some(r) => format!("{} ({} to {})", show(r.median), show(r.min), show(r.max)),
    }
}

/// Returns the number with so many decimals, thousands apart; a dash for none.
pub(crate) fn number(value: Option<f64>, decimals: usize) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return "-".into() };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && digit.is_ascii_digit() && (whole.len() - i) % 3 == 0 && !grouped.ends_with('-')
        {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (value, decimals, text) in [
            (0.0, 0, "0"),
            (999.0, 0, "999"),
            (1000.0, 0, "1,000"),
            (1234567.25, 1, "1,234,567.2"),
            (-123.0, 0, "-123"),
            (-1234.0, 0, "-1,234"),
        ] {
            assert_eq!(number(Some(value), decimals), text);
        }
        assert_eq!(number(None, 1), "-");
        assert_eq!(number(Some(f64::NAN), 1), "-");
    }

    #[test]
    fn a_bar_states_its_verdict() {
        let bar = |limit, value: Option<f64>, holds| Bar {
            what: "hello".into(),
            limit,
            value,
            spread: None,
            plain: None,
            holds,
        };
        for (bar, start) in [
            (bar(Some(1.05), Some(1.0), Some(true)), "- holds: hello: 1.000, at most 1.05 (-5 %)"),
            (
                bar(Some(1.05), Some(1.1), Some(false)),
                "- does not hold: hello: 1.100, over 1.05 (+5 %)",
            ),
            (bar(Some(1.05), None, None), "- not measured: hello"),
            (bar(None, Some(1.1), None), "- has no bar: hello: 1.100"),
        ] {
            assert!(bar_line(&bar).starts_with(start), "{}", bar_line(&bar));
        }
        assert_eq!(bar_line(&bar(None, None, None)), "");
        let spread = Bar { spread: Some((0.9, 1.2)), ..bar(Some(1.15), Some(1.0), Some(true)) };
        let line = bar_line(&spread);
        assert!(line.contains("1.000 (0.900 to 1.200), at most 1.15 (-13 %)"), "{line}");
    }

    #[test]
    fn bars_are_summed_up() {
        let bars = [
            Bar::at_most("a".into(), 2.0, Some(1.0)),
            Bar::at_most("b".into(), 2.0, Some(3.0)),
            Bar::at_most("c".into(), 2.0, None),
        ];
        let text = bar_lines(&bars);
        let sum = "Of 3 bars, 1 hold, 1 do not hold, 1 were not measured. Missed: b (+50 %).";
        assert_eq!(text.lines().last(), Some(sum));
    }

    #[test]
    fn differences_come_largest_first() {
        let ours = [("a".to_owned(), 10.0), ("b".to_owned(), 5.0), ("same".to_owned(), 7.0)];
        let theirs = [("b".to_owned(), 50.0), ("same".to_owned(), 7.0)];
        assert_eq!(compare(&ours, &theirs), [("b".into(), 5.0, 50.0), ("a".into(), 10.0, 0.0)]);
    }
}
