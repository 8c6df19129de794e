//! The request body on its way to the daemon process: read from the client as it comes, sent as
//! there is room, while the response may be on its way back.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use super::connection::BridgeConnection;
use super::outgoing::Outgoing;
use super::wait::{Wait, Wanted, borrow};
use crate::adapter::{RequestInput, pause};
use crate::gateway::{Fill, InputSource as _};
use crate::httpd::Request;
use crate::os;
use crate::protocol::bridge::{
    FieldsEncoder, FrameLimits, HEADER, InputFailure, put_input, put_input_end, put_input_failed,
    put_input_stop,
};

/// The most bytes of the body in one frame.
pub(super) const PIECE: usize = 64 * 1024;

/// The time for which the rest of a small body is waited for, before the process is woken with a
/// part of it. The rest mostly comes a moment later, and a slow client loses no more than this.
const LINGER: Duration = Duration::from_millis(1);

/// The request body of one exchange.
pub(super) struct RelayedBody<'e, 'r> {
    request: &'e Request<'r>,
    input: RequestInput<'e, 'r>,
    /// The client waits for a 100 Continue, which reading would send.
    held: bool,
    ended: bool,
    /// A frame, of which `sent` bytes have gone.
    frame: Outgoing<'r>,
    sent: usize,
    /// The place of the frame, in the packet, that the rest of a small body is added to before it
    /// is sent.
    collected: Option<usize>,
    /// Since when the client, who has more to send, has sent nothing.
    silent_since: Option<Instant>,
    /// The number of bytes of the body that have been taken from the client.
    taken: u64,
}

/// The progress of a step of the upload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// All is sent, or nothing may be yet.
    Idle,
    /// Something went; there may be more.
    Some,
    /// The daemon process has to read first.
    NoRoom,
    /// The client has to send first.
    NoData,
}

impl<'e, 'r> RelayedBody<'e, 'r> {
    pub(super) fn new(request: &'e Request<'r>, input: RequestInput<'e, 'r>) -> Self {
        let ended = !input.is_unread();
        let held = !ended && request.expects_continue();
        let (frame, sent, taken) = (Outgoing::default(), 0, 0);
        let (collected, silent_since) = (None, None);
        Self { request, input, held, ended, frame, sent, collected, silent_since, taken }
    }

    /// Returns the body's length, if the client has said it.
    pub(super) fn length(&self) -> Option<u64> {
        self.input.length()
    }

    /// Returns whether nothing may be sent before the application asks for it.
    pub(super) const fn is_held(&self) -> bool {
        self.held
    }

    /// Releases the body: it may be read from the client from here on. The first read sends the
    /// 100, which has to go before a head that may be the next frame.
    pub(super) fn release(&mut self) {
        if std::mem::take(&mut self.held) && !self.ended {
            self.gather(false);
        }
    }

    /// Goes on with all that the client sends from here on: the connection is another protocol's.
    pub(super) const fn switch(&mut self) {
        (self.held, self.ended) = (false, false);
    }

    /// Returns whether the client has sent a part that nobody has read.
    pub(super) const fn is_unread(&self) -> bool {
        self.input.is_unread()
    }

    /// Returns whether anything is left to do.
    pub(super) const fn is_over(&self) -> bool {
        self.ended && self.sent == self.frame.len()
    }

    /// Returns the bytes of the body that have been taken from the client.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Lets go of memory that no part of the body is in.
    pub(super) fn rest(&mut self) {
        if self.sent == self.frame.len() {
            (self.frame, self.sent) = (Outgoing::default(), 0);
        }
    }

    /// Returns the socket to wait at for more of the body, if the client has one of its own.
    pub(super) fn socket(&self) -> Option<RawFd> {
        self.request.socket()
    }

    /// Returns the wait for the client to send more, unless it has sent nothing for `timeout`: then
    /// the next step fails.
    pub(super) fn wait(&mut self, bridge: Wanted, timeout: Duration) -> Option<Wait> {
        let silent = self.silent_since.get_or_insert_with(Instant::now).elapsed();
        let left = timeout.saturating_sub(silent);
        if left.is_zero() {
            self.input.expire();
            return None;
        }
        Some(match self.socket() {
            Some(_) => Wait { bridge, client: Wanted::INPUT, longest: Some(left) },
            // A stream of HTTP/2 has no socket to wait for. The client's next piece is looked for
            // after a pause.
            None => {
                let longest = Some(pause(silent).min(left));
                Wait { bridge, client: Wanted::NOTHING, longest }
            }
        })
    }

    /// Puts what has come already onto the packet that the request goes in. Where `all` says so, the
    /// rest of a small body is to be [collected](Self::collect).
    pub(super) fn begin(&mut self, packet: &mut Outgoing<'r>, all: impl FnOnce() -> bool) {
        if self.ended || self.held {
            return;
        }
        let is_small = self.length().is_some_and(|length| length <= PIECE as u64);
        let start = (is_small && all()).then_some(packet.frames.len());
        std::mem::swap(packet, &mut self.frame);
        self.gather(is_small);
        std::mem::swap(packet, &mut self.frame);
        self.sent = 0;
        self.collected = start.filter(|_| !self.ended);
    }

