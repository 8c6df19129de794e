//! Signals as something to wait for: a descriptor that can be read when one has come.
//!
//! No thread blocks them. A program that an application starts would inherit that, while it has the
//! default action of what is caught. Linux gives a signal to the main thread first.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use signal_hook::consts::{
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
};

/// Signals that are caught from the time that this is made.
#[derive(Debug)]
pub(super) struct Signals {
    pipe: UnixStream,
    flags: Vec<(i32, Arc<AtomicBool>)>,
}

impl Signals {
    /// Catches these.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no descriptors left.
    pub(super) fn catch(signals: &[i32]) -> io::Result<Self> {
        let (pipe, write) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let mut flags = Vec::with_capacity(signals.len());
        for &signal in signals {
            let flag = Arc::new(AtomicBool::new(false));
            // The flag first, so that it is there when the pipe wakes.
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
            flags.push((signal, flag));
        }
        Ok(Self { pipe, flags })
    }

    /// Those that have come since it was asked last, each once.
    pub(super) fn take(&self) -> Vec<i32> {
        let mut thrown_away = [0; 64];
        while matches!((&self.pipe).read(&mut thrown_away), Ok(1..)) {}
        let come = self.flags.iter().filter(|(_, flag)| flag.swap(false, Ordering::AcqRel));
        come.map(|(signal, _)| *signal).collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
