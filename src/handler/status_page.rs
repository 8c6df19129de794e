//! The section of mod_status's page: the module and its version, each of its process groups, their
//! processes, and the requests that they work on.

use std::fmt::Write as _;
use std::marker::PhantomData;

use super::Module;
use crate::adapter;
use crate::daemon::{self, Group};
use crate::httpd::Request;
use crate::module::StatusPageHook;
use crate::process_group::{GroupSnapshot, HistogramSnapshot, ProcessState, SlotSnapshot};

/// The section of a module.
pub(super) struct Page<M>(PhantomData<M>);

impl<M: Module> StatusPageHook for Page<M> {
    fn section(_request: &Request<'_>, is_short: bool) -> String {
        let mut text = module(&M::NAME.to_string_lossy(), M::VERSION, is_short);
        text += &waiting(&M::NAME.to_string_lossy(), adapter::count(), is_short);
        daemon::with_groups(|groups| {
            text.extend(groups.iter().map(|group| section(group, is_short)));
        });
        text
    }
}

/// Returns the line on the module itself.
fn module(name: &str, version: &str, is_short: bool) -> String {
    let kit = env!("CARGO_PKG_VERSION");
    let (name, version) = (escape(name), escape(version));
    if is_short {
        format!("RustModule[{name}]Version: {version}\nRustModule[{name}]Kit: {kit}\n")
    } else {
        format!("<hr />\n<h2>Rust module {name}</h2>\n<p>Version {version}, mod_rust {kit}</p>\n")
    }
}

/// Returns the line on the requests that wait without a thread in the child that makes the page.
fn waiting(name: &str, count: usize, is_short: bool) -> String {
    let (name, pid) = (escape(name), std::process::id());
    if is_short {
        format!("RustModule[{name}]Waiting[{pid}]: {count}\n")
    } else {
        format!("<p>{count} requests wait without a thread in this child, process {pid}</p>\n")
    }
}

fn section(group: &Group, is_short: bool) -> String {
    let snapshot = group.snapshot();
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = if is_short { short(&mut text, &snapshot) } else { html(&mut text, &snapshot) };
    text
}

/// Lines for programs, as mod_status writes its own.
fn short(text: &mut String, group: &GroupSnapshot) -> std::fmt::Result {
    let name = &group.name;
    let counts = &group.counts;
    writeln!(text, "RustGroup[{name}]Ready: {}", group.ready)?;
    writeln!(text, "RustGroup[{name}]Threads: {}", group.threads)?;
    writeln!(text, "RustGroup[{name}]Running: {}", group.running)?;
    writeln!(text, "RustGroup[{name}]Parked: {}", group.parked)?;
    writeln!(text, "RustGroup[{name}]Requests: {}", counts.requests)?;
    writeln!(text, "RustGroup[{name}]Errors: {}", counts.errors)?;
    writeln!(text, "RustGroup[{name}]RefusedFull: {}", group.refused_full)?;
    writeln!(text, "RustGroup[{name}]RefusedOpen: {}", group.refused_open)?;
    writeln!(text, "RustGroup[{name}]BytesIn: {}", counts.bytes_in)?;
    writeln!(text, "RustGroup[{name}]BytesOut: {}", counts.bytes_out)?;
    for (phase, histogram) in
        [("Queue", &counts.queue), ("Application", &counts.application), ("Total", &counts.total)]
    {
        for (label, q) in [("P50", 0.5), ("P99", 0.99)] {
            let us = histogram.quantile(q).unwrap_or(0);
            writeln!(text, "RustGroup[{name}]{phase}{label}Us: {us}")?;
        }
    }
    Ok(())
}

