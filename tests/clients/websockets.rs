//! Python's websockets, a client of its own: text, binary, fragments, pings, large messages, close
//! codes.

use std::path::Path;

use httpd_testkit::{Mpm, is_wanted};

use crate::sites::{Mode, Site, find};
use std::process::{Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/websockets.py");

/// The parts of the script, each of which it names when it has passed.
const PARTS: &str = "messages\nfragments\npings\nlarge\ncloses\ncrowd\n";

/// Returns a Python that has the package.
fn python() -> Option<&'static str> {
    let works = |python: &mut Command| {
        let import = python.args(["-c", "import websockets"]).stderr(Stdio::null());
        import.status().is_ok_and(|status| status.success())
    };
    find(&["python3", "/usr/bin/python3"], works, "python3-websockets")
}

fn talk(mode: Mode) {
    let Some(python) = python() else { return };
    let site = Site::start(mode, "probe", "mod_rust.so", "rust-gateway");
    let mut command = Command::new(python);
    command.arg("-W").arg("ignore").arg(Path::new(SCRIPT)).arg(site.url("ws", "/probe/ws"));
    if let Site::Httpd { server, is_tls: true } = &site {
        command.arg(server.certificate());
    }
    let output = command.output().expect("python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text, PARTS);
}

fn talk_to_httpd(mode: fn(Mpm) -> Mode, mpm: Mpm) {
    if is_wanted(mpm) {
        talk(mode(mpm));
    }
}

#[test]
fn embedded_event() {
    talk_to_httpd(Mode::Embedded, Mpm::Event);
}

#[test]
fn embedded_worker() {
    talk_to_httpd(Mode::Embedded, Mpm::Worker);
}

#[test]
fn embedded_prefork() {
    talk_to_httpd(Mode::Embedded, Mpm::Prefork);
}

#[test]
fn tls_event() {
    talk_to_httpd(Mode::Tls, Mpm::Event);
}

#[test]
fn tls_worker() {
    talk_to_httpd(Mode::Tls, Mpm::Worker);
}

#[test]
fn daemon_event() {
    talk_to_httpd(Mode::Daemon, Mpm::Event);
}

#[test]
fn daemon_prefork() {
    talk_to_httpd(Mode::Daemon, Mpm::Prefork);
}

#[test]
fn program() {
    talk(Mode::Program);
}
