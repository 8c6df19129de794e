//! Restarts, and knowing when they are over.

use std::path::PathBuf;
use std::time::Instant;

use rustix::process::Signal;

use crate::server::Server;
use crate::{log, proc, wait};

impl Server {
    /// Restarts gracefully (SIGUSR1) and waits until only the new generation takes connections;
    /// children that still answer a request stay until it is done.
    ///
    /// Where the kernel does not let the old children's descriptors be read (a container without
    /// `CAP_SYS_PTRACE`), it waits for the new generation only.
    ///
    /// # Panics
    /// When httpd ends instead, as it does with a broken configuration, or the restart takes too long.
    #[track_caller]
    pub fn graceful(&self) {
        self.renew(Signal::USR1);
    }

    /// Restarts at once (SIGHUP), cutting what is being answered, and waits until the new generation
    /// takes connections.
    ///
    /// # Panics
    /// When httpd ends instead, as it does with a broken configuration, or the restart takes too long.
    #[track_caller]
    pub fn restart(&self) {
        self.renew(Signal::HUP);
    }

    #[track_caller]
    fn renew(&self, signal: Signal) {
        let old = self.children_pids();
        let before = log::generations(&self.error_log());
        let listeners = self.listeners();
        self.signal(self.pid(), signal);
        let patience = self.patience() * 3;
        let state = wait::until(Instant::now() + patience, || {
            if log::generations(&self.error_log()) > before {
                let children = self.children_pids();
                let has_new = children.iter().any(|pid| !old.contains(pid));
                let is_over = !old.iter().any(|&pid| accepts(pid, &listeners));
                return (has_new && is_over).then_some(Ok(()));
            }
            self.has_ended().then_some(Err(()))
        });
        match state {
            Some(Ok(())) => {}
            Some(Err(())) => panic!("{}", self.report("httpd ended instead of restarting")),
            None => {
                let headline = format!("the restart is not over after {patience:?}");
                panic!("{}", self.report(&headline));
            }
        }
    }

    /// The listening sockets of the parent, which its children share.
    fn listeners(&self) -> Vec<PathBuf> {
        let listening = proc::listening_sockets().unwrap_or_default();
        let mut own = proc::fds(self.pid()).unwrap_or_default();
        own.retain(|target| listening.contains(target));
        own
    }
}

/// True if the process still holds one of `listeners`: a child closes them when it should finish.
fn accepts(pid: i32, listeners: &[PathBuf]) -> bool {
    proc::is_alive(pid)
        && proc::fds(pid).is_ok_and(|fds| fds.iter().any(|target| listeners.contains(target)))
}
