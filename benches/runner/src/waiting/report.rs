//! The tables of `--waiting`, and its bars.

use super::Findings;
use super::crowd::Crowd;
use super::live::{Echo, Kind, Live};
use super::peers::{DAEMON, EMBEDDED, FASTCGI, HTTP, OFF, ON, PARTS, WSTUNNEL};
use crate::endpoint::Endpoint;
use crate::report::{bar_lines, left_out, machine_line, number, spread};
use crate::results::{Bar, Count, Ratio, Run, median};
use crate::table::Table;

/// A request that suspends costs at most so many microseconds of CPU more.
const SUSPENSION_US: f64 = 35.0;

pub(crate) fn crowd_line(crowd: &Crowd) -> String {
    let Crowd { peer, asked, answered, p99_ms, closed, herd, cpu_us, memory_kib, others, .. } =
        crowd;
    let mut line = format!(
        "crowd            {peer:<16} {answered} of {asked} answered  p99 {} ms  {closed} closed  \
         herd {} answered  p99 {} ms  {} + {} closed  CPU {} us  {memory_kib:.1} KiB  others \
         {others:.2}",
        number(*p99_ms, 0),
        herd.answered,
        number(herd.p99_ms, 0),
        herd.closed_before,
        herd.closed,
        number(*cpu_us, 0),
    );
    line.extend(crowd.error.iter().map(|error| format!("  {error}")));
    line
}

pub(crate) fn live_line(live: &Live) -> String {
    let Live { peer, kind, came, due, in_time, late_p99_ms, memory_kib, others, .. } = live;
    let mut line = format!(
        "{:<16} {peer:<16} {came} of {due} came, {in_time} in time  p99 {} ms late  CPU {} us  \
         {memory_kib:.1} KiB  others {others:.2}",
        kind_name(*kind),
        number(*late_p99_ms, 1),
        number(live.cpu_us, 0),
    );
    line.extend(live.error.iter().map(|error| format!("  {error}")));
    line
}

/// Everything that was measured, the bars last.
pub(crate) fn report(findings: &Findings) -> String {
    let mut text = head(findings);
    crowds(findings, &mut text);
    for kind in [Kind::WebSocket, Kind::Events] {
        lives(findings, kind, &mut text);
    }
    suspensions(findings, &mut text);
    echoes(findings, &mut text);
    counts(findings, &mut text);
    text.push_str("\n**Bars**\n\n");
    text.push_str(&bar_lines(&findings.bars));
    if !findings.complaints.is_empty() {
        text.push_str("\nLogged by mod_rust's servers:\n\n");
        for line in &findings.complaints {
            text.push_str(&format!("    {line}\n"));
        }
    }
    text
}

fn head(findings: &Findings) -> String {
    let mut text = machine_line(&findings.machine, findings.settings.mpm);
    text.push_str("The client is on the same cores.\n");
    text.push_str(&left_out(&findings.left_out));
    text
}

fn crowds(findings: &Findings, text: &mut String) {
    if findings.crowds.is_empty() {
        return;
    }
    let scale = &findings.scale;
    text.push_str(&format!(
        "\n**{} requests at once that wait {:.1} s each**, {} on each connection. What is not \
         answered is later than {:.0} s. Closed are kept connections that the server closed before \
         it had read the next request, which was then sent on a new one.\n\n",
        number(Some(f64::from(scale.connections)), 0),
        scale.wait.as_secs_f64(),
        scale.rounds,
        (scale.wait * (1 + scale.rounds) + scale.grace).as_secs_f64(),
    ));
    let mut table = Table::new(&[
        "peer",
        "answered",
        "p50 ms",
        "p99 ms",
        "p99 over the wait",
        "closed",
        "CPU us/req",
        "KiB/request",
        "others, cores",
    ]);
    for crowd in &findings.crowds {
        let count = |count: usize| number(Some(count as f64), 0);
        table.row(vec![
            title(crowd.peer),
            format!("{} of {}", count(crowd.answered), count(crowd.asked)),
            number(crowd.p50_ms, 0),
            number(crowd.p99_ms, 0),
            crowd.over.map_or("-".into(), |over| format!("{:.1} %", over * 100.0)),
            number(Some(f64::from(crowd.closed)), 0),
            number(crowd.cpu_us, 0),
            number(Some(crowd.memory_kib), 1),
            number(Some(crowd.others), 2),
        ]);
    }
    text.push_str(&table.render());
    herds(findings, text);
}

