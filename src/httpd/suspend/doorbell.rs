//! The descriptor that the MPM waits for in place of a client's socket.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, IntoRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::os::{Awaits, Epoll};

/// An epoll instance that holds the client's socket alone. It can be read when the socket is in a
/// state that it is armed for, and from a ring on.
///
/// One descriptor serves for the waker, for the client's departure, for input and for room: nobody
/// reads events from it, the MPM only sees that there are some. A ring that comes late finds
/// another epoll instance, or none, under the number of a closed socket, and has no effect.
#[derive(Debug)]
pub(crate) struct Doorbell {
    epoll: ManuallyDrop<Epoll>,
    socket: RawFd,
    /// Whether httpd has closed the descriptor.
    is_lost: AtomicBool,
}

impl Doorbell {
    /// # Errors
    ///
    /// Returns an error if no descriptor is left.
    pub(super) fn new(socket: RawFd) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        // SAFETY: P1: the socket is open for as long as the connection, which this thread has.
        epoll.add_silent(unsafe { BorrowedFd::borrow_raw(socket) })?;
        Ok(Self { epoll: ManuallyDrop::new(epoll), socket, is_lost: AtomicBool::new(false) })
    }

    /// Has the descriptor be readable when the socket comes into such a state. Ends a ring.
    pub(crate) fn arm(&self, awaits: Awaits) -> io::Result<()> {
        // SAFETY: P23: the number is compared with the one that was added, and not used else.
        self.epoll.await_state(unsafe { BorrowedFd::borrow_raw(self.socket) }, awaits)
    }

    /// Makes the descriptor readable. Any thread may do so at any time.
    pub(crate) fn ring(&self) {
        // A socket that is full is rung when the client has read.
        let _ = self.arm(Awaits { input: true, room: true, departure: true });
    }

    /// Returns the number of the descriptor.
    pub(super) fn descriptor(&self) -> RawFd {
        self.epoll.as_fd().as_raw_fd()
    }

    /// Takes note that httpd has closed the descriptor, which may be another's now.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        // SAFETY: the value is not used after this.
        let epoll: OwnedFd = unsafe { ManuallyDrop::take(&mut self.epoll) }.into();
        if *self.is_lost.get_mut() {
            let _ = epoll.into_raw_fd();
        }
    }
}
