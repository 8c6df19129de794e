//! The inheritance of a daemon process from the process that forked it.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::gateway::{Application, Level, Result};
use crate::process_group::{GroupOptions, Reason, Scoreboard};
use crate::protocol::bridge::{Pairs, TOKEN};

/// The applications of a daemon process.
pub trait Applications: Send + Sync {
    /// The application of this index, built with these options: the same one for the same options.
    ///
    /// # Errors
    ///
    /// There is no such application, or it cannot be built.
    fn find(&self, index: u32, options: Pairs<'_>) -> Result<Arc<dyn Application>>;
}

/// Builds the applications, or says why that cannot be done.
pub type BuildFn = dyn FnOnce() -> Result<Arc<dyn Applications>, String> + Send;

/// Writes a line that belongs to no request.
pub type LogFn = dyn Fn(Level, &str) + Send + Sync;

/// Ends the process at once. It is called when the thread in [`run`](super::run()) cannot: it is
/// still building applications.
pub type AbandonFn = dyn Fn(Reason) + Send + Sync;

/// Everything that a daemon process has when it begins its life.
pub struct Daemon {
    /// The slot's listening Unix socket.
    pub listener: OwnedFd,
    /// The read end of a pipe. At its end nobody can send requests any more.
    pub lifeline: OwnedFd,
    /// An eventfd that all processes of the group share; it is rung when one changes its state.
    /// Nobody reads it.
    pub doorbell: OwnedFd,
    /// The signals TERM, INT, USR1 and XCPU that have come, as records of a signalfd.
    pub signals: Option<OwnedFd>,
    /// The group's options.
    pub options: GroupOptions,
    /// The group's scoreboard.
    pub board: Scoreboard,
    /// The process's slot there.
    pub slot: usize,
    /// Which of the slot's processes it is.
    pub incarnation: u32,
    /// The group's token.
    pub token: [u8; TOKEN],
    /// User ids that may connect.
    pub peers: Vec<u32>,
    /// User ids that may send CONTROL.
    pub controllers: Vec<u32>,
    /// Builds the applications, in the thread of [`run`](super::run()), when the process is needed.
    pub build: Box<BuildFn>,
    /// Lines that belong to no request.
    pub log: Arc<LogFn>,
    /// Ends the process while it builds.
    pub abandon: Arc<AbandonFn>,
}

impl fmt::Debug for Daemon {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon")
            .field("group", &self.options.name)
            .field("slot", &self.slot)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

/// Returns a function that says of an error what could not be done.
pub(super) fn broken(what: &'static str) -> impl Fn(io::Error) -> Ended {
    move |error| Ended::Broken(io::Error::new(error.kind(), format!("cannot {what}: {error}")))
}

/// The end of a daemon process.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ended {
    /// It was never needed, or not any more before it served.
    Unused(Reason),
    /// Its applications could not be built in time, or at all.
    NotBuilt(String),
    /// It served and is done.
    Served {
        /// Why it ended.
        reason: Reason,
        /// Threads that are still at their requests. Whoever ends the process ends them with it.
        abandoned: usize,
    },
    /// The system did not give what it needs. The error says what that was.
    Broken(io::Error),
}
