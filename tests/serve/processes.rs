//! Master and workers: who serves, who is replaced, how they end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Instant;

use crate::client::{self, Client};
use crate::program::{Folder, PATIENCE, Program, Signal, is_gone, put_program, send, stage};

/// The kernel alone would give all connections to one of them, for as long as it keeps up.
#[test]
fn workers_share_connections() {
    let program = Program::start(&["--scgi", "127.0.0.1:0", "--workers", "2"]);
    let address = program.address("scgi");
    // The address is logged when the first of them serves.
    let first = client::pid(&address);
    let end = Instant::now() + PATIENCE;
    while client::pid(&address) == first {
        assert!(Instant::now() < end, "no other worker has answered");
    }
    let mut counts = std::collections::BTreeMap::<u32, usize>::new();
    for _ in 0..20 {
        *counts.entry(client::pid(&address)).or_default() += 1;
    }
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!(counts.values().all(|&count| count >= 5), "{counts:?}");
}

#[test]
fn a_worker_that_is_killed_is_replaced() {
    let mut program = Program::start(&["--scgi", "127.0.0.1:0"]);
    let address = program.address("scgi");
    let first = client::pid(&address);
    assert_ne!(first, program.pid());
    send(first, Signal::KILL);
    let line = program.wait_for("RUST0070: ");
    assert!(
        line.contains(&format!("worker {first} was ended by signal 9; another takes")),
        "{line}"
    );
    // The listener was never closed: the connection waits for the next worker.
    let second = client::pid(&address);
    assert_ne!(second, first);
    program.stop();
    assert!(is_gone(second));
}

#[test]
fn several_workers_and_protocols() {
    let folder = Folder::new();
    let path = folder.text("x.sock");
    let arguments = ["--scgi", "127.0.0.1:0", "--scgi", &path, "--workers", "3", "--threads", "1"];
    let program = Program::start(&arguments);
    assert!(program.seen.iter().any(|line| line.ends_with("ready: 3 workers, 1 thread each")));
    let environ = client::get(&path, "/environ").unwrap().body;
    assert!(environ.contains("\ngateway.multiprocess=1\n"), "{environ}");
    assert!(environ.contains("\ngateway.multithread=0\n"), "{environ}");
    // With its one thread held, a worker takes nothing else up: another one answers.
    let address = program.address("scgi");
    let held: Vec<_> = (0..2)
        .map(|_| {
            let mut client = Client::connect(&address).unwrap().request("/pid", 0).unwrap();
            let bytes = client.read_until("\r\n\r\n").unwrap();
            client.answer(bytes).unwrap().body
        })
        .collect();
    assert_eq!(held.len(), 2);
    program.stop();
    assert!(!folder.path("x.sock").exists(), "its own socket is removed");
}

#[test]
fn sigterm_and_sigint_let_requests_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut program = Program::start(&["--scgi", "127.0.0.1:0"]);
        let address = program.address("scgi");
        let mut client = Client::connect(&address).unwrap().request("/hold", 3).unwrap();
        let bytes = client.read_until("held,").unwrap();
        program.signal(signal);
        program.wait_for("ending: ");
        std::io::Write::write_all(&mut client, b"abc").unwrap();
        let answer = client.answer(bytes).unwrap();
        assert_eq!((answer.status, &*answer.body), (200, "held,3"));
        let ended = program.end();
        assert!(ended.status.success(), "{}", ended.stderr);
        assert!(Client::connect(&address).is_err(), "the listener is closed");
    }
}

