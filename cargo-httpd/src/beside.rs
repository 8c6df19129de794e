//! A step beside other steps: its output is kept, and shown when its turn comes.
//!
//! Such a step compiles for most of its time, while the tests of a real httpd wait.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

/// A program that runs. Dropping it waits for the program's end: nothing is left running.
pub(crate) struct Beside {
    thread: Option<JoinHandle<io::Result<Ran>>>,
}

/// The end of the program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) success: bool,
    /// Standard output and standard error, in their order.
    pub(crate) output: Vec<u8>,
}

impl Beside {
    /// Starts a program.
    ///
    /// # Errors
    /// Fails when it cannot be started.
    pub(crate) fn start(mut command: Command) -> io::Result<Self> {
        let (mut reader, writer) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn()?;
        // The command holds ends to write to: while it lives, the output has no end.
        drop(command);
        let run = move || {
            let mut output = Vec::new();
            let read = reader.read_to_end(&mut output);
            let success = child.wait()?.success();
            read?;
            Ok(Ran { success, output })
        };
        let thread = std::thread::Builder::new().name("beside".into()).spawn(run)?;
        Ok(Self { thread: Some(thread) })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Fails when its output cannot be read.
    pub(crate) fn finish(mut self) -> io::Result<Ran> {
        let thread = self.thread.take().map(JoinHandle::join);
        thread.and_then(Result::ok).ok_or_else(|| io::Error::other("its thread panicked"))?
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_outputs_are_kept_in_their_order() {
        let beside = Beside::start(shell("echo a; echo b >&2; echo c; exit 3")).unwrap();
        let ran = beside.finish().unwrap();
        assert!(!ran.success);
        assert_eq!(ran.output, b"a\nb\nc\n");
        assert!(Beside::start(shell("exit 0")).unwrap().finish().unwrap().success);
    }

    #[test]
    fn the_end_waits_for_the_program() {
        let name = format!("cargo-httpd-beside-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let shown = file.display();
        drop(Beside::start(shell(&format!("sleep 0.1; echo end > {shown}"))).unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "end\n");
        std::fs::remove_file(file).unwrap();
    }
}
