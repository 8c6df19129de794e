//! The sockets of a group's processes: their names, and what becomes of requests that do not reach
//! them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use httpd_testkit::{Server, mpm_tests};

use crate::support::{self, Stage, pid, setup};

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The group's name has the greatest length, and its path is too long for a socket.
#[test]
fn the_longest_name_of_a_group() {
    let name = "n".repeat(64);
    let server = Server::builder()
        .module("mod_rust.so")
        .conf(&format!("RustDaemonProcess {name} processes=2 threads=1"))
        .conf(&format!("RustAppAlias /x hello process-group={name}"))
        .start();
    assert_eq!(server.group(&name).wait_ready(2).len(), 2);
    assert_eq!(server.get("/x").status, 200);
    server.graceful();
    server.group(&name).wait_ready(2);
    assert_eq!(server.get("/x").status, 200);
}

/// Returns the response to a request for a process whose socket `change` has changed. Its time-out
/// is far longer than a test.
fn unreachable(change: impl Fn(&Stage)) -> String {
    let stage = setup("processes=2 threads=1 connect-timeout=10min").allow(&["RUST0022"]).start();
    stage.app().wait_ready(2);
    change(&stage);
    let response = stage.get(&support::run("any", ""));
    assert_eq!(response.status, 503, "{response:?}");
    assert!(response.header("retry-after").is_some(), "{response:?}");
    let line = stage.wait_log("RUST0022");
    assert!(line.contains("cannot connect to daemon process "), "{line}");
    assert!(line.contains(&format!("\"{}/run/mod_stage.", stage.root().display())), "{line}");
    line
}

#[test]
fn a_removed_socket_is_reported_at_once() {
    let line = unreachable(|stage| {
        for (_, path) in stage.app().sockets() {
            fs::remove_file(path).unwrap();
        }
    });
    assert!(line.contains(": No such file or directory"), "{line}");
}

#[test]
fn a_forbidden_socket_is_reported_at_once() {
    let line = unreachable(|stage| {
        for (_, path) in stage.app().sockets() {
            fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        }
    });
    assert!(line.contains(" as user id ") && line.contains(": Permission denied"), "{line}");
}

#[test]
fn one_socket_that_is_gone_leaves_the_others() {
    let stage = setup("processes=2 threads=1").start();
    let ready = stage.app().wait_ready(2);
    let gone = stage.app().processes().iter().find(|process| process.pid == ready[0]).unwrap().slot;
    for (slot, path) in stage.app().sockets() {
        if slot == gone {
            fs::remove_file(path).unwrap();
        }
    }
    for _ in 0..4 {
        assert_eq!(stage.pid_of_answer(), ready[1]);
    }
}

mpm_tests! {
    fn children_with_a_root_of_their_own(mpm) {
        if is_root() {
            let stage = setup("threads=1")
                .mpm(mpm)
                .with(|builder| builder.conf("ChrootDir {root}"))
                .start();
            let process = stage.app().wait_ready(1)[0];
            let response = stage.get(&support::run("any", ""));
            assert_eq!(pid(&response), process);
            // The group's processes have httpd's root, unless `chroot` says otherwise.
            assert_eq!(stage.get("/stage/proc?file=root").text(), "/");
            stage.graceful();
            assert_ne!(stage.pid_of_answer(), process);
        }
    }
}
