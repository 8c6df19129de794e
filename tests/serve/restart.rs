//! Tests restarts: the new program takes over, or the old one continues, and no request is lost.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use crate::client::{self, Client};
use crate::program::{Folder, Program, Signal, is_gone, put_program, stage};

#[test]
fn sighup_and_sigusr2_start_new_workers() {
    let mut program = Program::start(&["--scgi", "127.0.0.1:0", "--workers", "2"]);
    let address = program.address("scgi");
    for signal in [Signal::HUP, Signal::USR2] {
        let old = client::pid(&address);
        // A request of before goes on in the worker that has it.
        let mut client = Client::connect(&address).unwrap().request("/hold", 3).unwrap();
        let bytes = client.read_until("held,").unwrap();
        program.signal(signal);
        program.wait_for("restarted: ");
        program.wait_for("ready: 2 workers");
        std::io::Write::write_all(&mut client, b"abc").unwrap();
        assert_eq!(client.answer(bytes).unwrap().body, "held,3");
        assert!(is_gone(old), "the old worker has finished");
    }
    program.stop();
}

#[test]
fn nothing_is_lost_under_load() {
    let mut program = Program::start(&["--scgi", "127.0.0.1:0", "--workers", "2"]);
    let address = program.address("scgi");
    let (is_over, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = client::get(&address, "/echo").expect("no connection is lost");
                    assert_eq!(answer.status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..5 {
            let before = asked.load(Ordering::Relaxed);
            program.signal(Signal::HUP);
            program.wait_for("restarted: ");
            program.wait_for("ready: ");
            while asked.load(Ordering::Relaxed) < before + 50 {
                thread::yield_now();
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let ended = program.stop();
    assert!(!ended.stderr.contains("RUST0070"), "{}", ended.stderr);
}

#[test]
fn an_application_that_cannot_be_built_leaves_the_old_one() {
    let folder = Folder::new();
    let (file, config) = (folder.path("broken"), folder.text("conf"));
    let text = format!("scgi = 127.0.0.1:0\noption = broken-by={}\n", file.display());
    std::fs::write(&config, &text).unwrap();
    let mut program = Program::start(&["--config", &config]);
    let address = program.address("scgi");
    let first = client::pid(&address);
    std::fs::write(&file, "").unwrap();
    program.signal(Signal::HUP);
    let line = program.wait_for("RUST0071: ");
    assert!(line.contains("RUST0007: application stage cannot be built: the database"), "{line}");
    assert_eq!(client::pid(&address), first);
    std::fs::remove_file(&file).unwrap();
    // New workers read the configuration file again.
    std::fs::write(&config, format!("{text}threads = 0\n")).unwrap();
    program.signal(Signal::HUP);
    let line = program.wait_for("RUST0071: ");
    assert!(line.contains("conf\", line 3: ") && line.contains("0 is not in"), "{line}");
    assert_eq!(client::pid(&address), first);
    std::fs::write(&config, &text).unwrap();
    program.signal(Signal::HUP);
    program.wait_for("restarted: ");
    assert!(is_gone(first));
    assert_ne!(client::pid(&address), first);
    program.stop();
}

#[test]
fn a_program_on_disk_that_does_not_work_leaves_the_old_one() {
    let folder = Folder::new();
    let path = folder.path("stage");
    let put = |bytes: &[u8]| put_program(&path, bytes);
    let good = std::fs::read(stage()).unwrap();
    put(&good);
    let mut program = Program::start_at(&path, &["--scgi", "127.0.0.1:0"]);
    let address = program.address("scgi");
    let first = client::pid(&address);
    for (bad, expected) in [
        (&b"#!/bin/sh\nexit 3\n"[..], "exited with status 3"),
        (b"no program", "cannot be started: "),
        (b"#!/bin/sh\nkill -9 $$\n", "was ended by signal 9"),
    ] {
        put(bad);
        program.signal(Signal::HUP);
        let line = program.wait_for("RUST0071: the restart failed, the old workers serve on: ");
        assert!(line.contains(expected), "{line}");
        assert_eq!(client::pid(&address), first);
    }
    put(&good);
    program.signal(Signal::HUP);
    program.wait_for("restarted: ");
    assert!(is_gone(first));
    assert_ne!(client::pid(&address), first);
    program.stop();
}

#[test]
fn a_program_that_does_not_get_ready_in_time_leaves_the_old_one() {
    let folder = Folder::new();
    let path = folder.path("stage");
    std::os::unix::fs::symlink(stage(), &path).unwrap();
    let mut program = Program::start_at(&path, &["--scgi", "127.0.0.1:0", "--start-timeout", "2s"]);
    let address = program.address("scgi");
    let first = client::pid(&address);
    // It waits for something that does not come.
    put_program(&path, b"#!/bin/sh\nmkfifo \"$0.pipe\"; exec cat \"$0.pipe\"\n");
    program.signal(Signal::HUP);
    let line = program.wait_for("RUST0071: ");
    assert!(line.contains("not built within 2 s (--start-timeout)"), "{line}");
    assert_eq!(client::pid(&address), first);
    program.stop();
}
