//! A process group that runs: what httpd's parent has made of it, and its children inherit.

use std::ffi::CString;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::AtomicI32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::connection::{BridgeConnection, Buffers};
use super::exit_status::has_ended;
use super::identity::Identity;
use super::idle_connections::{CONNECTIONS, PeerKey};
use super::tempo::Tempo;
use crate::os;
use crate::process_group::{GroupOptions, GroupSnapshot, Lease, ProcessState, Scoreboard};
use crate::server::daemon_process::Applications;

/// Makes the applications of a group, in its processes.
pub(crate) type Build = dyn Fn() -> Result<Arc<dyn Applications>, String> + Send + Sync;

/// A process group.
pub(crate) struct Group {
    pub(super) options: GroupOptions,
    pub(super) identity: Identity,
    pub(super) board: Scoreboard,
    /// The addresses of the board's pages, which no other group's board is on.
    pub(super) pages: Range<usize>,
    /// Each slot's socket.
    pub(super) paths: Vec<PathBuf>,
    /// The same as httpd's children see them, whose root ChrootDir may have changed.
    pub(super) seen: Vec<PathBuf>,
    /// The descriptors that the processes are given, in the parent only.
    pub(super) fds: Mutex<Option<Descriptors>>,
    /// The tempo of its requests, in this httpd child.
    pub(super) tempo: Tempo,
    /// Wakes the processes that wait for something to do.
    pub(super) doorbell: OwnedFd,
    pub(super) build: Box<Build>,
    /// Ends what the applications have started, before a process exits.
    pub(super) finish: fn(Duration),
    /// The virtual host that it is for, by its address; `None` is all.
    pub(super) server: Option<usize>,
    /// The user id that may connect.
    pub(super) owner: u32,
    pub(super) title: String,
    /// LANG, LC_ALL, HOME and the like.
    pub(super) environment: Vec<(&'static str, CString)>,
    /// The process of each slot, as httpd's parent knows it.
    pub(super) pids: Vec<AtomicI32>,
}

/// The descriptors that the processes of a group inherit from httpd's parent.
pub(super) struct Descriptors {
    pub(super) listeners: Vec<OwnedFd>,
    pub(super) lifeline: Arc<OwnedFd>,
}

impl Group {
    /// Returns its name.
    pub(crate) fn name(&self) -> &str {
        &self.options.name
    }

    /// Returns whether requests of the server at this address may be sent to it.
    pub(crate) fn serves(&self, server: usize) -> bool {
        self.options.listens() && self.server.is_none_or(|own| own == server)
    }

    /// Returns the present state of its scoreboard.
    pub(crate) fn snapshot(&self) -> GroupSnapshot {
        self.board.snapshot(self.name(), os::monotonic_us())
    }

    /// Lets go of what only processes of the group need.
    pub(super) fn in_child(&self) {
        self.fds.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Takes a connection that was kept, to this very process.
    pub(super) fn take_kept(&self, slot: usize, incarnation: u32) -> Option<BridgeConnection> {
        // If the slot has another process by now, the others are the old one's.
        CONNECTIONS.take(self.peer(slot), |connection| connection.incarnation == incarnation)
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, slot: usize, mut connection: BridgeConnection) {
        if connection.is_at_rest() {
            connection.shrink();
            CONNECTIONS.put(self.peer(slot), connection);
        }
    }

    fn peer(&self, slot: usize) -> PeerKey {
        PeerKey { group: std::ptr::from_ref(self).addr(), slot }
    }

    /// Notes that a connection to this process broke. If it has died, the doorbell tells the
    /// others, so that one takes its place now: httpd's parent looks once a second only.
    pub(super) fn look_after(&self, lease: Lease) {
        if has_ended(lease.pid)
            && self.board.slots[lease.slot].found_dead(lease.incarnation, os::monotonic_us())
        {
            self.ring();
        }
    }

    /// Returns whether the process of this incarnation has ended, as far as the scoreboard tells.
    pub(super) fn has_lost(&self, slot: usize, incarnation: u32) -> bool {
        let slot = &self.board.slots[slot];
        slot.incarnation() != incarnation || slot.state() == ProcessState::Failed
    }

    /// Returns the sizes of its sockets' buffers.
    pub(super) fn buffers(&self) -> Buffers {
        let size = |bytes: Option<u64>| bytes.and_then(|bytes| usize::try_from(bytes).ok());
        Buffers {
            send: size(self.options.send_buffer_size),
            receive: size(self.options.receive_buffer_size),
        }
    }
}
