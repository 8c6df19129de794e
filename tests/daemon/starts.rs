//! Processes that do not start.

use crate::support::{run, setup};

#[test]
fn a_factory_that_fails_opens_the_circuit_until_it_is_mended() {
    let stage = setup("processes=2 threads=2")
        .stage("needs", "mended")
        .allow(&["RUST0033", "RUST0024"])
        .start();
    let line = stage.wait_log("RUST0033");
    assert!(line.contains("the stage needs mended"), "{line}");
    // The second failure, so that the pause is two seconds.
    stage.wait_log("failure 2 in a row");
    let response = stage.get(&run("any", ""));
    assert_eq!(response.status, 503, "{response:?}");
    let after: u64 = response.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    stage.wait_log("RUST0024");
    // Each step logs one error, for any number of failed processes.
    for step in 1..=2 {
        let of_step = format!("failure {step} in a row");
        let errors = |log: &str| {
            log.lines().filter(|line| line.contains(":error]") && line.contains(&of_step)).count()
        };
        // Of processes that fail together any may say it, also after the others.
        stage.wait_for("the line of a step", || errors(&stage.error_log()) > 0);
        assert_eq!(errors(&stage.error_log()), 1, "{}", stage.error_log());
    }
    stage.gates.create("mended");
    stage.app().wait_ready(2);
    stage.pid_of_answer();
}

#[test]
fn a_crash_loop_is_slowed_down() {
    let stage = setup("processes=2 threads=2")
        .stage("crashes", "mended")
        .allow(&["RUST0031", "RUST0024"])
        .start();
    let lines = stage.wait_log_count("RUST0031", 2);
    assert!(lines[0].contains("SIGABRT") && lines[0].contains("before it was ready"), "{lines:?}");
    let response = stage.get(&run("any", ""));
    assert_eq!(response.status, 503, "{response:?}");
    assert!(response.header("retry-after").is_some());
    // One try at a time, and the pause doubles: 1, 2, 4 seconds.
    assert!(stage.gates.built().len() < 8, "{:?}", stage.gates.built());
    stage.gates.create("mended");
    stage.app().wait_ready(2);
    stage.pid_of_answer();
}

/// A request that waited for it would get the error of connect-timeout, which is a failure here.
#[test]
fn no_request_waits_for_another_start() {
    let stage = setup("threads=2")
        .stage("awaits", "go")
        .stage("crashes", "mended")
        .allow(&["RUST0031", "RUST0024"])
        .start();
    stage.gates.create("go");
    stage.wait_log("RUST0031");
    std::fs::remove_file(stage.gates.path("go")).unwrap();
    let built = || stage.gates.built().len();
    stage.wait_for("a second try", || built() >= 2);
    let response = stage.get(&run("any", ""));
    assert_eq!(response.status, 503, "{response:?}");
    assert!(response.header("retry-after").is_some());
    stage.wait_log("RUST0024");
    stage.gates.create("mended");
    stage.gates.create("go");
    stage.app().wait_ready(1);
    stage.pid_of_answer();
}

#[test]
fn a_replacement_that_cannot_start_leaves_the_old_process_be() {
    // The file is there for the first start only.
    let stage = setup("threads=2 restart-interval=1 jitter=0")
        .stage("needs", "there")
        .allow(&["RUST0033", "RUST0024"]);
    let stage = stage.start();
    stage.gates.create("there");
    let old = stage.app().wait_ready(1)[0];
    std::fs::remove_file(stage.gates.path("there")).unwrap();
    let before = stage.lines("RUST0033");
    stage.wait_log_count("RUST0033", before + 2);
    for _ in 0..20 {
        assert_eq!(stage.pid_of_answer(), old, "it serves on");
    }
    stage.gates.create("there");
    stage.wait_gone(&[old]);
    stage.pid_of_answer();
}

/// A folder that is there for root, and so for `configtest`, and not for the process.
#[test]
fn a_process_that_cannot_be_set_up_logs_the_reason() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    if !std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        return;
    }
    let closed = std::env::temp_dir().join(format!("mod_rust-closed-{}", std::process::id()));
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let stage = setup(&format!("threads=1 home={} crash-backoff=100ms", closed.display()))
        .allow(&["RUST0034", "RUST0024", "RUST0022"])
        .start();
    let line = stage.wait_log("RUST0034");
    let expected =
        format!(": cannot be set up: cannot enter home={} as user id ", closed.display());
    assert!(line.contains("process group app, process ") && line.contains(&expected), "{line}");
    assert!(line.contains("Permission denied; let that user enter each folder"), "{line}");
    // Once it can be, it is.
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o755)).unwrap();
    stage.app().wait_ready(1);
    stage.pid_of_answer();
    std::fs::remove_dir(closed).unwrap();
}

/// A process that still builds at the end of its generation has no requests. That is not an error.
#[test]
fn a_generation_that_ends_while_it_is_built() {
    let stage = setup("threads=1 startup-timeout=0").stage("awaits", "go").start();
    stage.wait_for("a build", || !stage.gates.built().is_empty());
    let first = stage.gates.built()[0];
    stage.graceful();
    stage.wait_log(&format!("daemon process {first} of an earlier configuration has served"));
    stage.gates.create("go");
    stage.app().wait_ready(1);
    stage.pid_of_answer();
}
