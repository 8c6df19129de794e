//! The descriptor that the MPM waits for in place of a client's socket.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, IntoRawFd as _, OwnedFd, RawFd};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::os::{Awaits, Epoll, Event};

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
    /// Whether [`ALWAYS`] is in it.
    is_pressed: AtomicBool,
}

/// A descriptor that can always be read.
static ALWAYS: LazyLock<Option<Event>> = LazyLock::new(|| {
    let event = Event::new().ok()?;
    event.ring();
    Some(event)
});

impl Doorbell {
    /// # Errors
    ///
    /// Returns an error if no descriptor is left.
    pub(super) fn new(socket: RawFd) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        // SAFETY: P1: the socket is open for as long as the connection, which this thread has.
        let client = unsafe { BorrowedFd::borrow_raw(socket) };
        epoll.add_states(client, Awaits::default())?;
        Ok(Self {
            epoll: ManuallyDrop::new(epoll),
            socket,
            is_lost: AtomicBool::new(false),
            is_pressed: AtomicBool::new(false),
        })
    }

    /// Has the descriptor be readable when the socket comes into such a state. Ends a ring.
    pub(crate) fn arm(&self, awaits: Awaits) -> io::Result<()> {
        if self.is_pressed.load(Ordering::Relaxed)
            && self.is_pressed.swap(false, Ordering::AcqRel)
            && let Some(always) = &*ALWAYS
        {
            let _ = self.epoll.remove(always);
        }
        // SAFETY: P23: the number is compared with the one that was added, and not used else.
        self.epoll.await_states(unsafe { BorrowedFd::borrow_raw(self.socket) }, awaits)
    }

    /// Makes the descriptor readable. Any thread may do so at any time.
    pub(crate) fn ring(&self) {
        // A socket that is full is rung when the client has read.
        let _ = self.arm(Awaits { input: true, room: true, departure: true });
    }

    /// Makes the descriptor readable whatever state the socket is in: also when it is full. It costs
    /// a system call more than a [ring](Self::ring). One thread alone calls it.
    ///
    /// Returns `false` if that is to be tried again: the kernel allows 500 at once, for there are no
    /// more ways from one descriptor to another epoll instance (`path_limits` in fs/eventpoll.c).
    pub(crate) fn press(&self) -> bool {
        if self.is_pressed.load(Ordering::Acquire) {
            return true;
        }
        let Some(always) = &*ALWAYS else { return false };
        let awaits = Awaits { input: true, ..Awaits::default() };
        let is_in = self.epoll.add_states(always, awaits).is_ok();
        if is_in {
            // A visit that comes before this leaves the rest to the next one.
            self.is_pressed.store(true, Ordering::Release);
        }
        is_in
    }

    /// Has the descriptor be readable also when another socket comes into such a state, or is hung
    /// up by its peer. Who closes that socket ends it.
    pub(crate) fn add(&self, socket: impl AsFd, awaits: Awaits) -> io::Result<()> {
        self.epoll.add_states(socket, awaits)
    }

    /// Waits for other states of a socket that was [added](Self::add).
    pub(crate) fn change(&self, socket: impl AsFd, awaits: Awaits) -> io::Result<()> {
        self.epoll.await_states(socket, awaits)
    }

    /// Waits for nothing of a socket that was [added](Self::add).
    pub(crate) fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        self.epoll.remove(socket)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's bound on the doorbells that can be pressed at once is met, not passed over.
    #[test]
    fn a_press_beyond_the_kernel_s_bound_is_to_be_tried_again() {
        const COUNT: usize = 510;
        let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let most = rustix::process::Rlimit { current: limits.maximum, ..limits };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, most).unwrap();
        // Nested, like doorbells in the MPM's pollset.
        let pollset = Epoll::new().unwrap();
        let sockets: Vec<_> = (0..COUNT).map(|_| Event::new().unwrap()).collect();
        let bells: Vec<_> = sockets
            .iter()
            .map(|socket| {
                let bell = Doorbell::new(socket.as_fd().as_raw_fd()).unwrap();
                let awaits = Awaits { input: true, ..Awaits::default() };
                pollset.add_states(bell.epoll.as_fd(), awaits).unwrap();
                bell
            })
            .collect();
        let pressed = bells.iter().filter(|bell| bell.press()).count();
        assert_eq!(pressed, 500);
        assert!(bells[0].press(), "it is pressed");
        let last = &bells[COUNT - 1];
        assert!(!last.press());
        bells[0].arm(Awaits::default()).unwrap();
        assert!(last.press(), "one of the others has had its visit");
    }
}
