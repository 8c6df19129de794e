//! `cargo httpd bench --waiting`: requests that wait, WebSockets and event streams by the thousand.
//!
//! The client is this program: one thread, a connection for each request. docs/benchmark.md has
//! the method.

mod crowd;
mod gauge;
mod live;
mod peers;
mod report;
mod wire;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use self::crowd::Crowd;
use self::live::{Echo, Kind, Live};
pub(crate) use self::peers::{PARTS, Part};
use crate::account::Method;
use crate::endpoint::{Endpoint, Transport};
use crate::load::Load;
use crate::machine::Machine;
use crate::plan::{Plan, Size};
use crate::results::{Bar, Count, Run, Settings};
use crate::rounds::Rounds;
use crate::server::{Launch, Server, Tool};
use crate::sys;

/// Descriptors of a process beside those of the connections.
const SPARE: u64 = 300;
/// The connections that are opened, or made ready, in a second.
const OPENED: u32 = 2000;

/// A table of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tables {
    /// Thousands of requests at once that wait.
    Requests,
    /// Thousands of WebSockets and event streams.
    Connections,
    /// Messages that come back over WebSocket.
    Echo,
    /// The cost of a suspension.
    Suspension,
}

/// The size of the run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Scale {
    pub(crate) connections: u32,
    /// The length of a wait, and the requests of each connection.
    pub(crate) wait: Duration,
    pub(crate) rounds: u32,
    /// The time beyond what is needed after which a request counts as unanswered.
    pub(crate) grace: Duration,
    /// The time between two messages, and the messages of each connection that count.
    pub(crate) period: Duration,
    pub(crate) messages: u32,
    /// The connections that echo, the length of a round and the rounds.
    pub(crate) sockets: u32,
    pub(crate) echo: Duration,
    pub(crate) echo_rounds: u32,
}

impl Scale {
    /// Returns the size of the bars, with so many connections.
    pub(crate) fn full(connections: u32, rounds: u32) -> Self {
        Self {
            connections,
            wait: Duration::from_secs(2),
            rounds: 4,
            grace: Duration::from_secs(10),
            period: Duration::from_secs(10),
            messages: 3,
            sockets: 64,
            echo: Duration::from_secs(4),
            echo_rounds: rounds,
        }
    }

    /// Returns a size that takes seconds.
    pub(crate) fn smoke() -> Self {
        Self {
            wait: Duration::from_millis(300),
            rounds: 2,
            grace: Duration::from_secs(5),
            period: Duration::from_millis(500),
            messages: 2,
            sockets: 8,
            echo: Duration::from_millis(500),
            ..Self::full(40, 1)
        }
    }
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) scale: Scale,
    pub(crate) left_out: Vec<String>,
    pub(crate) crowds: Vec<Crowd>,
    pub(crate) lives: Vec<Live>,
    pub(crate) echoes: Vec<Echo>,
    pub(crate) runs: Vec<Run>,
    pub(crate) counts: Vec<Count>,
    /// Warnings and errors in the logs of mod_rust's servers.
    pub(crate) complaints: Vec<String>,
    pub(crate) bars: Vec<Bar>,
}

impl Findings {
    /// Nothing found yet.
    pub(crate) fn of(
        machine: Machine,
        settings: &Settings,
        scale: &Scale,
        left_out: Vec<String>,
    ) -> Self {
        Self {
            machine,
            settings: settings.clone(),
            scale: scale.clone(),
            left_out,
            crowds: Vec::new(),
            lives: Vec::new(),
            echoes: Vec::new(),
            runs: Vec::new(),
            counts: Vec::new(),
            complaints: Vec::new(),
            bars: Vec::new(),
        }
    }
}

/// The parts that all measurements share.
pub(crate) struct Bench<'a> {
    pub(crate) plans: &'a [Plan],
    pub(crate) method: &'a Method,
    pub(crate) scale: &'a Scale,
    pub(crate) settings: &'a Settings,
    pub(crate) load: &'a Load,
    /// The tables that are made; empty for all.
    pub(crate) tables: &'a [Tables],
}

