//! Options that take effect in a running group.

use std::time::{Duration, Instant};

use crate::support::{pid, run, setup};

#[test]
fn ignored_requests_do_not_keep_a_group_running() {
    const IDLE: Duration = Duration::from_secs(2);
    let stage = setup("threads=2 inactivity-timeout=2")
        .with(|builder| builder.conf("<Location /stage/var>\nRustIgnoreActivity On\n</Location>"))
        .start();
    let first = stage.app().wait_ready(1);
    // Requests that count keep it, for as long as they come.
    let begin = Instant::now();
    while begin.elapsed() < 2 * IDLE {
        assert_eq!(stage.pid_of_answer(), first[0]);
    }
    // And those that do not are answered, and let it go.
    let begin = Instant::now();
    stage.wait_for("the end of the process", || {
        assert_eq!(stage.get("/stage/var?name=none").status, 200);
        stage.lines("inactivity_timeout") > 0
    });
    assert!(begin.elapsed() >= IDLE / 2, "{:?}", begin.elapsed());
    stage.wait_gone(&first);
    assert_ne!(stage.pid_of_answer(), first[0]);
}

#[test]
fn a_client_that_reads_nothing_is_abandoned() {
    // A third of what the answer has goes into the sockets' buffers at most.
    for size in ["64K", "8M"] {
        let stage =
            setup(&format!("threads=2 response-socket-timeout=1 response-buffer-size={size}"))
                .with(|builder| builder.conf("Timeout 100"))
                .start();
        stage.app().wait_ready(1);
        for length in [7_000_000, 60_000_000] {
            let before = stage.lines("RUST0003");
            let begin = Instant::now();
            let mut stream = stage.send(&run("slow", &format!("head:{length},write:{length}")));
            stream.read_exact(1000);
            stage.wait_for("the end of the request", || {
                stage.lines("RUST0003") > before && stage.running() == 0
            });
            assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
            let response = stream.try_read_response("GET");
            assert!(response.is_err(), "{length} bytes, {size}: it is not whole");
        }
        stage.pid_of_answer();
    }
}

#[test]
fn a_worker_thread_has_the_stack_that_it_is_given() {
    let deep = run("deep", "deep:6000");
    let stage = setup("threads=2 stack-size=8M").start();
    stage.app().wait_ready(1);
    pid(&stage.get(&deep));
    // The same on a stack of Rust's size, which is too small for it.
    let stage = setup("threads=2").allow(&["RUST0020", "RUST0031"]).start();
    let first = stage.app().wait_ready(1)[0];
    let response = stage.get(&deep);
    assert_eq!(response.status, 502, "{response:?}");
    let line = stage.wait_log("RUST0031");
    assert!(line.contains("SIGSEGV"), "{line}");
    assert_ne!(stage.pid_of_answer(), first);
}
