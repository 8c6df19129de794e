//! The last frame of a request, whatever it is.

use http::StatusCode;

use super::BridgeExchange;
use crate::gateway::{Error, ErrorKind, Result, header};
use crate::os::monotonic_us;
use crate::protocol::bridge::{
    EncodeError, FieldsEncoder, FrameLimits, Message, Peer, Timing, put_failed, put_redirect, split,
};
use crate::server::workers::connections::Entry as _;

impl BridgeExchange<'_, '_> {
    /// Lets httpd answer with this status itself, and with the headers that stay with an error.
    pub(in crate::server::daemon_process) fn end_with_status(
        &self,
        status: StatusCode,
    ) -> Result<()> {
        self.state.status.set(status.as_u16());
        let mut headers = Vec::new();
        if self.environ.head().facts.error_override {
            self.each_begun(|name, value| {
                if header::stays_with_error(name) {
                    headers.push((name.to_vec(), value.to_vec()));
                }
            });
        }
        let close = self.process.is_draining();
        self.last(|frames, timing| {
            let mut encoder = FieldsEncoder::status(frames, status.as_u16(), close, timing);
            headers.iter().for_each(|(name, value)| encoder.header(name, value));
            encoder.finish(&self.process.limits).map(drop)
        })
    }

    /// httpd answers with another of its paths.
    pub(in crate::server::daemon_process) fn end_with_redirect(&self, target: &str) -> Result<()> {
        let close = self.process.is_draining();
        self.last(|frames, timing| {
            put_redirect(frames, target.as_bytes(), close, timing, &self.process.limits).map(drop)
        })
    }

    /// The application failed: before its head, so that httpd answers with the error's status, or
    /// after, so that the response is broken off.
    pub(in crate::server::daemon_process) fn end_with_failure(&self, error: &Error) -> Result<()> {
        let unsent = self.state.unsent.borrow_mut().take();
        let error = unsent.as_ref().unwrap_or(error);
        if self.state.status.get() == 0 || self.state.head_us.get() == 0 {
            self.state.status.set(error.status().as_u16());
        }
        let (kind, status) = (error.kind(), error.status().as_u16());
        let (message, close) = (error.to_string(), self.process.is_draining());
        self.last(|frames, timing| {
            let limits = FrameLimits::default();
            put_failed(frames, kind, status, message.as_bytes(), close, timing, &limits);
            Ok(())
        })
    }

    /// The headers of the head that is begun and not committed.
    fn each_begun(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        let Some(head) = self.head.borrow_mut().take() else { return };
        let mut output = self.output.borrow_mut();
        let start = 0;
        if head.commit(&mut output.frames, None, false, &self.process.limits).is_ok()
            && let Ok(Some(frame)) =
                split(&output.frames[start..], Peer::Daemon, &self.process.limits)
            && let Ok(Message::Head(head)) = frame.message()
        {
            head.headers.iter().for_each(|(name, value)| visit(name, value));
        }
        output.clear();
    }

    /// Adds the last frame and writes everything.
    pub(super) fn last(
        &self,
        put: impl FnOnce(&mut Vec<u8>, &Timing) -> Result<(), EncodeError>,
    ) -> Result<()> {
        if let Some(head) = self.head.borrow_mut().take() {
            head.abandon(&mut self.output.borrow_mut().frames);
        }
        let now_us = monotonic_us();
        let timing = Timing {
            queue_us: self.state.queue_us,
            application_us: now_us.saturating_sub(self.state.started_us),
            first_byte_us: self.state.head_us.get().saturating_sub(self.state.started_us),
        };
        {
            let mut output = self.output.borrow_mut();
            if let Err(error) = put(&mut output.frames, &timing) {
                let (kind, message) = (ErrorKind::Output, error.to_string());
                let limits = FrameLimits::default();
                let status = kind.status().as_u16();
                put_failed(
                    &mut output.frames,
                    kind,
                    status,
                    message.as_bytes(),
                    false,
                    &timing,
                    &limits,
                );
            }
            output.closed();
        }
        let is_suspendable = self.state.waker.get().is_some()
            || (self.may_leave_output() && self.output.borrow().is_large());
        // The child sends its next request when it has the last frame. Whichever thread is woken
        // for that finds the connection free.
        if !is_suspendable && self.inbound.is_at_rest() && !self.state.released.get() {
            self.inbound.unmute();
            let is_released = self.inbound.connection.release();
            self.state.released.set(is_released);
            if !is_released {
                // The event that kept it is used up: what it tells of is still to be read.
                self.inbound.look_again();
            }
        }
        self.write_last()
    }

    /// Writes the last frame and what is before it. There may be no room for all of it yet.
    pub(in crate::server::daemon_process) fn write_last(&self) -> Result<()> {
        self.write_out(true)?;
        self.state.over.set(!self.is_clogged());
        Ok(())
    }
}
