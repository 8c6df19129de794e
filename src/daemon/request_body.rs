//! The request body on its way to the daemon process: read from the client as it comes, sent as
//! there is room, while the response may be on its way back.

use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use super::connection::BridgeConnection;
use crate::adapter::RequestInput;
use crate::gateway::{Fill, InputSource as _};
use crate::httpd::Request;
use crate::os;
use crate::protocol::bridge::{
    FieldsEncoder, FrameLimits, InputFailure, put_input, put_input_end, put_input_failed,
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
    frame: Vec<u8>,
    sent: usize,
    /// The number of bytes of the body that have been taken from the client.
    taken: u64,
}

/// The wait of a step for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// Not at all.
    None,
    /// A moment for each part, so that the process is mostly woken with all of a small body.
    Moment,
    /// For all of the body.
    All,
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
        Self { request, input, held, ended, frame: Vec::new(), sent: 0, taken: 0 }
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
            self.gather(Patience::None);
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

    /// Has the next step fail: the client has sent nothing for too long.
    pub(super) const fn expire(&mut self) {
        self.input.expire();
    }

    /// Lets go of memory that no part of the body is in.
    pub(super) fn rest(&mut self) {
        if self.sent == self.frame.len() {
            (self.frame, self.sent) = (Vec::new(), 0);
        }
    }

    /// Returns the socket to wait at for more of the body, if the client has one of its own.
    pub(super) fn socket(&self) -> Option<RawFd> {
        self.request.socket()
    }

    /// Puts what has come already onto the packet that the request goes in. Where `all` says so,
    /// waits for the rest of a small body, as long as httpd's `Timeout` and mod_reqtimeout let its
    /// client take.
    pub(super) fn begin(&mut self, packet: &mut Vec<u8>, all: impl FnOnce() -> bool) {
        if !self.ended && !self.held {
            let is_small = self.length().is_some_and(|length| length <= PIECE as u64);
            std::mem::swap(packet, &mut self.frame);
            self.gather(match is_small {
                false => Patience::None,
                true if all() => Patience::All,
                true => Patience::Moment,
            });
            std::mem::swap(packet, &mut self.frame);
            self.sent = 0;
        }
    }

    /// Does one step: sends the buffered bytes, or else reads those that have come.
    pub(super) fn pump(&mut self, connection: &BridgeConnection) -> io::Result<Pumped> {
        if self.sent == self.frame.len() {
            self.frame.clear();
            self.sent = 0;
            if self.ended || self.held {
                return Ok(Pumped::Idle);
            }
            self.gather(Patience::None);
            if self.frame.is_empty() {
                return Ok(Pumped::NoData);
            }
        }
        let sent = connection.send(&[IoSlice::new(&self.frame[self.sent..])])?;
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
    fn gather(&mut self, patience: Patience) {
        let wait = patience == Patience::All;
        let start = self.frame.len();
        // The length is written when it is known.
        put_input(&mut self.frame, 1);
        let data = self.frame.len();
        let room = match self.input.length() {
            Some(length) => usize::try_from(length - self.taken.min(length)).unwrap_or(PIECE),
            None => 0,
        };
        self.frame.reserve(room.min(PIECE) + 64);
        let end = loop {
            // A body that is all there has its end told with its last piece.
            let is_all = self.input.length().is_some_and(|length| self.taken >= length);
            if self.frame.len() - data >= PIECE && !is_all {
                break None;
            }
            match self.input.fill(wait) {
                Ok(Fill::Data(bytes)) => {
                    let room = PIECE - (self.frame.len() - data);
                    if room == 0 {
                        // More than was announced: it goes in the next piece.
                        break None;
                    }
                    let taken = bytes.len().min(room);
                    self.frame.extend_from_slice(&bytes[..taken]);
                    self.input.consume(taken);
                    self.taken += taken as u64;
                }
                Ok(Fill::NotYet) if patience == Patience::Moment && comes_soon(self.request) => {}
                Ok(Fill::NotYet) => break None,
                Ok(Fill::End) => break Some(Ok(())),
                Err(error) => break Some(Err(error)),
            }
        };
        let length = self.frame.len() - data;
        if length == 0 {
            self.frame.truncate(start);
        } else {
            // A piece fits: PIECE is far below the limit.
            self.frame[start..][..4].copy_from_slice(&(length as u32).to_le_bytes());
        }
        match end {
            None => {}
            Some(Ok(())) => {
                self.ended = true;
                self.end();
            }
            Some(Err(error)) => {
                self.ended = true;
                put_input_failed(&mut self.frame, InputFailure::from_error(error.kind()));
            }
        }
    }

    fn end(&mut self) {
        let Some(trailers) = self.input.trailers() else {
            put_input_end(&mut self.frame);
            return;
        };
        let mut frame = FieldsEncoder::input_end(&mut self.frame);
        for (name, value) in &trailers {
            frame.header(name.as_str().as_bytes(), value.as_bytes());
        }
        if frame.finish(&FrameLimits::default()).is_err() {
            // Trailers that are too long for the bridge are not worth the request.
            put_input_end(&mut self.frame);
        }
    }
}

/// Returns whether the client sends more within a moment.
fn comes_soon(request: &Request<'_>) -> bool {
    let Some(socket) = request.socket() else { return false };
    os::poll(borrow(&socket), (true, false), None, Some(LINGER))
        .is_ok_and(|(polled, _)| polled.readable && !polled.hung_up)
}

/// Returns a borrowed descriptor of httpd's.
pub(super) const fn borrow(socket: &RawFd) -> BorrowedFd<'_> {
    // SAFETY: P1: httpd keeps the client's socket open for as long as it has the request.
    unsafe { BorrowedFd::borrow_raw(*socket) }
}
