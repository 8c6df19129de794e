//! Tests inherited sockets: of systemd, spawn-fcgi and mod_fcgid.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;

use mod_rust::internal::protocol::fastcgi::{
    RecordKind, Role, put_begin, put_params, put_stream_end, split,
};
use mod_rust::internal::protocol::params::Params;

use crate::client;
use crate::program::{Folder, Program, Signal, is_gone, stage};

/// Starts the stage with `listener` as descriptor 3, as systemd does.
fn activated(listener: TcpListener, name: Option<&str>, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; \
                  exec \"$@\"";
    command.args(["-c", script, "sh"]).arg(stage()).args(arguments).stdin(OwnedFd::from(listener));
    command.env_remove("LISTEN_FDNAMES");
    command.envs(name.map(|name| ("LISTEN_FDNAMES", name)));
    command
}

#[test]
fn systemd_hands_over_a_socket() {
    for (name, arguments) in [(Some("scgi"), &[][..]), (None, &["--scgi", "fd:3"])] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut program = Program::run(activated(listener, name, arguments));
        program.wait_for("ready: ");
        assert_eq!(program.address("scgi"), address);
        let first = client::pid(&address);
        program.signal(Signal::HUP);
        program.wait_for("restarted: ");
        assert!(is_gone(first));
        assert_ne!(client::pid(&address), first);
        program.stop();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ended = Program::run(activated(listener, Some("shop.socket"), &[])).end();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("is named \"shop.socket\"; name it fastcgi"), "{}", ended.stderr);
}

#[test]
fn systemd_is_notified() {
    let folder = Folder::new();
    let path = folder.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(crate::program::PATIENCE)).unwrap();
    let mut command = Command::new("env");
    // The kit removes the variable from the environment of processes that it starts.
    command.arg(format!("NOTIFY_SOCKET={}", path.display()));
    command.arg("WATCHDOG_USEC=200000").arg(stage());
    command.args(["--scgi", "127.0.0.1:0"]).stdin(std::process::Stdio::null());
    let program = Program::run(command);
    let receive_any = || {
        let mut buffer = [0; 1024];
        // A call with a time-out ends early when the process is stopped and continued.
        let length = loop {
            match socket.recv(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                received => break received.expect("a message"),
            }
        };
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let receive = || loop {
        let message = receive_any();
        if message != "WATCHDOG=1\n" {
            return message;
        }
    };
    let ready = receive();
    assert!(ready.contains("READY=1\n"), "{ready}");
    assert!(ready.contains(&format!("MAINPID={}\n", program.pid())), "{ready}");
    assert!(ready.contains("STATUS=ready: 1 worker, 15 threads each\n"), "{ready}");
    // The loop that supervises says that it is alive, twice in WatchdogSec=.
    assert_eq!([receive_any(), receive_any()], ["WATCHDOG=1\n"; 2]);
    program.signal(Signal::HUP);
    let reloading = receive();
    assert!(reloading.contains("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert!(receive().contains("READY=1\n"));
    program.signal(Signal::TERM);
    assert!(receive().contains("STOPPING=1\n"));
    assert!(program.end().status.success());
}

/// Returns a FastCGI request, up to its body.
fn fastcgi_head(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut params = Params::new();
    let own = [("REQUEST_METHOD", "GET"), ("PATH_INFO", path), ("REQUEST_URI", path)];
    for (key, value) in own.iter().chain(more) {
        params.push(key.as_bytes(), value.as_bytes());
    }
    let mut bytes = Vec::new();
    put_begin(&mut bytes, 1, Role::RESPONDER, false);
    put_params(&mut bytes, 1, &params).unwrap();
    bytes
}

/// Sends one FastCGI request. Returns the application's standard output.
fn fastcgi(mut stream: impl Read + Write, path: &str) -> String {
    let mut bytes = fastcgi_head(path, &[]);
    put_stream_end(&mut bytes, RecordKind::STDIN, 1);
    // A server that does not want the connection may have closed it by now.
    let _ = stream.write_all(&bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let (mut rest, mut text) = (&answer[..], String::new());
    while let Some(record) = split(rest).unwrap() {
        if record.header.kind == RecordKind::STDOUT {
            text += &String::from_utf8_lossy(record.content);
        }
        rest = &rest[record.header.size()..];
    }
    text
}

#[test]
fn only_the_web_servers_that_are_named_may_connect() {
    for (addresses, is_allowed) in [("192.0.2.7", false), ("192.0.2.7,127.0.0.1", true)] {
        let mut command = Command::new(stage());
        command.args(["--fastcgi", "127.0.0.1:0"]).env("FCGI_WEB_SERVER_ADDRS", addresses);
        let mut program = Program::run(command);
        program.wait_for("ready: ");
        let address = program.address("fastcgi");
        let answer = fastcgi(TcpStream::connect(&address).unwrap(), "/echo");
        assert_eq!(answer.starts_with("Status: 200 OK"), is_allowed, "{answer}");
        if !is_allowed {
            assert_eq!(answer, "");
            program.wait_for("RUST0052: ");
        }
        program.stop();
    }
    let mut command = Command::new(stage());
    command.args(["--fastcgi", "127.0.0.1:0"]).env("FCGI_WEB_SERVER_ADDRS", "localhost");
    let ended = Program::run(command).end();
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("FCGI_WEB_SERVER_ADDRS: "), "{}", ended.stderr);
}

#[test]
fn descriptor_0_is_fastcgi_without_a_master() {
    for signal in [Signal::TERM, Signal::USR1, Signal::INT] {
        let folder = Folder::new();
        let path = folder.path("fcgi.sock");
        let mut command = Command::new(stage());
        command.stdin(OwnedFd::from(UnixListener::bind(&path).unwrap()));
        let mut program = Program::run(command);
        program.wait_for("ready: ");
        let text = fastcgi(UnixStream::connect(&path).unwrap(), "/pid");
        assert!(text.ends_with(&format!("\r\n\r\n{}", program.pid())), "{text}");
        program.signal(signal);
        assert!(program.end().status.success(), "{signal:?}");
        assert!(path.exists(), "the socket is its binder's");
    }
}

#[test]
fn sigquit_gives_requests_up_without_a_master() {
    let folder = Folder::new();
    let path = folder.path("fcgi.sock");
    let mut command = Command::new(stage());
    command.stdin(OwnedFd::from(UnixListener::bind(&path).unwrap()));
    let mut program = Program::run(command);
    program.wait_for("ready: ");
    let mut connection = UnixStream::connect(&path).unwrap();
    connection.write_all(&fastcgi_head("/hold", &[("CONTENT_LENGTH", "3")])).unwrap();
    // The head is out: the request runs, and its body has no end.
    connection.read_exact(&mut [0; 1]).unwrap();
    program.signal(Signal::QUIT);
    let ended = program.end();
    assert!(ended.status.success(), "{:?}: {}", ended.status, ended.stderr);
}
