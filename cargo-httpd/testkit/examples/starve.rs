//! Runs a command while some of its threads get next to no time on a CPU, each time others.
//!
//! Tests that rest on the clock fail so, and so does code that loses a wake-up when a thread stands
//! still at the wrong moment. A stopped process (`SIGSTOP`) shows less: all of its threads stand
//! still together, and system calls with a time-out are interrupted.
//!
//! ```sh
//! cargo build -p httpd-testkit --example starve
//! target/debug/examples/starve target/debug/deps/mod_rust-0123456789abcdef drains
//! ```
//!
//! It needs root, as only root makes a thread nicer and undoes that.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, setpriority_process};
use rustix::thread::gettid;

/// The niceness of a thread that starves: it gets a hundredth of what a spinning thread gets.
const STARVING: i32 = 19;

/// The niceness of the spinning threads, which leave other programs their time.
const SPINNING: i32 = 5;

/// The share of threads that starve at once, in per cent.
const SHARE: u64 = 40;

/// The longest time for which a thread starves, in milliseconds.
const LONGEST_MS: u64 = 300;

fn main() -> io::Result<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().ok_or_else(|| {
        io::Error::other("starve: no command; allowed are a program and its arguments")
    })?;
    let mut child = Command::new(program).args(words).spawn()?;
    let ended = AtomicBool::new(false);
    let status = thread::scope(|scope| {
        for _ in 0..thread::available_parallelism()?.get() {
            scope.spawn(|| {
                let _ = setpriority_process(Some(gettid()), SPINNING);
                while !ended.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let status = starve(&mut child);
        ended.store(true, Ordering::Relaxed);
        status
    })?;
    Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1).into())
}

/// Starves threads of `child` and of its descendants until it ends.
fn starve(child: &mut std::process::Child) -> io::Result<std::process::ExitStatus> {
    let random = RandomState::new();
    let mut round = 0_u64;
    let mut number = |below: u64| {
        round += 1;
        let mut hasher = random.build_hasher();
        hasher.write_u64(round);
        hasher.finish() % below
    };
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let mut threads = Vec::new();
        find_threads(child.id(), &mut threads);
        for thread in threads {
            let niceness = if number(100) < SHARE { STARVING } else { 0 };
            // It may have ended.
            let _ = setpriority_process(Pid::from_raw(thread), niceness);
        }
        thread::sleep(Duration::from_millis(LONGEST_MS / 3 + number(LONGEST_MS * 2 / 3)));
    }
}

/// Adds the threads of a process and of its descendants.
fn find_threads(process: u32, threads: &mut Vec<i32>) {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return };
    for task in tasks.flatten() {
        threads.extend(task.file_name().to_str().and_then(|id| id.parse::<i32>().ok()));
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_ascii_whitespace().filter_map(|id| id.parse().ok()) {
            find_threads(child, threads);
        }
    }
}
