//! A process group under every kind of request for as long as is wanted, and what httpd and the group
//! hold on to meanwhile.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use httpd_testkit::{Mpm, Server, proc};

use crate::many;

const CONF: &str = "RustDaemonProcess app processes=2 threads=8
RustAppAlias /hello hello process-group=app
RustAppAlias /probe probe process-group=app
CustomLog /dev/null \"%h\"";

/// Lines of the table. The most of the second half is held against the most of the first, without the
/// first fifth of the time: until each thread has had some of everything, memory grows anyway.
const ROUNDS: u32 = 10;
const WARM: u32 = 2;
const HALF: u32 = 5;
/// Requests of a batch; batches follow each other until a round's time is over.
const BATCH: u32 = 5_000;
/// Among each batch so many clients leave, and so many requests panic.
const LEAVING: usize = 60;
const PANICS: usize = 20;
/// The allowed growth of one process's private memory in all: some pages of the heap, independent
/// of the time.
const MOST_KIB: u64 = 1024;
/// By how much the others may: the number of kept connections, and of threads that took over from ones
/// that waited, goes up and down with the load.
const MOST: usize = 4;

/// The resources of some processes together.
#[derive(Clone, Debug, Default, PartialEq)]
struct Holdings {
    pids: Vec<i32>,
    private_kib: u64,
    threads: usize,
    descriptors: usize,
    sockets: usize,
}

impl Holdings {
    fn of(pids: Vec<i32>) -> Self {
        let mut all = Self::default();
        for pid in &pids {
            let fds = proc::fds(*pid).unwrap_or_default();
            all.private_kib += proc::anon_kib(*pid).unwrap_or_default();
            all.threads += proc::threads(*pid).unwrap_or_default();
            all.descriptors += fds.len();
            all.sockets +=
                fds.iter().filter(|fd| fd.to_string_lossy().starts_with("socket:")).count();
        }
        Self { pids, ..all }
    }
}

impl Holdings {
    /// Returns the maximum of each figure.
    fn most(self, other: &Self) -> Self {
        Self {
            private_kib: self.private_kib.max(other.private_kib),
            threads: self.threads.max(other.threads),
            descriptors: self.descriptors.max(other.descriptors),
            sockets: self.sockets.max(other.sockets),
            pids: other.pids.clone(),
        }
    }
}

/// httpd's parent and children, and the group's processes.
#[derive(Clone, Debug, PartialEq)]
struct State {
    httpd: Holdings,
    group: Holdings,
    sockets_on_disk: usize,
}

impl State {
    fn of(server: &Server) -> Self {
        // Let what was under way come to its end: a client that left may still be served.
        let group = server.group("app");
        let daemons = group.wait_status("rest", |all| {
            all.iter().all(|process| process.running == 0 && process.parked == 0)
        });
        let mut daemons: Vec<_> = daemons.iter().map(|process| process.pid).collect();
        daemons.sort_unstable();
        let mut httpd = server.children_pids();
        httpd.retain(|pid| !daemons.contains(pid));
        httpd.insert(0, server.pid());
        let run = std::fs::read_dir(server.root().join("run")).expect("the runtime folder");
        Self {
            httpd: Holdings::of(httpd),
            group: Holdings::of(daemons),
            sockets_on_disk: run.count(),
        }
    }

    fn most(self, other: &Self) -> Self {
        Self {
            httpd: self.httpd.most(&other.httpd),
            group: self.group.most(&other.group),
            sockets_on_disk: self.sockets_on_disk.max(other.sockets_on_disk),
        }
    }

    fn print(&self, seconds: u64, requests: u64) {
        println!(
            "| {seconds} | {requests} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.httpd.pids.len(),
            self.httpd.private_kib,
            self.httpd.threads,
            self.httpd.descriptors,
            self.httpd.sockets,
            self.group.pids.len(),
            self.group.private_kib,
            self.group.threads,
            self.group.descriptors,
            self.group.sockets,
            self.sockets_on_disk
        );
    }

