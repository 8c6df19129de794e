//! A daemon process is hostile territory: what it has of httpd's, and what it can do with its own
//! scoreboard.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use httpd_testkit::{mpm_tests, proc};

use crate::processes::is_root;
use crate::support::{Stage, run, setup};

/// Ranges of shared memory that a process may write to, as /proc/PID/maps names them.
fn shared(pid: i32) -> Vec<(u64, u64)> {
    let maps = proc::maps(pid).expect("the maps of a process");
    let is_shared = |line: &&str| line.split(' ').nth(1) == Some("rw-s");
    let range = |line: &str| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
    };
    maps.lines().filter(is_shared).map(|line| range(line).expect("a range")).collect()
}

#[test]
fn a_process_maps_its_own_scoreboard_and_no_other_shared_memory() {
    let stage = setup("processes=2 threads=1")
        .probe("threads=1")
        .with(|builder| {
            builder
                .tls(true)
                .load("socache_shmcb")
                .conf("SSLSessionCache shmcb:{root}/sessions(512000)")
                .conf("RustDaemonProcess second threads=1\nRustAppAlias /two stage process-group=second")
        })
        .start();
    let first = stage.app().wait_ready(2);
    let second = stage.group("second").wait_ready(1);
    let probe = stage.group("probe").wait_ready(1);
    // httpd's scoreboard, the session cache, and the scoreboards of each module's groups.
    assert!(shared(stage.pid()).len() >= 4, "{:?}", shared(stage.pid()));
    let boards: Vec<_> = [first[0], first[1], second[0], probe[0]].map(shared).into();
    assert!(boards.iter().all(|board| board.len() == 1), "{boards:?}");
    assert!(boards[0] == boards[1] && boards[0] != boards[2] && boards[0] != boards[3]);
    for pid in [first[0], second[0], probe[0]] {
        assert_eq!(proc::status(pid, "NoNewPrivs").unwrap(), "1");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(proc::status(pid, set).unwrap(), "0000000000000000", "{set}");
        }
        if is_root() {
            assert_eq!(proc::status(pid, "CapBnd").unwrap(), "0000000000000000");
        }
    }
    if is_root() {
        assert_eq!(owner_of_memory(first[0]), 0, "other processes of its user can read its memory");
    }
    assert_eq!(stage.get("/probe/bytes/10").body.len(), 10);
    assert!(first.contains(&stage.pid_of_answer()));
}

/// The owner of a process's memory, as the system shows it: root if it may not be read.
fn owner_of_memory(pid: i32) -> u32 {
    let file = std::fs::metadata(format!("/proc/{pid}/maps"));
    std::os::unix::fs::MetadataExt::uid(&file.expect("the maps of a process"))
}

#[test]
fn cores_are_written_where_an_administrator_asks_for_them() {
    if !is_root() {
        return;
    }
    let setup = setup("threads=1 user=daemon").allow(&["RUST0031", "RUST0020", "AH00051"]);
    let cores = setup.folder();
    let stage = setup
        .probe("threads=1 user=daemon")
        .with(|builder| {
            builder
                .wrap(&["prlimit", "--core=unlimited"])
                .conf(&format!("CoreDumpDirectory {}", cores.display()))
        })
        .start();
    for step in ["abort", "segv"] {
        let process = stage.app().wait_ready(1)[0];
        assert_ne!(owner_of_memory(process), 0, "it is not dumpable");
        assert_eq!(stage.get(&run("x", step)).status, 502);
        stage.wait_gone(&[process]);
        stage.wait_log(&format!("daemon process {process} was ended by SIG"));
        let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        if matches!(pattern.trim(), "core" | "core.%p") {
            let files = std::fs::read_dir(&cores).unwrap().flatten();
            let core = files.map(|file| file.path()).find(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))
            });
            std::fs::remove_file(core.expect("a core in CoreDumpDirectory")).unwrap();
        }
    }
}

