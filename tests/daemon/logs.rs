//! Tests the log lines of daemon processes for every kind of ErrorLog.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use httpd_testkit::Signal;

use crate::support::{Stage, pid, run, setup};

/// Runs a command with a /dev of its own, in which `log` is the socket beside `$0`; and notes its
/// folder, the server root, there.
const OWN_DEV: &str = "\
    set -e; at=$(dirname \"$0\"); pwd > \"$at/root\"; mkdir \"$at/dev\"; mount -t tmpfs none \"$at/dev\"
    for file in null zero random urandom; do
        touch \"$at/dev/$file\"; mount --bind /dev/$file \"$at/dev/$file\"
    done
    touch \"$at/dev/log\"; mount --bind \"$at/log\" \"$at/dev/log\"; mount --rbind \"$at/dev\" /dev
    exec \"$@\"";

/// Receives what is written to the system's log, and writes it to the file that the test kit reads.
fn system_log(folder: PathBuf) -> UnixDatagram {
    let socket = UnixDatagram::bind(folder.join("log")).unwrap();
    fs::set_permissions(folder.join("log"), Permissions::from_mode(0o777)).unwrap();
    let receiver = socket.try_clone().unwrap();
    thread::spawn(move || {
        let mut line = vec![0; 64 << 10];
        while let Ok(length) = receiver.recv(&mut line) {
            if length == 0 {
                return;
            }
            let root = fs::read_to_string(folder.join("root")).unwrap();
            let path = PathBuf::from(root.trim()).join("error_log");
            let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.write_all(&[&line[..length], b"\n"].concat()).unwrap();
        }
    });
    socket
}

/// Brings a process to say something that belongs to no request, and one to die.
fn speak(stage: &Stage) {
    let first = stage.app().wait_ready(1)[0];
    stage.signal(first, Signal::USR1);
    stage.wait_gone(&[first]);
    let line = stage.wait_log(&format!("process {first}: takes no more requests"));
    assert!(line.contains("RUST0032"), "{line}");
    let response = stage.get(&run("exit", "exit:5"));
    assert_eq!(response.status, 502, "{response:?}");
    let line = stage.wait_log("the application called exit(5)");
    assert!(line.contains("RUST0042"), "{line}");
    stage.wait_log("RUST0031");
}

#[test]
fn lines_reach_the_systems_log() {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let may_mount = || Command::new("unshare").args(["-m", "true"]).status();
    if !is_root || !may_mount().is_ok_and(|status| status.success()) {
        return;
    }
    let setup = setup("threads=1 user=daemon").allow(&["RUST0031", "RUST0042", "RUST0020"]);
    let folder = setup.folder();
    let socket = system_log(folder.clone());
    let beside = folder.join("sh").display().to_string();
    let stage = setup
        .with(|builder| {
            builder
                .wrap(&["unshare", "-m", "sh", "-c", OWN_DEV, &beside])
                .conf("ErrorLog syslog:local3\nLogLevel info")
        })
        .start();
    speak(&stage);
    // A process's lines have httpd's facility and its name: local3 is 19 times 8, and info 6.
    let name = |line: &str| {
        line.split('[').next().and_then(|start| start.split(' ').next_back()).map(str::to_owned)
    };
    let line = stage.wait_log("takes no more requests");
    assert!(line.starts_with("<158>"), "{line}");
    assert_eq!(name(&line), name(&stage.wait_log("resuming normal operations")), "{line}");
    drop(stage);
    let _ = socket.shutdown(std::net::Shutdown::Both);
}

#[test]
fn lines_reach_a_program() {
    let stage = setup("threads=1")
        .allow(&["RUST0031", "RUST0042", "RUST0020"])
        .with(|builder| builder.conf("ErrorLog \"|$/bin/cat >> {root}/error_log\""))
        .start();
    speak(&stage);
    // Nor can an application truncate what it writes to.
    let fds = stage.get("/stage/fds").text().to_owned();
    assert!(fds.lines().any(|line| line.starts_with("2 stays pipe:")), "{fds}");
}

