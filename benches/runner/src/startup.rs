//! `cargo httpd bench --startup`: the time and the memory that process groups take at a start and
//! at a graceful restart.
//!
//! Each round starts a fresh httpd. The time counts from the start, or from the signal, to an answer
//! of the right process: that of the new generation after a restart.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::account::{self, Method};
use crate::client::Client;
use crate::endpoint::Transport;
use crate::machine::Machine;
use crate::peer::{LIMIT, OURS, PEERS, Peer};
use crate::plan::{Plan, Size};
use crate::report::{left_out, machine_line, number, spread};
use crate::results::{Ratio, Settings, median};
use crate::server::{Launch, Server, Tool};
use crate::sys;
use crate::table::Table;

/// Between two requests for the new generation.
const PAUSE: Duration = Duration::from_millis(2);
/// The time limit of a start, and of a restart.
const PATIENCE: Duration = Duration::from_secs(60);
/// A rival with process groups.
const WSGI: &str = "wsgi-daemon";

/// The figures of one round. Times are in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Startup {
    pub(crate) peer: &'static str,
    /// Process groups; 0 for embedded mode.
    pub(crate) groups: u32,
    pub(crate) round: u32,
    /// From the start of httpd to the first answer, and to an answer of each group.
    pub(crate) start_first_ms: f64,
    pub(crate) start_all_ms: f64,
    /// From the signal to the first answer of a new process, and to one of each group.
    pub(crate) graceful_first_ms: f64,
    pub(crate) graceful_all_ms: f64,
    /// Requests during the restart that were not answered.
    pub(crate) lost: u32,
    /// Memory after the start.
    pub(crate) memory: Memory,
}

/// The memory of a server, in KiB.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Memory {
    pub(crate) parent_pss: u64,
    pub(crate) parent_rss: u64,
    pub(crate) children: u64,
    pub(crate) children_pss: u64,
    pub(crate) children_rss: u64,
    /// The groups' processes.
    pub(crate) daemons: u64,
    pub(crate) daemons_pss: u64,
    pub(crate) daemons_rss: u64,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) left_out: Vec<String>,
    pub(crate) rounds: Vec<Startup>,
}

/// Returns the peers that have process groups.
pub(crate) fn peers() -> impl Iterator<Item = &'static Peer> {
    PEERS.iter().filter(|peer| [LIMIT, OURS, WSGI].contains(&peer.name))
}

/// Measures every peer with each number of groups, and says each result on standard output.
///
/// # Errors
/// Returns an error if a server does not start, or a group has no new process in time.
pub(crate) fn run(
    plans: &[Plan],
    groups: &[u32],
    rounds: u32,
    method: &Method,
) -> Result<Vec<Startup>> {
    let mut found = Vec::new();
    for round in 0..rounds {
        for groups in groups {
            for plan in plans {
                if !has(plan.peer, *groups) {
                    continue;
                }
                let what = || format!("{} with {groups} process groups", plan.peer.name);
                let startup = measure(plan, *groups, round, method).with_context(what)?;
                println!("{}", line(&startup));
                found.push(startup);
            }
        }
    }
    Ok(found)
}

/// Whether a peer takes part with so many groups: the C handler has none, mod_wsgi's daemon some.
fn has(peer: &Peer, groups: u32) -> bool {
    match peer.name {
        LIMIT => groups == 0,
        OURS => true,
        _ => groups > 0,
    }
}

