//! The benchmark of mod_rust, which `cargo httpd bench` builds and starts.
//!
//! It measures the cost of a request in mod_rust, in a C handler that gives the same answer, and in
//! the other ways to run an application with httpd. docs/benchmark.md describes the method. In
//! short: every peer must give the same answers; rounds are interleaved, with a fresh server for
//! each run; every figure is a ratio to the C handler in the same round. The benchmark stops only
//! processes that it started, and everything listens on loopback.
#![forbid(unsafe_code)]

mod account;
mod bars;
mod callgrind;
mod check;
mod checkout;
mod client;
mod count;
mod endpoint;
mod gateways;
mod h2load;
mod load;
mod machine;
mod peer;
mod plan;
mod report;
mod results;
mod rivals;
mod rounds;
mod server;
mod startup;
mod strace;
mod sys;
mod table;
mod waiting;
mod workshop;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use httpd_config::{Httpd, Mpm};

use crate::account::Method;
use crate::checkout::Checkout;
use crate::endpoint::{Endpoint, Transport};
use crate::load::Load;
use crate::machine::Machine;
use crate::peer::{PEERS, Peer};
use crate::plan::Plan;
use crate::plan::Size;
use crate::results::{Count, Results, Row, Settings};
use crate::server::{Launch, Server, Tool};
use crate::workshop::Workshop;

/// Compare the cost of a request with a C handler and with the rivals that are installed
#[derive(Debug, clap::Parser)]
#[command(name = "mod-rust-bench", bin_name = "cargo httpd bench", version)]
struct BenchArgs {
    /// Rounds; in each, every peer is measured once at every endpoint
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: u32,
    /// Length of a measured run
    #[arg(long, default_value_t = 2, value_name = "SECONDS")]
    duration: u32,
    /// Connections kept open by wrk, where an endpoint has no number of its own
    #[arg(long, default_value_t = 32, value_name = "N")]
    connections: u32,
    /// Threads of wrk
    #[arg(long, default_value_t = 1, value_name = "N")]
    threads: u32,
    /// Measure the gateway programs behind nginx and httpd, with other crates', PHP-FPM and uWSGI
    #[arg(long)]
    gateways: bool,
    /// Measure requests that wait, WebSockets and event streams instead
    #[arg(long, conflicts_with_all = ["gateways", "mpm", "endpoints", "pin"])]
    waiting: bool,
    /// Only these tables of --waiting
    #[arg(long, value_delimiter = ',', value_name = "NAME,...", requires = "waiting")]
    tables: Vec<waiting::Tables>,
    /// The connections of --waiting
    #[arg(long, default_value_t = 10_000, value_name = "N", requires = "waiting")]
    crowd: u32,
    /// Measure the start and the graceful restart of process groups instead
    #[arg(long, conflicts_with_all = ["gateways", "waiting", "endpoints", "instr", "pin"])]
    startup: bool,
    /// The numbers of process groups of --startup; 0 is embedded mode
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "0,1,50,200",
        value_name = "N,...",
        requires = "startup"
    )]
    groups: Vec<u32>,
    /// Only these peers, and the C handler that they are compared with
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    peers: Vec<String>,
    /// Only these endpoints [default: those that have a bar]
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    endpoints: Vec<Endpoint>,
    /// Every endpoint: takes three times as long
    #[arg(long, conflicts_with_all = ["endpoints", "smoke"])]
    all: bool,
    /// The MPM of every httpd
    #[arg(long, default_value = "event", value_name = "NAME")]
    mpm: Mpm,
    /// Keep httpd on core 0 and wrk on core 1: steadier figures
    #[arg(long)]
    pin: bool,
    /// Leave out runs during which other processes used more than this many cores
    #[arg(long, default_value_t = 0.2, value_name = "CORES")]
    max_others: f64,
    /// Count instructions and system calls a request as well, with callgrind and strace
    #[arg(long)]
    instr: bool,
    /// Build mod_wsgi and uWSGI from PyPI first, in a Python environment below the target folder
    #[arg(long)]
    rivals: bool,
    /// Two seconds a peer and no report: fails if a request fails or an answer is wrong, judges no
    /// speed
    #[arg(long, conflicts_with_all = ["rounds", "duration", "instr", "pin", "markdown"])]
    smoke: bool,
    /// Build what the peers need, and measure nothing
    #[arg(long)]
    build_only: bool,
    /// The file for the results as JSON [default: target/httpd/bench.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report to this file, too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

