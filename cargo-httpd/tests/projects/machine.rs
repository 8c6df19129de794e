//! A machine of its own for a test that changes the system: this one, with layers over `/etc`, `/usr`
//! and `/var` that go away with the test.
//!
//! The test calls itself again in a mount namespace. That takes root and the right to mount; where that
//! is missing and `CI` is set the machine is nobody's, and is used as it is; elsewhere the test is left
//! out, and says so.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set where the test may change the system.
const INSIDE: &str = "CARGO_HTTPD_TEST_MACHINE";

/// Runs `test`, which is named `name` in this program, where it may change the system.
#[allow(clippy::print_stderr, reason = "what was left out is said in the test's output")]
pub(crate) fn of_its_own(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    if !Path::new("/etc/debian_version").exists() || !rustix::process::geteuid().is_root() {
        eprintln!("left out: {name} needs Debian or Ubuntu, and root");
        return;
    }
    let layers = PathBuf::from(format!("/tmp/cargo-httpd-machine-{}", std::process::id()));
    fs::create_dir_all(&layers).unwrap();
    let program = std::env::current_exe().unwrap();
    let again = |command: &mut Command| {
        let mut child = command
            .args(["--exact", name, "--nocapture"])
            .env(INSIDE, "1")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        child.wait().unwrap()
    };
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", LAYERS, "sh"]);
    let status = again(unshare.arg(&layers).arg(&program));
    fs::remove_dir(&layers).unwrap();
    match status.code() {
        Some(0) => {}
        Some(NO_LAYERS) if std::env::var_os("CI").is_some() => {
            assert!(again(&mut Command::new(&program)).success(), "{name} failed");
        }
        Some(NO_LAYERS | 1) if !may_mount() => {
            eprintln!("left out: {name} needs the right to mount, or CI set in the environment");
        }
        _ => panic!("{name} failed, as said above: {status}"),
    }
}

/// What [`LAYERS`] ends with when there can be none.
const NO_LAYERS: i32 = 77;

/// Mounts the layers below `$1` and runs the rest. Services are not started, stopped or reloaded.
const LAYERS: &str = r#"
layers=$1; shift
mount -t tmpfs tmpfs "$layers" || exit 77
for folder in etc usr var; do
    mkdir "$layers/$folder" "$layers/$folder.work" || exit 77
    mount -t overlay overlay -o \
        "lowerdir=/$folder,upperdir=$layers/$folder,workdir=$layers/$folder.work" "/$folder" || exit 77
done
mount -t tmpfs tmpfs /run && mkdir /run/lock || exit 77
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d || exit 77
"$@"
"#;

fn may_mount() -> bool {
    let unshare = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    unshare.is_ok_and(|status| status.success())
}

/// Every file and link in some folders, with what is in it.
pub(crate) type Tree = Vec<(PathBuf, String)>;

/// Fails with what differs.
#[track_caller]
pub(crate) fn same(now: Tree, before: &Tree) {
    let lacks = |tree: &Tree, other: &Tree| -> Tree {
        other.iter().filter(|entry| !tree.contains(entry)).cloned().collect()
    };
    let (gone, new) = (lacks(&now, before), lacks(before, &now));
    assert!(gone.is_empty() && new.is_empty(), "gone: {gone:?}; new: {new:?}");
}

/// What these folders hold.
pub(crate) fn tree(folders: &[&Path]) -> Tree {
    let mut found = Vec::new();
    let mut folders: Vec<_> = folders.iter().map(|folder| folder.to_path_buf()).collect();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                found.push((path, format!("link to {}", target.display())));
            } else if path.is_dir() {
                folders.push(path.clone());
                found.push((path, "folder".to_owned()));
            } else {
                let bytes = fs::read(&path).unwrap();
                let hash = bytes.iter().fold(0_u64, |hash, byte| {
                    hash.wrapping_mul(0x100_0000_01b3) ^ u64::from(*byte)
                });
                found.push((path, format!("{} bytes, {hash:x}", bytes.len())));
            }
        }
    }
    found.sort();
    found
}

/// Runs a program, which must succeed, and returns what it printed.
#[track_caller]
pub(crate) fn call(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(output.status.success(), "{program} {args:?}: {}", said.concat());
    said.concat()
}

/// Says something in the output of a test.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