/// `println!` and subscribers that write to the standard output, in both modes. The standard output of
/// an httpd that has detached from its terminal is /dev/null.
#[test]
fn the_standard_output_and_an_own_subscriber_lead_to_the_error_log() {
    let stage = setup("threads=1")
        .stage("logger", "On")
        .allow(&["RUST0002", "RUST0007"])
        .with(|builder| {
            builder
                .children(1)
                .env("RUST_BACKTRACE", "1")
                .allow_log("stack: ")
                .wrap(&["sh", "-c", "exec \"$0\" \"$@\" > /dev/null"])
                .conf("RustAppAlias /embedded stage\nRustAppAlias /second stage")
                .conf("<Location /second>\nRustAppOption needs built\n</Location>")
        })
        .start();
    for path in ["stage", "embedded"] {
        let get = |step: &str| stage.get(&format!("/{path}/run?name=x&steps={step}:{path}"));
        let process = pid(&get("print"));
        stage.wait_log(&format!("the stage prints {path}"));
        assert_eq!(pid(&get("trace")), process);
        let line = stage.wait_log(&format!("the stage traces {path}"));
        assert!(line.contains("INFO stage: "), "{line}");
        // Records of the crate `log` go the subscriber's way.
        assert_eq!(pid(&get("log")), process);
        let line = stage.wait_log(&format!("the stage says {path}"));
        assert!(line.contains("WARN stage: "), "{line}");
        // The stack of a panic, with names and lines.
        assert_eq!(get("panic").status, 500);
        let line = stage.wait_log(&format!("the stage panics {path}"));
        assert!(line.contains("RUST0002") && line.contains("stage.rs:"), "{line}");
        let log = stage.error_log();
        let is_frame = |line: &&str| {
            line.contains("stack: ") && line.contains("step at ") && line.contains("stage.rs:")
        };
        assert!(log.lines().any(|line| is_frame(&line)), "{log}");
    }
    // A second factory in the child: its init() finds a logger there.
    let line = stage.wait_log("RUST0007");
    assert!(line.contains("call try_init() in place of init()"), "{line}");
    assert_eq!(stage.get("/second/run?name=x&steps=").status, 500);
}

/// A subscriber with mod_rust's layer, in both modes: the fields of spans, the request, the level of
/// LogLevel, the daemon's process id.
#[cfg(feature = "tracing-subscriber")]
#[test]
fn the_layer_logs_spans_and_the_request() {
    let stage = setup("threads=1")
        .stage("layer", "On")
        .with(|builder| {
            builder
                .children(1)
                .allow_log("the stage spans")
                .conf("RustAppAlias /embedded stage\nLogLevel stage:info")
        })
        .start();
    for path in ["stage", "embedded"] {
        let get = |step: &str| stage.get(&format!("/{path}/run?name=x&steps={step}:{path}"));
        let process = pid(&get("span"));
        let line = stage.wait_log(&format!("the stage spans {path} in"));
        // httpd escapes what is not ASCII.
        let event = format!(
            r#"outer{{number=7}}:inner{{text="a \xc3\x84" later=true}}: stage: the stage spans {path} in \xe2\x82\xac size=2"#
        );
        assert!(line.ends_with(&event), "{line}");
        assert!(line.contains("[stage:warn]") && line.contains("[client 127.0.0.1:"), "{line}");
        let says = format!("process {process}: ");
        assert_eq!(line.contains(&says), path == "stage", "{line}");
        // Another thread's belong to no request, and have httpd's own note of the process.
        let line = stage.wait_log(&format!("the stage spans {path} elsewhere"));
        assert!(line.contains(&format!("[pid {process}")), "{line}");
        assert!(!line.contains("client") && line.contains(" stage: the stage spans"), "{line}");
        // Records of the crate `log` are events, which tracing-log makes of them.
        get("log");
        let line = stage.wait_log(&format!("the stage says {path}"));
        assert!(line.ends_with(&format!(" stage: the stage says {path}")), "{line}");
        assert_eq!(line.contains(&says), path == "stage", "{line}");
        assert!(!stage.error_log().contains("whispers"), "{}", stage.error_log());
    }
}

#[test]
fn a_process_without_descriptors_logs_it_once() {
    let stage = setup("threads=2")
        .allow(&["RUST0040"])
        .with(|builder| builder.wrap(&["prlimit", "--nofile=512"]))
        .start();
    stage.app().wait_ready(1);
    let mut first = stage.send(&run("first", "fill,gate,empty"));
    let process = stage.wait_mark("first");
    let mut second = stage.send(&run("second", ""));
    let line = stage.wait_log("RUST0040");
    assert!(line.contains("Too many open files"), "{line}");
    // It tries every 100 ms.
    let begin = Instant::now();
    stage.wait_for("more attempts", || begin.elapsed() > Duration::from_millis(600));
    assert_eq!(stage.lines("RUST0040"), 1, "{}", stage.error_log());
    stage.gates.open("first");
    assert_eq!(pid(&first.read_response()), process);
    assert_eq!(pid(&second.read_response()), process);
}
