//! Requests that wait for a process to be ready, or for their own body, and hold no thread of the
//! httpd child meanwhile (event MPM).

use std::time::{Duration, Instant};

use httpd_testkit::{Connection, proc};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::released::{few_threads, wait_until_waiting, waiting};
use crate::support::{Stage, pid, run};

const MANY: usize = 40;

/// Sends requests that leave a mark in their process.
fn send_many(stage: &Stage) -> Vec<Connection> {
    (0..MANY).map(|_| stage.send(&run("each", "here"))).collect()
}

/// Returns the process that answers all of them, each of which runs once.
#[track_caller]
fn answered(stage: &Stage, held: Vec<Connection>) -> i32 {
    let pids: Vec<_> =
        held.into_iter().map(|mut connection| pid(&connection.read_response())).collect();
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    assert_eq!(stage.gates.marks("each"), pids, "each ran once");
    pids[0]
}

#[test]
fn a_start_is_waited_for_without_a_thread() {
    let stage = few_threads("threads=2 connect-timeout=60").stage("awaits", "go").start();
    let held = send_many(&stage);
    wait_until_waiting(&stage, MANY);
    assert_eq!(stage.get("/file.txt").text(), "static\n");
    stage.gates.create("go");
    answered(&stage, held);
    wait_until_waiting(&stage, 0);
}

/// Processes that are killed one after another, before and while they start.
#[test]
fn a_start_after_a_death_is_waited_for_without_a_thread() {
    let stage = few_threads("threads=2 connect-timeout=60 crash-backoff=100ms")
        .stage("awaits", "go")
        .allow(&["RUST0031"])
        .start();
    stage.gates.create("go");
    let first = stage.app().wait_ready(1)[0];
    std::fs::remove_file(stage.gates.path("go")).unwrap();
    stage.kill(first);
    stage.wait_for("another build", || stage.gates.built().len() == 2);
    let held = send_many(&stage);
    wait_until_waiting(&stage, MANY);
    assert_eq!(stage.get("/file.txt").text(), "static\n");
    stage.gates.create("go");
    assert_ne!(answered(&stage, held), first);
}

#[test]
fn clients_that_leave_meanwhile_are_not_served() {
    let stage = few_threads("threads=2 connect-timeout=60").stage("awaits", "go").start();
    let mut held = send_many(&stage);
    wait_until_waiting(&stage, MANY);
    held.drain(..MANY / 2).for_each(Connection::reset);
    wait_until_waiting(&stage, MANY / 2);
    stage.gates.create("go");
    answered(&stage, held);
}

#[test]
fn connect_timeout_answers_them() {
    let stage = few_threads("threads=2 connect-timeout=3")
        .stage("awaits", "go")
        .allow(&["RUST0022"])
        .start();
    let began = Instant::now();
    for mut connection in send_many(&stage) {
        let response = connection.read_response();
        assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
    }
    // Four at a time would take 30 s.
    let took = began.elapsed();
    assert!(took > Duration::from_millis(2900) && took < Duration::from_secs(20), "{took:?}");
    assert_eq!(stage.lines("no daemon process was ready within 3 s"), MANY);
    stage.gates.create("go");
    stage.pid_of_answer();
    assert!(stage.gates.marks("each").is_empty());
}

#[test]
fn more_than_may_wait_are_refused_at_once() {
    let stage = few_threads("threads=2 queue-size=38 connect-timeout=60")
        .stage("awaits", "go")
        .allow(&["RUST0023"])
        .start();
    let held = send_many(&stage);
    wait_until_waiting(&stage, MANY);
    assert_eq!(stage.get(&run("one", "here")).status, 503);
    stage.gates.create("go");
    answered(&stage, held);
    assert!(stage.gates.marks("one").is_empty());
}

/// A start that fails opens the circuit: all are told at once.
#[test]
fn a_failed_start_answers_them() {
    let stage = few_threads("threads=2 connect-timeout=60")
        .stage("awaits", "go")
        .stage("crashes", "mended")
        .allow(&["RUST0031", "RUST0024"])
        .start();
    let held = send_many(&stage);
    wait_until_waiting(&stage, MANY);
    stage.gates.create("go");
    for mut connection in held {
        assert_eq!(connection.read_response().status, 503);
    }
    wait_until_waiting(&stage, 0);
    stage.gates.create("mended");
    stage.app().wait_ready(1);
    stage.pid_of_answer();
}

/// The old child keeps them, and their old processes serve them.
#[test]
fn a_graceful_restart_lets_them_finish() {
    let stage = few_threads("threads=2 connect-timeout=60").stage("awaits", "go").start();
    let held = send_many(&stage);
    wait_until_waiting(&stage, MANY);
    let old = stage.gates.built()[0];
    stage.graceful();
    stage.gates.create("go");
    stage.pid_of_answer();
    assert_eq!(answered(&stage, held), old);
    stage.wait_for("its end", || !proc::is_alive(old));
}

#[test]
fn a_stop_ends_them() {
    let options = "threads=2 connect-timeout=60 shutdown-timeout=1";
    let stage = few_threads(options).stage("awaits", "go").start();
    let held = send_many(&stage);
    wait_until_waiting(&stage, MANY);
    stage.stop();
    for mut connection in held {
        connection.read_to_end();
    }
}

#[test]
fn off_holds_the_thread() {
    let stage = few_threads("threads=2 connect-timeout=60")
        .with(|builder| builder.conf("RustAsync Off"))
        .stage("awaits", "go")
        .start();
    let mut held = stage.send(&run("each", "here"));
    stage.wait_for("its thread", || {
        let page = stage.get("/server-status?auto");
        page.text().lines().any(|line| line == "BusyWorkers: 2")
    });
    assert_eq!(waiting(&stage), 0);
    stage.gates.create("go");
    pid(&held.read_response());
}

/// In a crowd of slow senders the httpd child collects small bodies before it sends the request.
#[test]
fn small_bodies_are_collected_without_a_thread() {
    const SENDERS: usize = 600;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("a limit");
    let stage = few_threads("threads=2 queue-size=5000 queue-timeout=0").start();
    stage.app().wait_ready(1);
    let target = run("slow", "here,readall");
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello");
    let mut senders: Vec<_> = (0..SENDERS).map(|_| stage.connect()).collect();
    senders.iter_mut().for_each(|sender| _ = sender.write(&head));
    wait_until_waiting(&stage, SENDERS);
    let sent = stage.gates.marks("slow").len();
    assert!(sent < SENDERS, "some are collected");
    assert_eq!(stage.get("/file.txt").text(), "static\n");
    for part in ["wor", "ld"] {
        senders.iter_mut().for_each(|sender| _ = sender.write(part));
    }
    for sender in &mut senders {
        pid(&sender.read_response());
    }
    assert_eq!(stage.gates.marks("slow").len(), SENDERS, "each ran once");
}
