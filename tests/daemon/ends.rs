//! Tests requested ends and replacements: httpd's restarts and stops, one process, all processes of
//! a group.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use httpd_testkit::{Signal, find_module, mpm_tests, proc};

use crate::support::{self, Stage, pid, run, setup};

/// Returns the sockets of a group in the runtime folder.
fn sockets(stage: &Stage) -> Vec<String> {
    let folder = std::fs::read_dir(stage.root().join("run")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".sock")).collect()
}

/// Returns the module at `path` with another text of the same length in its code.
fn changed(path: &Path, from: &str, to: &str) -> Vec<u8> {
    let sed =
        Command::new("sed").env("LC_ALL", "C").arg(format!("s/{from}/{to}/g")).arg(path).output();
    sed.expect("the program sed").stdout
}

mpm_tests! {
    fn a_graceful_restart_finishes_on_the_old_processes(mpm) {
        let stage = setup("processes=2 threads=2").mpm(mpm).start();
        let old = stage.app().wait_ready(2);
        let (mut held, of) = stage.hold("held");
        assert!(old.contains(&of));
        stage.graceful();
        let new = stage.app().wait_ready(2);
        assert!(new.iter().all(|pid| !old.contains(pid)), "{old:?}, {new:?}");
        for _ in 0..10 {
            assert!(new.contains(&stage.pid_of_answer()));
        }
        assert!(proc::is_alive(of), "it has a request");
        stage.gates.open("held");
        assert_eq!(pid(&held.read_response()), of);
        stage.wait_gone(&old);
        stage.wait_log(&format!("daemon process {of} of an earlier configuration has served"));
        // Dormant processes are reported too, so all three are.
        stage.wait_log_count("of an earlier configuration has served its last request", 3);
        assert_eq!(sockets(&stage).len(), 3, "{:?}", sockets(&stage));
    }

    fn a_graceful_restart_brings_in_the_code_on_disk(mpm) {
        let (first, other) = ("the first code of the stage", "the other code of the stage");
        let module = find_module("mod_stage.so").unwrap();
        let file = std::fs::read(&module).unwrap();
        let other_file = changed(&module, first, other);
        assert!(other_file.len() == file.len() && other_file != file);
        let stage = setup("processes=2 threads=2").module_file(&file).mpm(mpm).start();
        let old = stage.app().wait_ready(2);
        let code = support::run("any", "head,code");
        assert_eq!(stage.get(&code).text(), first);
        // Under way as the code on disk becomes another, and done after that.
        let mut held = stage.send(&support::run("held", "here,gate,head,code"));
        let of = stage.wait_mark("held");
        assert!(old.contains(&of));
        // Package managers replace the file in this way, too.
        stage.write_file("modules/new.so", other_file);
        let module = stage.root().join("modules/mod_stage.so");
        std::fs::rename(stage.root().join("modules/new.so"), &module).unwrap();
        assert_eq!(stage.get(&code).text(), first, "nobody has asked for it yet");
        stage.graceful();
        let new = stage.app().wait_ready(2);
        assert!(new.iter().all(|pid| !old.contains(pid)), "{old:?}, {new:?}");
        for _ in 0..10 {
            assert_eq!(stage.get(&code).text(), other);
        }
        stage.gates.open("held");
        assert_eq!(held.read_response().text(), first);
        stage.wait_gone(&old);
        // A process that is replaced alone is forked from httpd's parent, which has the new code.
        stage.signal(new[0], Signal::USR1);
        stage.wait_gone(&new[..1]);
        stage.app().wait_ready(2);
        for _ in 0..10 {
            assert_eq!(stage.get(&code).text(), other);
        }
    }

    fn a_restart_breaks_off_and_starts_anew(mpm) {
        // A worker thread that waits for the application keeps its child until socket-timeout, or
        // until httpd kills the child.
        let stage = setup("processes=2 threads=2 shutdown-timeout=1 socket-timeout=2")
            .mpm(mpm)
            .allow(&["RUST0025", "RUST0039"])
            .start();
        let old = stage.app().wait_ready(2);
        let (mut held, _) = stage.hold("held");
        stage.restart();
        assert!(!held.try_read_response("GET").is_ok_and(|response| response.status == 200));
        let new = stage.app().wait_ready(2);
        assert!(new.iter().all(|pid| !old.contains(pid)), "{old:?}, {new:?}");
        assert!(new.contains(&stage.pid_of_answer()));
        // It gives up the request that stands at the gate, once shutdown-timeout is over.
        stage.wait_gone(&old);
        stage.wait_log("RUST0037");
    }

    fn a_stop_leaves_nothing_behind(mpm) {
        let stage = setup("processes=2 threads=2 shutdown-timeout=1 socket-timeout=2")
            .mpm(mpm)
            .allow(&["RUST0025"])
            .start();
        stage.app().wait_ready(2);
        let (mut held, _) = stage.hold("held");
        stage.signal(stage.pid(), Signal::TERM);
        assert!(!held.try_read_response("GET").is_ok_and(|response| response.status == 200));
        stage.wait_for("the end of all", || proc::in_session(stage.pid()).unwrap().is_empty());
        stage.wait_log("RUST0037");
        assert!(sockets(&stage).is_empty(), "{:?}", sockets(&stage));
    }

    fn a_graceful_stop_finishes_first(mpm) {
        let stage = setup("processes=2 threads=2 shutdown-timeout=1")
            .mpm(mpm)
            .with(|builder| builder.conf("RustAppAlias /embedded stage"))
            .start();
        stage.app().wait_ready(2);
        assert_eq!(stage.get("/embedded/run?name=x&steps=").status, 200);
        let (mut held, of) = stage.hold("held");
        stage.signal(stage.pid(), Signal::WINCH);
        stage.wait_for("nobody to listen", || {
            std::net::TcpStream::connect(stage.addr()).is_err()
        });
        assert!(proc::is_alive(of));
        stage.gates.open("held");
        assert_eq!(pid(&held.read_response()), of);
        stage.wait_for("the end of all", || proc::in_session(stage.pid()).unwrap().is_empty());
        assert!(sockets(&stage).is_empty(), "{:?}", sockets(&stage));
        // Each process has dropped what it built: httpd's children and the group's.
        let [mut built, mut dropped] = [stage.gates.built(), stage.gates.dropped()];
        built.sort_unstable();
        dropped.sort_unstable();
        assert!(built.contains(&of) && built.len() > 2, "{built:?}");
        assert_eq!(dropped, built);
    }
}