/// Writes the table of the requests that were all sent at one moment.
fn herds(findings: &Findings, text: &mut String) {
    text.push_str(&format!(
        "\n**The herd**: {} requests of {:.1} s on open connections, all sent at one moment. A dash: \
         the requests before it were not all answered.\n\n",
        number(Some(f64::from(findings.scale.connections)), 0),
        findings.scale.wait.as_secs_f64(),
    ));
    let mut table =
        Table::new(&["peer", "answered", "p50 ms", "p99 ms", "closed before", "closed by it"]);
    for crowd in &findings.crowds {
        let herd = &crowd.herd;
        let count = |count: f64| number(Some(count).filter(|_| herd.answered > 0), 0);
        table.row(vec![
            title(crowd.peer),
            count(herd.answered as f64),
            number(herd.p50_ms, 0),
            number(herd.p99_ms, 0),
            count(f64::from(herd.closed_before)),
            count(f64::from(herd.closed)),
        ]);
    }
    text.push_str(&table.render());
}

fn lives(findings: &Findings, kind: Kind, text: &mut String) {
    if findings.lives.is_empty() {
        return;
    }
    let scale = &findings.scale;
    text.push_str(&format!(
        "\n**{} {}**, a message on each every {:.1} s, for {:.0} s; in time is within 0.5 s.\n\n",
        number(Some(f64::from(scale.connections)), 0),
        if kind == Kind::WebSocket { "WebSockets" } else { "streams of server-sent events" },
        scale.period.as_secs_f64(),
        (scale.period * scale.messages).as_secs_f64(),
    ));
    let mut table = Table::new(&[
        "peer",
        "open",
        "came",
        "in time",
        "late p50 ms",
        "late p99 ms",
        "CPU us/message",
        "CPU us to open",
        "KiB/connection",
        "others, cores",
    ]);
    for live in findings.lives.iter().filter(|live| live.kind == kind) {
        let count = |count: usize| number(Some(count as f64), 0);
        table.row(vec![
            title(live.peer),
            number(Some(f64::from(live.open)), 0),
            format!("{} of {}", count(live.came), count(live.due)),
            count(live.in_time),
            number(live.late_p50_ms, 1),
            number(live.late_p99_ms, 1),
            number(live.cpu_us, 0),
            number(Some(live.opening_us), 0),
            number(Some(live.memory_kib), 1),
            number(Some(live.others), 2),
        ]);
    }
    text.push_str(&table.render());
}

fn suspensions(findings: &Findings, text: &mut String) {
    if findings.runs.is_empty() {
        return;
    }
    text.push_str(
        "\n**A suspension**: CPU us a request of an axum hello that is ready, after one \
         `yield_now().await` (it goes on in the same visit), and after a timer of 2 ms (it suspends; \
         with RustAsync Off its thread waits); wrk on 64 kept connections, medians of interleaved \
         rounds.\n\n",
    );
    let mut table = Table::new(&[
        "peer",
        "ready",
        "awaiting",
        "sleeping",
        "awaiting less ready",
        "sleeping less ready",
        "sleeping req/s",
        "errors",
    ]);
    for peer in [ON, OFF] {
        let cpu =
            |endpoint| number(median(cpu(&findings.runs, peer, endpoint).map(|run| run.1)), 1);
        let less = |endpoint| spread(difference(&findings.runs, peer, endpoint), 1);
        let runs = || findings.runs.iter().filter(|run| run.peer == peer && run.counted);
        let asleep = runs().filter(|run| run.endpoint == Endpoint::Sleeping).map(|run| run.rps);
        let errors: u64 = runs().map(|run| run.figures.errors()).sum();
        table.row(vec![
            title(peer),
            cpu(Endpoint::Axum),
            cpu(Endpoint::Awaiting),
            cpu(Endpoint::Sleeping),
            less(Endpoint::Awaiting),
            less(Endpoint::Sleeping),
            number(median(asleep), 0),
            errors.to_string(),
        ]);
    }
    text.push_str(&table.render());
}

fn echoes(findings: &Findings, text: &mut String) {
    if findings.echoes.is_empty() {
        return;
    }
    text.push_str(&format!(
        "\n**Echo over WebSocket**, 64 bytes on {} connections; medians of {} interleaved rounds.\n\n",
        findings.scale.sockets, findings.scale.echo_rounds
    ));
    let mut table = Table::new(&["peer", "messages/s", "CPU us/message"]);
    for part in PARTS {
        let of = |field: fn(&Echo) -> f64| echo(&findings.echoes, part.peer.name, field);
        let Some(messages) = of(|echo| echo.messages_s) else { continue };
        table.row(vec![
            part.peer.title.into(),
            number(Some(messages), 0),
            number(of(|echo| echo.cpu_us), 1),
        ]);
    }
    text.push_str(&table.render());
}

fn counts(findings: &Findings, text: &mut String) {
    if findings.counts.is_empty() {
        return;
    }
    text.push_str("\n**Instructions a request**, in user space.\n\n");
    let mut table = Table::new(&["peer", "<endpoint", "instructions", "x C handler"]);
    for count in &findings.counts {
        table.row(vec![
            count.peer.into(),
            count.endpoint.name().into(),
            number(count.instructions, 0),
            number(count.instructions_to_limit, 3),
        ]);
    }
    text.push_str(&table.render());
}

