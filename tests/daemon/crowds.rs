//! Many requests at once: those that wait for a process, those whose clients are slow, and how much of
//! a process and of an httpd child they take.

use std::collections::BTreeSet;
use std::fs;

use httpd_testkit::{Mpm, mpm_tests, proc};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{child_of, pid, run, setup};
/// Returns the target of a request that is answered at once.
fn any() -> String {
    run("any", "")
}

mpm_tests! {
    fn few_wait_for_the_first_process_and_the_others_are_refused_at_once(mpm) {
        const REQUESTS: usize = 12;
        // Those that wait are in several children.
        let (children, threads) = if mpm == Mpm::Prefork { (REQUESTS + 4, 1) } else { (2, REQUESTS) };
        let stage = setup("threads=2 queue-size=3 connect-timeout=60")
            .stage("awaits", "ready")
            .allow(&["RUST0023"])
            .with(|builder| builder.mpm(mpm).children(children).threads(threads))
            .start();
        let mut sent: Vec<_> = (0..REQUESTS).map(|_| stage.send(&any())).collect();
        // httpd's own page is served meanwhile.
        stage.wait_for("refusals", || stage.figure("app", "RefusedFull") == REQUESTS as u64 - 5);
        let line = stage.wait_log("RUST0023");
        assert!(line.contains("no daemon process is ready") && line.contains("5 requests"), "{line}");
        stage.gates.create("ready");
        let answers: Vec<_> = sent.iter_mut().map(|connection| connection.read_response()).collect();
        let (served, refused): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|response| response.status == 200);
        assert_eq!((served.len(), refused.len()), (5, REQUESTS - 5), "{refused:?}");
        for response in refused {
            assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
        }
        stage.pid_of_answer();
    }
}

#[test]
fn a_killed_child_leaves_the_processes_fit() {
    let stage =
        setup("threads=2").with(|builder| builder.mpm(Mpm::Event).children(1).threads(4)).start();
    let (held, of) = stage.hold("held");
    let child = child_of(&stage);
    stage.kill(child);
    stage.wait_gone(&[child]);
    drop(held);
    assert_eq!(stage.pid_of_answer(), of);
    stage.gates.open("held");
    stage.wait_for("rest", || stage.running() == 0);
}

/// A killed child counts in the load for no longer than its requests would have waited.
#[test]
fn a_killed_child_leaves_no_waiting_request() {
    let stage = setup("threads=1 queue-size=1 connect-timeout=1")
        .stage("awaits", "ready")
        .allow(&["RUST0023", "RUST0022"])
        .with(|builder| builder.mpm(Mpm::Event).children(1).threads(8))
        .start();
    let waiting: Vec<_> = (0..3).map(|_| stage.send(&any())).collect();
    stage.wait_for("a refusal", || stage.figure("app", "RefusedFull") == 1);
    stage.kill(child_of(&stage));
    drop(waiting);
    // The client is refused at once, or after the wait for a process.
    stage.wait_for("a place", || {
        stage.get(&any());
        stage.lines("RUST0022") > 0
    });
    stage.gates.create("ready");
    stage.app().wait_ready(1);
    stage.pid_of_answer();
}

/// Returns the numbers of a process's descriptors.
fn numbers(pid: i32) -> BTreeSet<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    entries.filter_map(|entry| number(entry.ok()?)).collect()
}

#[test]
fn kept_connections_are_limited_and_closed_for_a_request() {
    const PROCESSES: usize = 16;
    let stage = setup(&format!("processes={PROCESSES} threads=1"))
        .with(|builder| {
            // More threads than are ever busy: while none is idle, the event MPM closes the
            // connections that are kept alive (event.c, process_keepalive_queue).
            let child = builder.mpm(Mpm::Event).children(1).threads(6);
            child.conf(
                "RustAppAlias /embedded stage\n\
                 RustDaemonProcess other threads=1 connect-timeout=1\n\
                 RustAppAlias /other stage process-group=other",
            )
        })
        .start();
    stage.app().wait_ready(PROCESSES);
    stage.group("other").wait_ready(1);
    let child = child_of(&stage);
    // One connection to httpd for all, as the child could not accept another one.
    let mut client = stage.connect();
    let mut get = |target: &str| {
        client.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        pid(&client.read_response())
    };
    let limit = |files: u32| format!("/embedded/run?name=any&steps=files:{files}");
    let any = any();
    // A quarter of them is 10. The child looks once.
    assert_eq!(get(&limit(40)), child);
    get(&any);
    let others = numbers(child);
    let before = others.len();
    // Equally busy processes alternate.
    for _ in 0..2 * PROCESSES {
        get(&any);
    }
    let after = numbers(child).len();
    assert!(after > before && after <= before + 10, "{before} {after}");
    // Another group's connection needs a descriptor, and there are only those that are kept. Some of
    // them have to be below the lowest number that is free.
    let mut tries = 0..100;
    let lowest_free = loop {
        assert!(tries.next().is_some(), "no kept connection is below {others:?}");
        let used = numbers(child);
        let lowest_free = (0..).find(|number| !used.contains(number)).expect("a number");
        if used.difference(&others).any(|kept| *kept < lowest_free) {
            break lowest_free;
        }
        get(&any);
    };
    get(&limit(lowest_free));
    get("/other/run?name=any");
    get(&any);
}

#[test]
fn threads_that_are_not_needed_sleep_on() {
    let stage = setup("threads=1000").start();
    let of = stage.app().wait_ready(1)[0];
    stage.pid_of_answer();
    let switches = || -> u64 {
        let tasks = fs::read_dir(format!("/proc/{of}/task")).expect("its threads");
        let statuses =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
        let of_one = |status: String| -> Option<u64> {
            let line =
                status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse().ok()
        };
        statuses.filter_map(of_one).sum()
    };
    stage.wait_for("1000 threads", || proc::threads(of).is_ok_and(|count| count > 1000));
    let before = switches();
    // Two that take long keep all busy that look out for requests: others have to.
    let mut held = ["first", "second", "third", "fourth"].map(|name| (name, stage.hold(name).0));
    for (name, connection) in &mut held {
        stage.gates.open(name);
        pid(&connection.read_response());
    }
    let count = switches() - before;
    assert!(count < 500, "{count} times threads went to sleep, for four requests");
}

#[test]
fn slow_senders_leave_room_for_others() {
    const SENDERS: usize = 1060;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("a limit");
    let stage = setup("threads=2 queue-size=5000 queue-timeout=0")
        .with(|builder| builder.mpm(Mpm::Event).children(1).threads(SENDERS + 20))
        // Each has a thread of httpd's.
        .with(|builder| builder.conf("RustAsync Off"))
        .start();
    stage.app().wait_ready(1);
    let target = run("slow", "readall");
    let mut senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let mut connection = stage.connect();
            connection.write(format!(
                "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello"
            ));
            connection
        })
        .collect();
    stage.wait_for("all senders", || {
        let status = stage.get("/server-status?auto");
        let busy = status.text().lines().find_map(|line| line.strip_prefix("BusyWorkers: "));
        busy.is_some_and(|busy| busy.parse::<usize>().unwrap() > SENDERS)
    });
    stage.pid_of_answer();
    for sender in &mut senders {
        sender.write("world");
    }
    for sender in &mut senders {
        pid(&sender.read_response());
    }
}
