//! Limits of a worker: its descriptors, and those after which it is replaced.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::client::{self, Client};
use crate::program::{PATIENCE, Program, is_gone, stage};
use crate::refusals::request;

/// Starts the program with these limits of descriptors.
fn with_descriptors(soft: u32, hard: u32, arguments: &[&str]) -> Program {
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={soft}:{hard}")).arg(stage()).args(arguments);
    command.stdin(Stdio::null());
    let mut program = Program::run(command);
    program.wait_for("ready: ");
    program
}

#[test]
fn the_soft_limit_of_descriptors_is_raised() {
    let program = with_descriptors(256, 3000, &["--scgi", "127.0.0.1:0"]);
    let worker = client::pid(&program.address("scgi"));
    let limits = std::fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let figures: Vec<_> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(figures, ["3000", "3000"]);
    let ended = program.stop();
    assert!(!ended.stderr.contains("RUST0018"), "{}", ended.stderr);
}

/// More connections than descriptors: those beyond wait, the log has a line with the figures, and
/// the application can open its files.
#[test]
fn connections_leave_descriptors_to_the_application() {
    for protocol in ["scgi", "http"] {
        let name = format!("--{protocol}");
        let mut program =
            with_descriptors(200, 200, &[&name, "127.0.0.1:0", "--scgi", "127.0.0.1:0"]);
        let warning = program.seen.iter().find(|line| line.contains("RUST0018"));
        let warning = warning.unwrap_or_else(|| panic!("no warning: {:#?}", program.seen));
        assert!(warning.contains("RLIMIT_NOFILE \"200\"") && warning.contains("1024"), "{warning}");
        let address = program.address(protocol);
        // The last listener is the one of SCGI alone.
        let mark = "listening: scgi ";
        let lines = program.seen.iter().rev();
        let own = lines.filter_map(|line| line.split_once(mark)).next().unwrap().1.to_owned();
        let mut first = Client::connect(&own).unwrap().request("/open", 3).unwrap();
        let bytes = first.read_until("held,").unwrap();
        let idle: Vec<_> = (0..250).map(|_| TcpStream::connect(&address).unwrap()).collect();
        program.wait_for("RUST0055");
        first.write_all(b"abc").unwrap();
        assert_eq!(first.answer(bytes).unwrap().body, "held,3", "{protocol}");
        drop(idle);
        assert_eq!(client::get(&own, "/open").unwrap().status, 200, "{protocol}");
        let ended = program.stop();
        let lines = ended.stderr.lines().filter(|line| line.contains("RUST0040")).count();
        assert_eq!(lines, 0, "{}", ended.stderr);
    }
}

/// A worker that is replaced serves until the other one is ready: no request is lost.
#[test]
fn a_worker_is_replaced_after_its_requests_with_every_protocol() {
    for protocol in ["fastcgi", "scgi", "uwsgi", "http"] {
        let name = format!("--{protocol}");
        let arguments = [&name, "127.0.0.1:0", "--scgi", "127.0.0.1:0"];
        let limits = ["--max-requests", "3", "--jitter", "0%"];
        let mut program = Program::start(&[&arguments[..], &limits[..]].concat());
        let address = program.address(protocol);
        let lines = program.seen.iter().rev();
        let own = lines.filter_map(|line| line.split_once("listening: scgi ")).next();
        let own = own.unwrap().1.to_owned();
        let first = client::pid(&own);
        for _ in 0..2 {
            let mut client = TcpStream::connect(&address).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(&request(protocol, "000")).unwrap();
            assert_ne!(client.read(&mut [0; 512]).unwrap(), 0, "{protocol}");
        }
        let line = program.wait_for("RUST0032");
        assert!(line.contains("is to be replaced: maximum_requests"), "{line}");
        let begun = Instant::now();
        while client::pid(&own) == first {
            assert!(begun.elapsed() < PATIENCE, "{protocol}: {first} is still there");
        }
        assert!(is_gone(first), "{protocol}");
        let ended = program.stop();
        assert!(!ended.stderr.contains("RUST007"), "{}", ended.stderr);
    }
}

#[test]
fn a_worker_with_too_much_memory_is_replaced() {
    let mut program =
        Program::start(&["--scgi", "127.0.0.1:0", "--memory-limit", "1M", "--workers", "2"]);
    let address = program.address("scgi");
    let first = client::pid(&address);
    let line = program.wait_for("RUST0032");
    assert!(line.contains("is to be replaced: memory_limit"), "{line}");
    let begun = Instant::now();
    while !is_gone_by_now(first) {
        assert_eq!(client::get(&address, "/echo").unwrap().status, 200);
        assert!(begun.elapsed() < PATIENCE, "{first} is still there");
    }
    program.stop();
}

fn is_gone_by_now(pid: u32) -> bool {
    !std::path::Path::new(&format!("/proc/{pid}")).exists()
}
