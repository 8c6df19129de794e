//! Restarts and graceful ends, and knowing when they are over.

use std::path::PathBuf;
use std::time::Instant;

use rustix::process::Signal;

use crate::proc::TcpSocket;
use crate::server::Server;
use crate::{log, proc, process, wait};

impl Server {
    /// Restarts gracefully (SIGUSR1) and waits until only the new generation takes connections;
    /// children that still answer a request stay until it is done.
    ///
    /// If the kernel does not let the old children's descriptors be read (a container without
    /// `CAP_SYS_PTRACE`), it waits for the new generation only.
    ///
    /// # Panics
    /// Panics when httpd ends instead, as it does with a broken configuration, or the restart takes
    /// too long.
    #[track_caller]
    pub fn graceful(&self) {
        self.renew(Signal::USR1);
    }

    /// Restarts at once (SIGHUP), cutting what is being answered, and waits until the new
    /// generation takes connections.
    ///
    /// # Panics
    /// Panics when httpd ends instead, as it does with a broken configuration, or the restart takes
    /// too long.
    #[track_caller]
    pub fn restart(&self) {
        self.renew(Signal::HUP);
    }

    /// Tells the children to finish, and waits until they have. No client may keep a connection.
    pub(crate) fn drain(&self) {
        let listeners = self.listeners();
        let is_served = |socket: &TcpSocket| {
            !socket.listens && listeners.iter().any(|listener| listener.port == socket.port)
        };
        let is_quiet = || !proc::tcp_sockets().unwrap_or_default().iter().any(is_served);
        // The client has gone, as a rule, and a child is about to see it.
        let end = Instant::now() + self.patience() / 600;
        if wait::until(end, || is_quiet().then_some(())).is_none() {
            return;
        }
        let mut serving = self.children_pids();
        // Others, as mod_cgid's daemon, end with the parent.
        serving.retain(|&pid| accepts(pid, &listeners) != Some(false));
        if process::signal(self.pid(), Signal::WINCH).is_ok() {
            let end = Instant::now() + self.patience() / 60;
            wait::until(end, || (!serving.iter().any(|&pid| proc::is_alive(pid))).then_some(()));
        }
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
                let is_over = !old.iter().any(|&pid| accepts(pid, &listeners) == Some(true));
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

    /// Returns the listening sockets of the parent, which its children share.
    fn listeners(&self) -> Vec<TcpSocket> {
        let own = proc::fds(self.pid()).unwrap_or_default();
        let mut sockets = proc::tcp_sockets().unwrap_or_default();
        sockets.retain(|socket| socket.listens && own.contains(&socket.name));
        sockets
    }
}

/// Whether the process still holds one of `listeners`: a child closes them when it should finish.
/// `None` where the kernel does not tell.
fn accepts(pid: i32, listeners: &[TcpSocket]) -> Option<bool> {
    let is_listener = |name: &PathBuf| listeners.iter().any(|listener| listener.name == *name);
    let fds = proc::fds(pid);
    if proc::is_alive(pid) { fds.ok().map(|fds| fds.iter().any(is_listener)) } else { Some(false) }
}
