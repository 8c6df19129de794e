//! One run: fast clients alone, the crowd, fast clients with the crowd; what was seen, and a verdict.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use httpd_testkit::{Server, proc};

use super::fast::{self, Seen};
use super::plan::{Kind, Plan};
use super::slow::{BODIES, Crowd, Tally, body};

/// With the crowd, the p99 of the group's hello may be so many times that of the same application in
/// httpd's child. httpd's threads and the machine's cores are shared by both, so what the crowd costs
/// httpd is in either; the group's share is the way over the bridge.
pub(crate) const FACTOR: u64 = 3;
/// The time that a crowd needs to end once it is told to, beyond its slowest response.
const LAST: Duration = Duration::from_secs(120);

/// The resources of processes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) threads: usize,
    pub(crate) private_kib: u64,
    pub(crate) descriptors: usize,
}

impl Holdings {
    fn of(pids: &[i32]) -> Self {
        let mut all = Self::default();
        for pid in pids {
            all.threads += proc::threads(*pid).unwrap_or(0);
            all.private_kib += proc::anon_kib(*pid).unwrap_or(0);
            all.descriptors += proc::fds(*pid).map_or(0, |fds| fds.len());
        }
        all
    }

    fn max(self, other: Self) -> Self {
        Self {
            threads: self.threads.max(other.threads),
            private_kib: self.private_kib.max(other.private_kib),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }
}

/// The results of a run.
pub(crate) struct Outcome {
    at_least_us: u64,
    pub(crate) tallies: [Tally; 5],
    pub(crate) alone: Seen,
    pub(crate) together: Seen,
    /// httpd's children and the group's processes, before and at the most.
    pub(crate) httpd: [Holdings; 2],
    pub(crate) group: [Holdings; 2],
    /// The processes that served at the end are those from the beginning.
    pub(crate) same_processes: bool,
    /// The number of clients that did not finish.
    pub(crate) lost: usize,
    /// The number of times that an httpd child had no thread left, and closed kept connections.
    pub(crate) busy: usize,
    pub(crate) took: Duration,
}

/// Runs `plan`.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let server = plan.start();
    let begin = Instant::now();
    let digests = (0..BODIES).map(|number| {
        let sent = body(number, plan.sends.0);
        server.request("POST", "/reference/discard").body(sent).send().text().as_bytes().to_vec()
    });
    let crowd = Arc::new(Crowd::new(plan, server.addr(), digests.collect()));

    let alone = for_a_while(&server, plan.alone, || {});
    let (httpd, group) = processes(&server, plan.processes);
    let before = (Holdings::of(&httpd), Holdings::of(&group));

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut tasks = Vec::new();
    let mut number = 0;
    for (kind, count) in Kind::ALL.into_iter().zip(plan.clients) {
        for _ in 0..count {
            tasks.push(runtime.spawn(crowd.clone().live(kind, number)));
            number += 1;
        }
    }
    let all = plan.all_clients();
    server.wait_for("the crowd", || crowd.there() == all);

    let mut most = before;
    let together = for_a_while(&server, plan.together, || {
        let now = (Holdings::of(&httpd), Holdings::of(&group));
        most = (most.0.max(now.0), most.1.max(now.1));
    });
    crowd.stop_all();
    let (bytes, time) = plan.reads;
    let pieces = (2 * 1024 * 1024 + 97_usize).div_ceil(bytes);
    let end = Instant::now() + time * pieces as u32 * 2 + LAST;
    let mut lost = 0;
    for task in tasks {
        let left = end.saturating_duration_since(Instant::now());
        let ended = runtime.block_on(async { tokio::time::timeout(left, task).await });
        lost += usize::from(!matches!(ended, Ok(Ok(()))));
    }
    Outcome {
        at_least_us: plan.at_least_us,
        tallies: Kind::ALL.map(|kind| crowd.tally(kind)),
        alone,
        together,
        httpd: [before.0, most.0],
        group: [before.1, most.1],
        same_processes: processes(&server, plan.processes) == (httpd, group),
        lost,
        busy: server.error_log().matches("All workers are busy").count(),
        took: begin.elapsed(),
    }
}

