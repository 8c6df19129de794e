//! A connection: its socket, who works on it, and until when something has to come.

use std::any::Any;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use super::protocol::AnyProtocol;
use super::sending::Sending;
use super::{LINGER, LONGEST_LINGER};
use crate::os::{self, monotonic_us};
use crate::server::site::{HeadBudget, HeadShare};
use crate::server::workers::connections::{Claims, Entry};
use crate::server::workers::send_buffer::SendBuffer;

/// One connection of a web server.
pub(in crate::server) struct StreamConnection {
    socket: OwnedFd,
    token: u64,
    /// Which listener it came by.
    origin: usize,
    claims: Claims,
    pub(super) room: SendBuffer,
    due: AtomicU64,
    /// It lingers until then at most.
    last_us: AtomicU64,
    kept: Mutex<StreamConnectionState>,
    /// Its output that waits for room.
    pub(in crate::server) sending: Sending,
    /// The thread of a request that was broken off may have it beyond its end.
    pub(super) is_held: AtomicBool,
    pub(super) watched: Mutex<WatchedEvents>,
    /// Called at each event, for a request that waits.
    waker: OnceLock<Waker>,
    /// There was an event since the request was visited last.
    is_noticed: AtomicBool,
    /// Since when a request on it waits for a thread, as far as is known; 0 for none.
    pub(super) queued_us: AtomicU64,
    protocol: AnyProtocol,
    /// The state that its protocol keeps for it.
    state: Box<dyn Any + Send + Sync>,
}

/// The state of a connection that no thread works on.
#[derive(Debug)]
pub(in crate::server) struct StreamConnectionState {
    /// Bytes that were read and not used: a part of a head.
    pub(in crate::server) rest: Vec<u8>,
    /// Its part of what the process may hold so.
    share: HeadShare,
}

impl StreamConnectionState {
    /// Forgets the bytes, which a thread has taken up.
    pub(in crate::server) fn clear(&mut self) {
        self.rest.clear();
        self.share.clear();
    }
}

/// The events that a connection is watched for, beside its end.
#[derive(Debug, Default)]
pub(super) struct WatchedEvents {
    /// Not for input: the thread that has it reads anyway.
    pub(super) muted: bool,
    /// For room to write.
    pub(super) room: bool,
}

/// The deadline of a connection, after which it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Due {
    /// The first byte of a connection.
    FirstByte,
    /// The whole of a head.
    Head,
    /// The next request of one that is kept.
    Request,
    /// Its end: what it still sends is thrown away.
    End,
}

impl Due {
    const ALL: [Self; 4] = [Self::FirstByte, Self::Head, Self::Request, Self::End];
}

impl StreamConnection {
    /// `parked` counts the bytes that all connections of the process have parked, `heads` those of
    /// unfinished heads.
    pub(super) fn new(
        socket: OwnedFd,
        token: u64,
        origin: usize,
        protocol: AnyProtocol,
        parked: Arc<AtomicUsize>,
        heads: &Arc<HeadBudget>,
    ) -> Self {
        Self {
            socket,
            token,
            origin,
            claims: Claims::default(),
            room: SendBuffer::new(false),
            due: AtomicU64::new(0),
            last_us: AtomicU64::new(0),
            kept: Mutex::new(StreamConnectionState { rest: Vec::new(), share: heads.share() }),
            sending: Sending::new(parked),
            watched: Mutex::default(),
            waker: OnceLock::new(),
            is_noticed: AtomicBool::new(false),
            is_held: AtomicBool::new(false),
            queued_us: AtomicU64::new(0),
            protocol,
            state: protocol.new_state(),
        }
    }

    /// Has `waker` called at each event from now on, for the one request of the connection.
    pub(super) fn tell(&self, waker: Waker) {
        let _ = self.waker.set(waker);
    }

    /// Tells the request that waits of an event.
    pub(super) fn notice(&self) {
        if let Some(waker) = self.waker.get() {
            self.is_noticed.store(true, Ordering::Release);
            waker.wake_by_ref();
        }
    }

    /// Returns whether there was an event since the last call.
    pub(super) fn is_noticed(&self) -> bool {
        self.is_noticed.swap(false, Ordering::AcqRel)
    }

    pub(in crate::server) const fn origin(&self) -> usize {
        self.origin
    }

    /// Its state. Only the thread that has claimed it asks.
    pub(in crate::server) fn kept(&self) -> MutexGuard<'_, StreamConnectionState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the bytes that are kept. Returns whether the process has room for them. Only the thread
    /// that has claimed the connection asks.
    pub(in crate::server) fn has_room(&self) -> bool {
        let mut kept = self.kept();
        let size = kept.rest.len();
        kept.share.set(size)
    }

    /// Something has to come until then.
    pub(in crate::server) fn expect(&self, due: Due, at_us: u64) {
        self.due.store(at_us << 2 | due as u64, Ordering::Release);
    }

    /// The thread that works on it keeps its own deadline.
    pub(in crate::server) fn expect_nothing(&self) {
        self.due.store(0, Ordering::Release);
    }

    /// The response is out, and the other end is told so; what it still sends is thrown away, so
    /// that it gets its whole response. As httpd's `ap_lingering_close`.
    pub(in crate::server) fn linger(&self) {
        os::shutdown_write(self);
        let now_us = monotonic_us();
        self.last_us.store(now_us + super::us(LONGEST_LINGER), Ordering::Relaxed);
        self.expect(Due::End, now_us + super::us(LINGER));
    }

    /// More came while it lingers, so that it does for longer.
    pub(in crate::server) fn lingers_on(&self) {
        let until_us = monotonic_us() + super::us(LINGER);
        self.expect(Due::End, until_us.min(self.last_us.load(Ordering::Relaxed)));
    }

    /// The bytes that have to come, and their deadline.
    pub(in crate::server) fn due(&self) -> Option<(Due, u64)> {
        let due = self.due.load(Ordering::Acquire);
        (due != 0).then(|| (Due::ALL[(due & 3) as usize], due >> 2))
    }

    /// Whether requests run on it or a response is on its way, though nobody has claimed it.
    pub(super) fn is_busy(&self) -> bool {
        self.protocol.is_busy(self)
            || self.sending.is_parked()
            || self.sending.try_writer().is_none()
    }

    /// Returns the protocol that is spoken on it.
    pub(in crate::server) const fn protocol(&self) -> AnyProtocol {
        self.protocol
    }

    /// Returns what its protocol keeps for it, which is of this type.
    pub(in crate::server) fn state<T: Any>(&self) -> &T {
        self.state.downcast_ref().expect("a protocol asks for the state that it made")
    }

    /// The peer at its other end.
    pub(in crate::server) fn peer_name(&self) -> String {
        os::peer_name(self)
    }
}

impl AsFd for StreamConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Entry for StreamConnection {
    fn token(&self) -> u64 {
        self.token
    }

    fn claims(&self) -> &Claims {
        &self.claims
    }
}

impl fmt::Debug for StreamConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamConnection").field("token", &self.token).finish_non_exhaustive()
    }
}
