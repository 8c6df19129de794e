//! `conn_rec` in the hooks of connections: its state in the MPM, its socket, and its output.

use std::os::fd::RawFd;
use std::ptr::NonNull;

use crate::sys;

/// States of a connection in the MPM (`conn_state_e`). The numbers are those of every release since
/// 2.4.37; the headers of old ones lack the last.
pub(super) mod state {
    pub(in super::super) const WRITE_COMPLETION: u32 = 3;
    pub(in super::super) const SUSPENDED: u32 = 4;
    pub(in super::super) const LINGER: u32 = 5;
    pub(in super::super) const LINGER_SHORT: u32 = 7;
    pub(in super::super) const ASYNC_WAITIO: u32 = 8;
}

/// `CONN_SENSE_WANT_READ`: the next event is that the descriptor can be read.
const WANT_READ: u32 = 1;

/// A connection within one of its hooks. The copy of a pointer: it is used by that hook's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection(NonNull<sys::conn_rec>);

impl Connection {
    /// # Safety
    ///
    /// `connection` is what httpd gave to a hook or has in a request of one, and the result does
    /// not outlive that hook's call (P1, P2).
    pub(crate) const unsafe fn from_ptr(connection: *mut sys::conn_rec) -> Self {
        // SAFETY: httpd hands out no null connections.
        Self(unsafe { NonNull::new_unchecked(connection) })
    }

    pub(in super::super) const fn as_ptr(self) -> *mut sys::conn_rec {
        self.0.as_ptr()
    }

    /// Returns the state in the MPM. `None` in an MPM that keeps none.
    fn place(self) -> Option<NonNull<sys::conn_state_t>> {
        // SAFETY: P1, P2: the connection is there, and this thread has it.
        NonNull::new(unsafe { (*self.as_ptr()).cs })
    }

    pub(super) fn state(self) -> Option<u32> {
        // SAFETY: P1, P2: it lives as long as the connection, which this thread has.
        self.place().map(|place| unsafe { (*place.as_ptr()).state })
    }

    /// Has the MPM wait until the socket can be read, in `state`.
    pub(super) fn wait_to_read(self, state: u32) {
        if let Some(place) = self.place() {
            // SAFETY: P1, P2: it lives as long as the connection, which this thread has.
            unsafe { (*place.as_ptr()).sense = WANT_READ };
            // SAFETY: P1, P2: as above.
            unsafe { (*place.as_ptr()).state = state };
        }
    }

    /// Returns whether the connection is one inside another, such as a stream of HTTP/2.
    pub(super) fn is_secondary(self) -> bool {
        // SAFETY: P1, P2: the connection is there, and this thread has it.
        unsafe { !(*self.as_ptr()).master.is_null() }
    }

    /// Returns whether an input filter keeps bytes that the MPM does not know of.
    pub(super) fn is_clogged(self) -> bool {
        // SAFETY: P1, P2: the connection is there, and this thread has it.
        unsafe { sys::rust_conn_is_clogged(self.as_ptr()) != 0 }
    }

    pub(super) fn set_clogged(self, clogged: bool) {
        // SAFETY: P1, P2: the connection is there, and this thread has it.
        unsafe { sys::rust_conn_set_clogged(self.as_ptr(), clogged.into()) };
    }

    /// Returns whether the network has not taken all output yet.
    pub(in super::super) fn has_unsent_output(self) -> bool {
        // SAFETY: P1, P2: the connection is there, and this thread has it.
        unsafe { sys::rust_conn_has_unsent_output(self.as_ptr()) != 0 }
    }

    /// Returns the last output filter: that of the network.
    pub(in super::super) fn network(self) -> *mut sys::ap_filter_t {
        // SAFETY: P1, P2: the connection is there, and this thread has it.
        let mut filter = unsafe { (*self.as_ptr()).output_filters };
        // SAFETY: P1: the chain of filters lives as long as the connection, and ends with null.
        while let Some(next) = unsafe { filter.as_ref() }.map(|filter| filter.next)
            && !next.is_null()
        {
            filter = next;
        }
        filter
    }

    /// Sends what the network takes of its pending output, without a wait, as the MPM does it.
    pub(in super::super) fn send_unsent(self) {
        let network = self.network();
        // SAFETY: P1: as above.
        let Some(record) = (unsafe { network.as_ref() }).map(|last| last.frec) else { return };
        // SAFETY: a filter's record is registered for as long as the process lives.
        let functions = unsafe { (*record).filter_func };
        // SAFETY: the network's filter is one of output, which has this member.
        if let Some(send) = unsafe { functions.out_func } {
            // SAFETY: P11: the network's own filter takes null for "what is pending"
            // (server/mpm/event/event.c calls it so). A failure marks the connection as aborted.
            unsafe { send(network, std::ptr::null_mut()) };
        }
    }

    /// Marks the connection as broken.
    pub(super) fn abort(self) {
        // SAFETY: P1, P2: the connection is there, and this thread has it.
        unsafe { sys::rust_conn_abort(self.as_ptr()) };
    }

    /// Returns the descriptor in the connection's socket; -1 when it has been closed.
    pub(super) fn descriptor(self) -> Option<RawFd> {
        let mut fd = -1;
        let socket = self.socket()?;
        // SAFETY: P11: the socket is the connection's, and not null.
        unsafe { sys::apr_os_sock_get(&raw mut fd, socket.as_ptr()) };
        Some(fd)
    }

    /// Puts a descriptor into the connection's socket in place of the one there.
    pub(super) fn set_descriptor(self, mut fd: RawFd) {
        let Some(socket) = self.socket() else { return };
        let mut socket = socket.as_ptr();
        // SAFETY: P1, P2: the connection is there, and this thread has it.
        let pool = unsafe { (*self.as_ptr()).pool };
        // SAFETY: P11: with a socket that is there, it writes the number into it and no more.
        unsafe { sys::apr_os_sock_put(&raw mut socket, &raw mut fd, pool) };
    }

    fn socket(self) -> Option<NonNull<sys::apr_socket_t>> {
        // SAFETY: P11: the connection is there, and this thread has it (P1, P2).
        NonNull::new(unsafe { sys::ap_get_conn_socket(self.as_ptr()) })
    }
}
