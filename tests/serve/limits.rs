//! Limits of a worker: its descriptors, and those after which it is replaced.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mod_rust::internal::protocol::fastcgi::{
    RecordKind, Role, put_begin, put_params, put_stream, put_stream_end,
};
use mod_rust::internal::protocol::params::Params;

use crate::client::{self, Client};
use crate::options::{Held, LISTENING, Protocol, Sent, each, read_until};
use crate::program::{Folder, PATIENCE, Program, is_gone, stage};
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

/// Time in which a worker whose request was broken off would have been replaced.
const REPLACEMENT: Duration = Duration::from_millis(1500);

/// Returns the address of the listener of SCGI alone, which is the last.
fn own(program: &Program) -> String {
    let lines = program.seen.iter().rev();
    lines.filter_map(|line| line.split_once("listening: scgi ")).next().unwrap().1.to_owned()
}

/// Starts a program with two listeners: of `protocol`, and of SCGI.
fn with_request_timeout(protocol: Protocol, more: &[&str]) -> Program {
    let name = format!("--{}", protocol.option());
    let arguments = [&name, "127.0.0.1:0", "--scgi", "127.0.0.1:0", "--request-timeout", "400ms"];
    Program::start(&[&arguments[..], more].concat())
}

/// A thread that does not return: the client has its 504, other requests are served, and another worker
/// takes the place of this one.
#[test]
fn a_request_that_takes_too_long_costs_the_worker_with_every_protocol() {
    each(LISTENING, |protocol| {
        let (held, folder) = (Held::new(), Folder::new());
        let log = folder.text("access");
        let options =
            ["--option", &held.option, "--access-log", &log, "--graceful-timeout", "500ms"];
        let mut program = with_request_timeout(protocol, &options);
        let own = own(&program);
        let first = client::pid(&own);
        let mut stuck = protocol.connect(&program);
        stuck.write_all(&protocol.request("/wait", Sent::Whole)).unwrap();
        read_until(&mut stuck, &mut Vec::new(), &protocol.status("504"));
        assert_eq!(client::get(&own, "/echo").unwrap().status, 200);
        let line = program.wait_for("RUST0032");
        assert!(line.contains("is to be replaced: request_timeout"), "{line}");
        assert!(is_gone(first), "{protocol:?}");
        assert_ne!(client::pid(&own), first, "{protocol:?}");
        program.stop();
        let log = std::fs::read_to_string(log).unwrap();
        let lines = log.lines().filter(|line| line.contains("/wait")).collect::<Vec<_>>();
        assert!(matches!(lines[..], [line] if line.contains("\" 504 ")), "{protocol:?}: {log}");
    });
}

/// A request that waits for a future gives its thread back. The worker stays.
#[test]
fn a_request_that_awaits_for_too_long_leaves_the_worker_with_every_protocol() {
    each(LISTENING, |protocol| {
        let program = with_request_timeout(protocol, &["--threads", "1"]);
        let own = own(&program);
        let first = client::pid(&own);
        let mut stuck = protocol.connect(&program);
        stuck.write_all(&protocol.request("/rest", Sent::Whole)).unwrap();
        read_until(&mut stuck, &mut Vec::new(), &protocol.status("504"));
        let begun = Instant::now();
        while begun.elapsed() < REPLACEMENT {
            assert_eq!(client::pid(&own), first, "{protocol:?}");
        }
        drop(stuck);
        let ended = program.stop();
        assert!(!ended.stderr.contains("RUST0032"), "{protocol:?}: {}", ended.stderr);
    });
}

/// A response that is broken off is seen to be incomplete, also where neither a length nor chunks tell.
#[test]
fn a_response_that_takes_too_long_is_broken_off_with_every_protocol() {
    each(LISTENING, |protocol| {
        for is_unix in [false, true] {
            let case = format!("{protocol:?}, on a Unix socket: {is_unix}");
            let (held, folder) = (Held::new(), Folder::new());
            let option = format!("--{}", protocol.option());
            let socket = if is_unix { folder.text("socket") } else { "127.0.0.1:0".to_owned() };
            let limit = ["--request-timeout", "400ms"];
            let listens = [&option, &socket, "--option", &held.option];
            let mut program = Program::start(&[&listens[..], &limit[..]].concat());
            let mut client = Client::connect(&program.address(protocol.option())).unwrap();
            client.write_all(&protocol.request("/nods", Sent::Whole)).unwrap();
            let (mut bytes, mut piece) = (client.read_until("some").unwrap(), [0; 4096]);
            let begun = Instant::now();
            let end = loop {
                match client.read(&mut piece) {
                    Ok(read @ 1..) => bytes.extend(&piece[..read]),
                    end => break end,
                }
                // HTTP/2 keeps the connection.
                if bytes.windows(8).any(|it| it == [4, 3, 0, 0, 0, 0, 1, 0]) {
                    break Ok(0);
                }
            };
            // The thread is still within the application.
            assert!(begun.elapsed() < PATIENCE / 4, "{case}");
            program.wait_for("RUST0032");
            match protocol {
                Protocol::Http1 => assert!(!bytes.ends_with(b"0\r\n\r\n"), "{case}"),
                // RST_STREAM of stream 1, of four bytes.
                Protocol::Http2 => {
                    let reset = [4, 3, 0, 0, 0, 0, 1];
                    assert!(bytes.windows(7).any(|it| it == reset), "{case}: {bytes:?}");
                }
                // A record of version 0.
                Protocol::FastCgi => assert!(bytes.ends_with(&[0; 8]), "{case}: {bytes:?}"),
                _ => assert!(end.is_err(), "{case}: {end:?} after {bytes:?}"),
            }
            held.release();
            let ended = program.stop();
            let line = ended.stderr.lines().find(|line| line.contains("RUST0027"));
            let line = line.unwrap_or_else(|| panic!("{case}: {}", ended.stderr));
            assert!(line.contains("(--request-timeout)") && line.contains("breaking"), "{line}");
        }
    });
}

