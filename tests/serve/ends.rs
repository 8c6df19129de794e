//! The end of a process as an application hears of it: signals, `mod_rust::ending`, `Drop`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::client;
use crate::program::{Folder, PATIENCE, Program, Signal, stage};

/// The journal of the application `notices`.
struct Journal(Folder);

impl Journal {
    fn new() -> Self {
        Self(Folder::new())
    }

    /// Returns the options that mount the application.
    fn options(&self) -> [String; 4] {
        let journal = format!("notices:journal={}", self.0.text("journal"));
        ["--mount".into(), "/=notices".into(), "--option".into(), journal]
    }

    /// Returns the events of a process. A task notes a signal at any time before the end.
    fn events(&self, pid: u32) -> (Vec<String>, Vec<String>) {
        let text = std::fs::read_to_string(self.0.path("journal")).unwrap();
        let of = |line: &str| Some(line.strip_suffix(&format!(" {pid}"))?.to_owned());
        text.lines()
            .filter_map(of)
            .partition(|event| matches!(&event[..], "interrupt" | "terminate"))
    }
}

const ORDER: [&str; 3] = ["ending", "saved", "dropped"];

/// Sends a request for the stream, and reads up to its first piece.
fn open_stream(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"begun,\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.extend(byte);
    }
    stream
}

#[test]
fn a_worker_that_drains_ends_its_streams_and_tasks() {
    for signal in [Signal::TERM, Signal::HUP] {
        let journal = Journal::new();
        let options = journal.options();
        let mut arguments = vec!["--scgi", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        arguments.extend(["--graceful-timeout", "1h"]);
        arguments.extend(options.iter().map(String::as_str));
        let mut program = Program::start(&arguments);
        let worker = client::pid(&program.address("scgi"));
        let mut stream = open_stream(&program.address("http"));
        program.signal(signal);
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "5\r\nended\r\n0\r\n\r\n", "{signal:?}");
        let ended = if signal == Signal::HUP {
            program.wait_for("restarted: ");
            assert!(crate::program::is_gone(worker));
            program.stop()
        } else {
            program.end()
        };
        let (signals, events) = journal.events(worker);
        assert_eq!(events, ORDER, "{signal:?}: {}", ended.stderr);
        assert_eq!(signals, ["terminate"], "{signal:?}");
    }
}

#[test]
fn the_signals_of_a_process_without_a_master() {
    for (signal, expected) in
        [(Signal::INT, &["interrupt"][..]), (Signal::TERM, &["terminate"]), (Signal::USR1, &[])]
    {
        let journal = Journal::new();
        let mut command = Command::new(stage());
        let listener = UnixListener::bind(journal.0.path("fcgi.sock")).unwrap();
        command.args(journal.options()).stdin(OwnedFd::from(listener));
        let mut program = Program::run(command);
        program.wait_for("ready: ");
        let pid = program.pid();
        program.signal(signal);
        let ended = program.end();
        assert!(ended.status.success() && !ended.stderr.contains("RUST0"), "{}", ended.stderr);
        let (signals, events) = journal.events(pid);
        assert_eq!(events, ORDER, "{signal:?}");
        assert_eq!(signals, expected, "{signal:?}");
    }
}

/// Servers of one process come one after the other.
#[test]
fn the_end_of_a_server_in_code() {
    for _ in 0..2 {
        let journal = Journal::new();
        let gateway =
            mod_rust::Gateway::new("ends", "1").application("notices", crate::notices::factory());
        let server = gateway
            .listen("http", "127.0.0.1:0")
            .set("option", format!("journal={}", journal.0.text("journal")))
            .set("log-level", "error")
            .start()
            .unwrap();
        let mut stream = open_stream(&server.addresses()[0]);
        server.shutdown();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "5\r\nended\r\n0\r\n\r\n");
        server.wait().unwrap();
        assert_eq!(journal.events(std::process::id()).1, ORDER);
    }
}
