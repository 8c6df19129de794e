//! The process of a server: started so that it cannot outlive the test, ended by its id.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{proc, wait};

/// A child with a session and process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub(crate) struct Process {
    /// The name in messages: `httpd`.
    name: &'static str,
    child: Child,
    ended: Option<ExitStatus>,
}

/// The end of a process that was told to stop.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: ExitStatus,
    /// The faults that were seen.
    pub(crate) problems: Vec<String>,
}

impl Process {
    /// Starts `command`, which messages call `name`. It gets SIGTERM when this whole process dies,
    /// however that happens.
    pub(crate) fn spawn(name: &'static str, command: Command) -> io::Result<Self> {
        let (answer, answered) = mpsc::sync_channel(1);
        spawner().send((command, answer)).map_err(io::Error::other)?;
        let child = answered.recv().map_err(io::Error::other)??;
        Ok(Self { name, child, ended: None })
    }

    /// Returns its id, which is that of its group and session too.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    /// Returns the exit status, if the process has ended.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// Sends SIGTERM to `pid`, itself or the server that it runs, and waits until the whole group
    /// has gone; what has not after `patience` is killed.
    pub(crate) fn terminate(&mut self, pid: i32, patience: Duration) -> io::Result<End> {
        let (name, mut problems) = (self.name, Vec::new());
        let end = Instant::now() + patience;
        let mut next = Instant::now();
        let ended = wait::until(end, || {
            let ended = self.try_wait().transpose();
            if ended.is_none() && Instant::now() >= next {
                // Again and again: an httpd before 2.4.49 overlooks one that comes while it begins to
                // stop gracefully. That it has just ended is found out above.
                let _ = signal(pid, Signal::TERM);
                next += Duration::from_millis(500);
            }
            ended
        });
        let status = match ended {
            Some(status) => status?,
            None => {
                problems.push(format!("{name} did not end within {patience:?} of SIGTERM"));
                self.kill_all();
                let status = self.child.wait()?;
                self.ended = Some(status);
                status
            }
        };
        let session = self.pid();
        // Descendants end once they see that it has gone. Some of them, as daemon processes, have a
        // process group of their own.
        let patience = patience / 4;
        let end = Instant::now() + patience;
        if wait::until(end, || is_session_empty(session).then_some(())).is_none() {
            let left = proc::in_session(session)?.into_iter();
            let left: Vec<_> = left
                .map(|pid| format!("{pid} ({})", proc::title(pid).unwrap_or_default()))
                .collect();
            problems.push(format!("left behind by {name} after {patience:?}: {}", left.join(", ")));
            self.kill_all();
        }
        Ok(End { status, problems })
    }

    fn kill_all(&self) {
        if let Some(group) = Pid::from_raw(self.pid()) {
            // It fails only where nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
        for pid in proc::in_session(self.pid()).unwrap_or_default() {
            let _ = signal(pid, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Once it was waited for, its id may belong to somebody else.
        if self.ended.is_none() {
            self.kill_all();
            let _ = self.child.wait();
        }
    }
}

/// Sends `signal` to the process `pid`.
pub(crate) fn signal(pid: i32, signal: Signal) -> io::Result<()> {
    let pid = Pid::from_raw(pid).filter(|pid| pid.as_raw_nonzero().get() > 1);
    let pid = pid.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no process id"))?;
    Ok(kill_process(pid, signal)?)
}

fn is_session_empty(session: i32) -> bool {
    proc::in_session(session).is_ok_and(|pids| pids.is_empty())
}

type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

/// Returns the thread that starts every process, and never ends.
///
/// The kernel sends the death signal when the *thread* that started a process ends, not its
/// process; the threads of tests come and go.
fn spawner() -> mpsc::Sender<Order> {
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let start = || {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::Builder::new()
            .name("httpd-testkit spawner".into())
            .spawn(move || {
                for (mut command, answer) in inbox {
                    // A test that has gone since does not want it any more; the child is killed.
                    if let Err(mpsc::SendError(Ok(child))) =
                        answer.send(spawn_guarded(&mut command))
                    {
                        drop(Process { name: "a process", child, ended: None });
                    }
                }
            })
            .expect("a thread");
        orders
    };
    SPAWNER.get_or_init(start).clone()
}

fn spawn_guarded(command: &mut Command) -> io::Result<Child> {
    let parent = rustix::process::getpid();
    let prepare = move || {
        rustix::process::setsid()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
        // The parent may have died before it was asked for.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec it makes three system calls and touches neither the heap nor a
    // lock.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}
