//! The client of an exchange: whether it is still there, and the time that it has.

use std::time::{Duration, Instant};

use super::RequestExchange;
use crate::adapter::grace;
use crate::gateway::{Error, ErrorKind, Result};
use crate::os::monotonic_us;

/// The shortest interval between two looks whether the client is still there, in microseconds.
const LOOK_EVERY_US: u64 = 100_000;

impl RequestExchange<'_, '_> {
    /// Returns whether the client has gone, as far as its socket tells. One that sends no more, and
    /// waits for the answers to what it sent before, is not looked at again.
    pub(crate) fn finds_client_gone(&self) -> bool {
        let request = self.request();
        if self.may_half_close() {
            return self.has_client_gone();
        }
        // The end of another protocol's input is read behind what came before it.
        if !request.has_switched_protocols() && request.has_client_gone() {
            return true;
        }
        if request.is_half_closed() {
            self.half_closed.set(true);
        }
        false
    }

    /// Returns whether the client has gone at this moment.
    pub(crate) fn has_client_gone(&self) -> bool {
        let request = self.request();
        if self.may_half_close() {
            return request.is_aborted() || request.has_hung_up();
        }
        request.has_client_gone()
    }

    /// Returns whether the client is served once it sends no more: by its configuration, or as its
    /// earlier requests or its request body ended with that.
    pub(in crate::adapter) fn may_half_close(&self) -> bool {
        self.half_closed.get() || self.request().is_cut_off()
    }

    /// Returns the time that the response has once this process begins to end, if it has none
    /// without that.
    pub(in crate::adapter) fn grace(&self) -> Option<Duration> {
        self.variables.facts().grace.filter(|_| self.endless.get())
    }

    /// Returns whether the process ends, and the response has had its time to end.
    pub(super) fn is_overdue(&self) -> bool {
        self.grace().is_some_and(|grace| grace::ending_for().is_some_and(|since| since >= grace))
    }

    /// Takes note that the whole response is there, and has an end.
    pub(crate) fn set_whole(&self) {
        self.endless.set(false);
    }

    /// # Errors
    ///
    /// Returns an error if the process ends, and the response has had its time to end.
    pub(crate) fn check_grace(&self) -> Result<()> {
        if self.is_overdue() { Err(grace::over()) } else { Ok(()) }
    }

    /// Returns whether the client's departure is still to be noticed.
    pub(crate) fn watches_client(&self) -> bool {
        !self.may_half_close()
    }

    /// Ends the watch for the end of the client's input. A broken connection is noticed all the same.
    pub(in crate::adapter) fn watch_no_more(&self) {
        self.half_closed.set(true);
    }

    /// Returns for how long the client has sent nothing of its body.
    pub(super) fn silence(&self) -> Duration {
        let (reads, now) = (self.request().reads(), Instant::now());
        let since = match self.silence.get() {
            Some((before, since)) if before == reads => since,
            _ => now,
        };
        self.silence.set(Some((reads, since)));
        now.duration_since(since)
    }

    /// Looks at the socket now and then, as httpd notices a client's going only when a write fails.
    pub(super) fn look(&self) -> Result<()> {
        let now = monotonic_us();
        if now.saturating_sub(self.looked_us.get()) >= LOOK_EVERY_US {
            self.looked_us.set(now);
            if self.has_client_gone() {
                self.gone.set(true);
                return Err(gone());
            }
        }
        Ok(())
    }
}

pub(super) fn gone() -> Error {
    Error::of(ErrorKind::ClientGone, "the client went away")
}
