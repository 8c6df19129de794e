//! Limits, each of them alone: every other one is off.

use std::time::{Duration, Instant};

use httpd_testkit::proc;

use crate::support::{Setup, Stage, pid, run, setup};

/// Makes a group with only this limit, and all default limits off.
fn only(limit: &str) -> Setup {
    let off = ["queue-timeout", "startup-timeout"];
    let off: String =
        off.iter().filter(|name| !limit.contains(*name)).map(|name| format!("{name}=0 ")).collect();
    let threads = if limit.contains("threads=") { "" } else { "threads=2 " };
    setup(&format!("{threads}{off}{limit}"))
}

/// Waits until `old` is replaced for that reason.
fn wait_replaced(stage: &Stage, old: i32, reason: &str) {
    stage.wait_gone(&[old]);
    let line = stage.wait_log(&format!("process {old}: "));
    assert!(line.contains("RUST0032") && line.contains(reason), "{line}");
    let new = stage.app().wait_ready(1);
    assert!(!new.contains(&old));
}

#[test]
fn maximum_requests() {
    let stage = only("maximum-requests=20 jitter=0").start();
    let first = stage.app().wait_ready(1)[0];
    let answers: Vec<_> = (0..100).map(|_| stage.pid_of_answer()).collect();
    let by_first = answers.iter().filter(|pid| **pid == first).count();
    // It goes on until its replacement is there.
    assert!((20..100).contains(&by_first), "{by_first}");
    wait_replaced(&stage, first, "maximum_requests");
}

#[test]
fn restart_interval() {
    let stage = only("restart-interval=1 jitter=0").start();
    let first = stage.app().wait_ready(1)[0];
    wait_replaced(&stage, first, "restart_interval");
    stage.pid_of_answer();
}

#[test]
fn memory_limit() {
    let stage = only("memory-limit=100M").start();
    let first = stage.app().wait_ready(1)[0];
    assert_eq!(pid(&stage.get(&run("grow", "grow:120"))), first);
    wait_replaced(&stage, first, "memory_limit");
    stage.pid_of_answer();
}

#[test]
fn cpu_time_limit() {
    // This takes longer if other processes use the CPU.
    let stage = only("cpu-time-limit=1")
        .with(|builder| builder.conf("Timeout 60").patience(Duration::from_secs(60)))
        .start();
    let first = stage.app().wait_ready(1)[0];
    assert_eq!(pid(&stage.get(&run("spin", "spin:1500"))), first);
    wait_replaced(&stage, first, "cpu_time_limit");
    stage.pid_of_answer();
}

#[test]
fn inactivity_timeout() {
    let stage = only("processes=2 inactivity-timeout=1").start();
    let old = stage.app().wait_ready(2);
    stage.wait_gone(&old);
    stage.wait_log("inactivity_timeout");
    stage.wait_for("a group that sleeps", || stage.figure("app", "Ready") == 0);
    let built = stage.gates.built().len();
    assert_eq!(built, 2, "nothing starts before somebody wants it");
    // The next request wakes it.
    let new = stage.pid_of_answer();
    assert!(!old.contains(&new));
}

#[test]
fn request_timeout() {
    let stage = only("request-timeout=1 graceful-timeout=2")
        .with(|builder| builder.conf("Timeout 60"))
        .allow(&["RUST0027"])
        .start();
    let first = stage.app().wait_ready(1)[0];
    let (mut held, of) = stage.hold("held");
    assert_eq!(of, first);
    let response = held.read_response();
    assert_eq!(response.status, 504, "{response:?}");
    stage.wait_log("RUST0027");
    // The thread is stuck: another process replaces this one, which ends without waiting for the
    // thread.
    wait_replaced(&stage, first, "request_timeout");
    stage.pid_of_answer();
    stage.gates.open("held");
}

#[test]
fn others_finish_when_one_request_takes_too_long() {
    let stage = only("request-timeout=2 graceful-timeout=8").allow(&["RUST0027"]).start();
    stage.app().wait_ready(1);
    let (mut stuck, of) = stage.hold("stuck");
    // Half of its time later, so that it is under way when the other is cut.
    stage.wait_for("a second", || {
        let status = stage.app().status();
        let of_all = status["processes"].as_array().into_iter().flatten();
        let ages = of_all.filter_map(|process| process["working_on"][0]["age_us"].as_u64());
        ages.max() > Some(1_000_000)
    });
    let (mut other, same) = stage.hold("other");
    assert_eq!(of, same);
    assert_eq!(stuck.read_response().status, 504);
    stage.gates.open("other");
    assert_eq!(pid(&other.read_response()), of);
    wait_replaced(&stage, of, "request_timeout");
}

