//! A project of a user's, in a folder of its own, and the tool called in it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Long enough for a build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// A package with one module.
pub(crate) struct Project {
    path: PathBuf,
    target: PathBuf,
    /// The folder is this one's own.
    is_temporary: bool,
}

impl Project {
    /// This workspace, whose module is `mod_rust.so`, with what of it has been built for the tests.
    pub(crate) fn of_workspace() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        // target/debug/deps/<this program>
        let program = std::env::current_exe().unwrap();
        let target = program.ancestors().nth(3).unwrap().to_owned();
        Self { path, target, is_temporary: false }
    }

    /// Makes a package whose module is `mod_fixture.so`.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cargo-httpd-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("src")).unwrap();
        // cargo and the watcher speak of real paths.
        let path = path.canonicalize().unwrap();
        let target = path.join("target");
        let project = Self { path, target, is_temporary: true };
        project.write(
            "Cargo.toml",
            "[package]\nname = \"fixture\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [lib]\ncrate-type = [\"cdylib\"]\n\n[workspace]\n",
        );
        project.write("src/lib.rs", include_str!("../fixture/lib.rs"));
        project.write("httpd.conf", include_str!("../fixture/httpd.conf"));
        project
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let folder = self.path.join(name).parent().unwrap().to_owned();
        fs::create_dir_all(folder).unwrap();
        fs::write(self.path.join(name), text).unwrap();
    }

    pub(crate) fn replace(&self, name: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path.join(name)).unwrap();
        assert!(text.contains(old), "{name} has no {old}");
        self.write(name, &text.replace(old, new));
    }

    /// Returns `cargo httpd ARGS` in the project's folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-httpd"));
        command.arg("httpd").args(args).current_dir(&self.path).stdin(Stdio::null());
        command.env("CARGO_TARGET_DIR", &self.target);
        command
    }

    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Starts `cargo httpd run` with a free port and `args`, and waits until it serves.
    pub(crate) fn run(&self, args: &[&str]) -> Running {
        Running::start(self.command(&[&["run", "--debug", "--port", "0"], args].concat()))
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if self.is_temporary {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// `cargo httpd run`, serving.
pub(crate) struct Running {
    child: Child,
    stderr: Receiver<String>,
    stdout: Receiver<String>,
    said: Vec<String>,
    pub(crate) port: u16,
    /// The URL path that it names.
    pub(crate) path: String,
    /// The process id of httpd's parent.
    pub(crate) httpd: i32,
}

impl Running {
    /// Starts a `cargo httpd run`, and waits until it serves.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = lines(child.stderr.take().unwrap());
        let stdout = lines(child.stdout.take().unwrap());
        let mut running = Self {
            child,
            stderr,
            stdout,
            said: Vec::new(),
            port: 0,
            path: String::new(),
            httpd: 0,
        };
        let process = running.wait_for("httpd runs as process ");
        running.httpd = process.split(' ').next().unwrap().parse().unwrap();
        let address = running.wait_for("Serving http://localhost:");
        let (port, path) = address.split_once(' ').unwrap().0.split_once('/').unwrap();
        running.port = port.parse().unwrap();
        running.path = format!("/{path}");
        running
    }

    /// Waits for a line on standard error with `text`, and returns what follows it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.stderr.recv_timeout(left) else {
                panic!("no `{text}` in:\n{}", self.said.join("\n"))
            };
            self.said.push(line.clone());
            if let Some((_, after)) = line.split_once(text) {
                return after.to_owned();
            }
        }
    }

    /// Waits for a line on standard output, where the access log goes.
    pub(crate) fn access_log_line(&mut self) -> String {
        self.stdout.recv_timeout(PATIENCE).unwrap()
    }

    /// Returns the body of the answer to GET `path`.
    pub(crate) fn get(&self, path: &str) -> String {
        get(self.port, path)
    }

    /// Asks again and again until the body of `path` is `wanted`: a graceful restart takes its
    /// time.
    pub(crate) fn get_until(&self, path: &str, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.get(path) != wanted {
            assert!(Instant::now() < deadline, "{path} never answers `{wanted}`");
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.child.wait().unwrap();
        self.said.extend(self.stderr.iter());
        (status, std::mem::take(&mut self.said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed half-way: the tool stops its httpd.
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// Returns the body of the answer to GET `path` on this port.
pub(crate) fn get(port: u16, path: &str) -> String {
    let mut connection = TcpStream::connect(("localhost", port)).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            if line.map(|line| sender.send(line)).is_err() {
                return;
            }
        }
    });
    receiver
}