/// A refused web server tries another program. A connection that is accepted and never served fails
/// only at the end.
#[test]
fn a_program_that_drains_refuses_connections() {
    let folder = Folder::new();
    let mut arguments = Vec::new();
    let protocols = ["fastcgi", "scgi", "uwsgi", "http"];
    let (names, paths) = (
        protocols.map(|protocol| format!("--{protocol}")),
        protocols.map(|protocol| folder.text(protocol)),
    );
    for (name, path) in names.iter().zip(&paths) {
        arguments.extend([name, "127.0.0.1:0", name, path]);
    }
    let mut program = Program::start(&arguments);
    let held_by = program.address("scgi");
    let mut client = Client::connect(&held_by).unwrap().request("/hold", 3).unwrap();
    let bytes = client.read_until("held,").unwrap();
    // One that waits for its request when the drain begins is served.
    let waiting = Client::connect(&paths[1]).unwrap();
    program.signal(Signal::TERM);
    program.wait_for("ending: ");
    assert_eq!(waiting.request("/echo", 0).unwrap().answer(Vec::new()).unwrap().status, 200);
    for (protocol, path) in protocols.iter().zip(&paths) {
        let address = program.address(protocol);
        let end = Instant::now() + PATIENCE;
        // The workers close the socket when they hear of the drain.
        while Client::connect(&address).is_ok() {
            assert!(Instant::now() < end, "{protocol}: {address} is still served");
        }
        assert!(Client::connect(path).is_err(), "{protocol}: {path} is still served");
        assert!(!folder.path(protocol).exists(), "{protocol}: its socket file is still there");
    }
    std::io::Write::write_all(&mut client, b"abc").unwrap();
    assert_eq!(client.answer(bytes).unwrap().body, "held,3");
    let ended = program.end();
    assert!(ended.status.success() && !ended.stderr.contains("RUST0"), "{}", ended.stderr);
}

/// SIGQUIT means this to gunicorn and uWSGI, too.
#[test]
fn sigquit_gives_requests_up() {
    let mut program = Program::start(&["--scgi", "127.0.0.1:0", "--graceful-timeout", "1h"]);
    let address = program.address("scgi");
    let mut client = Client::connect(&address).unwrap().request("/hold", 3).unwrap();
    client.read_until("held,").unwrap();
    program.signal(Signal::QUIT);
    program.wait_for("ending at once: ");
    let ended = program.end();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(Client::connect(&address).is_err(), "nobody listens any more");
}

#[test]
fn sigquit_ends_a_worker_at_once() {
    let mut program = Program::start(&[
        "--scgi",
        "127.0.0.1:0",
        "--graceful-timeout",
        "1h",
        "--log-level",
        "debug",
    ]);
    let address = program.address("scgi");
    let first = client::pid(&address);
    let mut client = Client::connect(&address).unwrap().request("/hold", 3).unwrap();
    client.read_until("held,").unwrap();
    crate::program::send(first, Signal::QUIT);
    program.wait_for(&format!("worker {first} exited with status 0; another takes its place"));
    assert_ne!(client::pid(&address), first);
    program.stop();
}

#[test]
fn sigttin_and_sigttou_change_the_number_of_workers() {
    let mut program = Program::start(&["--scgi", "127.0.0.1:0"]);
    let address = program.address("scgi");
    let first = client::pid(&address);
    program.signal(Signal::TTOU);
    program.wait_for("workers: 1, and no other number now");
    program.signal(Signal::TTIN);
    program.wait_for("workers: 2 from now on");
    let end = Instant::now() + PATIENCE;
    let second = loop {
        let pid = client::pid(&address);
        if pid != first {
            break pid;
        }
        assert!(Instant::now() < end, "no other worker has answered");
    };
    // A restart keeps the number.
    program.signal(Signal::HUP);
    assert!(program.wait_for("ready: ").contains("ready: 2 workers"));
    assert!(is_gone(first) && is_gone(second));
    let wait_for_workers = |count: usize| -> Vec<u32> {
        let id = program.pid();
        let end = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
            let all: Vec<_> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
            if all.len() == count {
                return all;
            }
            assert!(Instant::now() < end, "{all:?}");
            std::thread::yield_now();
        }
    };
    let two = wait_for_workers(2);
    program.signal(Signal::TTOU);
    let last = wait_for_workers(1)[0];
    assert!(two.contains(&last), "{last} of {two:?}");
    assert_eq!(client::pid(&address), last);
    program.stop();
}