    /// Returns the figures that have grown since `before`.
    fn growth(&self, before: &Self) -> Vec<String> {
        let mut grown = Vec::new();
        for (name, now, then) in
            [("httpd", &self.httpd, &before.httpd), ("the group", &self.group, &before.group)]
        {
            if now.pids != then.pids {
                grown.push(format!("{name}: processes {:?}, then {:?}", then.pids, now.pids));
            }
            let most = MOST_KIB * then.pids.len() as u64;
            if now.private_kib > then.private_kib + most {
                grown.push(format!(
                    "{name}: private memory {} KiB, then {} KiB",
                    then.private_kib, now.private_kib
                ));
            }
            for (what, now, then) in [
                ("threads", now.threads, then.threads),
                ("descriptors", now.descriptors, then.descriptors),
                ("sockets", now.sockets, then.sockets),
            ] {
                if now > then + MOST {
                    grown.push(format!("{name}: {what} {then}, then {now}"));
                }
            }
        }
        if self.sockets_on_disk > before.sockets_on_disk {
            grown.push(format!(
                "files in the runtime folder: {}, then {}",
                before.sockets_on_disk, self.sockets_on_disk
            ));
        }
        grown
    }
}

/// Clients that leave, applications that panic, refused uploads.
fn trouble(server: &Server) {
    let paths = ["/probe/stream?chunks=inf", "/probe/bytes/99999999", "/probe/events?ms=5"];
    for path in paths.iter().cycle().take(LEAVING) {
        let mut connection = server.connect();
        connection.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        connection.read_exact(5);
        connection.reset();
    }
    for path in ["/probe/panic", "/probe/panic-late"].iter().cycle().take(PANICS) {
        let response = server.get(path);
        assert!(response.status == 500 || response.end.is_truncated(), "{response:?}");
    }
    let response = server.request("POST", "/probe/early").body(vec![b'e'; 300_000]).try_send();
    // It may close before all has been sent.
    assert!(response.is_err() || response.is_ok_and(|response| response.status == 403));
}

/// Runs for so long, and prints a line for each tenth of the time.
pub(crate) fn run(minutes: u64, mpm: Mpm) -> ExitCode {
    let server = Server::builder()
        .mpm(mpm)
        .module("mod_rust.so")
        .conf(CONF)
        .children(if mpm == Mpm::Prefork { 12 } else { 1 })
        .threads(32)
        .log_level("warn")
        .file(many::BODY, "b".repeat(2000))
        .allow_log("the probe was asked for a")
        .patience(Duration::from_secs(120))
        .start();
    server.group("app").wait_ready(2);
    println!("{minutes} minutes on {mpm}, 8 requests at a time");
    println!(
        "| s | requests | httpd: processes | private KiB | threads | descriptors | sockets | group: \
         processes | private KiB | threads | descriptors | sockets | files in run |"
    );
    println!("{}", "| --- ".repeat(13) + "|");
    let begin = Instant::now();
    let (mut requests, mut before, mut after): (u64, Option<State>, Option<State>) =
        (0, None, None);
    for round in 1..=ROUNDS {
        let end = Duration::from_secs(minutes * 60) * round / ROUNDS;
        while begin.elapsed() < end {
            many::send(&server, BATCH, 8);
            trouble(&server);
            requests += u64::from(BATCH) + (LEAVING + PANICS + 1) as u64;
        }
        let state = State::of(&server);
        state.print(begin.elapsed().as_secs(), requests);
        let half = if round <= HALF { &mut before } else { &mut after };
        if round > WARM {
            *half = Some(half.take().map_or_else(|| state.clone(), |most| most.most(&state)));
        }
    }
    let (before, after) = (before.expect("a first half"), after.expect("a second half"));
    let grown = after.growth(&before);
    if grown.is_empty() {
        println!("passed: nothing has grown from the first half to the second");
        return ExitCode::SUCCESS;
    }
    println!("FAILED: {}", grown.join("; "));
    ExitCode::FAILURE
}
