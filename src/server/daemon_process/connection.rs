//! Connections of httpd children: who works on each, and what it has read and not used yet.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::suspended::SuspendedRequest;
use crate::os::PeerCredentials;
use crate::server::workers::connections::{Claims, Entry};
use crate::server::workers::send_buffer::SendBuffer;

/// One connection.
#[derive(Debug)]
pub(super) struct ChildConnection {
    socket: OwnedFd,
    token: u64,
    peer: PeerCredentials,
    /// Whether a good HELLO has come.
    greeted: AtomicBool,
    claims: Claims,
    room: SendBuffer,
    kept: Mutex<ChildConnectionState>,
}

/// The state of a connection that no thread works on.
#[derive(Debug, Default)]
pub(super) struct ChildConnectionState {
    /// Bytes that were read and are no whole frame yet.
    pub(super) rest: Vec<u8>,
    /// The rest of an unwanted INPUT that is still to come.
    pub(super) skip: u32,
    /// A request body that is not at its end, though its request is over.
    pub(super) body: bool,
    /// The request that waits without a thread.
    pub(super) suspended: Option<Box<SuspendedRequest>>,
}

impl ChildConnection {
    /// Makes the connection with this token; `has_buffer_set` where `send-buffer-size` sets how
    /// much the kernel buffers.
    pub(super) fn new(
        socket: OwnedFd,
        token: u64,
        peer: PeerCredentials,
        has_buffer_set: bool,
    ) -> Self {
        Self {
            socket,
            token,
            peer,
            greeted: AtomicBool::new(false),
            claims: Claims::default(),
            room: SendBuffer::new(has_buffer_set),
            kept: Mutex::default(),
        }
    }

    pub(super) const fn peer(&self) -> PeerCredentials {
        self.peer
    }

    pub(super) fn is_greeted(&self) -> bool {
        self.greeted.load(Ordering::Acquire)
    }

    pub(super) fn set_greeted(&self) {
        self.greeted.store(true, Ordering::Release);
    }

    /// Makes room for a response that there is no room for: whether there may be some now.
    pub(super) fn widen(&self) -> bool {
        self.room.widen(self)
    }

    /// Its state. Only the thread that has claimed the connection asks.
    pub(super) fn kept(&self) -> MutexGuard<'_, ChildConnectionState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for ChildConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Entry for ChildConnection {
    fn token(&self) -> u64 {
        self.token
    }

    fn claims(&self) -> &Claims {
        &self.claims
    }
}
