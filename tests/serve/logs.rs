//! The logs: what is in them, and their files opened anew.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::client::{self, Client};
use crate::options::{ALL, Protocol, Sent};
use crate::program::{Folder, Program, Signal};

#[test]
fn lines_say_what_and_of_which_request() {
    let mut program = Program::start(&["--scgi", "127.0.0.1:0"]);
    let address = program.address("scgi");
    assert_eq!(client::get(&address, "/log").unwrap().body, "logged");
    let line = program.wait_for("a line of the application's");
    assert!(line.contains("] [warn] ["), "{line}");
    assert!(line.ends_with(" (GET /log, client 192.0.2.1, scgi)"), "{line}");
    let line = program.wait_for("a record of a crate's");
    assert!(line.ends_with(" (GET /log, client 192.0.2.1, scgi)"), "{line}");
    assert_eq!(client::get(&address, "/fail").unwrap().status, 500);
    let line = program.wait_for("RUST0005: ");
    assert!(
        line.contains("application stage: it does not work; answering 500 (GET /fail"),
        "{line}"
    );
    program.stop();
}

/// A factory with a subscriber of its own; the state of each process is dropped at the end, whatever
/// the protocol.
#[test]
fn an_own_subscriber_and_the_end_of_the_state() {
    let folder = Folder::new();
    let option = format!("journal={}", folder.text("journal"));
    let journal = || std::fs::read_to_string(folder.path("journal")).unwrap_or_default();
    let mut dropped = 0;
    for protocol in ["scgi", "fastcgi", "uwsgi", "http"] {
        let flag = format!("--{protocol}");
        let mut program = Program::start(&[&flag, "127.0.0.1:0", "--option", &option]);
        let address = program.address(protocol);
        if protocol == "scgi" {
            assert_eq!(client::get(&address, "/log").unwrap().body, "logged");
            // The server's own lines stay in its log, records of crates are the subscriber's.
            program.wait_for("] [warn] [");
            let line = program.wait_for("a record of a crate's");
            assert!(line.contains("  INFO "), "{line}");
        } else {
            // A connection that is kept does not keep the state.
            let _kept = std::net::TcpStream::connect(&address).unwrap();
        }
        program.stop();
        dropped += 1;
        assert_eq!(journal().lines().count(), dropped, "{protocol}: {}", journal());
    }
    let mut command = Command::new(crate::program::stage());
    command.env_clear().stdin(Stdio::null());
    command.env("MOD_RUST_OPTIONS", format!("--option {option}"));
    for (key, value) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", "/cgi-bin/stage"),
        ("PATH_INFO", "/pid"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
    ] {
        command.env(key, value);
    }
    let ended = Program::run(command).end();
    assert!(ended.stdout.contains("Status: 200"), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(journal().lines().count(), dropped + 1, "cgi: {}", journal());
}

/// A subscriber with mod_rust's layer: the fields of spans, and the request, whatever the protocol.
#[cfg(feature = "tracing-subscriber")]
#[test]
fn the_layer_logs_spans_and_the_request() {
    for protocol in ["scgi", "uwsgi", "fastcgi", "http"] {
        let flag = format!("--{protocol}");
        let mut program = Program::start(&[&flag, "127.0.0.1:0", "--option", "layer=On"]);
        let address = program.address(protocol);
        if protocol == "scgi" {
            assert_eq!(client::get(&address, "/log").unwrap().body, "logged");
            let line = program.wait_for("an event in");
            let event = " outer{number=7}: gateway_stage: an event in \u{20ac} size=2 \
                         (GET /log, client 192.0.2.1, scgi)";
            assert!(line.contains("] [warn] [") && line.ends_with(event), "{line}");
        }
        program.stop();
    }
}

/// The stack of a panic, with names and lines, whatever the protocol; none unless it is asked for.
#[test]
fn a_panic_has_its_stack_if_asked_for() {
    for protocol in ALL {
        for is_asked in [true, false] {
            let mut command = Command::new(crate::program::stage());
            command.stdin(Stdio::null());
            if is_asked {
                command.env("RUST_BACKTRACE", "1");
            }
            let mut client = Vec::new();
            let ended = if *protocol == Protocol::Cgi {
                command.env("GATEWAY_INTERFACE", "CGI/1.1").env("REQUEST_METHOD", "GET");
                command.env("PATH_INFO", "/boom");
                Program::run(command).end()
            } else {
                command.args([&format!("--{}", protocol.option()), "127.0.0.1:0"]);
                let mut program = Program::run(command);
                program.wait_for("ready: ");
                let mut connection = protocol.connect(&program);
                connection.write_all(&protocol.request("/boom", Sent::Whole)).unwrap();
                // The answer is a page that does not say why.
                while !client.windows(21).any(|window| window == b"Internal Server Error") {
                    let mut piece = [0; 1024];
                    let read = connection.read(&mut piece).expect("an answer");
                    assert_ne!(read, 0, "{protocol:?}: {}", client.escape_ascii());
                    client.extend(&piece[..read]);
                }
                drop(connection);
                program.stop()
            };
            // FastCGI hands the lines of a request to the web server.
            let text = String::from_utf8_lossy(&client) + &*ended.stderr;
            let case = format!("{protocol:?}: {text}");
            let panics = "panicked at tests/serve/stage.rs:";
            assert!(text.contains("RUST0002") && text.contains(panics), "{case}");
            let is_frame = |line: &&str| {
                line.contains("gateway_stage::boom at ") && line.contains("tests/serve/stage.rs:")
            };
            let mut frames = text.split("stack: ").skip(1);
            assert_eq!(frames.any(|line| is_frame(&line)), is_asked, "{case}");
            assert_eq!(text.contains("stack: "), is_asked, "{case}");
        }
    }
}

#[test]
fn sigusr1_opens_the_files_anew() {
    let folder = Folder::new();
    let (log, access) = (folder.text("log"), folder.text("access"));
    let program =
        Program::start(&["--scgi", "127.0.0.1:0", "--access-log", &access, "--workers", "2"]);
    let address = program.address("scgi");
    assert_eq!(client::get(&address, "/pid").unwrap().status, 200);
    std::fs::rename(&access, folder.path("access.1")).unwrap();
    program.signal(Signal::USR1);
    // The master makes the new file before it tells the workers; they write there as soon as they
    // have heard.
    let find = || std::fs::read_to_string(&access).unwrap_or_default();
    while !find().contains("GET /echo?new HTTP/1.1\" 200") {
        assert_eq!(client::get(&address, "/echo?new").unwrap().status, 200);
    }
    let old = std::fs::read_to_string(folder.path("access.1")).unwrap();
    assert!(old.starts_with("192.0.2.1 - - ["), "{old}");
    assert!(old.contains("] \"GET /pid HTTP/1.1\" 200 "), "{old}");
    assert!(old.lines().next().unwrap().ends_with(" \"-\" \"-\""), "{old}");
    program.stop();
    let mut command = Command::new(crate::program::stage());
    command.args(["--scgi", &folder.text("x.sock"), "--log", &log]);
    command.stdin(Stdio::null());
    let program = Program::run(command);
    // All that it says is in the file.
    let find = || std::fs::read_to_string(&log).unwrap_or_default();
    while !find().contains("ready: ") {
        std::thread::yield_now();
    }
    assert!(Client::connect(&folder.text("x.sock")).is_ok());
    let ended = program.stop();
    assert_eq!(ended.stderr, "");
    assert!(find().contains("ending: "), "{}", find());
}
