//! Thousands of slow clients at a process group with a few threads, and what fast ones notice of them.
//! It takes minutes and thousands of descriptors, so it is run by name; `slow_clients` is the same in
//! seconds.
//!
//! ```text
//! cargo test --test crowd -- --clients 10000 --threads 30
//! ```

mod fast;
mod plan;
mod run;
mod slow;

use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use self::plan::Plan;

const USAGE: &str = "usage: cargo test --test crowd -- [options]
  --clients N    slow clients (10000)
  --threads N    threads of the process group, in two processes (30)
  --pace MS      a reader takes 4 KiB in so many milliseconds (500)
  --seconds N    how long all of them are there while the fast clients ask (180)";

fn arguments() -> Result<Plan, String> {
    let (mut clients, mut threads, mut seconds, mut pace) = (10_000, 30, 180, 500);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = match &*word {
            "--clients" => &mut clients,
            "--threads" => &mut threads,
            "--seconds" => &mut seconds,
            "--pace" => &mut pace,
            _ => return Err(format!("{word}: there is no such option\n{USAGE}")),
        };
        let value = words.next().ok_or_else(|| format!("{word}: a value is missing\n{USAGE}"))?;
        *number = value.parse().map_err(|error| format!("{word} {value}: {error}\n{USAGE}"))?;
    }
    if clients < 100 {
        return Err(format!("--clients {clients}: at least 100\n{USAGE}"));
    }
    let mut plan = plan(clients, threads, Duration::from_secs(seconds as u64));
    plan.reads.1 = Duration::from_millis(pace as u64);
    Ok(plan)
}

/// Plans `clients` in all, at a group with `threads` in two processes.
fn plan(clients: usize, threads: usize, together: Duration) -> Plan {
    let (small, large) = (clients / 10, clients / 50);
    let (senders, stallers) = (clients / 50, (clients / 1000).max(1));
    let idle = clients - small - large - senders - stallers;
    let held = large + senders + stallers;
    Plan {
        clients: [idle, small, large, senders, stallers],
        processes: 2,
        threads: threads.div_ceil(2),
        children: 4,
        child_threads: held + 32,
        alone: Duration::from_secs(10),
        together,
        silence: Duration::from_secs(15),
        reads: (4096, Duration::from_millis(500)),
        sends: (30, Duration::from_millis(500)),
        at_least_us: 5_000,
        // The default of mod_reqtimeout.
        body_seconds: 20,
    }
}

/// Raises the descriptor limit: each client is a descriptor here, and one in a child of httpd.
fn raise_limit(clients: usize) -> Result<(), String> {
    let wanted = clients as u64 + 1000;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    limit.current = Some(wanted);
    limit.maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    setrlimit(Resource::Nofile, limit).map_err(|error| {
        format!("{wanted} descriptors are needed, and the limit cannot be raised: {error}")
    })
}

fn main() -> ExitCode {
    let checked = arguments().and_then(|plan| raise_limit(plan.all_clients()).map(|()| plan));
    let plan = match checked {
        Ok(plan) => plan,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::from(2);
        }
    };
    println!(
        "{} slow clients at {} processes of {} threads; httpd: event, {} children of {} threads\n",
        plan.all_clients(),
        plan.processes,
        plan.threads,
        plan.children,
        plan.child_threads
    );
    let outcome = run::run(&plan);
    outcome.print();
    let faults = outcome.faults();
    if faults.is_empty() {
        println!(
            "passed: everything was served, every byte was right, and the group's p99 is within {} \
             times that of the embedded application",
            run::FACTOR
        );
        return ExitCode::SUCCESS;
    }
    println!("FAILED:\n{}", faults.join("\n"));
    ExitCode::FAILURE
}
