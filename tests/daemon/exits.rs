//! Processes whose application calls `exit`, and what httpd's parent says of it.

use std::collections::BTreeMap;

use httpd_testkit::mpm_tests;

use crate::support::{self, setup};

/// Exit statuses that mean something if mod_rust or httpd uses them.
///
/// These are a good end, SIGQUIT and SIGKILL as the MPMs report them, and httpd's fatal child
/// (`APEXIT_CHILDFATAL`). A daemon process uses others after it has logged an error.
const STATUSES: [i32; 8] = [0, 3, 7, 9, 15, 70, 71, 72];

mpm_tests! {
    fn an_exit_of_the_application_is_a_crash_whatever_its_status(mpm) {
        let stage = setup("processes=8 threads=1")
            .mpm(mpm)
            .allow(&["RUST0031", "RUST0020", "RUST0042"])
            .start();
        stage.app().wait_ready(8);
        let mut held = BTreeMap::new();
        for status in STATUSES {
            let name = format!("exit{status}");
            let connection = stage.send(&support::run(&name, &format!("here,gate,exit:{status}")));
            held.insert(status, (connection, stage.wait_mark(&name)));
        }
        for status in STATUSES {
            stage.gates.open(&format!("exit{status}"));
        }
        for (status, (mut connection, pid)) in held {
            let response = connection.read_response();
            assert_eq!(response.status, 502, "{status}: {response:?}");
            let line = stage.wait_log(&format!("process {pid}: the application called exit"));
            assert!(line.contains(&format!("RUST0042: process group app, process {pid}: ")), "{line}");
            assert!(line.ends_with(&format!("called exit({status})")), "{status}: {line}");
            let line = stage.wait_log(&format!("daemon process {pid} called exit"));
            assert!(line.contains("RUST0031") && line.contains("with 1 request in it"), "{line}");
        }
        stage.app().wait_ready(8);
        stage.pid_of_answer();
    }
}

#[test]
fn an_exit_of_a_factory_is_a_failed_start() {
    let stage = setup("threads=1")
        .stage("crashes", "ready")
        .stage("status", "0")
        .allow(&["RUST0031", "RUST0042", "RUST0024", "RUST0022"])
        .start();
    let line = stage.wait_log("RUST0031");
    assert!(line.contains(" called exit, before it was ready; the next is started in "), "{line}");
    let response = stage.get(&support::run("any", ""));
    assert_eq!(response.status, 503, "{response:?}");
    stage.gates.create("ready");
    stage.app().wait_ready(1);
    stage.pid_of_answer();
}

/// Nor what it starts: httpd ends when a child of its exits with this status, whichever it is.
#[test]
fn a_process_cannot_exit_with_httpds_fatal_status() {
    let stage = setup("threads=1").start();
    let ended =
        |status: i32| stage.get(&format!("/stage/program?status={status}")).text().to_owned();
    assert_eq!(ended(14), "exit status: 14");
    assert!(ended(15).starts_with("signal: 31 (SIGSYS)"), "{}", ended(15));
    assert_eq!(ended(16), "exit status: 16");
}
