//! The million requests, with clients that leave and applications that panic among them, and what
//! the children hold on to meanwhile.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use httpd_testkit::{Mpm, Server, proc};

use crate::many;

/// After each of so many parts of the requests there is a line of the table.
const ROUNDS: u32 = 10;
/// In each of them so many clients leave in the midst of an answer, and so many requests panic.
const LEAVING: u32 = 500;
const PANICS: u32 = 100;
/// By how much private memory may grow in the second half, for each child: half a byte a request of
/// a million. In the first half it grows anyway, less with each round, until each thread has had
/// some of everything; without a module too.
const MOST_KIB: u64 = 256;

/// The resources of the children together.
#[derive(Clone, PartialEq)]
struct Holdings {
    children: Vec<i32>,
    rss_kib: u64,
    private_kib: u64,
    threads: usize,
    descriptors: usize,
}

impl Holdings {
    fn of(server: &Server) -> Self {
        let children = server.children_pids();
        let of_child = |pid: &i32| {
            let fds = proc::fds(*pid).map_or(0, |fds| fds.len());
            let threads = proc::threads(*pid).unwrap_or(0);
            (proc::rss_kib(*pid).unwrap_or(0), proc::anon_kib(*pid).unwrap_or(0), threads, fds)
        };
        let each: Vec<_> = children.iter().map(of_child).collect();
        Self {
            rss_kib: each.iter().map(|child| child.0).sum(),
            private_kib: each.iter().map(|child| child.1).sum(),
            threads: each.iter().map(|child| child.2).sum(),
            descriptors: each.iter().map(|child| child.3).sum(),
            children,
        }
    }

    fn print(&self, requests: u64, elapsed: Duration) {
        println!(
            "{requests:>10}  {:>7.0}  {:>8}  {:>8}  {:>7}  {:>11}",
            requests as f64 / elapsed.as_secs_f64().max(0.001),
            self.rss_kib,
            self.private_kib,
            self.threads,
            self.descriptors
        );
    }
}

/// Clients that leave, and applications that panic.
fn trouble(server: &Server) {
    let paths = ["/probe/stream?chunks=inf", "/probe/bytes/99999999", "/probe/events?ms=5"];
    for path in paths.iter().cycle().take(LEAVING as usize) {
        let mut connection = server.connect();
        connection.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        connection.read_exact(5);
        connection.reset();
    }
    for path in ["/probe/panic", "/probe/panic-late"].iter().cycle().take(PANICS as usize) {
        let response = server.get(path);
        assert!(response.status == 500 || response.end.is_truncated(), "{response:?}");
    }
}

/// Sends them.
pub(crate) fn run(requests: u32, mpm: Mpm) -> ExitCode {
    let is_prefork = mpm == Mpm::Prefork;
    let server = Server::builder()
        .mpm(mpm)
        .module("mod_rust.so")
        .conf(many::CONF)
        .children(if is_prefork { 8 } else { 1 })
        .threads(32)
        .log_level("warn")
        .file(many::BODY, "b".repeat(2000))
        .allow_log("the probe was asked for a")
        .patience(Duration::from_secs(600))
        .start();
    let share = requests / ROUNDS;
    println!("{requests} requests on {mpm}, 8 at a time");
    println!("  requests    req/s   RSS KiB   private  threads  descriptors");
    // The first of everything, so that the runtime's threads are there.
    trouble(&server);
    let mut before = Holdings::of(&server);
    before.print(0, Duration::ZERO);
    let begin = Instant::now();
    let mut after = before.clone();
    for round in 1..=ROUNDS {
        many::send(&server, share, 8);
        trouble(&server);
        after = Holdings::of(&server);
        after.print(u64::from(share + LEAVING + PANICS) * u64::from(round), begin.elapsed());
        if round == ROUNDS / 2 {
            before = after.clone();
        }
    }
    let grown = after.private_kib.saturating_sub(before.private_kib);
    let same = (&after.children, after.threads) == (&before.children, before.threads);
    let allowed = MOST_KIB * before.children.len() as u64;
    let ok = same && grown < allowed && after.descriptors <= before.descriptors;
    println!(
        "{}: in the second half {grown} KiB more private memory (allowed: {allowed}), {} to {} \
         threads, {} to {} descriptors",
        if ok { "passed" } else { "FAILED" },
        before.threads,
        after.threads,
        before.descriptors,
        after.descriptors
    );
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
