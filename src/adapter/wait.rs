//! The wait of a thread that has a request: for a waker, for its client, or for both.

use std::os::fd::{AsFd as _, BorrowedFd, RawFd};
use std::time::Duration;

use crate::gateway::{Interest, Woken};
use crate::os::{self, Event};
use crate::server::workers::parker;

/// The interval at which a connection without a socket of its own (an HTTP/2 stream) is checked.
/// Nothing else tells that its client has gone.
const LOOK_AFTER: Duration = Duration::from_millis(250);

/// The interval at which a thread that waits with an endless stream looks whether the process ends.
const LOOK_FOR_THE_END: Duration = Duration::from_secs(1);

/// The bounds of [`pause`].
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Returns how long to wait before the body of a connection without a socket is read again, when
/// its client has sent nothing for `silent`. A piece of it is late by half of that time at most.
pub(crate) fn pause(silent: Duration) -> Duration {
    (silent / 2).clamp(PAUSES.0, PAUSES.1)
}

/// A client, as its thread waits for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) socket: Option<RawFd>,
    /// Whether it may have shut down its sending side, and still wants an answer.
    pub(super) may_half_close: bool,
    /// Whether to come back now and then.
    pub(super) is_looked_after: bool,
}

/// Waits for the waker; with a socket, also for what `interest` names, at most `timeout`. Without a
/// socket it comes back after a pause for a look at the input, of which nothing has come for
/// `silent`.
pub(super) fn park(
    client: Client,
    interest: Interest,
    timeout: Duration,
    silent: Duration,
) -> Woken {
    let socket = client.socket;
    let input = interest == Interest::Input;
    if input && socket.is_none() && silent >= timeout {
        // Reading will find nothing and say that the time is up.
        return Woken::MustBlock;
    }
    parker::park_with(|event| {
        if let Some(socket) = socket {
            return wait(socket, client, event, interest, timeout);
        }
        let longest = if input { pause(silent).min(timeout - silent) } else { LOOK_AFTER };
        let is_called = os::poll(event, (true, false), None, Some(longest))
            .is_ok_and(|(polled, _)| polled.readable);
        if is_called {
            // Also one that rang for an earlier wait, after that had ended: it must not ring on.
            event.clear();
        }
        if input && !is_called { Woken::Input } else { Woken::Called }
    })
}

fn wait(
    socket: RawFd,
    client: Client,
    event: &Event,
    interest: Interest,
    timeout: Duration,
) -> Woken {
    let input = interest == Interest::Input;
    let mut longest = input.then_some(timeout);
    if client.is_looked_after {
        longest = Some(longest.unwrap_or(LOOK_FOR_THE_END).min(LOOK_FOR_THE_END));
    }
    let poll = if client.may_half_close { os::poll_open } else { os::poll };
    // SAFETY: P1: httpd keeps the client's socket open for as long as it has the request.
    let socket = unsafe { BorrowedFd::borrow_raw(socket) };
    let waker = Some(event.as_fd());
    let Ok((client, is_called)) = poll(socket, (input, false), waker, longest) else {
        return Woken::Gone;
    };
    if is_called {
        // The event must not ring on.
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