fn main() -> ExitCode {
    match execute(&BenchArgs::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmark and prints its report.
///
/// # Errors
/// Fails when the C handler or mod_rust cannot be built, started or give a wrong answer, or wrk
/// does not run; with `--smoke` also when a request failed.
fn execute(args: &BenchArgs) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("cargo httpd bench reads CPU times from /proc and cgroups: it needs Linux");
    }
    args.look_for_tools()?;
    let checkout = Checkout::find()?;
    if checkout.is_temporary() {
        println!(
            "Servers run in `{}`, as httpd's children cannot work below the target folder",
            checkout.scratch().display()
        );
    }
    if args.rivals {
        checkout.rivals().install().context("--rivals")?;
    }
    let httpd = Httpd::locate()?;
    let method = Method::find();
    let settings = args.settings();
    let endpoints = Endpoint::ALL.into_iter().filter(|endpoint| args.wants_endpoint(*endpoint));
    let (endpoints, unable) = able(endpoints, &httpd);
    let (plans, mut left_out) = plans(args, &httpd, &checkout)?;
    if !args.smoke {
        left_out.extend(unable);
    }
    if endpoints.iter().any(|endpoint| endpoint.transport() != Transport::Plain) {
        Workshop::open(&checkout)?.certify()?;
    }
    if args.build_only {
        return Ok(());
    }
    let load = Load {
        script: Load::script(checkout.root()),
        connections: settings.connections,
        most: if args.smoke { settings.connections } else { u32::MAX },
        threads: settings.threads,
        pin: settings.pinned.then_some(1),
    };
    let machine = Machine::describe(&httpd, method.description(), checkout.rivals().versions());
    if args.waiting {
        let scale = match args.smoke {
            true => waiting::Scale::smoke(),
            false => waiting::Scale::full(args.crowd, args.rounds),
        };
        let bench = waiting::Bench {
            plans: &plans,
            method: &method,
            scale: &scale,
            settings: &settings,
            load: &load,
            tables: &args.tables,
        };
        let mut findings =
            bench.run(waiting::Findings::of(machine, &settings, &scale, left_out))?;
        if args.instr {
            findings.counts = counts_of_waiting(&httpd, &checkout, &plans, &method)?;
        }
        let report = waiting::report(&mut findings);
        if args.smoke {
            return waiting::verdict(&findings);
        }
        return publish(args, &checkout, &report, &findings);
    }
    if args.startup {
        let rounds = startup::run(&plans, &args.groups, args.rounds, &method)?;
        let findings = startup::Findings { machine, settings, left_out, rounds };
        return publish(args, &checkout, &startup::report(&findings), &findings);
    }
    let (plans, idle_child_kib) = check_all(plans, &method, &mut left_out)?;

    let all: Vec<_> = plans.iter().collect();
    let rounds = rounds::Rounds {
        plans: &all,
        endpoints: &endpoints,
        settings: &settings,
        load: &load,
        size: None,
        method: &method,
    };
    let runs = rounds.run()?;
    let mut counts = Vec::new();
    if args.instr {
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.is_counted()) {
            for plan in plans.iter().filter(|plan| plan.peer.endpoints.contains(endpoint)) {
                let folder = checkout.scratch().join("count");
                let what = || format!("counting {} of {}", endpoint.name(), plan.peer.name);
                counts.push(count::count(plan, *endpoint, &method, &folder).with_context(what)?);
            }
        }
    }
    results::compare_counts(&mut counts);

    let peers: Vec<_> = plans.iter().map(|plan| (plan.peer.name, plan.peer.title)).collect();
    let rows = results::rows(&peers, &runs, gateways::ours_behind_the_same);
    let bars = match args.gateways {
        true => gateways::bars(&rows),
        false => bars::bars(&rows, &counts, &idle_child_kib),
    };
    let results =
        Results { machine, settings, peers, left_out, idle_child_kib, rows, counts, bars, runs };
    if args.smoke {
        smoke(args, &results)?;
        let ours: Vec<_> = plans.into_iter().filter(|plan| plan.peer.name == peer::OURS).collect();
        let groups = if args.gateways { &[][..] } else { &[0, 3] };
        startup::run(&ours, groups, 1, &method)?;
        return Ok(());
    }
    let report = if args.gateways { gateways::report(&results) } else { report::report(&results) };
    publish(args, &checkout, &report, &results)
}

/// Prints a report, and writes the files.
fn publish(
    args: &BenchArgs,
    checkout: &Checkout,
    report: &str,
    results: &impl serde::Serialize,
) -> Result<()> {
    println!("\n{report}");
    let json = args.json.clone().unwrap_or_else(|| checkout.default_json());
    write_json(&json, results)?;
    println!("Results: {}", json.display());
    args.markdown.as_deref().map_or(Ok(()), |markdown| write(markdown, report))
}