fn measure(plan: &Plan, groups: u32, round: u32, method: &Method) -> Result<Startup> {
    let launch = Launch {
        method,
        tool: Tool::None,
        size: Size::Usual,
        transport: Transport::Plain,
        patience: PATIENCE,
    };
    let plan = plan.with_directives(&directives(plan.peer, groups))?;
    let begin = Instant::now();
    let server = Server::start(&plan, &launch)?;
    let start_first_ms = ms(begin);
    let paths: Vec<_> = match groups {
        0 => vec!["/process".to_owned()],
        _ => (0..groups).map(|group| format!("/g{group}/process")).collect(),
    };
    // Each group had its own process, or one of them: all of them are of the old generation.
    for path in &paths {
        process(server.port(), path)?;
    }
    let start_all_ms = ms(begin);
    let memory = memory(&server);

    let old: BTreeSet<u32> = server.pids().into_iter().collect();
    let begin = Instant::now();
    sys::reload(server.httpd());
    let (mut lost, mut first) = (0, None);
    for path in &paths {
        while !process(server.port(), path)
            .inspect_err(|_| lost += 1)
            .is_ok_and(|p| !old.contains(&p))
        {
            if begin.elapsed() > PATIENCE {
                bail!("no new process answers {path} in {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(PAUSE);
        }
        first.get_or_insert_with(|| ms(begin));
    }
    let graceful_all_ms = ms(begin);
    server.stop()?;
    Ok(Startup {
        peer: plan.peer.name,
        groups,
        round,
        start_first_ms,
        start_all_ms,
        graceful_first_ms: first.unwrap_or(graceful_all_ms),
        graceful_all_ms,
        lost,
        memory,
    })
}

fn ms(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1000.0
}

/// Returns the directives of a server with so many groups. `/hello` is the first one's.
fn directives(peer: &Peer, groups: u32) -> String {
    if peer.name == LIMIT {
        return "CHandlerMount /hello hello\nCHandlerMount /process process\n".to_owned();
    }
    let ours = peer.name == OURS;
    let mut text = match (ours, groups) {
        (true, 0) => "RustAppAlias /hello hello\nRustAppAlias /process process\n".to_owned(),
        (true, _) => "RustSocketPrefix \"${RUN}/r\"\n".to_owned(),
        (false, _) => "WSGIRestrictEmbedded On\nWSGISocketPrefix \"${RUN}/wsgi\"\n".to_owned(),
    };
    for group in 0..groups {
        text.push_str(&match ours {
            true => format!(
                "RustDaemonProcess g{group} processes=1 threads=2\n\
                 RustAppAlias /g{group}/process process process-group=g{group}\n"
            ),
            false => format!(
                "WSGIDaemonProcess g{group} processes=1 threads=2 home=${{RUN}} \
                 display-name=%{{GROUP}}\n\
                 WSGIScriptAlias /g{group} \"${{APPS}}/app.py\" process-group=g{group} \
                 application-group=%{{GLOBAL}}\n"
            ),
        });
    }
    if groups > 0 {
        text.push_str(match ours {
            true => "RustAppAlias /hello hello process-group=g0\n",
            false => {
                "WSGIScriptAlias / \"${APPS}/app.py\" process-group=g0 \
                 application-group=%{GLOBAL}\n"
            }
        });
    }
    text
}

/// Asks which process answers.
fn process(port: u16, path: &str) -> Result<u32> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let response = Client::connect(port, PATIENCE)?.send(request.as_bytes())?;
    let text = String::from_utf8_lossy(&response.body).into_owned();
    match text.trim().parse() {
        Ok(process) if response.status == 200 => Ok(process),
        _ => bail!("{path} gives {} and `{}`", response.status, text.trim()),
    }
}

/// Weighs each process, by its role.
fn memory(server: &Server) -> Memory {
    let mut memory = Memory::default();
    for pid in server.pids() {
        let (pss, rss) = (account::pss_kib(pid), account::rss_kib(pid));
        if pid == server.httpd() {
            (memory.parent_pss, memory.parent_rss) = (pss, rss);
        } else if is_daemon(pid) {
            memory.daemons += 1;
            memory.daemons_pss += pss;
            memory.daemons_rss += rss;
        } else {
            memory.children += 1;
            memory.children_pss += pss;
            memory.children_rss += rss;
        }
    }
    memory
}

/// Whether a process has the title of a group's: `(rust:NAME)` or `(wsgi:NAME)`.
fn is_daemon(pid: u32) -> bool {
    let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    title.starts_with(b"(rust:") || title.starts_with(b"(wsgi:")
}

fn line(startup: &Startup) -> String {
    let Startup { peer, groups, round, start_first_ms, start_all_ms, lost, memory, .. } = startup;
    format!(
        "round {} startup      {peer:<16} {groups:>3} groups  start {start_first_ms:.0}, all \
         {start_all_ms:.0} ms  graceful {:.0}, all {:.0} ms  {lost} lost  PSS {:.1} MiB",
        round + 1,
        startup.graceful_first_ms,
        startup.graceful_all_ms,
        mib(memory.parent_pss + memory.children_pss + memory.daemons_pss),
    )
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Returns the tables: times, then memory. Each figure is the median of the rounds.
pub(crate) fn report(findings: &Findings) -> String {
    let mut text = machine_line(&findings.machine, findings.settings.mpm);
    text.push_str(&left_out(&findings.left_out));
    let mut rows: Vec<(&str, u32)> =
        findings.rounds.iter().map(|startup| (startup.peer, startup.groups)).collect();
    let place = |name: &str| peers().position(|peer| peer.name == name);
    rows.sort_unstable_by_key(|(peer, groups)| (place(peer), *groups));
    rows.dedup();
    let values = |row: (&str, u32), figure: &dyn Fn(&Startup) -> f64| -> Vec<f64> {
        let of = |startup: &&Startup| (startup.peer, startup.groups) == row;
        findings.rounds.iter().filter(of).map(figure).collect()
    };
    text.push_str(&format!(
        "\n**Start and graceful restart**, medians of {} rounds (least to most): from the start of httpd, or the \
         signal, to an answer of a process of the new generation. Every group has one process of \
         two threads.\n\n",
        findings.settings.rounds
    ));
    let mut times = Table::new(&[
        "peer",
        "groups",
        "start: first answer ms",
        "every group ms",
        "graceful: first answer ms",
        "every group ms",
        "lost",
    ]);
    let mut memory = Table::new(&[
        "peer",
        "groups",
        "parent PSS (RSS) MiB",
        "children",
        "PSS (RSS) of all",
        "groups' processes",
        "PSS (RSS) of all",
        "PSS of everything",
    ]);
    for row in rows {
        let figure = |figure: &dyn Fn(&Startup) -> f64| number(median(values(row, figure)), 0);
        let spread = |figure: &dyn Fn(&Startup) -> f64| spread(Ratio::of(values(row, figure)), 0);
        let weight = |kib: &dyn Fn(&Memory) -> u64| {
            number(median(values(row, &|startup| mib(kib(&startup.memory)))), 1)
        };
        let lost: u32 = findings
            .rounds
            .iter()
            .filter(|startup| (startup.peer, startup.groups) == row)
            .map(|startup| startup.lost)
            .sum();
        times.row(vec![
            title(row),
            row.1.to_string(),
            spread(&|startup| startup.start_first_ms),
            spread(&|startup| startup.start_all_ms),
            spread(&|startup| startup.graceful_first_ms),
            spread(&|startup| startup.graceful_all_ms),
            lost.to_string(),
        ]);
        let both = |pss: &dyn Fn(&Memory) -> u64, rss: &dyn Fn(&Memory) -> u64| {
            format!("{} ({})", weight(pss), weight(rss))
        };
        memory.row(vec![
            title(row),
            row.1.to_string(),
            both(&|m| m.parent_pss, &|m| m.parent_rss),
            figure(&|startup| startup.memory.children as f64),
            both(&|m| m.children_pss, &|m| m.children_rss),
            figure(&|startup| startup.memory.daemons as f64),
            both(&|m| m.daemons_pss, &|m| m.daemons_rss),
            weight(&|m| m.parent_pss + m.children_pss + m.daemons_pss),
        ]);
    }
    text.push_str(&times.render());
    text.push_str("\n**Memory after the start**\n\n");
    text.push_str(&memory.render());
    text
}

fn title((peer, groups): (&str, u32)) -> String {
    let name = match (peer, groups) {
        (LIMIT, _) => "C handler",
        (OURS, 0) => "mod_rust embedded",
        (OURS, _) => "mod_rust daemon",
        _ => "mod_wsgi daemon",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_a_process_and_a_path() {
        for peer in peers().filter(|peer| has(peer, 3)) {
            let text = directives(peer, 3);
            assert_eq!(text.matches("DaemonProcess g").count(), 3, "{text}");
            assert_eq!(text.matches("Alias /g").count(), 3, "{text}");
        }
        let ours = peers().find(|peer| peer.name == OURS).unwrap();
        assert!(has(ours, 0) && !directives(ours, 0).contains("DaemonProcess"));
    }
}
