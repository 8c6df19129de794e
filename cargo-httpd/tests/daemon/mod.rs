//! Daemon mode: `cargo httpd run --daemon` of this workspace's own module, and what the tool tells
//! and does of its process group while it runs.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::common::{Project, Running, text};

/// Returns the group of `running`, as `groups --json` shows it.
fn group(project: &Project, running: &Running) -> Value {
    let output = project.output(&["groups", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let groups: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut groups = groups.as_array().unwrap().iter();
    let own = groups.find(|group| group["httpd"] == running.httpd);
    own.unwrap_or_else(|| panic!("{}", text(&output.stdout))).clone()
}

/// Returns the processes that are ready.
fn ready(group: &Value) -> BTreeSet<u64> {
    let processes = group["status"]["processes"].as_array().into_iter().flatten();
    let ready = processes.filter(|process| process["state"] == "ready");
    ready.map(|process| process["pid"].as_u64().unwrap()).collect()
}

/// Waits for two ready processes, none of them in `old`: a draining process already has a
/// replacement.
fn wait_replaced(project: &Project, running: &Running, old: &BTreeSet<u64>) -> BTreeSet<u64> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let group = group(project, running);
        let now = ready(&group);
        if now.len() == 2 && now.is_disjoint(old) {
            return now;
        }
        assert!(Instant::now() < end, "{old:?} are not replaced: {group:#}");
    }
}

/// Runs `meanwhile` while clients ask all the time, each of whom must get its answer.
fn under_load<T>(running: &Running, meanwhile: impl FnOnce() -> T) -> T {
    /// Also where `meanwhile` panics.
    struct End<'e>(&'e AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (over, port) = (AtomicBool::new(false), running.port);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(crate::common::get(port, "/hello"), "Hello, world\n");
                }
            });
        }
        let _end = End(&over);
        meanwhile()
    })
}

#[test]
fn run_daemon_with_a_group_that_the_tool_manages() {
    let project = Project::of_workspace();
    let running = project.run(&["--daemon"]);
    assert_eq!(running.get("/hello"), "Hello, world\n");
    let environ = running.get("/probe/environ");
    assert!(environ.contains("\"mod_rust.process_group\": \"rust\""), "{environ}");

    // The reply exists as JSON and as a table.
    let own = group(&project, &running);
    let first = ready(&own);
    assert_eq!((own["name"].as_str(), first.len()), (Some("rust"), 2), "{own:#}");
    let prefix = own["socket_prefix"].as_str().unwrap();
    let at = ["--socket-prefix", prefix];
    let output = project.output(&[&["groups"], &at[..]].concat());
    let said = text(&output.stdout);
    let title = format!("rust (httpd {}, generation ", running.httpd);
    assert!(said.starts_with(&title) && said.contains(": 2 processes ready, "), "{said}");
    for pid in &first {
        let row = format!("{pid}  ready ");
        assert!(said.lines().any(|line| line.trim_start().starts_with(&row)), "{row}\n{said}");
    }

    // One process.
    let one = *first.first().unwrap();
    let drain = |pid: u64| {
        let pid = pid.to_string();
        project.output(&[&["drain-process", &pid], &at[..]].concat())
    };
    under_load(&running, || {
        let output = drain(one);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains(&format!("Process {one} of group `rust` drains")), "{said}");
        wait_replaced(&project, &running, &[one].into());
    });
    let output = drain(one);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: ") && said.contains(&one.to_string()), "{said}");

    // All of them, one after the other.
    let before = ready(&group(&project, &running));
    under_load(&running, || {
        let output = project.output(&[&["restart-group", "rust"], &at[..]].concat());
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        for pid in &before {
            assert!(said.contains(&format!("took the place of {pid}")), "{pid}\n{said}");
        }
        assert!(said.contains("Every process of `rust` is replaced"), "{said}");
        wait_replaced(&project, &running, &before);
    });

    let output = project.output(&[&["restart-group", "other"], &at[..]].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("process group \"other\": not found") && said.contains("rust"), "{said}");

    assert_eq!(running.get("/hello"), "Hello, world\n");
    running.signal(Signal::TERM);
    let (status, said) = running.wait();
    assert!(status.success(), "{status}: {}", said.join("\n"));
    // Its sockets are gone, so no process can answer.
    let output = project.output(&[&["groups"], &at[..]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    for pid in first.iter().chain(&before) {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is still there");
    }
}
