//! The unit files and the container file of docs/servers are those of its page, and give the program
//! options that it has.

use std::path::Path;
use std::process::Command;

use httpd_testkit::find_program;

use crate::documented::block;
use crate::member::PROGRAM;

const PAGE: &str = "systemd.md";

/// Reads a file beside the page.
fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/servers/systemd").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the program's help text.
fn help() -> String {
    let program = find_program(PROGRAM).unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(program).arg("--help").output().expect("a program");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns the values of a key of a unit file.
fn values<'f>(file: &'f str, key: &str) -> Vec<&'f str> {
    let lines = file.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(known, _)| *known == key).map(|(_, value)| value).collect()
}

/// Returns the options among the words of a command.
fn options(command: &str) -> impl Iterator<Item = &str> {
    command.split([' ', '"', ',', '=']).filter(|word| word.starts_with("--"))
}

#[test]
fn the_page_shows_the_files() {
    for (heading, index, name) in [
        ("The service", 0, "shop.service"),
        ("Its socket", 0, "shop.socket"),
        ("In a container", 1, "Containerfile"),
    ] {
        assert_eq!(block(PAGE, heading, index) + "\n", file(name), "{name}");
    }
}

#[test]
fn the_program_has_the_options() {
    let help = help();
    let (service, container) = (file("shop.service"), file("Containerfile"));
    let start = values(&service, "ExecStart");
    let entry = container.lines().filter_map(|line| line.strip_prefix("CMD "));
    let used: Vec<_> = start.iter().copied().chain(entry).flat_map(options).collect();
    assert!(used.contains(&"--workers") && used.contains(&"--fastcgi"), "{used:?}");
    for option in used {
        assert!(help.contains(&format!("  {option} <")), "{option}\n{help}");
    }
}

#[test]
fn the_socket_names_a_protocol() {
    let (socket, help) = (file("shop.socket"), help());
    for name in values(&socket, "FileDescriptorName") {
        assert!(help.contains(&format!("  --{name} <ADDR>")), "{name}\n{help}");
    }
    assert_eq!(values(&socket, "FileDescriptorName").len(), 1);
}

/// `systemctl stop` must not kill what `--graceful-timeout` lets finish.
#[test]
fn requests_may_finish() {
    let service = file("shop.service");
    let start = values(&service, "ExecStart").concat();
    let graceful =
        start.split_once("--graceful-timeout ").and_then(|(_, rest)| rest.strip_suffix("s"));
    let graceful: u32 = graceful.and_then(|text| text.parse().ok()).expect("seconds");
    let stop: u32 = values(&service, "TimeoutStopSec").concat().parse().expect("seconds");
    assert!(stop > graceful, "{stop} {graceful}");
}
