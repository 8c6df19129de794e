//! A private machine for a test that changes the system: this one, with layers over `/etc`, `/usr`
//! and `/var` that end with the test.
//!
//! The test calls itself again in a mount namespace, which needs root and the right to mount.
//! Without them, a machine with `CI` set is used as it is; elsewhere the test is skipped with a
//! message.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Set where the test may change the system.
const INSIDE: &str = "CARGO_HTTPD_TEST_MACHINE";

/// Runs `test`, which is named `name` in this program, where it may change the system.
#[allow(clippy::print_stderr, reason = "what was left out is said in the test's output")]
pub(crate) fn of_its_own(name: &str, test: impl FnOnce()) {
    static ONE: Mutex<()> = Mutex::new(());
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    if !Path::new("/etc/debian_version").exists() || !rustix::process::geteuid().is_root() {
        eprintln!("left out: {name} needs Debian or Ubuntu, and root");
        return;
    }
    let _one_at_a_time = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let layers = PathBuf::from(format!("/tmp/cargo-httpd-machine-{}", std::process::id()));
    let has_layers = have_layers(&layers);
    if !has_layers && std::env::var_os("CI").is_none() {
        eprintln!("left out: {name} needs the right to mount overlays, or CI in the environment");
        return;
    }
    let program = std::env::current_exe().unwrap();
    let mut again = Command::new(&program);
    if has_layers {
        again = layered(&layers);
        again.arg(&program);
    }
    again.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").stdin(Stdio::null());
    let status = again.status().unwrap();
    let _ = fs::remove_dir(&layers);
    assert!(status.success(), "{name} failed, as said above: {status}");
}

/// Returns whether the layers can be mounted.
fn have_layers(layers: &Path) -> bool {
    fs::create_dir_all(layers).unwrap();
    let tried = layered(layers).arg("true").stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// Returns the start of a call of a program above the layers.
fn layered(layers: &Path) -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", LAYERS, "sh"]).arg(layers);
    unshare
}

/// Mounts the layers below `$1` and runs the rest. Services are not started, stopped or reloaded.
const LAYERS: &str = r#"
set -e
layers=$1; shift
mount -t tmpfs tmpfs "$layers"
for folder in etc usr var; do
    mkdir "$layers/$folder" "$layers/$folder.work"
    mount -t overlay overlay -o \
        "lowerdir=/$folder,upperdir=$layers/$folder,workdir=$layers/$folder.work" "/$folder"
done
mount -t tmpfs tmpfs /run
mkdir /run/lock
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
exec "$@"
"#;

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

/// Returns the content of these folders.
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
