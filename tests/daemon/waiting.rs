//! Requests of a service that wait in a process without a thread, and the end of their process, of
//! their time and of their clients meanwhile.

use std::time::{Duration, Instant};

use httpd_testkit::{Connection, Mpm, Signal, mpm_tests, proc};

use crate::ends::under_load;
use crate::support::{Setup, Stage, pid, run, setup};

/// More than the process has threads, and as many as may wait in httpd's children.
const MANY: usize = 40;
const TARGET: &str = "/stage/wait?name=wait";

/// Returns a server with one process of two threads.
fn two_threads(options: &str) -> Setup {
    let builder =
        |builder: httpd_testkit::Builder| builder.mpm(Mpm::Event).children(1).threads(2 * MANY);
    setup(&format!("threads=2 {options}")).with(builder)
}

/// Sends as many requests that wait, and returns them with their process.
fn hold_many(stage: &Stage) -> (Vec<Connection>, i32) {
    let of = stage.app().wait_ready(1)[0];
    let held = (0..MANY).map(|_| stage.send(TARGET)).collect();
    stage.wait_for("all to wait", || {
        stage.gates.marks("wait").len() == MANY && stage.figure("app", "Parked") == MANY as u64
    });
    assert_eq!(stage.gates.marks("wait"), [of; MANY]);
    (held, of)
}

/// Opens the gate, and expects that each request is answered by this process.
fn answered(stage: &Stage, held: Vec<Connection>, of: i32) {
    stage.gates.open("wait");
    for mut connection in held {
        assert_eq!(pid(&connection.read_response()), of);
        // The connection is good for more.
        connection.write(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", run("next", "")));
        pid(&connection.read_response());
    }
    assert_eq!(stage.gates.marks("wait").len(), MANY, "each ran once");
}

mpm_tests! {
    fn many_wait_beside_two_threads(mpm) {
        let (children, threads) = if mpm == Mpm::Prefork { (MANY + 8, 1) } else { (1, 2 * MANY) };
        let stage = setup("threads=2")
            .with(|builder| builder.mpm(mpm).children(children).threads(threads))
            .start();
        let (held, of) = hold_many(&stage);
        let threads = proc::threads(of).unwrap();
        assert!(threads < MANY / 2, "{threads} threads");
        let status = stage.app().status();
        let requests = status["processes"].as_array().into_iter().flatten();
        let requests = requests.filter_map(|process| process["working_on"].as_array()).flatten();
        let shown: Vec<_> = requests
            .filter(|request| request["text"].as_str().is_some_and(|text| text.contains(TARGET)))
            .collect();
        assert_eq!(shown.len(), MANY);
        // Now and then one looks at its gate.
        assert!(shown.iter().filter(|request| request["phase"] == "parked").count() > MANY / 2);
        assert_eq!(stage.pid_of_answer(), of, "others are served");
        answered(&stage, held, of);
    }
}

#[test]
fn a_killed_process_loses_them_and_they_do_not_run_again() {
    let stage = two_threads("").allow(&["RUST0031", "RUST0020"]).start();
    let (held, of) = hold_many(&stage);
    stage.kill(of);
    for mut connection in held {
        assert_eq!(connection.read_response().status, 502);
        connection.write(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", run("next", "")));
        assert_ne!(pid(&connection.read_response()), of);
    }
    let line = stage.wait_log("RUST0031");
    assert!(line.contains(&format!("with {MANY} requests in it")), "{line}");
    assert_eq!(stage.gates.marks("wait").len(), MANY, "each ran once");
}

#[test]
fn a_graceful_restart_lets_them_finish() {
    let stage = two_threads("").start();
    let (held, of) = hold_many(&stage);
    stage.graceful();
    let new = stage.app().wait_ready(1);
    assert_ne!(new, [of]);
    assert_eq!(stage.pid_of_answer(), new[0]);
    stage.gates.open("wait");
    for mut connection in held {
        assert_eq!(pid(&connection.read_response()), of);
    }
    stage.wait_gone(&[of]);
}

#[test]
fn restarts_under_waiting_requests_lose_none() {
    let stage = two_threads("processes=2").start();
    let answered = under_load(&stage, (MANY, "/stage/nap"), || {
        for _ in 0..10 {
            stage.graceful();
            let ready = stage.app().wait_ready(2);
            stage.signal(ready[0], Signal::USR1);
            stage.wait_gone(&ready[..1]);
            stage.app().wait_ready(2);
        }
    });
    assert!(answered > MANY, "{answered}");
}

#[test]
fn a_process_that_is_replaced_or_stopped_finishes_them() {
    for signal in [Signal::USR1, Signal::TERM] {
        let stage = two_threads("").start();
        let (held, of) = hold_many(&stage);
        stage.signal(of, signal);
        stage.wait_for("another process", || stage.app().wait_ready(1) != [of]);
        answered(&stage, held, of);
        stage.wait_gone(&[of]);
    }
}

#[test]
fn a_stop_that_has_waited_long_enough_gives_them_up() {
    let stage = two_threads("shutdown-timeout=1").allow(&["RUST0020", "RUST0031"]).start();
    let (held, of) = hold_many(&stage);
    stage.signal(of, Signal::TERM);
    for mut connection in held {
        assert_eq!(connection.read_response().status, 502);
    }
    let line = stage.wait_log("RUST0037");
    assert!(line.contains(&format!("{MANY} requests")), "{line}");
    stage.wait_gone(&[of]);
    assert_eq!(stage.gates.marks("wait").len(), MANY, "each ran once");
}

#[test]
fn request_timeout_answers_them_and_keeps_the_process() {
    let stage = two_threads("request-timeout=1").allow(&["RUST0027"]).start();
    let of = stage.app().wait_ready(1);
    let held: Vec<_> = (0..MANY).map(|_| stage.send(TARGET)).collect();
    for mut connection in held {
        assert_eq!(connection.read_response().status, 504);
    }
    stage.wait_for("their drop", || stage.gates.gone("wait").len() == MANY);
    stage.wait_for("rest", || stage.figure("app", "Parked") == 0);
    assert_eq!([stage.pid_of_answer()], of[..]);
    assert!(!stage.error_log().contains("RUST0032"), "it is not replaced");
}

#[test]
fn queue_timeout_does_not_count_the_wait() {
    let stage = two_threads("queue-timeout=1").start();
    let (held, of) = hold_many(&stage);
    let (first, _) = stage.hold("first");
    let (second, _) = stage.hold("second");
    let began = Instant::now();
    stage.wait_for("more than its time", || began.elapsed() > Duration::from_millis(1100));
    // The next visits wait for a thread, too.
    stage.gates.open("wait");
    stage.gates.open("first");
    stage.gates.open("second");
    for mut connection in held.into_iter().chain([first, second]) {
        assert_eq!(pid(&connection.read_response()), of);
    }
}

#[test]
fn clients_that_leave_drop_their_futures() {
    let stage = two_threads("").start();
    let (mut held, of) = hold_many(&stage);
    held.drain(..MANY / 2).for_each(Connection::reset);
    stage.wait_for("their drop", || stage.gates.gone("wait").len() == MANY / 2);
    stage.wait_for("the others", || stage.figure("app", "Parked") == MANY as u64 / 2);
    stage.wait_log("RUST0003");
    answered(&stage, held, of);
}
