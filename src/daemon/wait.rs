//! The waits of a request on its way through a process group: for its process, and for its client.

use std::os::fd::{BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use super::group::Group;
use super::phases::PhaseTimes;
use crate::adapter::RequestExchange;
use crate::gateway::{Error, ErrorKind};
use crate::httpd::Request;
use crate::os::{self, Polled};

/// A request on its way to a process group, for one visit of a thread.
pub(super) struct DaemonRequest<'c, 'e, 'r> {
    pub(super) group: &'c Group,
    pub(super) request: &'e Request<'r>,
    pub(super) exchange: &'c RequestExchange<'e, 'r>,
    pub(super) phases: &'c PhaseTimes,
}

impl DaemonRequest<'_, '_, '_> {
    /// Returns the longest time in which the process may send nothing.
    pub(super) fn patience(&self) -> Duration {
        self.group.options.socket_timeout.unwrap_or_else(|| self.request.server().timeout())
    }

    /// Returns the longest time in which the client may take nothing.
    pub(super) fn client_patience(&self) -> Duration {
        self.group.options.response_socket_timeout.unwrap_or_else(|| self.patience())
    }

    /// Returns the failure of a client that took nothing for too long.
    pub(super) fn gave_up(&self) -> Error {
        let timeout = self.client_patience();
        Error::of(
            ErrorKind::ClientGone,
            format!("the client took nothing of the response for {} s", timeout.as_secs_f64()),
        )
    }
}

/// The interval at which a wait on the thread is broken off to check other things. mod_reqtimeout,
/// for one, tells that a client sends too slowly only when it is read from.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The same, in a wait for the process: long enough to cost nothing, and short enough to notice a
/// client that has gone.
const LOOK_FOR_PROCESS: Duration = Duration::from_millis(100);

/// The longest time between two looks at the body of a request that waits without a thread.
const LOOK_FOR_BODY: Duration = Duration::from_secs(5);

/// The time that a request waits on its thread before it gives the thread back. In a wait for the
/// process the connection bounds it.
const MOMENT: Duration = Duration::from_millis(1);

/// The wait of a request that has been sent.
pub(super) const FOR_PROCESS: Wait =
    Wait { bridge: Wanted::INPUT, client: Wanted::NOTHING, longest: None };

/// The wait of one for which the process has no room. The process may be waiting for room itself.
pub(super) const FOR_ROOM: Wait = Wait { bridge: Wanted::BOTH, ..FOR_PROCESS };

/// The states of one socket that are waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) input: bool,
    pub(super) room: bool,
}

impl Wanted {
    pub(super) const NOTHING: Self = Self { input: false, room: false };
    pub(super) const INPUT: Self = Self { input: true, room: false };
    pub(super) const ROOM: Self = Self { input: false, room: true };
    pub(super) const BOTH: Self = Self { input: true, room: true };
}

/// The events that a request waits for, and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// Of the connection to the process.
    pub(super) bridge: Wanted,
    /// Of the client's socket.
    pub(super) client: Wanted,
    /// After this time there is something to do in any case. `None`: the process is to do something,
    /// and looked after when it does not.
    pub(super) longest: Option<Duration>,
}

impl Wait {
    /// Returns whether the process is to do something.
    pub(super) const fn is_for_process(&self) -> bool {
        self.longest.is_none()
    }

    /// Returns the time that a thread spends on it at most.
    pub(super) fn time(self, patience: Patience) -> Duration {
        let most = match patience {
            Patience::None => Duration::ZERO,
            Patience::Moment => MOMENT,
            Patience::Thread if self == FOR_PROCESS => LOOK_FOR_PROCESS,
            Patience::Thread => LOOK_EVERY,
        };
        self.longest.unwrap_or(most).min(most)
    }

    /// Returns the time after which a request without a thread has to be looked at. mod_reqtimeout
    /// tells that a client sends too slowly only when it is read from.
    pub(super) fn for_body(&self, longest: Duration) -> Duration {
        if self.client.input { longest.min(LOOK_FOR_BODY) } else { longest }
    }

    /// Returns a wait for the client to take more.
    pub(super) const fn for_client(bridge: Wanted, longest: Duration) -> Self {
        Self { bridge, client: Wanted::ROOM, longest: Some(longest) }
    }
}

/// The patience of a thread that has a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It has waited without a thread: whether something has come is looked at.
    None,
    /// For a moment, on its thread.
    Moment,
    /// On its thread, until something comes or there is something to check.
    Thread,
}

/// The client as the reader of a response.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Since when the client, for whom a part of the response waits, has taken nothing.
    stalled_since: Option<Instant>,
    /// Its socket has room, as the last wait found.
    pub(super) has_room: bool,
}

impl Reader {
    /// Returns for how long it may take nothing from here on.
    ///
    /// # Errors
    ///
    /// Returns an error if it has taken nothing for too long.
    pub(super) fn time_left(&mut self, on: &DaemonRequest<'_, '_, '_>) -> Result<Duration, Error> {
        // Data from the process is not progress of the client.
        let stalled = self.stalled_since.get_or_insert_with(Instant::now).elapsed();
        let left = on.client_patience().saturating_sub(stalled);
        if left.is_zero() { Err(on.gave_up()) } else { Ok(left) }
    }

    /// Returns whether it takes more now, and counts that as progress.
    pub(super) const fn takes_more(&mut self) -> bool {
        if self.has_room {
            (self.has_room, self.stalled_since) = (false, None);
            return true;
        }
        false
    }

    /// Waits for room.
    ///
    /// # Errors
    ///
    /// Returns an error if the client has shut its side down, and takes nothing.
    pub(super) fn wait(
        &mut self,
        on: &DaemonRequest<'_, '_, '_>,
        bridge: Option<BorrowedFd<'_>>,
        longest: Duration,
    ) -> Result<bool, Error> {
        let Some(socket) = on.request.socket() else { return Ok(false) };
        let poll = if on.exchange.watches_client() { os::poll } else { os::poll_open };
        let polled = poll(borrow(&socket), (false, true), bridge, Some(longest));
        let (polled, came) = polled.unwrap_or((ALL_READY, bridge.is_some()));
        self.has_room = polled.writable;
        if polled.hung_up && !polled.writable && !came {
            return Err(on.gave_up());
        }
        Ok(came)
    }
}

/// The result of a poll that failed: whatever is tried next says why.
pub(super) const ALL_READY: Polled =
    Polled { readable: true, writable: true, hung_up: false, closed: false };

/// Returns a borrowed descriptor of httpd's.
pub(super) const fn borrow(socket: &RawFd) -> BorrowedFd<'_> {
    // SAFETY: P1: httpd keeps the client's socket open for as long as it has the request.
    unsafe { BorrowedFd::borrow_raw(*socket) }
}