/// Splits the endpoints into those whose load can be made and served here, and a line for each of
/// the others.
fn able(endpoints: impl Iterator<Item = Endpoint>, httpd: &Httpd) -> (Vec<Endpoint>, Vec<String>) {
    let (mut able, mut unable) = (Vec::new(), Vec::new());
    for endpoint in endpoints {
        let transport = endpoint.transport();
        let programs = transport.programs().iter();
        let program = programs.copied().find(|(program, _)| !sys::has_program(program));
        let module = transport.modules().iter().find(|m| httpd.module(m).load_line(m).is_none());
        let lacks = program
            .map(|(program, package)| format!("`{program}` is not installed; install {package}"))
            .or(module.map(|module| format!("mod_{module} is not installed")));
        match lacks {
            Some(lacks) => {
                println!("Left out: {}: {lacks}", endpoint.name());
                unable.push(format!("{}: {lacks}", endpoint.name()));
            }
            None => able.push(endpoint),
        }
    }
    (able, unable)
}

/// Counts the instructions of the C handler's hello, and of axum's without and with a wait.
fn counts_of_waiting(
    httpd: &Httpd,
    checkout: &Checkout,
    plans: &[Plan],
    method: &Method,
) -> Result<Vec<Count>> {
    let limit = PEERS.iter().find(|peer| peer.name == peer::LIMIT);
    let limit = limit.context("the C handler is no peer")?;
    let limit = Plan::make(limit, httpd, Mpm::Event, checkout, &mut Workshop::open(checkout)?)?;
    let ours = plans.iter().find(|plan| plan.peer.name == peer::OURS).into_iter();
    let ours = ours.flat_map(|plan| [(plan, Endpoint::Axum), (plan, Endpoint::Awaiting)]);
    let mut counts = Vec::new();
    for (plan, endpoint) in [(&limit, Endpoint::Hello)].into_iter().chain(ours) {
        counts.push(count::count(plan, endpoint, method, &checkout.scratch().join("count"))?);
    }
    results::compare_counts(&mut counts);
    Ok(counts)
}

impl BenchArgs {
    fn settings(&self) -> Settings {
        let settings = Settings {
            mpm: self.mpm.name(),
            rounds: self.rounds,
            duration_s: self.duration.max(1),
            warm_up_s: 1,
            connections: self.connections.max(1),
            threads: self.threads.max(1),
            pinned: self.pin,
            max_others: Some(self.max_others),
        };
        if !self.smoke {
            return settings;
        }
        // Fewer connections than threads, so that httpd has no reason to close a kept one; and every
        // run counts, as no time is judged.
        let settings = Settings { rounds: 1, duration_s: 1, warm_up_s: 0, ..settings };
        Settings { connections: 8, max_others: None, ..settings }
    }

    /// Fails early, and names the package.
    fn look_for_tools(&self) -> Result<()> {
        let load: &[(&str, &str)] = if self.rounds > 0 { &[("wrk", "wrk")] } else { &[] };
        let counts: &[(&str, &str)] =
            if self.instr { &[("valgrind", "valgrind"), ("strace", "strace")] } else { &[] };
        let pin: &[(&str, &str)] = if self.pin { &[("taskset", "util-linux")] } else { &[] };
        for (program, package) in [&[("setpriv", "util-linux")], load, counts, pin].concat() {
            if !sys::has_program(program) {
                bail!("`{program}` is not installed; install {package} (Debian, Ubuntu, Fedora)");
            }
        }
        if self.pin && std::thread::available_parallelism()?.get() < 2 {
            bail!("--pin keeps httpd and wrk apart: it needs two cores, and this machine has one");
        }
        Ok(())
    }

    fn wants_endpoint(&self, endpoint: Endpoint) -> bool {
        if self.gateways && !matches!(endpoint, Endpoint::Hello | Endpoint::Stream) {
            return false;
        }
        if self.endpoints.is_empty() {
            return match (self.smoke, self.all) {
                (true, _) if self.gateways => endpoint == Endpoint::Hello,
                (true, _) => [Endpoint::Hello, Endpoint::Tls, Endpoint::Http2].contains(&endpoint),
                (_, true) => true,
                _ => Endpoint::USUAL.contains(&endpoint),
            };
        }
        // Some answers are compared with hello.
        self.endpoints.is_empty()
            || self.endpoints.iter().any(|e| {
                let counted = self.instr && e.counted_reference() == endpoint;
                *e == endpoint || e.reference() == endpoint || counted
            })
    }

    /// Returns the peers that may take part.
    fn peers(&self) -> Vec<&'static Peer> {
        match (self.waiting, self.gateways) {
            (true, _) => waiting::PARTS.iter().map(|part| &part.peer).collect(),
            (_, true) => gateways::GATEWAYS.iter().collect(),
            _ if self.startup => startup::peers().collect(),
            _ => PEERS.iter().collect(),
        }
    }

    fn wants_peer(&self, peer: &Peer) -> bool {
        if self.peers.is_empty() {
            return !self.smoke || peer.smoke;
        }
        peer.name == peer::LIMIT || self.peers.iter().any(|name| name == peer.name)
    }
}