/// Without the fix-up a change of the user keeps all capabilities, as an ambient set does in an httpd
/// that is not root.
#[test]
fn capabilities_are_dropped_however_httpd_was_started() {
    if !is_root() {
        return;
    }
    let wrapper = [
        "setpriv",
        "--securebits=+no_setuid_fixup",
        "--inh-caps=+net_bind_service,+chown",
        "--ambient-caps=+net_bind_service,+chown",
    ];
    let stage = setup("threads=1").with(|builder| builder.wrap(&wrapper)).start();
    let process = stage.app().wait_ready(1)[0];
    assert_ne!(proc::status(stage.pid(), "CapAmb").unwrap(), "0000000000000000");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"] {
        assert_eq!(proc::status(process, set).unwrap(), "0000000000000000", "{set}");
    }
}

mpm_tests! {
    fn restarts_leave_no_mapping_in_httpds_parent(mpm) {
        let stage = setup("threads=1")
            .mpm(mpm)
            .with(|builder| builder.conf(
                "RustDaemonProcess second threads=1\nRustAppAlias /two stage process-group=second"
            ))
            .start();
        stage.app().wait_ready(1);
        let before = shared(stage.pid()).len();
        for _ in 0..20 {
            stage.graceful();
        }
        stage.app().wait_ready(1);
        let after = shared(stage.pid()).len();
        assert_eq!(after, before, "{}", proc::maps(stage.pid()).unwrap());
        // Those of the parent's time, forked last, have no more.
        assert_eq!(shared(stage.app().wait_ready(1)[0]).len(), 1);
    }
}

/// Writes to the scoreboard of a process that was taken over: its memory is the group's.
struct Tamperer {
    memory: File,
    start: u64,
    length: usize,
}

impl Tamperer {
    fn of(process: i32) -> Self {
        let [(start, end)] = shared(process)[..] else { panic!("one scoreboard") };
        let memory = OpenOptions::new().write(true).open(format!("/proc/{process}/mem"));
        Self { memory: memory.expect("its memory"), start, length: (end - start) as usize }
    }

    /// Fills the board; returns `false` once the process has ended.
    fn fill(&self, mut byte: impl FnMut() -> u8) -> bool {
        let bytes: Vec<u8> = (0..self.length).map(|_| byte()).collect();
        self.memory.write_all_at(&bytes, self.start).is_ok()
    }
}

/// Checks that another group is served, and that its dead processes are replaced.
fn others_are_well(stage: &Stage) {
    assert_eq!(stage.get("/probe/bytes/10").body.len(), 10);
    let process = stage.group("probe").wait_ready(1)[0];
    stage.kill(process);
    stage.wait_for("another process in its place", || {
        stage.group("probe").pids().iter().any(|&pid| pid != process)
    });
    stage.wait_for("an answer", || stage.get("/probe/bytes/10").status == 200);
    let status = stage.get("/server-status?auto");
    assert!(status.text().contains("RustGroup[app]Ready"), "{status:?}");
    assert!(status.text().contains("RustModule[mod_rust.c]Version: "), "{status:?}");
}

fn tampered(arguments: &str) -> Stage {
    // The fate of the group itself is its own business.
    let codes: Vec<String> = (20..45).map(|code| format!("RUST00{code}")).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let stage =
        setup(&format!("threads=2 connect-timeout=1s response-socket-timeout=1s {arguments}"))
            .probe("threads=1")
            .allow(&codes)
            .with(|builder| builder.allow_log("AH00051"))
            .start();
    stage.wait_for("the group", || stage.get("/stage/run?name=x&steps=").status == 200);
    stage.group("probe").wait_ready(1);
    stage
}

