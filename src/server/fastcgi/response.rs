//! A request's response: STDOUT records, collected and written together.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;

use super::breaking::FastCgiBreaker;
use super::multiplexer::Channel;
use super::piece::Inbound;
use super::stderr::stderr;
use crate::gateway::{Interest, Level, Result, Woken};
use crate::server::site::{Breaker, FinalHead, Sink};
use crate::server::stream::{
    self, Framing, Output, SendOutcome, StreamConnection, StreamProcess, Then, gone, send,
};

/// The response of a request that runs.
pub(super) struct FastCgiResponse<'r, 'c> {
    pub(super) inbound: &'r Inbound<'c>,
    pub(super) channel: &'r Arc<Channel>,
    pub(super) id: u16,
    pub(super) keep_conn: bool,
    pub(super) output: RefCell<&'r mut Output>,
    /// The connection takes no more.
    pub(super) broken: Cell<bool>,
    pub(super) visit_waker: &'r dyn Fn() -> Option<Waker>,
}

impl FastCgiResponse<'_, '_> {
    /// Sends what is collected.
    pub(super) fn send(&self, then: Option<Then>) -> Result<SendOutcome> {
        if self.broken.get() {
            return Err(gone());
        }
        let sent = send(self.inbound, &mut self.output.borrow_mut(), then);
        self.broken.set(sent.is_err());
        sent
    }

    /// Works like [`send`](Self::send), while more is to follow.
    fn send_part(&self) -> Result<()> {
        self.inbound.absorb()?;
        self.send(None).map(|_| ())
    }

    fn check(&self) -> Result<()> {
        if self.broken.get() || self.channel.is_gone() { Err(gone()) } else { Ok(()) }
    }
}

/// Writes answers to records that want one at once; whether they could be written.
pub(super) fn reply(
    process: &StreamProcess,
    connection: &StreamConnection,
    replies: &mut Vec<u8>,
) -> bool {
    let mut output = Output::new();
    output.begin(Framing::Raw);
    output.record(|into| into.append(replies));
    stream::reply(process, connection, &mut output)
}

impl Sink for FastCgiResponse<'_, '_> {
    fn head(&self, head: &FinalHead<'_>) -> Result<()> {
        self.check()?;
        self.output.borrow_mut().head(|into| head.write_cgi(into));
        Ok(())
    }

    fn write(&self, data: Bytes) -> Result<()> {
        self.check()?;
        let mut output = self.output.borrow_mut();
        output.body(data);
        let is_due = output.is_due();
        drop(output);
        if is_due { self.send_part() } else { Ok(()) }
    }

    fn flush(&self) -> Result<()> {
        self.check()?;
        self.send_part()
    }

    /// It is sent with the END_REQUEST.
    fn finish(&self, _trailers: Option<HeaderMap>) -> Result<()> {
        self.check()
    }

    fn log(&self, level: Level, message: &str) -> bool {
        let inbound = self.inbound;
        self.check().is_ok() && stderr(inbound.process, inbound.connection, self.id, level, message)
    }

    fn take_back(&self) -> bool {
        if self.inbound.progress.is_begun() || self.check().is_err() {
            return false;
        }
        self.output.borrow_mut().begin(Framing::Stdout(self.id));
        true
    }

    fn breaker(&self) -> Option<Arc<dyn Breaker>> {
        Some(Arc::new(FastCgiBreaker {
            process: Arc::clone(self.inbound.process),
            connection: Arc::clone(self.inbound.connection),
            channel: Arc::clone(self.channel),
            progress: Arc::clone(&self.inbound.progress),
            id: self.id,
            keep_conn: self.keep_conn,
        }))
    }

    fn visit_waker(&self) -> Option<Waker> {
        (self.visit_waker)()
    }

    fn has_room(&self) -> bool {
        self.inbound.connection.sending.has_room()
    }

    fn waker(&self) -> Waker {
        self.inbound.waker()
    }

    fn park(&self, interest: Interest) -> Woken {
        if !self.inbound.is_open() {
            // The thread that reads the connection tells of input, and of an ABORT_REQUEST.
            let queue = self.channel.listen(Some(self.inbound.waker()));
            let has_news = interest == Interest::Input && (!queue.bytes.is_empty() || queue.over);
            drop(queue);
            if has_news {
                return Woken::Input;
            }
        }
        if self.check().is_err() {
            return Woken::Gone;
        }
        let woken = self.inbound.park(interest);
        if self.channel.is_gone() { Woken::Gone } else { woken }
    }
}
