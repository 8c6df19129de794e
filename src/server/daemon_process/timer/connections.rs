//! Connections of a process: accepted, refused, and put out when they say nothing.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use super::super::connection::ChildConnection;
use super::Timer;
use crate::gateway::Code;
use crate::os;
use crate::process_group::earliest;
use crate::protocol::bridge::{FrameLimits, RefusalReason, put_refused};
use crate::server::workers::connections::Entry as _;

/// The time that a peer has to send HELLO.
const HELLO_US: u64 = if cfg!(test) { 2_000_000 } else { 10_000_000 };

/// The pause after an accept that failed: there were no descriptors left, say.
const ACCEPT_PAUSE_US: u64 = 100_000;

/// The time for which the log says nothing more of it.
const TELL_AGAIN_US: u64 = 60_000_000;

/// Connections that are accepted before anything else is looked at.
const ACCEPT_AT_ONCE: usize = 256;

impl Timer {
    /// Accepts what there is to accept.
    pub(super) fn accept(&mut self, now_us: u64) {
        for _ in 0..ACCEPT_AT_ONCE {
            match os::accept(&self.listener) {
                Ok(Some(socket)) => self.take_in(socket, now_us),
                Ok(None) => return,
                Err(error) => return self.accept_failed(&error, now_us),
            }
        }
    }

    fn accept_failed(&mut self, error: &io::Error, now_us: u64) {
        if self.told_us.is_none_or(|us| now_us >= us + TELL_AGAIN_US) {
            self.told_us = Some(now_us);
            self.process.log(
                Code::CannotAccept.level(),
                &Code::CannotAccept.line(format_args!(
                    "process group {}: cannot accept connections: {error}; it is tried \
                     every {} ms, and told once a minute",
                    self.process.options.name,
                    ACCEPT_PAUSE_US / 1000
                )),
            );
        }
        // It may not be there.
        let _ = self.watch.remove_listener(&self.listener);
        self.accept_us = Some(now_us + ACCEPT_PAUSE_US);
    }

    fn take_in(&mut self, socket: OwnedFd, now_us: u64) {
        let Ok(peer) = os::peer(&socket) else { return };
        let process = &self.process;
        if !self.peers.contains(&peer.uid) && !process.controllers.contains(&peer.uid) {
            return self.refuse(&socket, peer, RefusalReason::User, "its user may not connect");
        }
        let options = &process.options;
        os::set_buffers(&socket, options.receive_buffer_size, options.send_buffer_size);
        let has_buffer_set = options.send_buffer_size.is_some();
        let make = |socket, token| ChildConnection::new(socket, token, peer, has_buffer_set);
        match process.pool.connections.add(socket, make) {
            Ok(connection) => {
                let token = connection.token();
                if process.pool.watch(&connection).is_err() {
                    process.pool.connections.remove(token);
                    return;
                }
                self.half_open.push_back((now_us, token));
            }
            Err(socket) => {
                let why = "the process has as many connections as it can hold";
                self.refuse(&socket, peer, RefusalReason::Full, why);
            }
        }
    }

    fn refuse(
        &self,
        socket: &OwnedFd,
        peer: os::PeerCredentials,
        reason: RefusalReason,
        why: &str,
    ) {
        let mut frame = Vec::new();
        put_refused(&mut frame, reason, why.as_bytes(), &FrameLimits::default());
        let _ = os::send(socket, &frame);
        self.process.log_refusal(peer, why);
    }

    /// Does what is due.
    pub(super) fn look_at_connections(&mut self, now_us: u64) {
        self.sweep(now_us);
        if self.accept_us.is_some_and(|us| now_us >= us) {
            self.accept_us = None;
            if let Err(error) = self.watch.add_listener(&self.listener) {
                self.accept_failed(&error, now_us);
            }
        }
    }

    /// When there is something to do.
    pub(super) fn next_of_connections_us(&self) -> Option<u64> {
        let hello = self.half_open.front().map(|(accepted_us, _)| accepted_us + HELLO_US);
        earliest([hello, self.accept_us])
    }

    /// Breaks off connections that have not said HELLO in time.
    fn sweep(&mut self, now_us: u64) {
        while let Some(&(accepted_us, token)) = self.half_open.front() {
            let connection = self.process.pool.connections.get(token);
            let silent = connection.filter(|connection| !connection.is_greeted());
            if now_us < accepted_us + HELLO_US && silent.is_some() {
                return;
            }
            self.half_open.pop_front();
            if let Some(connection) = silent {
                let polled = os::poll(&*connection, (true, false), None, Some(Duration::ZERO));
                if polled.is_ok_and(|(polled, _)| polled.readable) {
                    // It has said something, and no thread was free to read it.
                    self.half_open.push_back((now_us, token));
                    continue;
                }
                self.process.log_refusal(connection.peer(), "it did not say HELLO in time");
                // A worker thread finds it broken, and closes it.
                os::shutdown(connection.as_fd());
            }
        }
    }
}
