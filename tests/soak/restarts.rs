//! Graceful restarts while a load runs, each request of which is judged.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use httpd_testkit::Mpm;

use crate::load::{Fate, Load};
use crate::targets::{CLIENTS, Gateway, TARGETS};

/// So many requests are answered between two restarts, at least.
const BETWEEN: u64 = 40;

/// Restarts the server so often, and prints what became of the requests.
pub(crate) fn run(count: u32, gateway: Gateway, mpm: Mpm) -> ExitCode {
    let builder = gateway.server(mpm).patience(Duration::from_secs(30));
    let server = match gateway {
        Gateway::Embedded | Gateway::Daemon => builder.start(),
        // mod_wsgi's own errors are counted, and do not fail the test kit's check.
        Gateway::ModWsgi => builder.allow_log("AH00052").allow_log("AH00051").start(),
    };
    let begin = Instant::now();
    let tally = Load::run(&server, TARGETS, CLIENTS, |load| {
        for _ in 0..count {
            load.wait_for_answers(BETWEEN);
            server.graceful();
        }
        load.wait_for_answers(BETWEEN);
    });
    let broken = [Fate::Refused, Fate::Cut, Fate::Wrong, Fate::Hung].map(|fate| tally.count(fate));
    println!("{tally}");
    println!(
        "| gateway | MPM | restarts | answered | closed between requests | refused | cut | wrong | \
         hung | seconds |"
    );
    println!("{}", "| --- ".repeat(10) + "|");
    println!(
        "| {gateway} | {mpm} | {count} | {} | {} | {} | {} | {} | {} | {:.0} |",
        tally.count(Fate::Answered),
        tally.count(Fate::ClosedBetween),
        broken[0],
        broken[1],
        broken[2],
        broken[3],
        begin.elapsed().as_secs_f64()
    );
    let is_each_answered = TARGETS.iter().all(|target| tally.answered(target.path) > 0);
    if broken == [0; 4] && is_each_answered { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