/// Lets the fast clients ask for so long, and calls `look` meanwhile.
fn for_a_while(server: &Server, length: Duration, mut look: impl FnMut()) -> Seen {
    let over = AtomicBool::new(false);
    let end = Instant::now() + length;
    thread::scope(|scope| {
        let fast = scope.spawn(|| fast::ask(server.addr(), &over));
        while Instant::now() < end {
            look();
            thread::sleep(
                Duration::from_secs(2).min(end.saturating_duration_since(Instant::now())),
            );
        }
        over.store(true, Ordering::Release);
        fast.join().expect("the fast clients")
    })
}

/// Returns httpd's children, and the group's serving processes.
fn processes(server: &Server, count: usize) -> (Vec<i32>, Vec<i32>) {
    let group = server.group("app").wait_ready(count);
    let all: Vec<_> = server.group("app").processes().iter().map(|process| process.pid).collect();
    let mut httpd = server.children_pids();
    httpd.retain(|pid| !all.contains(pid));
    (httpd, group)
}

impl Outcome {
    /// Returns the violated expectations.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (kind, tally) in Kind::ALL.into_iter().zip(&self.tallies) {
            if let Some(first) = tally.failed.first() {
                faults.push(format!("{}: {} failed: {first}", kind.shown(), tally.failed.len()));
            }
            if tally.served < tally.clients {
                let Tally { clients, served, .. } = tally;
                faults.push(format!("{}: {clients} clients, {served} served", kind.shown()));
            }
        }
        if self.lost > 0 {
            faults.push(format!("{} clients came to no end", self.lost));
        }
        for (when, seen) in [("alone", &self.alone), ("with the crowd", &self.together)] {
            if let Some(first) = seen.failed.first() {
                let count = seen.failed.len();
                faults.push(format!("fast clients {when}: {count} failed: {first}"));
            }
            // A p99 of a few is none.
            if seen.count(0) < 100 {
                faults.push(format!("fast clients {when}: only {} served", seen.count(0)));
            }
        }
        let (group, embedded) = (self.together.quantile(0, 990), self.together.quantile(1, 990));
        let allowed = embedded.max(self.at_least_us) * FACTOR;
        if group > allowed {
            faults.push(format!("p99 of the group is {group} us, allowed are {allowed}"));
        }
        if self.busy > 0 {
            faults.push(format!("a child of httpd had no thread left, {} times", self.busy));
        }
        if !self.same_processes {
            faults.push("processes were replaced".into());
        }
        faults
    }

    /// Prints the tables.
    pub(crate) fn print(&self) {
        println!("| slow clients | number | requests served | MiB | failed |");
        println!("| --- | --- | --- | --- | --- |");
        for (kind, tally) in Kind::ALL.into_iter().zip(&self.tallies) {
            println!(
                "| {} | {} | {} | {:.1} | {} |",
                kind.shown(),
                tally.clients,
                tally.served,
                tally.bytes as f64 / (1024.0 * 1024.0),
                tally.failed.len()
            );
        }
        println!("\n| fast clients, in ms | requests | p50 | p99 | max | failed |");
        println!("| --- | --- | --- | --- | --- | --- |");
        for (when, seen) in [("alone", &self.alone), ("with the crowd", &self.together)] {
            for (target, shown) in fast::SHOWN.iter().enumerate() {
                let ms = |thousandths| seen.quantile(target, thousandths) as f64 / 1000.0;
                let own = |line: &&String| line.starts_with(&format!("{}:", fast::TARGETS[target]));
                println!(
                    "| {shown}, {when} | {} | {:.2} | {:.2} | {:.1} | {} |",
                    seen.count(target),
                    ms(500),
                    ms(990),
                    ms(1000),
                    seen.failed.iter().filter(own).count()
                );
            }
        }
        println!("\n| processes | threads | private MiB | descriptors |");
        println!("| --- | --- | --- | --- |");
        for (who, [before, most]) in
            [("httpd's children", &self.httpd), ("the group's", &self.group)]
        {
            for (when, held) in [("before", before), ("at the most", most)] {
                println!(
                    "| {who}, {when} | {} | {:.1} | {} |",
                    held.threads,
                    held.private_kib as f64 / 1024.0,
                    held.descriptors
                );
            }
        }
        println!(
            "\nin {:.0} s; httpd closed kept connections {} times",
            self.took.as_secs_f64(),
            self.busy
        );
    }
}
