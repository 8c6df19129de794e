//! A response that the process's timer breaks off, while another thread makes it.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::connection::StreamConnection;
use super::process::StreamProcess;
use super::sending::Parked;
use crate::os;

/// The progress of a response, as its thread and the timer see it. It changes under the right to
/// write to the connection.
#[derive(Debug, Default)]
pub(in crate::server) struct ResponseProgress {
    begun: AtomicBool,
    cut: AtomicBool,
}

impl ResponseProgress {
    /// Notes that the response begins or goes on. Returns `false` if it was broken off.
    pub(super) fn go_on(&self) -> bool {
        self.begun.store(true, Ordering::Release);
        !self.is_cut()
    }

    /// Returns whether something of the response has gone out, or was about to.
    pub(in crate::server) fn is_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Returns whether the timer has broken the response off.
    pub(in crate::server) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Breaks the response off: its thread sends nothing from now on. Returns the right to write,
    /// unless a thread has it that waits for the peer, and whether something has gone out.
    pub(in crate::server) fn cut<'c>(
        &self,
        connection: &'c StreamConnection,
    ) -> (Option<MutexGuard<'c, Parked>>, bool) {
        let sending = &connection.sending;
        loop {
            let writer = sending.try_writer();
            if writer.is_none() && !sending.waits() {
                // Another thread is about to give it back.
                thread::yield_now();
                continue;
            }
            self.cut.store(true, Ordering::Release);
            connection.is_held.store(true, Ordering::Release);
            return (writer, self.is_begun());
        }
    }
}

impl StreamProcess {
    /// Breaks a connection off at once, though a thread may still have it.
    pub(in crate::server) fn abort(&self, connection: &StreamConnection) {
        os::abort(connection);
        self.forget(connection);
    }
}
