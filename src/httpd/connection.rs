//! The client's connection: whether the client is still there, and how to close it.

use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::time::Duration;

use super::brigade::Brigade;
use super::pace::Pace;
use super::request::Request;
use super::suspend::{self, Connection};
use crate::sys;

impl Request<'_> {
    /// Tells whether httpd has noticed that the client left.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        // SAFETY: `self` keeps the record valid, and its connection lives longer (P1).
        unsafe { sys::rust_conn_aborted(self.conn()) != 0 }
    }

    /// Returns whether the connection is one of many inside another, such as a stream of HTTP/2. It
    /// has no socket of its own.
    #[must_use]
    pub(crate) fn is_secondary(&self) -> bool {
        let connection = field!(self, connection);
        // SAFETY: P1: the connection outlives its requests.
        unsafe { !(*connection).master.is_null() }
    }

    /// Closes the connection after this response.
    pub fn close_after(&self) {
        // SAFETY: `self` keeps the record valid, and its connection lives longer (P1).
        unsafe { sys::rust_conn_close(self.conn()) };
    }

    /// Ends the connection at once and visibly: with a reset instead of an end.
    pub(crate) fn reset(&self) {
        self.reset_on_close(true);
        // SAFETY: `self` keeps the record valid, and its connection lives longer (P1).
        unsafe { sys::rust_conn_abort(self.conn()) };
    }

    /// Sets whether the end of the connection is a reset, also if this process ends.
    pub(crate) fn reset_on_close(&self, on: bool) {
        let Some(socket) = self.socket() else { return };
        let linger = libc::linger { l_onoff: on.into(), l_linger: 0 };
        // SAFETY: the socket is open (P1), and the option takes this struct.
        unsafe {
            libc::setsockopt(
                socket,
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                size_of::<libc::linger>() as libc::socklen_t,
            );
        }
    }

    /// Returns the client's socket, unless the connection is a secondary one.
    #[must_use]
    pub(crate) fn socket(&self) -> Option<RawFd> {
        if self.is_secondary() {
            return None;
        }
        // SAFETY: P11: `self` keeps the record valid, and its connection lives longer (P1).
        let socket = unsafe { sys::ap_get_conn_socket(self.conn()) };
        if socket.is_null() {
            return None;
        }
        let mut fd = -1;
        // SAFETY: P11: the socket is the connection's, and not null.
        let status = unsafe { sys::apr_os_sock_get(&raw mut fd, socket) };
        (status == sys::RUST_APR_SUCCESS && fd >= 0).then_some(fd)
    }

    /// Bounds how long httpd waits for the client's socket, in place of its Timeout, until what
    /// this returns is dropped. `None` without a socket.
    #[must_use]
    pub(crate) fn client_timeout(&self, timeout: Duration) -> Option<ClientTimeout<'_>> {
        if self.is_secondary() {
            return None;
        }
        // SAFETY: P11: `self` keeps the record valid, and its connection lives longer (P1).
        let socket = unsafe { sys::ap_get_conn_socket(self.conn()) };
        if socket.is_null() {
            return None;
        }
        let mut before = 0;
        // SAFETY: P11: the socket is the connection's, and not null.
        let status = unsafe { sys::apr_socket_timeout_get(socket, &raw mut before) };
        if status != sys::RUST_APR_SUCCESS {
            return None;
        }
        let us = i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX);
        // SAFETY: P11, P2: nobody else waits for the socket.
        unsafe { sys::apr_socket_timeout_set(socket, us) };
        Some(ClientTimeout { socket, before, request: PhantomData })
    }

    /// Returns whether the client has closed its side: nothing more to read, and the end seen.
    ///
    /// A client that has only shut down its sending side counts as gone, as it does for nginx.
    #[must_use]
    pub(crate) fn has_client_gone(&self) -> bool {
        if self.is_aborted() {
            return true;
        }
        let Some(fd) = self.socket() else { return false };
        let mut state = libc::pollfd { fd, events: libc::POLLRDHUP, revents: 0 };
        // SAFETY: one entry, as is said.
        if unsafe { libc::poll(&raw mut state, 1, 0) } < 1 {
            return false;
        }
        if state.revents & (libc::POLLHUP | libc::POLLERR) != 0 || self.scheme() == b"https" {
            return true;
        }
        // Its end has been seen, but requests that it sent before may still be waiting.
        let mut byte = 0_u8;
        // SAFETY: the socket is open (P1), and one byte is there to write to.
        let peeked = unsafe {
            libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT)
        };
        peeked == 0
    }

    /// Returns whether the client has shut down its sending side, or closed its connection.
    #[must_use]
    pub(crate) fn is_half_closed(&self) -> bool {
        self.socket_is(libc::POLLRDHUP)
    }

    /// Returns whether the connection is broken, or closed in both directions.
    #[must_use]
    pub(crate) fn has_hung_up(&self) -> bool {
        self.socket_is(0)
    }

    fn socket_is(&self, events: i16) -> bool {
        let Some(fd) = self.socket() else { return false };
        let mut state = libc::pollfd { fd, events, revents: 0 };
        // SAFETY: one entry, as is said.
        unsafe { libc::poll(&raw mut state, 1, 0) > 0 }
    }

    /// Returns the connection.
    pub(super) fn connection(&self) -> Connection {
        // SAFETY: P1, P2: the connection outlives its requests, and this thread has both.
        unsafe { Connection::from_ptr(self.conn()) }
    }

    /// Lets the output that is passed from here on not wait for the client. The caller then waits
    /// for room while there is [unsent output](Self::has_unsent_output), and calls
    /// [`send_unsent`](Self::send_unsent).
    ///
    /// A response without chunks or a length waits as before: its end is told by a connection that
    /// must not look well before all is out. So does one whose connection must not be suspended with
    /// unsent output.
    pub(crate) fn pace(&self) {
        let is_fit = self.has_framing() && suspend::allows_unsent_output();
        if self.pace.get().is_none() && is_fit {
            // SAFETY: P1, P2: both are this request's, whose record keeps the result.
            let pace = unsafe { Pace::new(self.pool().as_ptr(), self.bucket_alloc()) };
            self.pace.set(Some(pace));
        }
    }

    /// Lets the output that is passed from here on wait for the client again. Nothing is held back.
    pub(crate) fn stop_pacing(&self) {
        self.pace.set(None);
    }

    /// Returns whether some of the response is held back until the network takes it.
    #[must_use]
    pub(crate) fn has_held_output(&self) -> bool {
        self.pace.get().is_some_and(Pace::holds_output)
    }

    /// Returns whether the network has not taken all of the response yet.
    #[must_use]
    pub(crate) fn has_unsent_output(&self) -> bool {
        self.connection().has_unsent_output() || self.has_held_output()
    }

    /// Sends all of the response so far, and waits for the client.
    pub(crate) fn send_all(&self) {
        let mut flush = Brigade::new(self);
        flush.push_flush();
        // A failure marks the connection as aborted.
        let _ = self.pass(&mut flush);
    }

    /// Sends what the network takes of the response, without a wait.
    pub(crate) fn send_unsent(&self) {
        let connection = self.connection();
        connection.send_unsent();
        if let Some(pace) = self.pace.get()
            && !connection.has_unsent_output()
        {
            pace.release(connection);
            connection.send_unsent();
        }
    }

    /// Gives up what is held back.
    pub(crate) fn drop_held_output(&self) {
        if let Some(pace) = self.pace.get() {
            pace.forget();
        }
    }

    /// Returns whether an output filter of the content sort is in place, which may change what a
    /// GET would give (DEFLATE, SUBSTITUTE, INCLUDES).
    #[must_use]
    pub(crate) fn has_content_filter(&self) -> bool {
        let mut filter = field!(self, output_filters);
        // SAFETY: P1: the chain of filters lives as long as the request, and ends with null.
        while let Some(this) = unsafe { filter.as_ref() } {
            // SAFETY: a filter's record is registered for as long as the process lives.
            let record = unsafe { this.frec.as_ref() };
            if record.is_some_and(|record| record.ftype < sys::AP_FTYPE_PROTOCOL) {
                return true;
            }
            filter = this.next;
        }
        false
    }
}

/// A bound on how long httpd waits for a client's socket, in force for as long as this lives.
#[derive(Debug)]
pub(crate) struct ClientTimeout<'q> {
    socket: *mut sys::apr_socket_t,
    before: sys::apr_interval_time_t,
    request: PhantomData<&'q ()>,
}

impl Drop for ClientTimeout<'_> {
    fn drop(&mut self) {
        // SAFETY: P1: the socket lives as long as the request that this borrows; P2, P11.
        unsafe { sys::apr_socket_timeout_set(self.socket, self.before) };
    }
}