/// Finds out who can take part, and builds what they need.
fn plans(args: &BenchArgs, httpd: &Httpd, checkout: &Checkout) -> Result<(Vec<Plan>, Vec<String>)> {
    if let Some(unknown) =
        args.peers.iter().find(|name| args.peers().iter().all(|p| p.name != **name))
    {
        let names: Vec<_> = args.peers().iter().map(|peer| peer.name).collect();
        bail!("--peers \"{unknown}\": unknown peer; expected one of: {}", names.join(", "));
    }
    let mut workshop = Workshop::open(checkout)?;
    let (mut plans, mut left_out) = (Vec::new(), Vec::new());
    for peer in args.peers().into_iter().filter(|peer| args.wants_peer(peer)) {
        match Plan::make(peer, httpd, args.mpm, checkout, &mut workshop) {
            Ok(plan) => plans.push(plan),
            Err(error) if peer.is_essential() => {
                return Err(error.context(format!("{} cannot take part", peer.name)));
            }
            Err(error) => leave_out(&mut left_out, peer, &format!("{error:#}")),
        }
    }
    Ok((plans, left_out))
}

/// Starts each peer once, compares its answers, and weighs its idle child.
fn check_all(
    plans: Vec<Plan>,
    method: &Method,
    left_out: &mut Vec<String>,
) -> Result<(Vec<Plan>, BTreeMap<&'static str, u64>)> {
    let mut idle = BTreeMap::new();
    let mut reference = None;
    let mut good = Vec::new();
    for plan in plans {
        match check_one(&plan, method, &mut reference) {
            Ok(idle_child_kib) => {
                println!("{:<16} answers as it should", plan.peer.name);
                idle.insert(plan.peer.name, idle_child_kib);
                good.push(plan);
            }
            Err(error) if plan.peer.is_essential() => return Err(error),
            Err(error) => leave_out(left_out, plan.peer, &format!("{error:#}")),
        }
    }
    Ok((good, idle))
}

fn check_one(plan: &Plan, method: &Method, reference: &mut Option<check::Environ>) -> Result<u64> {
    let patience = Duration::from_secs(15);
    let transport = Transport::Plain;
    let launch = Launch { method, tool: Tool::None, size: Size::Usual, transport, patience };
    let server = Server::start(plan, &launch)?;
    let idle_child_kib = server.child_pss_kib();
    for endpoint in plan.peer.endpoints.iter().filter(|endpoint| endpoint.is_counted()) {
        let what = || format!("{} gives a wrong answer to {}", plan.peer.name, endpoint.path());
        let (query, headers) = match endpoint {
            Endpoint::Environ => (check::ENVIRON_QUERY, check::ENVIRON_HEADERS),
            _ => ("", endpoint.headers()),
        };
        let body = if endpoint.post().is_some() { check::echo_body() } else { Vec::new() };
        let request = client::request(*endpoint, query, headers, &body);
        let mut client = client::Client::connect(server.port(), patience)?;
        // Twice on one connection: it must be kept, and the second answer be like the first.
        for _ in 0..2 {
            let response = client.send(&request).with_context(what)?;
            let environ = check::verify(plan.peer, *endpoint, &response);
            if let Some(environ) = environ.map_err(anyhow::Error::msg).with_context(what)? {
                check::verify_environ(plan.peer, &environ, reference.as_ref())
                    .map_err(anyhow::Error::msg)
                    .with_context(what)?;
                if plan.peer.name == peer::LIMIT {
                    *reference = Some(environ);
                }
            }
        }
    }
    server.stop()?;
    Ok(idle_child_kib)
}

fn leave_out(left_out: &mut Vec<String>, peer: &Peer, why: &str) {
    println!("Left out: {}: {why}", peer.name);
    // The first line is for the report; a log's lines that follow are for the terminal.
    left_out.push(format!("{}: {}", peer.name, why.lines().next().unwrap_or_default()));
}

/// Whether every peer was there and every request succeeded. Times are of no account, so that no
/// file is written which was not asked for.
fn smoke(args: &BenchArgs, results: &Results) -> Result<()> {
    if let Some(json) = &args.json {
        write_json(json, results)?;
    }
    if let Some(line) = results.left_out.first() {
        bail!("a peer does not work: {line}");
    }
    for Row { peer, endpoint, errors, requests, .. } in &results.rows {
        if *errors > 0 || *requests == 0 {
            bail!("{peer} {}: {errors} of {requests} requests failed", endpoint.name());
        }
    }
    let requests: u64 = results.rows.iter().map(|row| row.requests).sum();
    println!(
        "{} peers answer as they should; none of {requests} requests failed",
        results.peers.len()
    );
    Ok(())
}

fn write_json(file: &Path, results: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(results)?;
    text.push('\n');
    write(file, &text)
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))
}