fn html(text: &mut String, group: &GroupSnapshot) -> std::fmt::Result {
    let counts = &group.counts;
    writeln!(text, "<hr />\n<h2>Rust process group {}</h2>", escape(&group.name))?;
    writeln!(
        text,
        "<dl><dt>{} of {} processes ready, {} threads; {} requests running or waiting for a thread, \
         {} parked</dt>",
        group.ready, group.target, group.threads, group.running, group.parked
    )?;
    writeln!(
        text,
        "<dt>{} requests, {} with errors; {} refused as the group was full, {} as no process could \
         be started</dt>",
        counts.requests, counts.errors, group.refused_full, group.refused_open
    )?;
    writeln!(
        text,
        "<dt>Time in ms (median, 99 %): queue {}, application {}, altogether {}</dt></dl>",
        quantiles(&counts.queue),
        quantiles(&counts.application),
        quantiles(&counts.total)
    )?;
    text.push_str(
        "<table border=\"0\"><tr><th>Slot</th><th>PID</th><th>ProcessState</th><th>Requests</th>\
         <th>Busy</th><th>Parked</th><th>RSS MiB</th><th>CPU s</th><th>Age s</th><th>Deaths</th>\
         <th>Working on</th></tr>\n",
    );
    for slot in group.slots.iter().filter(|slot| slot.state != ProcessState::Empty) {
        row(text, group, slot)?;
    }
    text.push_str("</table>\n");
    Ok(())
}

fn row(text: &mut String, group: &GroupSnapshot, slot: &SlotSnapshot) -> std::fmt::Result {
    let reason = slot.reason.map_or(String::new(), |reason| format!(" ({})", reason.word()));
    write!(
        text,
        "<tr><td>{}</td><td>{}</td><td>{}{reason}</td><td>{}</td><td>{}/{}</td><td>{}</td>\
         <td>{:.1}</td><td>{:.2}</td><td>{}</td><td>{}</td><td>",
        slot.index,
        slot.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        slot.state.name(),
        slot.requests_here,
        slot.running,
        slot.threads,
        slot.parked,
        slot.resident as f64 / f64::from(1 << 20),
        slot.cpu_us as f64 / 1e6,
        group.now_us.saturating_sub(slot.started_us) / 1_000_000,
        slot.deaths,
    )?;
    for request in &slot.requests {
        let ms = group.now_us.saturating_sub(request.started_us) / 1000;
        let line = String::from_utf8_lossy(&request.text);
        write!(text, "{} ({}, {ms} ms)<br />", escape(&line), request.phase.name())?;
    }
    text.push_str("</td></tr>\n");
    Ok(())
}

fn quantiles(histogram: &HistogramSnapshot) -> String {
    let ms = |q| histogram.quantile(q).map_or(0.0, |us| us as f64 / 1000.0);
    format!("{:.1}, {:.1}", ms(0.5), ms(0.99))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            _ if c.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process_group::Scoreboard;

    #[test]
    fn data_of_clients_are_escaped() {
        assert_eq!(escape("<b>&\"\u{7}"), "&lt;b&gt;&amp;&quot;\u{fffd}");
    }

    #[test]
    fn both_forms_name_the_module() {
        assert!(module("mod_shop.c", "0.2.0", false).contains("<h2>Rust module mod_shop.c</h2>"));
        let lines = module("mod_shop.c", "0.2.0", true);
        assert!(lines.starts_with("RustModule[mod_shop.c]Version: 0.2.0\n"), "{lines}");
        assert!(lines.lines().all(|line| line.starts_with("RustModule[mod_shop.c]")), "{lines}");
    }

    #[test]
    fn both_forms_name_the_group() {
        let board = Scoreboard::leaked(2, 2);
        let snapshot = board.snapshot("shop", 5);
        let (mut page, mut lines) = (String::new(), String::new());
        html(&mut page, &snapshot).unwrap();
        short(&mut lines, &snapshot).unwrap();
        assert!(page.contains("<h2>Rust process group shop</h2>"), "{page}");
        assert!(lines.lines().all(|line| line.starts_with("RustGroup[shop]")), "{lines}");
    }
}
