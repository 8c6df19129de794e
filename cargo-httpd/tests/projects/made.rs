//! A project that `cargo httpd new` made, and the tool called in it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::common::{Running, text};

/// The kit's target folder is not used: `cargo httpd test` clears the modules there.
pub(crate) const TARGET: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/projects");

/// A project in a folder of its own, which no other test uses meanwhile.
pub(crate) struct Made {
    path: PathBuf,
    _one_at_a_time: MutexGuard<'static, ()>,
}

impl Made {
    /// Runs `cargo httpd new NAME ARGS`. The folder is the same in every run, because cargo keeps
    /// its output by path. So the target folder does not grow.
    pub(crate) fn new(name: &str, args: &[&str]) -> Self {
        let made = Self::empty(name);
        let base = base();
        fs::remove_dir(made.path()).unwrap();
        let output = tool(&base).arg("new").arg(name).args(args).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        for file in text(&output.stdout).lines() {
            assert!(base.join(file).is_file(), "{file} was not made");
        }
        made
    }

    /// An empty folder.
    pub(crate) fn empty(name: &str) -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let one_at_a_time = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let base = base();
        let _ = fs::remove_dir_all(base.join(name));
        fs::create_dir_all(base.join(name)).unwrap();
        let path = base.canonicalize().unwrap().join(name);
        Self { path, _one_at_a_time: one_at_a_time }
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let file = self.path.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns `cargo httpd ARGS` in the project's folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = tool(&self.path);
        command.args(args);
        command
    }

    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Calls the tool, which must succeed, and returns what it wrote to standard output.
    #[track_caller]
    pub(crate) fn call(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let said = text(&output.stdout);
        assert!(output.status.success(), "{args:?}: {said}{}", text(&output.stderr));
        said
    }

    /// Calls the tool, which must fail, and returns what it wrote to standard error.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}{said}", text(&output.stdout));
        said
    }

    /// Starts `cargo httpd run` with a free port and `args`, and waits until it serves.
    pub(crate) fn run(&self, args: &[&str]) -> Running {
        Running::start(self.command(&[&["run", "--debug", "--port", "0"], args].concat()))
    }

    pub(crate) fn replace(&self, name: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path.join(name)).unwrap();
        assert!(text.contains(old), "{name} has no {old}");
        fs::write(self.path.join(name), text.replace(old, new)).unwrap();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Returns `cargo httpd` in a folder, with the shared target folder. What only another build or a
/// debugger would use is left out.
pub(crate) fn tool(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-httpd"));
    command.arg("httpd").current_dir(folder).stdin(Stdio::null());
    command.env("CARGO_TARGET_DIR", TARGET);
    command.env("CARGO_INCREMENTAL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}

/// Returns a folder of this checkout's outside of every repository.
pub(crate) fn base() -> PathBuf {
    let checkout = TARGET.replace(['/', ' '], "-");
    std::env::temp_dir().join(format!("cargo-httpd-projects{checkout}"))
}

/// Returns a port that nobody uses.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Returns the status and the body of the response to GET `path` on a port of this machine, or
/// `None` without a response.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
