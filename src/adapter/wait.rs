//! How the thread that has a request waits for a waker, for its client, or for both.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::gateway::{Interest, Woken};

/// How often a connection that has no socket of its own (an HTTP/2 stream) is looked after, in
/// milliseconds: nothing else tells that its client has gone.
const LOOK_AFTER_MS: i32 = 250;

const EMPTY: u8 = 0;
const PARKED: u8 = 1;
const NOTIFIED: u8 = 2;

/// A thread's parking place. It is made once for a thread and outlives what it waits for: a call
/// that comes late wakes the thread once for nothing.
struct Place {
    state: AtomicU8,
    event: Option<OwnedFd>,
}

thread_local! {
    static PLACE: Arc<Place> = Arc::new(Place::new());
}

/// The waker of this thread.
pub(super) fn waker() -> Waker {
    PLACE.with(|place| Waker::from(Arc::clone(place)))
}

/// Waits for the waker; with a socket, also for what `interest` names, at most `timeout`.
pub(super) fn park(socket: Option<RawFd>, interest: Interest, timeout: Duration) -> Woken {
    PLACE.with(|place| place.park(socket, interest, timeout))
}

impl Place {
    fn new() -> Self {
        // SAFETY: it takes a count and flags.
        let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        // SAFETY: a new descriptor that nobody else has.
        let event = (event >= 0).then(|| unsafe { OwnedFd::from_raw_fd(event) });
        Self { state: AtomicU8::new(EMPTY), event }
    }

    fn park(&self, socket: Option<RawFd>, interest: Interest, timeout: Duration) -> Woken {
        if interest == Interest::Input && socket.is_none() {
            return Woken::MustBlock;
        }
        if self.state.compare_exchange(EMPTY, PARKED, Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            self.state.store(EMPTY, Ordering::Release);
            return Woken::Called;
        }
        let woken = self.poll(socket, interest, timeout);
        if self.state.swap(EMPTY, Ordering::AcqRel) == NOTIFIED {
            return Woken::Called;
        }
        woken
    }

    fn poll(&self, socket: Option<RawFd>, interest: Interest, longest: Duration) -> Woken {
        let wanted = if interest == Interest::Input { libc::POLLIN } else { 0 };
        let mut fds = [
            // Without an event (no descriptors left) the time-out below does its work, slowly.
            poll_fd(self.event.as_ref().map_or(-1, |event| event.as_raw_fd()), libc::POLLIN),
            poll_fd(socket.unwrap_or(-1), wanted | libc::POLLRDHUP),
        ];
        let timeout = if interest == Interest::Input {
            i32::try_from(longest.as_millis()).unwrap_or(i32::MAX)
        } else if socket.is_none() || self.event.is_none() {
            LOOK_AFTER_MS
        } else {
            -1
        };
        // SAFETY: the array has as many entries as is said.
        let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) };
        let seen = fds[1].revents;
        if fds[0].revents != 0 {
            // Also one that rang for an earlier wait, after that had ended: it must not ring on.
            self.drain();
        }
        if ready == 0 && interest == Interest::Input {
            // Reading will find nothing and say that the time is up.
            return Woken::MustBlock;
        }
        if interest == Interest::Input && seen != 0 {
            return Woken::Input;
        }
        if seen & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0 {
            return Woken::Gone;
        }
        Woken::Called
    }

    fn drain(&self) {
        if let Some(event) = &self.event {
            let mut count = 0_u64;
            // SAFETY: eight bytes are there to write to.
            unsafe { libc::read(event.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
        }
    }
}

impl Wake for Place {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(NOTIFIED, Ordering::AcqRel) == PARKED
            && let Some(event) = &self.event
        {
            let one = 1_u64;
            // SAFETY: eight bytes are there to read from.
            unsafe { libc::write(event.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        }
    }
}

const fn poll_fd(fd: RawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}