/// The other requests of a FastCGI connection are served when one of them is broken off.
#[test]
fn others_finish_when_one_request_of_a_connection_takes_too_long() {
    let held = Held::new();
    let program = with_request_timeout(Protocol::FastCgi, &["--option", &held.option]);
    let mut client = Protocol::FastCgi.connect(&program);
    let mut bytes = Vec::new();
    // The head of the second one is on its way.
    put_begin(&mut bytes, 2, Role::RESPONDER, true);
    client.write_all(&bytes).unwrap();
    client.write_all(&Protocol::FastCgi.request("/wait", Sent::Whole)).unwrap();
    let mut answer = Vec::new();
    read_until(&mut client, &mut answer, b"</html>");
    let text = String::from_utf8_lossy(&answer);
    let (line, status) = (text.find("RUST0027"), text.find("Status: 504 "));
    assert!(line.is_some() && line < status, "the web server's log first: {text}");
    let mut params = Params::new();
    for (key, value) in [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/pid"), ("CONTENT_LENGTH", "0")]
    {
        params.push(key.as_bytes(), value.as_bytes());
    }
    bytes.clear();
    put_params(&mut bytes, 2, &params).unwrap();
    put_stream_end(&mut bytes, RecordKind::STDIN, 2);
    client.write_all(&bytes).unwrap();
    // END_REQUEST, and then the end of the connection.
    read_until(&mut client, &mut answer, &[1, 3, 0, 2, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
    let begun = Instant::now();
    client.read_to_end(&mut answer).unwrap();
    assert!(begun.elapsed() < PATIENCE / 4, "it was closed with the process");
    assert!(String::from_utf8_lossy(&answer).contains("Status: 200 "));
    held.release();
    program.stop();
}

/// nginx reads no response before it has sent the body, so that the body is taken in first. Beyond the
/// limit the client gets 413, although the application has answered.
#[test]
fn a_fastcgi_body_of_unknown_length_that_is_too_large() {
    let program = Program::start(&["--fastcgi", "127.0.0.1:0", "--max-body", "1K"]);
    let mut client = Protocol::FastCgi.connect(&program);
    let mut params = Params::new();
    for (key, value) in [
        ("REQUEST_METHOD", "POST"),
        ("PATH_INFO", "/hold"),
        ("SERVER_SOFTWARE", "nginx/1.22.1"),
        ("HTTP_TRANSFER_ENCODING", "chunked"),
    ] {
        params.push(key.as_bytes(), value.as_bytes());
    }
    let mut bytes = Vec::new();
    put_begin(&mut bytes, 1, Role::RESPONDER, false);
    put_params(&mut bytes, 1, &params).unwrap();
    put_stream(&mut bytes, RecordKind::STDIN, 1, &[b'x'; 4096]);
    client.write_all(&bytes).unwrap();
    let mut answer = Vec::new();
    read_until(&mut client, &mut answer, b"</html>");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("RUST0004") && text.contains("Status: 413 "), "{text}");
    assert!(!text.contains("held,"), "{text}");
    read_until(&mut client, &mut answer, &[1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
    drop(client);
    program.stop();
}

/// A response whose reader takes nothing is broken off too, and its thread is free again.
#[test]
fn a_slow_reader_has_the_time_of_a_request_with_every_protocol() {
    each(LISTENING, |protocol| {
        let mut program = with_request_timeout(protocol, &[]);
        let own = own(&program);
        let first = client::pid(&own);
        let mut slow = protocol.connect(&program);
        slow.write_all(&protocol.request("/bulk", Sent::Whole)).unwrap();
        let line = program.wait_for("RUST0027");
        assert!(line.contains("breaking the response off"), "{line}");
        let begun = Instant::now();
        while begun.elapsed() < REPLACEMENT {
            assert_eq!(client::pid(&own), first, "{protocol:?}");
        }
        // The kernel had a part of it. HTTP/2 alone keeps the connection.
        if protocol != Protocol::Http2 {
            let mut bytes = Vec::new();
            let _ = slow.read_to_end(&mut bytes);
            assert!(bytes.len() < 16 << 20, "{protocol:?}: {} bytes", bytes.len());
        }
        drop(slow);
        let ended = program.stop();
        assert!(!ended.stderr.contains("RUST0032"), "{protocol:?}: {}", ended.stderr);
    });
}

/// Applications that need more than the limit: their workers are replaced less and less often, and the
/// log says why.
#[test]
fn a_memory_limit_below_what_applications_need_is_told() {
    let mut program = Program::start(&["--scgi", "127.0.0.1:0", "--memory-limit", "1M"]);
    let address = program.address("scgi");
    let begun = Instant::now();
    for seconds in [1, 2] {
        let line = program.wait_for("after it was ready");
        let text = format!("another takes its place in {seconds} s");
        assert!(line.contains("RUST0032: worker ") && line.contains("--memory-limit"), "{line}");
        assert!(line.ends_with(&text), "{line}");
        assert_eq!(client::get(&address, "/echo").unwrap().status, 200);
    }
    assert!(begun.elapsed() >= Duration::from_secs(1));
    program.stop();
}