#[test]
fn the_graceful_time_is_the_longest() {
    let program = Program::start(&["--scgi", "127.0.0.1:0", "--graceful-timeout", "100ms"]);
    let address = program.address("scgi");
    let mut client = Client::connect(&address).unwrap().request("/hold", 3).unwrap();
    client.read_until("held,").unwrap();
    program.signal(Signal::TERM);
    let ended = program.end();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("given up") || ended.stderr.contains("gave up"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_master_that_is_killed_takes_its_workers_with_it() {
    let program = Program::start(&["--scgi", "127.0.0.1:0"]);
    let worker = client::pid(&program.address("scgi"));
    program.signal(Signal::KILL);
    assert!(is_gone(worker), "the worker saw the end of its line");
    drop(program);
}

#[test]
fn sockets_and_their_files() {
    let folder = Folder::new();
    let (path, pid_file) = (folder.text("x.sock"), folder.text("pid"));
    // No process listens at this one any more.
    drop(UnixListener::bind(&path).unwrap());
    let program =
        Program::start(&["--scgi", &path, "--socket-mode", "0606", "--pid-file", &pid_file]);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o606);
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), format!("{}\n", program.pid()));
    assert_eq!(client::get(&path, "/echo").unwrap().status, 200);
    program.stop();
    assert!(!folder.path("x.sock").exists() && !folder.path("pid").exists());
}

#[test]
fn a_socket_that_another_program_has_by_now_stays() {
    let folder = Folder::new();
    let path = folder.path("x.sock");
    let program = Program::start(&["--scgi", &folder.text("x.sock")]);
    std::fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    let inode = std::fs::symlink_metadata(&path).unwrap().ino();
    program.stop();
    assert_eq!(std::fs::symlink_metadata(&path).unwrap().ino(), inode);
    drop(other);
}

/// A program that an application starts can be ended, over each engine.
#[test]
fn programs_of_the_application_have_no_signals_blocked_or_ignored() {
    let program = Program::start(&["--scgi", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let scgi = client::get(&program.address("scgi"), "/child").unwrap().body;
    let mut stream = TcpStream::connect(program.address("http")).unwrap();
    stream.write_all(b"GET /child HTTP/1.0\r\n\r\n").unwrap();
    let mut http = String::new();
    stream.read_to_string(&mut http).unwrap();
    program.stop();
    let mut command = Command::new(stage());
    command.envs([
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", "GET"),
        ("PATH_INFO", "/child"),
    ]);
    let cgi = Program::run(command).end().stdout;
    let mask = |status: &str, state| {
        let mask = status.lines().find_map(|line| line.strip_prefix(state));
        let mask = mask.unwrap_or_else(|| panic!("{state} is not in {status}")).trim();
        u64::from_str_radix(mask, 16).unwrap()
    };
    let inherited = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    for (name, status) in [("scgi", scgi), ("http", http), ("cgi", cgi)] {
        for state in ["SigBlk:", "SigIgn:"] {
            // nohup ignores SIGHUP for all that it starts, and a CGI program does not change that.
            let mask = mask(&status, state) & !mask(&inherited, state);
            for signal in [Signal::HUP, Signal::INT, Signal::TERM, Signal::USR1, Signal::USR2] {
                let bit = 1 << (signal.as_raw() - 1);
                assert_eq!(mask & bit, 0, "{name}: {state} {signal:?} in {mask:x}");
            }
        }
    }
}

/// Only root can become another user.
#[test]
fn root_gives_its_privileges_up() {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let arguments = ["--scgi", "127.0.0.1:0", "--user", "nobody"];
    if !is_root {
        let mut command = Command::new(stage());
        command.args(arguments);
        let ended = Program::run(command).end();
        assert!(ended.stderr.contains("for a program that root starts"), "{}", ended.stderr);
        return;
    }
    let folder = Folder::new();
    std::fs::set_permissions(folder.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    let program = folder.path("stage");
    put_program(&program, &std::fs::read(stage()).unwrap());
    let (path, log) = (folder.text("x.sock"), folder.text("log"));
    let mut command = Command::new(&program);
    command.args(["--scgi", &path, "--user", "nobody", "--access-log", &log]);
    command.stdin(std::process::Stdio::null());
    let mut program = Program::run(command);
    program.wait_for("ready: ");
    let worker = client::pid(&path);
    let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {status}")).split_whitespace().collect::<Vec<_>>()
    };
    let nobody = std::fs::metadata(&log).unwrap().uid();
    assert_ne!(nobody, 0);
    assert_eq!(line("Uid:"), [nobody.to_string().as_str(); 4]);
    assert!(!line("Gid:").contains(&"0") && !line("Groups:").contains(&"0"), "{status}");
    assert_eq!(std::fs::metadata(&path).unwrap().uid(), nobody);
    assert!(std::fs::read_to_string(&log).unwrap().contains("\"GET /pid HTTP/1.1\" 200"));
    program.stop();
}
