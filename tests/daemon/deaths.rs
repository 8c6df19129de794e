//! Processes that die.

use httpd_testkit::{Signal, proc};

use crate::support::{pid, run, setup};

#[test]
fn an_idle_process_that_is_killed_is_replaced() {
    let stage = setup("processes=2").allow(&["RUST0031"]).start();
    let old = stage.app().wait_ready(2);
    // So that httpd's children have connections to both.
    let mut seen: Vec<i32> = Vec::new();
    stage.wait_for("answers by both", || {
        seen.push(stage.pid_of_answer());
        old.iter().all(|pid| seen.contains(pid))
    });
    for &process in &old {
        stage.kill(process);
    }
    for _ in 0..20 {
        assert!(!old.contains(&stage.pid_of_answer()));
    }
    let lines = stage.wait_log_count("RUST0031", 2);
    for (line, pid) in lines.iter().zip(&old) {
        assert!(line.contains("was ended by SIGKILL"), "{line}");
        assert!(lines.iter().any(|line| line.contains(&format!("daemon process {pid} "))));
    }
    stage.app().wait_ready(2);
}

#[test]
fn a_process_that_is_killed_under_a_request() {
    let stage = setup("processes=2").allow(&["RUST0031", "RUST0020"]).start();
    stage.app().wait_ready(2);
    let (mut held, of) = stage.hold("held");
    stage.kill(of);
    let response = held.read_response();
    assert_eq!(response.status, 502, "{response:?}");
    let line = stage.wait_log("RUST0020");
    assert!(line.contains(&format!("daemon process {of} ")) && line.contains("502"), "{line}");
    // The connection is good for more.
    held.write(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", run("next", "")));
    assert_ne!(pid(&held.read_response()), of);
    let line = stage.wait_log("RUST0031");
    assert!(line.contains("SIGKILL") && line.contains("with 1 request in it"), "{line}");
    assert_eq!(stage.gates.marks("held"), [of], "it ran once");
    stage.app().wait_ready(2);
}

#[test]
fn faults_end_one_process_and_one_request() {
    let stage = setup("processes=2").allow(&["RUST0031", "RUST0020", "RUST0042"]).start();
    let (mut held, of) = stage.hold("held");
    stage.signal(of, Signal::SEGV);
    assert_eq!(held.read_response().status, 502);
    let line = stage.wait_log("was ended by SIGSEGV");
    assert!(line.contains("RUST0031"), "{line}");
    let response = stage.get(&run("abort", "abort"));
    assert_eq!(response.status, 502, "{response:?}");
    let line = stage.wait_log("was ended by SIGABRT");
    assert!(line.contains("RUST0031"), "{line}");
    let response = stage.get(&run("exit", "exit:1"));
    assert_eq!(response.status, 502, "{response:?}");
    let line = stage.wait_log("called exit(1)");
    assert!(line.contains("RUST0042"), "{line}");
    stage.pid_of_answer();
    stage.app().wait_ready(2);
}

#[test]
fn an_allocation_that_fails_ends_one_process() {
    let stage = setup("threads=2 virtual-memory-limit=3G")
        .allow(&["RUST0031", "RUST0020", "memory allocation of"])
        .start();
    let old = stage.app().wait_ready(1);
    let response = stage.get(&run("big", "grow:6000"));
    assert_eq!(response.status, 502, "{response:?}");
    let line = stage.wait_log("RUST0031");
    assert!(line.contains("SIGABRT"), "{line}");
    assert!(!old.contains(&stage.pid_of_answer()));
}

#[test]
fn a_hang_is_one_requests_trouble() {
    let stage = setup("processes=2 threads=2 socket-timeout=1").allow(&["RUST0025"]).start();
    stage.app().wait_ready(2);
    let (mut held, of) = stage.hold("held");
    // The whole process hangs.
    stage.signal(of, Signal::STOP);
    let response = held.read_response();
    assert_eq!(response.status, 504, "{response:?}");
    stage.wait_log("RUST0025");
    stage.signal(of, Signal::CONT);
    stage.gates.open("held");
    stage.wait_for("rest", || stage.running() == 0);
    stage.app().wait_ready(2);
}

#[test]
fn a_crash_in_the_midst_of_a_response_breaks_it_off() {
    let stage = setup("processes=2").allow(&["RUST0031", "RUST0021"]).start();
    for head in ["head", "head:400000"] {
        for write in [1000, 300_000] {
            let steps = format!("{head},write:{write},flush,abort");
            let response = stage.send(&run("x", &steps)).try_read_response("GET");
            assert!(response.is_ok_and(|response| response.end.is_truncated()), "{steps}");
            stage.pid_of_answer();
        }
    }
    let lines = stage.wait_log_count("RUST0021", 4);
    assert!(lines.iter().all(|line| line.contains("breaking the response off")), "{lines:#?}");
}

#[test]
fn processes_outlive_httpds_parent_as_long_as_its_children() {
    let stage = setup("processes=2 threads=2 shutdown-timeout=1").start();
    let daemons = stage.app().wait_ready(2);
    let mut children = stage.children_pids();
    let group = proc::in_session(stage.pid()).unwrap();
    stage.signal(stage.pid(), Signal::KILL);
    stage.wait_gone(&[stage.pid()]);
    let slots = stage.app().processes();
    let slots: Vec<_> = slots.iter().map(|process| process.pid).collect();
    children.retain(|pid| !slots.contains(pid));
    assert!(daemons.contains(&stage.pid_of_answer()), "the children serve on");
    // Without their parent they take no notice of SIGTERM.
    for child in children {
        stage.kill(child);
    }
    stage.wait_gone(&group);
}

#[test]
fn an_old_generation_has_one_spare_process() {
    let stage = setup("threads=1").allow(&["RUST0039", "RUST0020", "RUST0022", "RUST0031"]).start();
    let old = stage.app().wait_ready(1)[0];
    let (mut held, of) = stage.hold("held");
    assert_eq!(of, old);
    let mut queued = stage.send(&run("queued", "here,gate"));
    stage.wait_for("a request in the queue", || stage.running() == 2);
    stage.graceful();
    stage.kill(old);
    let response = held.read_response();
    assert_eq!(response.status, 502, "{response:?}");
    stage.wait_log("RUST0020");
    // No process is forked for an ended generation, but its spare process takes the request that no
    // other had begun.
    let spare = stage.wait_mark("queued");
    stage.wait_log("RUST0038");
    let line = stage.wait_log("RUST0039");
    assert!(line.contains(&format!("daemon process {old} ")) && line.contains("SIGKILL"), "{line}");
    stage.kill(spare);
    let response = queued.read_response();
    assert_eq!(response.status, 502, "{response:?}");
    assert_eq!(stage.gates.marks("queued"), [spare]);
    assert_ne!(stage.pid_of_answer(), old);
}

#[test]
fn the_last_process_of_an_old_generation_is_not_replaced() {
    let stage = setup("threads=1 connect-timeout=1")
        .allow(&["RUST0039", "RUST0020", "RUST0022", "RUST0031"])
        .start();
    let app = stage.app();
    let old = app.wait_ready(1)[0];
    let (mut held, _) = stage.hold("held");
    let mut queued = stage.send(&run("queued", "here"));
    stage.wait_for("a request in the queue", || stage.running() == 2);
    let mut all = stage.children_pids();
    stage.graceful();
    all.retain(|pid| proc::is_alive(*pid) && proc::title(*pid).unwrap().contains("(rust:app)"));
    all.retain(|pid| !app.processes().iter().any(|process| process.pid == *pid));
    assert_eq!(all.len(), 2, "{all:?}");
    for pid in all.into_iter().filter(|pid| *pid != old) {
        stage.kill(pid);
    }
    stage.kill(old);
    let response = held.read_response();
    assert_eq!(response.status, 502, "{response:?}");
    // No process is left for it: the processes of another generation do not serve it.
    let response = queued.read_response();
    assert_eq!(response.status, 503, "{response:?}");
    stage.wait_log("RUST0022");
    assert!(stage.gates.marks("queued").is_empty());
    stage.pid_of_answer();
}