/// The group's lock names a live process that never releases it, for every byte of the memory.
#[test]
fn a_lock_that_is_held_for_ever_does_not_hold_httpd() {
    let stage = tampered("");
    let process = stage.app().pids()[0];
    for byte in [1, 0, 0xff] {
        // 0x01010101 is not a process id, so the lock alone has 1: in its first word.
        let tamperer = Tamperer::of(stage.app().pids()[0]);
        assert!(tamperer.fill(|| byte));
        tamperer.memory.write_all_at(&1_u32.to_ne_bytes(), tamperer.start).unwrap();
        stage.kill(stage.app().pids()[0]);
        others_are_well(&stage);
        stage.wait_for("another process of the group", || !stage.app().pids().is_empty());
    }
    assert_ne!(stage.app().pids(), [process]);
    stage.graceful();
    stage.app().wait_ready(1);
    assert!(stage.pid_of_answer() > 0);
    others_are_well(&stage);
}

#[test]
fn garbage_in_a_scoreboard_is_its_groups_own_affair() {
    let stage = tampered("processes=2");
    for _ in 0..2 {
        let tamperer = Tamperer::of(stage.app().wait_ready(2)[0]);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let stop = &stop;
            let (sender, written) = std::sync::mpsc::channel();
            scope.spawn(move || {
                let mut random = 7_u64;
                while !stop.load(Ordering::Relaxed) {
                    let go_on = tamperer.fill(|| {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        if random.is_multiple_of(3) {
                            random as u8 % 6
                        } else {
                            (random >> 8) as u8
                        }
                    });
                    let _ = sender.send(());
                    if !go_on {
                        break;
                    }
                }
            });
            written.recv().expect("garbage");
            for _ in 0..5 {
                // Any answer will do, but there is one.
                let status = stage.get("/stage/run?name=x&steps=").status;
                assert!(matches!(status, 200 | 502..=504), "{status}");
                assert_eq!(stage.get("/server-status").status, 200);
                assert_eq!(stage.get("/probe/bytes/10").status, 200);
            }
            for pid in stage.app().pids() {
                stage.kill(pid);
                others_are_well(&stage);
            }
            stop.store(true, Ordering::Relaxed);
        });
        stage.graceful();
        stage.app().wait_ready(2);
        assert!(stage.pid_of_answer() > 0);
    }
}

/// fork(2) of httpd's parent fails as long as a file is there.
const FAILING_FORK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
pid_t fork(void) {
    const char *path = getenv("TEST_NO_FORK");
    if (path && access(path, F_OK) == 0) { errno = EAGAIN; return -1; }
    return ((pid_t (*)(void))dlsym(RTLD_NEXT, "fork"))();
}
"#;

#[test]
fn a_fork_that_the_system_refused_is_tried_again() {
    let setup =
        setup("processes=2 threads=1").allow(&["RUST0031", "RUST0034", "AH00159", "AH00481"]);
    let folder = setup.folder();
    let (source, library, refused) =
        (folder.join("fork.c"), folder.join("fork.so"), folder.join("no-fork"));
    std::fs::write(&source, FAILING_FORK).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl");
    assert!(compiler.status().expect("a C compiler").success());
    let stage = setup
        .with(|builder| builder.env("LD_PRELOAD", library).env("TEST_NO_FORK", refused.as_os_str()))
        .start();
    stage.app().wait_ready(2);
    // The third one waits to be needed.
    let all = stage.app().pids();
    assert_eq!(all.len(), 3);
    std::fs::write(&refused, "").unwrap();
    for &pid in &all {
        stage.kill(pid);
    }
    stage.wait_log("cannot fork a daemon process");
    stage.wait_for("the end of all", || stage.app().pids().is_empty());
    std::fs::remove_file(&refused).unwrap();
    // httpd's parent looks every ten seconds.
    let end = std::time::Instant::now() + stage.patience() * 3;
    while stage.app().pids().len() < 3 {
        assert!(std::time::Instant::now() < end, "no process after {:?}", stage.patience() * 3);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    stage.app().wait_ready(2);
    assert!(stage.pid_of_answer() > 0);
}
