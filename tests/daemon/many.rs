//! Many process groups in one httpd.

use httpd_testkit::proc;

use crate::support::setup;

/// Returns the CPU time of a process, with its mappings and descriptors. Other processes do not
/// affect it.
fn costs(pid: i32) -> (f64, usize, usize) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("schedstat");
    let ns: f64 = text.split(' ').next().expect("a time").parse().expect("nanoseconds");
    (ns / 1e9, proc::maps(pid).unwrap().lines().count(), proc::fds(pid).unwrap().len())
}

/// Prints what 200 groups of 4 processes cost httpd's parent: docs/daemon-mode.md has the figures.
#[test]
#[ignore = "1,000 processes"]
fn two_hundred_groups() {
    let mut conf = String::new();
    for number in 0..200 {
        conf += &format!(
            "RustDaemonProcess g{number} processes=4 threads=2\n\
             RustAppAlias /g{number} stage process-group=g{number}\n"
        );
    }
    let began = std::time::Instant::now();
    let stage = setup("threads=2")
        .with(|builder| builder.conf(&conf).patience(std::time::Duration::from_secs(60)))
        .start();
    let (before, mappings, descriptors) = costs(stage.pid());
    let took = began.elapsed().as_secs_f64();
    println!("start: {took:.2} s, parent's CPU {before:.2} s");
    let began = std::time::Instant::now();
    stage.graceful();
    let took = began.elapsed().as_secs_f64();
    let (after, ..) = costs(stage.pid());
    println!("graceful: {took:.2} s, parent's CPU {:.2} s", after - before);
    println!("parent: {mappings} mappings, {descriptors} descriptors");
    // A few for each group, besides httpd's own; each slot has its socket.
    assert!(
        mappings < 200 && descriptors < 1_300,
        "{mappings} mappings, {descriptors} descriptors"
    );
}
