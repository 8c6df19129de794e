//! Builds ahead of the steps that need them, at the lowest priority.
//!
//! The tests of a real httpd wait for most of their time, so a build beside them is nearly free. A
//! build that fails here says nothing: its step repeats it and shows the errors.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use crate::cargo;

/// A sequence of builds on a thread of its own. Dropping it ends the build under way.
pub(crate) struct Ahead {
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    child: Option<Child>,
    stopped: bool,
}

impl Ahead {
    /// Starts each of these calls of cargo in turn, in the folder `root`.
    pub(crate) fn start(builds: Vec<Command>, root: &Path) -> Self {
        let commands = builds.into_iter().map(|cargo| {
            let mut command = cargo::nice(&cargo, 19);
            command.current_dir(root);
            command
        });
        Self::run(commands.collect())
    }

    /// Waits for the last build.
    pub(crate) fn finish(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn run(commands: Vec<Command>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let run = move || commands.into_iter().for_each(|command| wait(command, &shared));
        // Without a thread nothing is built ahead, and each step builds for itself.
        let thread = std::thread::Builder::new().name("ahead".into()).spawn(run).ok();
        Self { state, thread }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.stopped = true;
        if let Some(child) = &state.child {
            // The thread takes a child before it waits for it, so the number still names this one.
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
        }
        drop(state);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs one command to its end, unless the sequence is stopped.
fn wait(mut command: Command, state: &Mutex<State>) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut guard = lock(state);
    if guard.stopped {
        return;
    }
    let Ok(mut child) = command.spawn() else { return };
    let stdout = child.stdout.take();
    guard.child = Some(child);
    drop(guard);
    // A child that ended keeps its number until it is waited for: `drop` may still signal it.
    if let Some(mut stdout) = stdout {
        let _ = std::io::copy(&mut stdout, &mut std::io::sink());
    }
    let child = lock(state).child.take();
    if let Some(mut child) = child {
        let _ = child.wait();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn one_command_follows_the_other() {
        let file =
            std::env::temp_dir().join(format!("cargo-httpd-sequence-{}", std::process::id()));
        let script = |word| shell(&format!("echo {word} >> {}", file.display()));
        Ahead::run(vec![script("a"), shell("exit 1"), script("b")]).finish();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\nb\n");
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn the_end_ends_the_command_under_way() {
        let start = Instant::now();
        let ahead = Ahead::run(vec![shell("exec sleep 60"), shell("exec sleep 60")]);
        while lock(&ahead.state).child.is_none() {
            std::thread::yield_now();
        }
        drop(ahead);
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
