//! The wait of a thread that has a request, for a waker and for its client: a worker thread of a
//! driver's, or through `adapter` a thread of httpd's.

use std::cell::OnceCell;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::gateway::{Interest, Woken};
use crate::os::{self, Event};

const EMPTY: u8 = 0;
const PARKED: u8 = 1;
const NOTIFIED: u8 = 2;

/// A thread's parking place. It is made once for a thread and outlives what it waits for: a call
/// that comes late wakes the thread once for nothing.
struct Parker {
    state: AtomicU8,
    event: Event,
}

thread_local! {
    static PLACE: OnceCell<Arc<Parker>> = const { OnceCell::new() };
}

/// Returns the waker of this thread. Where no descriptor is left for it, that is
/// [`Waker::noop`], which a request cannot wait with; the next request tries again.
pub(crate) fn waker() -> Waker {
    PLACE.with(|place| {
        if place.get().is_none()
            && let Ok(event) = Event::new()
        {
            let _ = place.set(Arc::new(Parker { state: AtomicU8::new(EMPTY), event }));
        }
        place.get().map_or_else(|| Waker::noop().clone(), |place| Waker::from(Arc::clone(place)))
    })
}

/// The state of the peer of a connection, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientState {
    /// A client that sends no more has gone.
    Whole,
    /// It may close its sending side, and still wants an answer.
    #[cfg_attr(
        not(any(feature = "scgi", feature = "uwsgi")),
        expect(dead_code, reason = "the drivers of these have such clients")
    )]
    MayHalfClose,
}

impl ClientState {
    const fn is_gone(self, polled: os::Polled) -> bool {
        match self {
            Self::Whole => polled.hung_up,
            Self::MayHalfClose => polled.closed,
        }
    }
}

/// Waits for the waker, for the client's going, and for what `interest` names, as long as said:
/// then it comes back as if called. `around` is called with what waits, unless there is nothing to
/// wait for.
pub(crate) fn park(
    connection: impl AsFd,
    client: ClientState,
    interest: Interest,
    timeout: Option<Duration>,
    around: impl FnOnce(&mut dyn FnMut() -> Woken) -> Woken,
) -> Woken {
    park_with(|event| around(&mut || wait(event, (connection.as_fd(), client), interest, timeout)))
}

/// Waits for the waker, as `wait` does: it is given the event that the waker rings. It is not
/// called if the waker has been called already, or if this thread has no waker.
pub(crate) fn park_with(wait: impl FnOnce(&Event) -> Woken) -> Woken {
    PLACE.with(|place| place.get().map_or(Woken::Unable, |place| place.park(wait)))
}

impl Parker {
    fn park(&self, wait: impl FnOnce(&Event) -> Woken) -> Woken {
        if self.state.compare_exchange(EMPTY, PARKED, Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            self.state.store(EMPTY, Ordering::Release);
            return Woken::Called;
        }
        let woken = wait(&self.event);
        if self.state.swap(EMPTY, Ordering::AcqRel) == NOTIFIED {
            self.event.clear();
            return Woken::Called;
        }
        woken
    }
}

fn wait(
    event: &Event,
    (socket, client): (BorrowedFd<'_>, ClientState),
    interest: Interest,
    timeout: Option<Duration>,
) -> Woken {
    let read = interest == Interest::Input;
    let waker = Some(event.as_fd());
    let polled = match client {
        ClientState::Whole => os::poll(socket, (read, false), waker, timeout),
        ClientState::MayHalfClose => os::poll_open(socket, (read, false), waker, timeout),
    };
    match polled {
        Ok((_, true)) => {
            // The call may have been late for the wait before.
            event.clear();
            Woken::Called
        }
        Ok((polled, _)) if read && polled.readable => Woken::Input,
        Ok((polled, _)) if client.is_gone(polled) => Woken::Gone,
        Ok(_) => Woken::Called,
        Err(_) => Woken::Gone,
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(NOTIFIED, Ordering::AcqRel) == PARKED {
            self.event.ring();
        }
    }
}
