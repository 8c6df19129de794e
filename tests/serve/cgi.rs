//! The program as a CGI program (RFC 3875).

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::program::{Ended, Folder, Program, Signal, stage};

fn command(program: &std::path::Path, pairs: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null());
    for (key, value) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", "/cgi-bin/stage"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", "Apache/2.4"),
    ] {
        command.env(key, value);
    }
    command.envs(pairs.iter().copied());
    command
}

pub(crate) fn ask(pairs: &[(&str, &str)]) -> Ended {
    Program::run(command(&stage(), pairs)).end()
}

fn post(pairs: &[(&str, &str)], body: &[u8]) -> Ended {
    let (read, mut write) = std::io::pipe().unwrap();
    let mut command = command(&stage(), pairs);
    command.env("REQUEST_METHOD", "POST").stdin(read);
    let program = Program::run(command);
    // It may end without having read it.
    let _ = write.write_all(body);
    drop(write);
    program.end()
}

#[test]
fn every_kind_of_response() {
    let ended = ask(&[("PATH_INFO", "/echo")]);
    assert!(ended.status.success());
    assert_eq!(
        ended.stdout,
        "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
    );
    let ended = ask(&[("PATH_INFO", "/away")]);
    assert_eq!(
        ended.stdout,
        "Status: 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n"
    );
    let ended = ask(&[("PATH_INFO", "/inside")]);
    assert_eq!(ended.stdout, "Location: /other/path?a=b\r\n\r\n");
    let ended = ask(&[("PATH_INFO", "/inside"), ("SERVER_SOFTWARE", "lighttpd/1.4.69")]);
    assert!(ended.stdout.starts_with("Status: 200 OK\r\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("\nREDIRECT_URL=/cgi-bin/stage/inside\n"), "{}", ended.stdout);
}

#[test]
fn the_environ_is_the_process_environment() {
    let ended = ask(&[
        ("PATH_INFO", "/environ"),
        ("QUERY_STRING", "a=b"),
        ("HTTP_ACCEPT", "*/*"),
        ("HTTP_PROXY", "http://evil.example"),
        ("REMOTE_USER", ""),
    ]);
    let has = |line: &str| ended.stdout.lines().any(|known| known == line);
    for line in [
        "SCRIPT_NAME=/cgi-bin/stage",
        "PATH_INFO=/environ",
        "QUERY_STRING=a=b",
        "HTTP_ACCEPT=*/*",
        "mod_rust.mode=cgi",
        "mod_rust.application=stage",
        "gateway.run_once=1",
        "gateway.multithread=0",
        "gateway.multiprocess=1",
        "gateway.url_scheme=http",
    ] {
        assert!(has(line), "{line} is not in {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("evil"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("REMOTE_USER"), "{}", ended.stdout);
}

#[test]
fn bodies_by_length_and_to_the_end() {
    let path = ("PATH_INFO", "/echo");
    let ended = post(&[path, ("CONTENT_LENGTH", "5")], b"helloworld");
    assert!(ended.stdout.ends_with("Content-Length: 5\r\n\r\nhello"), "{}", ended.stdout);
    let ended = post(&[path, ("HTTP_TRANSFER_ENCODING", "chunked")], b"helloworld");
    assert!(ended.stdout.ends_with("Content-Length: 10\r\n\r\nhelloworld"), "{}", ended.stdout);
    let ended = post(&[path, ("CONTENT_LENGTH", "50")], b"helloworld");
    assert!(ended.stdout.starts_with("Status: 400 Bad Request\r\n"), "{}", ended.stdout);
    assert!(ended.stderr.contains("RUST0004: "), "{}", ended.stderr);
    let ended = post(&[path, ("CONTENT_LENGTH", "x")], b"helloworld");
    assert!(ended.stdout.starts_with("Status: 400 Bad Request\r\n"), "{}", ended.stdout);
    let ended = post(
        &[path, ("CONTENT_LENGTH", "10"), ("MOD_RUST_OPTIONS", "--max-body 9")],
        b"helloworld",
    );
    assert!(ended.stdout.starts_with("Status: 413 "), "{}", ended.stdout);
}

#[test]
fn errors_are_pages_and_broken_responses_end_badly() {
    let ended = ask(&[("PATH_INFO", "/fail")]);
    assert!(ended.stdout.starts_with("Status: 500 Internal Server Error\r\n"), "{}", ended.stdout);
    let line = "RUST0005: application stage: it does not work; answering 500 (GET -, cgi)";
    assert!(ended.stderr.contains("RUST0005: application stage"), "{line}: {}", ended.stderr);
    assert!(ended.status.success());
    let ended = ask(&[("PATH_INFO", "/late")]);
    assert!(ended.stdout.ends_with("\r\n\r\nsome"), "{}", ended.stdout);
    assert!(ended.stderr.contains("breaking the response off"), "{}", ended.stderr);
    assert_eq!(ended.status.code(), Some(1));
}

#[test]
fn nph_programs_write_the_whole_response() {
    let folder = Folder::new();
    let program = folder.path("nph-stage");
    std::os::unix::fs::symlink(stage(), &program).unwrap();
    let ended = Program::run(command(&program, &[("PATH_INFO", "/echo")])).end();
    assert!(ended.stdout.starts_with("HTTP/1.1 200 OK\r\nContent-Type: "), "{}", ended.stdout);
    for field in ["\r\nDate: ", "\r\nConnection: close\r\n", "\r\nContent-Length: 0\r\n"] {
        assert!(ended.stdout.contains(field), "{field}: {}", ended.stdout);
    }
    let ended = Program::run(command(&program, &[("PATH_INFO", "/inside")])).end();
    assert!(ended.stdout.starts_with("HTTP/1.1 302 Found\r\nLocation: /other"), "{}", ended.stdout);
}

#[test]
fn the_clients_query_is_not_a_command_line() {
    let mut command = command(&stage(), &[("PATH_INFO", "/echo"), ("QUERY_STRING", "--help")]);
    command.args(["--help"]);
    let ended = Program::run(command).end();
    assert!(ended.stdout.starts_with("Status: 200 OK\r\n"), "{}", ended.stdout);
    // The web server's configuration takes precedence.
    let ended = ask(&[("PATH_INFO", "/echo"), ("MOD_RUST_OPTIONS", "--mount /shop=stage")]);
    assert!(ended.stdout.starts_with("Status: 404 Not Found\r\n"), "{}", ended.stdout);
    let ended = ask(&[("MOD_RUST_OPTIONS", "--nonsense")]);
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("unexpected argument '--nonsense'"), "{}", ended.stderr);
}

#[test]
fn signals_end_a_request_that_waits() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        end_a_request_that_waits(signal);
    }
}

fn end_a_request_that_waits(signal: Signal) {
    let (read, write) = std::io::pipe().unwrap();
    let mut command = command(&stage(), &[("PATH_INFO", "/hold"), ("CONTENT_LENGTH", "9")]);
    command.env("MOD_RUST_OPTIONS", "--log-level trace").stdin(read);
    let (out, stdout) = std::io::pipe().unwrap();
    command.stdout(stdout).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(command);
    // The head is out: the request runs.
    let mut first = [0; 1];
    std::io::Read::read_exact(&mut { out }, &mut first).unwrap();
    crate::program::send(child.id(), signal);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1), "{status:?}");
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert!(stderr.contains("RUST0003: application stage: the web server ended"), "{stderr}");
    drop(write);
}
