//! The program under test, as a child of this process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, kill_process, pidfd_open};

/// For what should take no time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that is there as long as this is.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mod_rust-serve-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns the path of the program that cargo built.
pub(crate) fn stage() -> PathBuf {
    httpd_testkit::find_program("gateway-stage")
        .unwrap_or_else(|error| panic!("{error}; cargo build --examples --features servers"))
}

/// Returns the path of the program of a service.
pub(crate) fn asynchronous() -> PathBuf {
    httpd_testkit::find_program("gateway-async")
        .unwrap_or_else(|error| panic!("{error}; cargo build --examples --features servers"))
}

/// Makes a program of `bytes`. Another process writes it: what this one has open to write, a child
/// that another test starts at that moment has too, and then it cannot be run (ETXTBSY).
pub(crate) fn put_program(path: &Path, bytes: &[u8]) {
    let mut command = Command::new("sh");
    command.args(["-c", "cat > \"$0.new\" && chmod 755 \"$0.new\" && mv \"$0.new\" \"$0\""]);
    let mut child = command.arg(path).stdin(Stdio::piped()).spawn().expect("sh");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(bytes).expect("sh reads");
    drop(stdin);
    assert!(child.wait().expect("a status").success());
}

/// A program that runs. Dropping it kills it.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    /// Its standard error so far, up to the text that was waited for.
    pub(crate) seen: Vec<String>,
    stdout: Option<thread::JoinHandle<String>>,
}

/// The result of a finished program.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// Starts the stage and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_at(&stage(), arguments)
    }

    /// Starts the program as [`Self::start`] does, from another path.
    pub(crate) fn start_at(path: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::null());
        let mut program = Self::run(command);
        program.wait_for("ready: ");
        program
    }

    /// Starts a command, and waits for nothing.
    pub(crate) fn run(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("NOTIFY_SOCKET");
        if !command.get_envs().any(|(name, _)| name == "RUST_BACKTRACE") {
            command.env_remove("RUST_BACKTRACE");
        }
        let mut child = command.spawn().expect("the program");
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        thread::spawn(move || {
            for line in stderr.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut stdout = child.stdout.take().expect("a pipe");
        let stdout = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stdout.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, lines, seen: Vec::new(), stdout: Some(stdout) }
    }

    /// Waits for a new line with `needle` in it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, needle: &str) -> String {
        let begun = Instant::now();
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(needle) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with `{needle}` ({error}); {:#?}", self.seen),
            }
        }
    }

    /// The address that it listens at.
    #[track_caller]
    pub(crate) fn address(&self, protocol: &str) -> String {
        let mark = format!("listening: {protocol} ");
        let line = self.seen.iter().find_map(|line| line.split_once(&mark));
        line.unwrap_or_else(|| panic!("no {protocol}: {:#?}", self.seen)).1.to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let pid = Pid::from_child(&self.child);
        let ended = pidfd_open(pid, PidfdFlags::empty()).expect("a process descriptor");
        assert!(is_readable(ended), "it does not end: {:#?}", self.seen);
        let status = self.child.wait().expect("a status");
        let stdout = self.stdout.take().expect("a reader").join().expect("a text");
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("another process holds its standard error")
                }
            }
        }
        Ended { status, stdout, stderr: self.seen.join("\n") }
    }

    /// Has it end, as a service manager does.
    #[track_caller]
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        let ended = self.end();
        assert!(ended.status.success(), "{:?}: {}", ended.status, ended.stderr);
        ended
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
    kill_process(pid, signal).expect("the process is there");
}

/// Returns whether a process ends within a reasonable time.
pub(crate) fn is_gone(pid: u32) -> bool {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => is_readable(descriptor),
        Err(_) => true,
    }
}

fn is_readable(descriptor: OwnedFd) -> bool {
    let mut fds = [PollFd::new(&descriptor, PollFlags::IN)];
    let timeout = PATIENCE.try_into().expect("a timeout");
    poll(&mut fds, Some(&timeout)).is_ok_and(|count| count > 0)
}
