//! Mistakes on the command line end the program before it listens, and say what is allowed.

use std::process::Command;

use crate::program::{Folder, Program, stage};

fn fails(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(stage());
    command.args(arguments).stdin(std::process::Stdio::null());
    let ended = Program::run(command).end();
    assert_eq!(ended.stdout, "");
    (ended.status.code().expect("an exit"), ended.stderr)
}

#[test]
fn mistakes_are_reported_before_it_listens() {
    let folder = Folder::new();
    let file = folder.text("file");
    std::fs::write(&file, "no socket").unwrap();
    for (arguments, code, expected) in [
        (&[][..], 1, "nothing to serve; expected a listener (--fastcgi ADDR, --scgi ADDR"),
        (&["--scgi", "9000"], 2, "expected 127.0.0.1:9000, [::1]:9000, :9000 (all interfaces)"),
        (&["--sgi", ":0"], 2, "unexpected argument '--sgi'"),
        (&["--cgi"], 1, "expected GATEWAY_INTERFACE and REQUEST_METHOD in the environment"),
        (
            &["--scgi", ":0", "--option", "colour=red"],
            2,
            "option \"colour\": unknown to every application",
        ),
        (
            &["--scgi", ":0", "--option", "stage:colour=red"],
            1,
            "application stage: option \"colour\" is unknown; allowed are broken-by, held-by, journal, \
             layer (--option)",
        ),
        (
            &["--scgi", ":0", "--mount", "/=stag"],
            2,
            "application \"stag\": unknown; expected one of stage",
        ),
        (&["--scgi", &file], 1, "the path exists and is not a socket"),
        (&["--scgi", "/nowhere/x.sock"], 1, "--scgi /nowhere/x.sock: No such file or directory"),
        (&["--scgi", "fd:77"], 1, "--scgi fd:77: descriptor 77 is not open"),
        (&["--scgi", ":0", "--log", "/nowhere/log"], 1, "--log \"/nowhere/log\": No such file"),
        (
            &["--scgi", ":0", "--pid-file", "/nowhere/pid"],
            1,
            "--pid-file \"/nowhere/pid\": No such",
        ),
    ] {
        let (status, stderr) = fails(arguments);
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
        assert_eq!(status, code, "{arguments:?}: {stderr}");
        assert!(!stderr.contains("listening"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_address_in_use_is_reported() {
    let program = Program::start(&["--scgi", "127.0.0.1:0"]);
    let (_, stderr) = fails(&["--scgi", &program.address("scgi")]);
    assert!(stderr.contains("Address already in use"), "{stderr}");
    let folder = Folder::new();
    let path = folder.text("x.sock");
    let other = Program::start(&["--scgi", &path]);
    let (_, stderr) = fails(&["--scgi", &path]);
    assert!(stderr.contains("another program listens there"), "{stderr}");
    other.stop();
    program.stop();
}

#[test]
fn an_application_that_cannot_be_built_ends_it() {
    let folder = Folder::new();
    let (file, pid_file) = (folder.text("broken"), folder.text("pid"));
    std::fs::write(&file, "").unwrap();
    let option = format!("broken-by={file}");
    let arguments =
        ["--scgi", "127.0.0.1:0", "--workers", "2", "--option", &option, "--pid-file", &pid_file];
    let mut command = Command::new(stage());
    command.args(arguments).stdin(std::process::Stdio::null());
    let ended = Program::run(command).end();
    assert_eq!(ended.status.code(), Some(1));
    let expected = "RUST0007: application stage cannot be built: the database is away";
    assert!(ended.stderr.contains("RUST0072: cannot start: worker "), "{}", ended.stderr);
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    assert!(!ended.stderr.contains("ready: "), "{}", ended.stderr);
    assert!(!folder.path("pid").exists());
}

#[test]
fn help_names_every_option() {
    let mut command = Command::new(stage());
    command.arg("--help");
    let ended = Program::run(command).end();
    assert!(ended.status.success());
    let documented = include_str!("../../docs/gateways.md");
    let mut count = 0;
    for word in ended.stdout.split([' ', '\n', ',']).filter(|word| word.starts_with("--")) {
        let name = word.trim_end_matches(|last: char| !last.is_ascii_alphanumeric());
        assert!(documented.contains(&format!("`{name}")), "docs/gateways.md lacks {name}");
        count += 1;
    }
    assert!(count > 20, "{}", ended.stdout);
}