#[test]
fn sigusr1_replaces_one_process() {
    let stage = setup("processes=2 threads=2").start();
    let old = stage.app().wait_ready(2);
    let (mut held, of) = stage.hold("held");
    stage.signal(of, Signal::USR1);
    stage.app().wait_status("its replacement", |all| {
        all.iter().filter(|process| process.state == "ready" && process.pid != of).count() == 2
            && all.iter().any(|process| process.state == "draining" && process.pid == of)
    });
    for _ in 0..10 {
        assert_ne!(stage.pid_of_answer(), of);
    }
    stage.gates.open("held");
    assert_eq!(pid(&held.read_response()), of);
    stage.wait_gone(&[of]);
    let line = stage.wait_log("RUST0032");
    assert!(line.contains(&format!("process {of}")) && line.contains("graceful_signal"), "{line}");
    let now = stage.app().wait_ready(2);
    assert_eq!(now.iter().filter(|pid| old.contains(pid)).count(), 1, "{old:?}, {now:?}");
}

#[test]
fn sigterm_ends_one_process_when_it_is_done() {
    let stage = setup("processes=2 threads=2 shutdown-timeout=30").start();
    stage.app().wait_ready(2);
    let (mut held, of) = stage.hold("held");
    stage.signal(of, Signal::TERM);
    stage.app().wait_status("a process that drains", |all| {
        all.iter().any(|process| process.pid == of && process.state == "draining")
    });
    assert_ne!(stage.pid_of_answer(), of);
    stage.gates.open("held");
    assert_eq!(pid(&held.read_response()), of);
    stage.wait_gone(&[of]);
    assert!(!stage.app().wait_ready(2).contains(&of));
    assert!(stage.wait_log("RUST0032").contains("shutdown_signal"));
}

/// Runs `meanwhile` while so many clients ask for `target` all the time, each of whom must get its
/// answer: how many did.
pub(crate) fn under_load(
    stage: &Stage,
    (clients, target): (usize, &str),
    meanwhile: impl FnOnce(),
) -> usize {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ask = || {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                pid(&stage.get(target));
                count += 1;
            }
            count
        };
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
        /// Also where `meanwhile` panics.
        struct End<'e>(&'e AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let end = End(&over);
        meanwhile();
        drop(end);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    })
}

#[test]
fn a_group_is_replaced_one_by_one() {
    let stage = setup("processes=3 threads=2").start();
    let app = stage.app();
    app.wait_ready(3);
    let first = app.processes();
    let first: Vec<_> = first.iter().filter(|process| process.state == "ready").collect();
    let answered = under_load(&stage, (4, &run("load", "")), || {
        for process in &first {
            let reply = app.control(process.slot, &format!("drain {}", process.pid)).unwrap();
            assert!(!reply.contains("error"), "{reply}");
            stage.wait_gone(&[process.pid]);
            app.wait_ready(3);
        }
    });
    assert!(answered > 0);
    let now = app.wait_ready(3);
    assert!(first.iter().all(|process| !now.contains(&process.pid)), "{first:?}, {now:?}");
    assert_eq!(stage.lines("control_command"), 6, "{}", stage.error_log());
    let before = app.processes()[0].clone();
    let reply = app.control(before.slot, "drain 1").unwrap();
    assert!(reply.contains("error"), "{reply}");
}
