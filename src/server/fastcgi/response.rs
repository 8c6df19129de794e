//! A request's response: STDOUT records, collected and written together.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;

use super::multiplexer::Channel;
use super::piece::Inbound;
use crate::gateway::escape::push_escaped;
use crate::gateway::{Interest, Level, Result, Woken};
use crate::protocol::fastcgi::{RecordKind, put_stream};
use crate::server::site::{FinalHead, Sink};
use crate::server::stream::{
    self, Framing, Output, SendOutcome, StreamConnection, StreamProcess, Then, gone, send,
};
use crate::server::workers::parker::ClientState;

/// The longest line that goes to the web server's log, in bytes.
const LINE: usize = 8 * 1024;

/// The response of a request that runs.
pub(super) struct FastCgiResponse<'r, 'c> {
    pub(super) inbound: &'r Inbound<'c>,
    pub(super) channel: &'r Channel,
    pub(super) id: u16,
    pub(super) output: RefCell<&'r mut Output>,
    /// The connection takes no more.
    pub(super) broken: Cell<bool>,
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

/// Writes a line to the web server's log; whether it could be written.
pub(super) fn stderr(
    process: &Arc<StreamProcess>,
    connection: &Arc<StreamConnection>,
    id: u16,
    level: Level,
    message: &str,
) -> bool {
    let name = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        _ => "trace",
    };
    // The web server writes it as it comes.
    let mut line = format!("[{name}] ");
    push_escaped(&mut line, beginning(message, LINE).as_bytes());
    line.truncate(beginning(&line, LINE).len());
    line.push('\n');
    let mut records = Vec::with_capacity(line.len() + 16);
    put_stream(&mut records, RecordKind::STDERR, id, line.as_bytes());
    let inbound = Inbound::new(process, connection, ClientState::Whole, (false, None), Vec::new());
    let mut output = Output::new();
    output.begin(Framing::Raw);
    output.record(|into| into.append(&mut records));
    send(&inbound, &mut output, None).is_ok()
}

/// The beginning of `text`, of no more than so many bytes.
fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
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
