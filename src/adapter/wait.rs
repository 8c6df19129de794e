//! How the thread that has a request waits for a waker, for its client, or for both.

use std::os::fd::{AsFd as _, BorrowedFd, RawFd};
use std::time::Duration;

use crate::gateway::{Interest, Woken};
use crate::server::os::{self, Event};
use crate::server::place;

/// How often a connection that has no socket of its own (an HTTP/2 stream) is looked after: nothing
/// else tells that its client has gone.
const LOOK_AFTER: Duration = Duration::from_millis(250);

/// Waits for the waker; with a socket, also for what `interest` names, at most `timeout`.
pub(super) fn park(socket: Option<RawFd>, interest: Interest, timeout: Duration) -> Woken {
    if interest == Interest::Input && socket.is_none() {
        return Woken::MustBlock;
    }
    place::park_with(|event| {
        if let Some(socket) = socket {
            return wait(socket, event, interest, timeout);
        }
        if os::poll(event, (true, false), None, Some(LOOK_AFTER)).is_ok() {
            // Also one that rang for an earlier wait, after that had ended: it must not ring on.
            event.clear();
        }
        Woken::Called
    })
}

fn wait(socket: RawFd, event: &Event, interest: Interest, timeout: Duration) -> Woken {
    let input = interest == Interest::Input;
    let longest = input.then_some(timeout);
    // SAFETY: P1: httpd keeps the client's socket open for as long as it has the request.
    let socket = unsafe { BorrowedFd::borrow_raw(socket) };
    let waker = Some(event.as_fd());
    let Ok((client, is_called)) = os::poll(socket, (input, false), waker, longest) else {
        return Woken::Gone;
    };
    if is_called {
        // As above.
        event.clear();
    }
    if input && (client.readable || client.hung_up) {
        Woken::Input
    } else if client.hung_up {
        Woken::Gone
    } else if input && !is_called {
        // Reading will find nothing and say that the time is up.
        Woken::MustBlock
    } else {
        Woken::Called
    }
}
