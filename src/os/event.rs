//! Event counters (eventfd) to wake threads and processes by, and signals read from a signalfd.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that can be read from the moment that somebody has rung it until it is cleared.
#[derive(Debug)]
pub struct Event {
    fd: OwnedFd,
}

impl Event {
    /// Makes a new one that nobody has rung, closed on exec.
    ///
    /// # Errors
    ///
    /// The process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { fd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    /// Rings it. Whoever waits wakes, in whichever process.
    pub fn ring(&self) {
        ring(&self.fd);
    }

    /// Clears it: nobody wakes until it is rung again.
    pub fn clear(&self) {
        let _ = self.take();
    }

    /// Clears it, and returns whether somebody had rung it.
    #[must_use]
    pub fn take(&self) -> bool {
        // An error means that there is nothing to read.
        rustix::io::read(&self.fd, &mut [0_u8; 8]).is_ok()
    }

    /// Returns another handle to the same counter, for another owner.
    ///
    /// # Errors
    ///
    /// The process has no descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()? })
    }
}

fn ring(fd: impl AsFd) {
    // A counter that is full wakes all the same.
    let _ = rustix::io::write(fd, &1_u64.to_ne_bytes());
}

impl From<OwnedFd> for Event {
    /// Takes an eventfd that was made elsewhere: inherited, say.
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl From<Event> for OwnedFd {
    fn from(event: Event) -> Self {
        event.fd
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Returns whether a pipe's other end is closed and all that was in it has been read. What is in it
/// is thrown away.
pub(crate) fn is_at_end(pipe: impl AsFd) -> bool {
    let mut thrown_away = [0_u8; 256];
    loop {
        match rustix::io::read(&pipe, &mut thrown_away) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// One record of a signalfd, `struct signalfd_siginfo`, in bytes. The signal's number comes first.
pub(crate) const SIGNAL_RECORD: usize = 128;

/// Reads the signals that wait in `fd`, a signalfd that does not block, or anything that writes the
/// same records.
pub(crate) fn drain_signals(fd: impl AsFd, mut each: impl FnMut(u32)) {
    let mut records = [0_u8; 8 * SIGNAL_RECORD];
    while let Ok(read) = rustix::io::read(&fd, &mut records) {
        for record in records[..read].chunks_exact(SIGNAL_RECORD) {
            let (number, _) = record.split_at(4);
            each(u32::from_ne_bytes([number[0], number[1], number[2], number[3]]));
        }
        if read < records.len() {
            return;
        }
    }
}