impl Bench<'_> {
    /// Measures everything, and says each result on standard output.
    ///
    /// # Errors
    /// Returns an error if there are too few descriptors, or one of mod_rust's servers does not
    /// start.
    pub(crate) fn run(&self, mut findings: Findings) -> Result<Findings> {
        let (allowed, wanted) = (sys::raise_descriptors(), u64::from(self.scale.connections));
        // Two for each connection, in one of two children or worker processes, and one here.
        if allowed < wanted + SPARE {
            bail!(
                "--crowd {wanted}: this machine allows {allowed} descriptors a process \
                 (`ulimit -Hn`); at least {} are needed",
                wanted + SPARE
            );
        }
        for part in PARTS {
            let Some(plan) = self.plans.iter().find(|plan| plan.peer.name == part.peer.name) else {
                continue;
            };
            if let Err(error) = self.measure(part, plan, &mut findings) {
                if plan.peer.smoke {
                    return Err(error.context(part.peer.name));
                }
                println!("Left out: {}: {error:#}", part.peer.name);
                let line = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
                findings.left_out.push(format!("{}: {line}", part.peer.name));
            }
        }
        if self.wants(Tables::Echo) {
            self.echoes(&mut findings)?;
        }
        if !self.wants(Tables::Suspension) {
            return Ok(findings);
        }
        let is_in_rounds =
            |plan: &&Plan| PARTS.iter().any(|part| part.rounds && part.peer.name == plan.peer.name);
        let plans: Vec<_> = self.plans.iter().filter(is_in_rounds).collect();
        // All endpoints alike: each has as many connections as the one that suspends.
        let connections = Endpoint::Sleeping.connections().unwrap_or(self.load.connections);
        let load = Load { connections, ..self.load.clone() };
        let rounds = Rounds {
            plans: &plans,
            endpoints: peers::ENDPOINTS,
            settings: self.settings,
            load: &load,
            // Each child has a thread for every connection: none is closed to make room.
            size: Some(Size::Many),
            method: self.method,
        };
        findings.runs = rounds.run()?;
        Ok(findings)
    }

    fn wants(&self, table: Tables) -> bool {
        self.tables.is_empty() || self.tables.contains(&table)
    }

    fn measure(&self, part: &Part, plan: &Plan, findings: &mut Findings) -> Result<()> {
        let name = part.peer.name;
        if let Some(protocol) = part.crowd.filter(|_| self.wants(Tables::Requests)) {
            let server = self.start(plan, Size::Waiting)?;
            let crowd = crowd::measure(name, &server, protocol, self.scale)?;
            println!("{}", report::crowd_line(&crowd));
            findings.crowds.push(crowd);
            stop(server, plan, findings)?;
        }
        let kinds = [Kind::WebSocket, Kind::Events];
        for kind in kinds.into_iter().filter(|_| part.live && self.wants(Tables::Connections)) {
            let server = self.start(plan, Size::Waiting)?;
            let live = live::measure(name, &server, kind, self.scale)?;
            println!("{}", report::live_line(&live));
            findings.lives.push(live);
            stop(server, plan, findings)?;
        }
        Ok(())
    }

    /// Measures the echo in interleaved rounds.
    fn echoes(&self, findings: &mut Findings) -> Result<()> {
        let is_in =
            |plan: &&Plan| PARTS.iter().any(|part| part.echo && part.peer.name == plan.peer.name);
        for round in 0..self.scale.echo_rounds {
            let mut plans: Vec<_> = self.plans.iter().filter(is_in).collect();
            if round % 2 == 1 {
                plans.reverse();
            }
            for plan in plans {
                let name = plan.peer.name;
                // More threads than connections, since a tunnel of mod_proxy holds one.
                let server = self.start(plan, Size::Crowd)?;
                let echo = live::echo(round, name, &server, self.scale);
                let echo = echo.with_context(|| format!("{name} echoing"))?;
                println!(
                    "round {} echo     {name:<16} {:>7.0} messages/s  CPU {:6.1} us",
                    round + 1,
                    echo.messages_s,
                    echo.cpu_us
                );
                findings.echoes.push(echo);
                stop(server, plan, findings)?;
            }
        }
        Ok(())
    }

    fn start(&self, plan: &Plan, size: Size) -> Result<Server> {
        let patience = Duration::from_secs(20);
        let transport = Transport::Plain;
        let launch = Launch { method: self.method, tool: Tool::None, size, transport, patience };
        let server = Server::start(plan, &launch)?;
        warm_up(&server, plan)?;
        Ok(server)
    }
}

/// Has one request wait, so that what is made at the first one is there.
fn warm_up(server: &Server, plan: &Plan) -> Result<()> {
    let part = PARTS.iter().find(|part| part.peer.name == plan.peer.name);
    let Some(protocol) = part.and_then(|part| part.crowd) else { return Ok(()) };
    let request = wire::wait(protocol, 1);
    runtime()?.block_on(async {
        // Each child of httpd is likely to have some of them.
        for _ in 0..20 {
            let mut wire = wire::Wire::connect(server.port()).await?;
            wire.ask(&request, protocol).await.context("/waiting/wait/1")?;
        }
        Ok(())
    })
}

/// Ends a server. What it logged counts if it is one of mod_rust's.
fn stop(server: Server, plan: &Plan, findings: &mut Findings) -> Result<()> {
    if plan.peer.smoke {
        let complaints = server.complaints().into_iter();
        findings.complaints.extend(complaints.map(|line| format!("{}: {line}", plan.peer.name)));
        return server.stop();
    }
    // A rival whose threads sleep may have to be killed; its figures are taken.
    let _ = server.stop();
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the client's runtime")
}

/// Returns the report, its bars included.
pub(crate) fn report(findings: &mut Findings) -> String {
    findings.bars = report::bars(findings);
    report::report(findings)
}

/// Fails if a request was not answered or a message did not come.
///
/// # Errors
/// Returns an error that names the peer and what it lacks.
pub(crate) fn verdict(findings: &Findings) -> Result<()> {
    if let Some(line) = findings.left_out.first().or(findings.complaints.first()) {
        bail!("a peer does not work: {line}");
    }
    for Crowd { peer, asked, answered, error, herd, .. } in &findings.crowds {
        if answered != asked || herd.answered != findings.scale.connections as usize {
            let herd = herd.answered;
            bail!(
                "{peer}: {answered} of {asked} waiting requests were answered, {herd} at one \
                   moment; {error:?}"
            );
        }
    }
    for Live { peer, kind, due, came, error, .. } in &findings.lives {
        if came != due || *due == 0 {
            bail!("{peer} {kind:?}: {came} of {due} messages came; {error:?}");
        }
    }
    if findings.echoes.is_empty() || findings.runs.iter().any(|run| run.figures.errors() > 0) {
        bail!("the echo or the suspended requests failed");
    }
    println!("{} peers wait as they should", findings.crowds.len().max(findings.lives.len()));
    Ok(())
}
