//! Connections of httpd children: who works on each, and what it has read and not used yet.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::os::Peer;
use crate::server::workers::connections::{Claims, Entry, Table};
use crate::server::workers::send_buffer::SendBuffer;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    token: u64,
    peer: Peer,
    /// Whether a good HELLO has come.
    greeted: AtomicBool,
    claims: Claims,
    room: SendBuffer,
    kept: Mutex<Kept>,
}

/// What a connection keeps while nobody works on it.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Bytes that were read and are no whole frame yet.
    pub(super) rest: Vec<u8>,
    /// How much of an INPUT that nobody wants is still to come.
    pub(super) skip: u32,
    /// A request body that is not at its end, though its request is over.
    pub(super) body: bool,
}

impl Connection {
    pub(super) const fn token(&self) -> u64 {
        self.token
    }

    pub(super) const fn peer(&self) -> Peer {
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

    /// As [`Claims::claim`].
    pub(super) fn claim(&self) -> bool {
        self.claims.claim()
    }

    /// As [`Claims::release`].
    pub(super) fn release(&self) -> bool {
        self.claims.release()
    }

    /// What it keeps. Only who has claimed it asks.
    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Entry for Connection {
    fn token(&self) -> u64 {
        self.token
    }
}

/// All connections of a process.
#[derive(Debug)]
pub(super) struct Connections {
    table: Table<Connection>,
    /// `send-buffer-size` says how much room there is.
    has_room_set: bool,
}

impl Connections {
    pub(super) fn new(most: usize, has_room_set: bool) -> Self {
        Self { table: Table::new(most), has_room_set }
    }

    /// Takes a connection in, unless there are too many: then its socket comes back.
    pub(super) fn add(&self, socket: OwnedFd, peer: Peer) -> Result<Arc<Connection>, OwnedFd> {
        let has_room_set = self.has_room_set;
        self.table.add(socket, |socket, token| Connection {
            socket,
            token,
            peer,
            greeted: AtomicBool::new(false),
            claims: Claims::default(),
            room: SendBuffer::new(has_room_set),
            kept: Mutex::default(),
        })
    }

    pub(super) fn get(&self, token: u64) -> Option<Arc<Connection>> {
        self.table.get(token)
    }

    /// Takes a connection out. It is closed when nobody has it any more.
    pub(super) fn remove(&self, token: u64) {
        self.table.remove(token);
    }

    pub(super) fn count(&self) -> usize {
        self.table.count()
    }
}