    /// Returns whether a small body is to be collected before it is sent.
    pub(super) const fn is_collected(&self) -> bool {
        self.collected.is_some()
    }

    /// Adds to the packet what has come of a small body. Returns whether it is whole.
    pub(super) fn collect(&mut self, packet: &mut Outgoing<'r>) -> bool {
        if self.collected.is_none() {
            return true;
        }
        std::mem::swap(packet, &mut self.frame);
        self.gather(false);
        std::mem::swap(packet, &mut self.frame);
        self.sent = 0;
        if self.ended || self.taken >= PIECE as u64 {
            self.collected = None;
        }
        self.collected.is_none()
    }

    /// Does one step: sends the buffered bytes, or else reads those that have come.
    pub(super) fn pump(&mut self, connection: &BridgeConnection) -> io::Result<Pumped> {
        if self.sent == self.frame.len() {
            self.frame.clear();
            self.sent = 0;
            if self.ended || self.held {
                return Ok(Pumped::Idle);
            }
            self.gather(false);
            if self.frame.len() == 0 {
                return Ok(Pumped::NoData);
            }
        }
        let sent = self.frame.rest(self.sent, |slices| connection.send(slices))?;
        self.sent += sent;
        Ok(if sent == 0 { Pumped::NoRoom } else { Pumped::Some })
    }

    /// Returns the frame that ends the body when the response was complete before it. Returns
    /// `None` when a frame has gone out in part, after which the connection is of no use.
    pub(super) fn stop(&self) -> Option<Vec<u8>> {
        if self.sent > 0 && self.sent < self.frame.len() {
            return None;
        }
        let mut stop = Vec::new();
        if !self.ended || self.sent < self.frame.len() {
            put_input_stop(&mut stop);
        }
        Some(stop)
    }

    /// Puts onto the frame what can be read now, up to a piece, and how the body ended if it did.
    /// `lingers` says that the client gets a moment for each part, so that the process is mostly
    /// woken with all of a small body.
    fn gather(&mut self, lingers: bool) {
        let before = self.taken;
        let start = match self.collected.filter(|start| *start < self.frame.frames.len()) {
            Some(start) => start,
            None => {
                let start = self.frame.frames.len();
                // The length is written when it is known.
                put_input(&mut self.frame.frames, 1);
                start
            }
        };
        let data = self.frame.behind(start + HEADER);
        let end = loop {
            // A body that is all there has its end told with its last piece.
            let is_all = self.input.length().is_some_and(|length| self.taken >= length);
            if self.frame.len() - data >= PIECE && !is_all {
                break None;
            }
            match self.input.fill(false) {
                Ok(Fill::Data(_)) => {
                    let room = PIECE - (self.frame.len() - data);
                    if room == 0 {
                        // More than was announced: it goes in the next piece.
                        break None;
                    }
                    let taken = self.frame.take(&mut self.input, self.request, room);
                    self.taken += taken as u64;
                }
                Ok(Fill::NotYet) if lingers && comes_soon(self.request) => {}
                Ok(Fill::NotYet) => break None,
                Ok(Fill::End) => break Some(Ok(())),
                Err(error) => break Some(Err(error)),
            }
        };
        if self.taken > before {
            self.silent_since = None;
        }
        let length = self.frame.len() - data;
        if length == 0 {
            self.frame.frames.truncate(start);
        } else {
            // A piece fits: PIECE is far below the limit.
            self.frame.frames[start..][..4].copy_from_slice(&(length as u32).to_le_bytes());
        }
        match end {
            None => {}
            Some(Ok(())) => {
                self.ended = true;
                self.end();
            }
            Some(Err(error)) => {
                self.ended = true;
                put_input_failed(&mut self.frame.frames, InputFailure::from_error(error.kind()));
            }
        }
    }

    fn end(&mut self) {
        let Some(trailers) = self.input.trailers() else {
            put_input_end(&mut self.frame.frames);
            return;
        };
        let mut frame = FieldsEncoder::input_end(&mut self.frame.frames);
        for (name, value) in &trailers {
            frame.header(name.as_str().as_bytes(), value.as_bytes());
        }
        if frame.finish(&FrameLimits::default()).is_err() {
            // Trailers that are too long for the bridge are not worth the request.
            put_input_end(&mut self.frame.frames);
        }
    }
}

/// Returns whether the client sends more within a moment.
fn comes_soon(request: &Request<'_>) -> bool {
    let Some(socket) = request.socket() else { return false };
    os::poll(borrow(&socket), (true, false), None, Some(LINGER))
        .is_ok_and(|(polled, _)| polled.readable && !polled.hung_up)
}