#[test]
fn startup_timeout() {
    let stage = only("startup-timeout=1")
        .stage("awaits", "ready")
        .allow(&["RUST0033", "RUST0024", "RUST0022"])
        .start();
    let line = stage.wait_log("RUST0033");
    assert!(line.contains("startup-timeout"), "{line}");
    // Requests are answered at once while the group waits for its next start.
    let response = stage.get(&run("any", ""));
    assert_eq!(response.status, 503, "{response:?}");
    assert!(response.header("retry-after").is_some(), "{response:?}");
    stage.gates.create("ready");
    stage.app().wait_ready(1);
    stage.pid_of_answer();
}

#[test]
fn queue_timeout() {
    let stage = only("threads=1 queue-timeout=1").allow(&["RUST0026"]).start();
    let (mut held, _) = stage.hold("held");
    let response = stage.get(&run("second", "here"));
    assert_eq!(response.status, 504, "{response:?}");
    stage.wait_log("RUST0026");
    stage.gates.open("held");
    pid(&held.read_response());
    stage.pid_of_answer();
    assert!(stage.gates.marks("second").is_empty(), "no client waits for it");
}

#[test]
fn connect_timeout() {
    let stage = only("connect-timeout=1").stage("awaits", "ready").allow(&["RUST0022"]).start();
    let begin = Instant::now();
    let response = stage.get(&run("any", ""));
    assert_eq!(response.status, 503, "{response:?}");
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert!(response.header("retry-after").is_some());
    stage.wait_log("RUST0022");
    stage.gates.create("ready");
    stage.app().wait_ready(1);
    stage.pid_of_answer();
}

#[test]
fn socket_timeout() {
    let stage = only("socket-timeout=1 shutdown-timeout=1").allow(&["RUST0025"]).start();
    let (mut held, of) = stage.hold("held");
    let response = held.read_response();
    assert_eq!(response.status, 504, "{response:?}");
    stage.wait_log("RUST0025");
    // The process continues, because no limit ends it.
    assert!(proc::is_alive(of));
    assert_eq!(stage.pid_of_answer(), of);
    stage.gates.open("held");
}

#[test]
fn a_full_group_refuses_at_once() {
    let stage = only("threads=1 queue-size=1").allow(&["RUST0023"]).start();
    stage.app().wait_ready(1);
    let (mut first, _) = stage.hold("first");
    let mut second = stage.send(&run("second", "here"));
    stage.wait_for("a request in the queue", || stage.running() == 2);
    let third = stage.get(&run("third", "here"));
    assert_eq!(third.status, 503, "{third:?}");
    assert_eq!(third.header("retry-after"), Some("1"));
    let line = stage.wait_log("RUST0023");
    assert!(line.contains("queue-size"), "{line}");
    stage.gates.open("first");
    pid(&first.read_response());
    pid(&second.read_response());
    assert!(stage.gates.marks("third").is_empty());
    assert_eq!(stage.figure("app", "RefusedFull"), 1);
}

/// A header counts twice, once as a variable, as docs/limits.md says.
#[test]
fn a_head_that_does_not_fit_the_bridge() {
    let stage = only("threads=1")
        .with(|builder| builder.conf("LimitRequestFieldSize 2000000"))
        .allow(&["RUST0028"])
        .start();
    stage.app().wait_ready(1);
    let ask = |length: usize| {
        let mut connection = stage.connect();
        let (target, header) = (run("any", ""), "x".repeat(length));
        connection.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\nX-Big: {header}\r\n\r\n"));
        connection.read_response()
    };
    pid(&ask(500_000));
    let response = ask(540_000);
    assert_eq!(response.status, 431, "{response:?}");
    let line = stage.wait_log("RUST0028");
    assert!(line.contains("allowed are 1048576"), "{line}");
    stage.pid_of_answer();
}