/// Returns the bars of issue 11. A bar holds up to its limit.
pub(crate) fn bars(findings: &Findings) -> Vec<Bar> {
    let mut bars = Vec::new();
    let wait = findings.scale.wait.as_secs_f64();
    for peer in [EMBEDDED, DAEMON, HTTP, FASTCGI] {
        let crowd = findings.crowds.iter().find(|crowd| crowd.peer == peer);
        let open = crowd.map(|crowd| (crowd.asked - crowd.answered) as f64);
        bars.push(Bar::at_most(
            format!("{peer}: waiting requests that were not answered"),
            0.0,
            open,
        ));
        let over = crowd.and_then(|crowd| crowd.over).map(|over| over + 1.0);
        bars.push(Bar::at_most(format!("{peer}: p99 over the wait of {wait:.1} s"), 1.05, over));
    }
    for (peer, kind) in [EMBEDDED, DAEMON, HTTP]
        .iter()
        .flat_map(|peer| [Kind::WebSocket, Kind::Events].map(|kind| (*peer, kind)))
    {
        let live = findings.lives.iter().find(|live| live.peer == peer && live.kind == kind);
        let late = live.map(|live| (live.due - live.in_time.min(live.due)) as f64);
        bars.push(Bar::at_most(
            format!("{peer}: {} messages not in time", kind_name(kind)),
            0.0,
            late,
        ));
    }
    let suspension = difference(&findings.runs, ON, Endpoint::Sleeping);
    bars.push(Bar::of_rounds("a suspension: CPU us".into(), Some(SUSPENSION_US), suspension));
    let ready = ratio(cpu(&findings.runs, ON, Endpoint::Axum), |round| {
        cpu(&findings.runs, OFF, Endpoint::Axum).find(|(other, _)| *other == round)
    });
    let what = "ready axum hello: CPU, RustAsync On over Off".into();
    bars.push(Bar::of_rounds(what, Some(1.02), ready));
    let of = |count: &&Count| count.peer == EMBEDDED && count.endpoint == Endpoint::Awaiting;
    let count = findings.counts.iter().find(of).and_then(|count| count.instructions_to_limit);
    bars.push(Bar::at_most(
        "axum with one await: instructions over the C handler's".into(),
        1.7,
        count,
    ));
    for peer in [EMBEDDED, HTTP] {
        let of = |peer, field: fn(&Echo) -> f64| echo(&findings.echoes, peer, field);
        let rate = |peer| of(peer, |echo| echo.messages_s);
        let slower = rate(WSTUNNEL).zip(rate(peer)).map(|(theirs, ours)| theirs / ours);
        bars.push(Bar::at_most(
            format!("{peer} echo: {WSTUNNEL}'s messages a second over ours"),
            1.0,
            slower,
        ));
        let cpu = |peer| of(peer, |echo| echo.cpu_us);
        let dearer = cpu(peer).zip(cpu(WSTUNNEL)).map(|(ours, theirs)| ours / theirs);
        bars.push(Bar::at_most(
            format!("{peer} echo: CPU a message over {WSTUNNEL}'s"),
            1.0,
            dearer,
        ));
    }
    bars
}

/// Returns CPU a request by round.
fn cpu<'a>(
    runs: &'a [Run],
    peer: &'a str,
    endpoint: Endpoint,
) -> impl Iterator<Item = (u32, f64)> + 'a {
    let runs = runs.iter().filter(move |run| run.peer == peer && run.endpoint == endpoint);
    runs.filter(|run| run.counted).filter_map(|run| Some((run.round, run.cpu_us?)))
}

/// Returns an endpoint less one that is ready, in each round.
fn difference(runs: &[Run], peer: &str, endpoint: Endpoint) -> Option<Ratio> {
    Ratio::of(cpu(runs, peer, endpoint).filter_map(|(round, us)| {
        let ready = cpu(runs, peer, Endpoint::Axum).find(|(other, _)| *other == round)?;
        Some(us - ready.1)
    }))
}

/// Returns the ratios of the rounds.
fn ratio(
    ours: impl Iterator<Item = (u32, f64)>,
    other: impl Fn(u32) -> Option<(u32, f64)>,
) -> Option<Ratio> {
    Ratio::of(ours.filter_map(|(round, us)| Some(us / other(round)?.1)))
}

fn echo(echoes: &[Echo], peer: &str, field: fn(&Echo) -> f64) -> Option<f64> {
    median(echoes.iter().filter(|echo| echo.peer == peer).map(field))
}

fn title(peer: &str) -> String {
    let part = PARTS.iter().find(|part| part.peer.name == peer);
    part.map_or(peer, |part| part.peer.title).to_owned()
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::WebSocket => "WebSocket",
        Kind::Events => "events",
    }
}
