//! The request body as it comes over the bridge.
//!
//! A worker may write a response while the child still writes the body. When its write would block,
//! it takes in what the child sends, up to a bound; beyond that it just waits. That cannot end in a
//! deadlock: the child always reads what the process sends, even while its own output is blocked.
//! So the child guarantees progress.
//!
//! A client that is slow to send holds a thread, but not a permit, and no thread where the
//! application is a service.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::current_request::{CurrentRequest, wait_to_write};
use super::inbound::{BUFFER, BodyBuffer, BodyState, InboundFrames, closed};
use super::process::DaemonProcess;
use crate::gateway::{Error, ErrorKind, Fill, InputSource, Result};
use crate::os;
use crate::process_group::WorkerScore;
use crate::protocol::bridge::{
    Frame, FrameLimits, HEADER, Header, Kind, Message, Pairs, Peer, put_continue, split,
};

/// The request body of one exchange.
pub(super) struct BridgeInput<'e, 'c> {
    process: &'e Arc<DaemonProcess>,
    inbound: &'e InboundFrames<'c>,
    current: &'e CurrentRequest,
    row: &'e WorkerScore,
    length: Option<u64>,
    /// A CONTINUE is to be sent before anything can come.
    expect: bool,
    /// The unused bytes that came with the REQUEST. They come before those in `buffer`.
    first: &'e [u8],
    buffer: &'e mut BodyBuffer,
    /// The rest of the INPUT that is being read.
    piece: usize,
    trailers: Option<HeaderMap>,
    taken: u64,
}

/// The state of a request body between two visits.
#[derive(Debug)]
pub(super) struct InputState {
    length: Option<u64>,
    expect: bool,
    unread: Vec<u8>,
    piece: usize,
    trailers: Option<HeaderMap>,
    taken: u64,
}

/// The rest that an exchange leaves on its connection.
#[derive(Debug, Default)]
pub(super) struct Leftover {
    pub(super) rest: Vec<u8>,
    pub(super) skip: u32,
    pub(super) body: bool,
}

impl<'e, 'c> BridgeInput<'e, 'c> {
    pub(super) fn new(
        process: &'e Arc<DaemonProcess>,
        inbound: &'e InboundFrames<'c>,
        (current, row): (&'e CurrentRequest, &'e WorkerScore),
        (length, expect): (Option<u64>, bool),
        first: &'e [u8],
        buffer: &'e mut BodyBuffer,
    ) -> Self {
        buffer.empty();
        Self {
            process,
            inbound,
            current,
            row,
            length,
            expect,
            first,
            buffer,
            piece: 0,
            trailers: None,
            taken: 0,
        }
    }

    /// Goes on in another visit.
    pub(super) fn resume(
        process: &'e Arc<DaemonProcess>,
        inbound: &'e InboundFrames<'c>,
        (current, row): (&'e CurrentRequest, &'e WorkerScore),
        state: InputState,
        buffer: &'e mut BodyBuffer,
    ) -> Self {
        buffer.empty();
        if !state.unread.is_empty() {
            buffer.put(&state.unread);
        }
        let InputState { length, expect, piece, trailers, taken, .. } = state;
        let first = &[];
        Self {
            process,
            inbound,
            current,
            row,
            length,
            expect,
            first,
            buffer,
            piece,
            trailers,
            taken,
        }
    }

    /// The state for the next visit.
    pub(super) fn into_state(self) -> InputState {
        let Self { length, expect, first, buffer, piece, trailers, taken, .. } = self;
        // The first bytes come before those in the buffer.
        let unread = [first, buffer.unread()].concat();
        buffer.empty();
        InputState { length, expect, unread, piece, trailers, taken }
    }

    /// Returns the unused bytes that were read, as far as they lie together.
    fn unread(&self) -> &[u8] {
        if self.first.is_empty() { self.buffer.unread() } else { self.first }
    }

    fn use_up(&mut self, amount: usize) {
        match self.first.split_at_checked(amount) {
            Some((_, rest)) if !self.first.is_empty() => self.first = rest,
            _ => self.buffer.from += amount,
        }
    }

    /// The number of bytes of the body that the application has got.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Unused bytes go back to the connection.
    pub(super) fn into_leftover(self) -> Leftover {
        let mut ahead = self.inbound.ahead.borrow_mut();
        if !self.first.is_empty() {
            self.buffer.put(self.first);
        }
        let unread = self.buffer.unread();
        let used = self.piece.min(unread.len());
        let rest = match &unread[used..] {
            [] if used == unread.len() && self.piece == used => std::mem::take(&mut *ahead),
            unread => {
                // Of an INPUT that is not all there the rest is skipped when it comes.
                let missing = self.piece - used;
                let skipped = missing.min(ahead.len());
                let rest = [unread, &ahead[skipped..]].concat();
                self.buffer.empty();
                return Leftover {
                    rest,
                    skip: (missing - skipped) as u32,
                    body: self.inbound.is_open(),
                };
            }
        };
        self.buffer.empty();
        Leftover { rest, skip: 0, body: self.inbound.is_open() }
    }

    /// Looks at the next frame. `true` when it has made a difference: there is data, or the end.
    fn step(&mut self) -> Result<bool> {
        let unread = self.unread();
        let Some(header) = unread.first_chunk::<HEADER>() else { return Ok(false) };
        let limits = FrameLimits::default();
        let header = Header::decode(header, Peer::Child, &limits)
            .map_err(|error| self.violated(&error.to_string()))?;
        if header.kind == Kind::Input {
            self.use_up(HEADER);
            self.piece = header.length as usize;
            return Ok(true);
        }
        let frame = split(unread, Peer::Child, &limits)
            .map_err(|error| self.violated(&error.to_string()))?;
        let Some(frame) = frame else { return Ok(false) };
        let (size, (state, trailers)) = (frame.size, self.ended(&frame)?);
        self.trailers = trailers;
        self.use_up(size);
        self.inbound.behind.set(self.unread().len());
        self.inbound.state.set(state);
        Ok(true)
    }

    /// The end of a body, by its last frame.
    fn ended(&self, frame: &Frame<'_>) -> Result<(BodyState, Option<HeaderMap>)> {
        match frame.message() {
            Ok(Message::InputEnd(trailers)) if trailers.is_empty() => Ok((BodyState::Ended, None)),
            Ok(Message::InputEnd(trailers)) => Ok((BodyState::Ended, Some(header_map(&trailers)))),
            Ok(Message::InputFailed(failure)) => {
                Ok((BodyState::Failed(failure.error_kind()), None))
            }
            // It stops only when it has the whole response, and then nobody is here to read.
            Ok(Message::InputStop) => Ok((BodyState::Failed(ErrorKind::InputMalformed), None)),
            Ok(_) => Err(self.violated(&format!("{} within a request", frame.kind))),
            Err(error) => Err(self.violated(&error.to_string())),
        }
    }

    fn violated(&self, what: &str) -> Error {
        self.inbound.broken.set(true);
        Error::of(ErrorKind::InputMalformed, format!("the httpd child broke the protocol: {what}"))
    }

    /// Gets more bytes; `false` when there are none.
    fn more(&mut self, wait: bool) -> Result<bool> {
        let inbound = self.inbound;
        if !self.first.is_empty() {
            // A frame that is not all there.
            self.buffer.put(std::mem::take(&mut self.first));
        }
        {
            let mut ahead = inbound.ahead.borrow_mut();
            if !ahead.is_empty() {
                self.buffer.put(&ahead);
                ahead.clear();
                return Ok(true);
            }
        }
        if inbound.broken.get() {
            return Err(closed());
        }
        // The response may be out up to the middle of a frame: then it goes on first.
        if self.expect && !self.current.is_partial() {
            self.expect = false;
            let mut frame = Vec::with_capacity(HEADER);
            put_continue(&mut frame);
            self.current.write(&frame[..], false, wait_to_write)?;
        }
        loop {
            if let Some(read) = inbound.receive(self.buffer.room(BUFFER / 2))? {
                self.buffer.to += read;
                return Ok(true);
            }
            if !wait {
                return Ok(false);
            }
            inbound.mute();
            if inbound.is_slow(false)? {
                self.process
                    .wait_for_client(self.current, self.row, inbound.phase.get(), || {
                        inbound.waits(|| os::poll(inbound.connection, (true, false), None, None))
                    })
                    .map_err(|_| closed())?;
            }
        }
    }
}

impl InputSource for BridgeInput<'_, '_> {
    fn length(&self) -> Option<u64> {
        self.length
    }

    fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        loop {
            let there = self.piece.min(self.unread().len());
            if there > 0 {
                return Ok(Fill::Data(&self.unread()[..there]));
            }
            match self.inbound.state.get() {
                BodyState::Open => {}
                BodyState::Ended => return Ok(Fill::End),
                BodyState::Failed(kind) => return Err(Error::of(kind, failure(kind))),
            }
            if self.piece == 0 && self.step()? {
                continue;
            }
            if !self.more(wait)? {
                return Ok(Fill::NotYet);
            }
        }
    }

    fn consume(&mut self, amount: usize) {
        debug_assert!(amount <= self.piece);
        self.use_up(amount);
        self.piece -= amount;
        self.taken += amount as u64;
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }
}

fn header_map(pairs: &Pairs<'_>) -> HeaderMap {
    let fields = pairs.iter().filter_map(|(name, value)| {
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    });
    let mut map = HeaderMap::new();
    fields.for_each(|(name, value)| {
        map.append(name, value);
    });
    map
}

const fn failure(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InputTooLarge => "the request body exceeds LimitRequestBody",
        ErrorKind::InputTimeout => "the client sent nothing for too long",
        ErrorKind::ClientGone => "the client went away while it was sending",
        _ => "the request body is malformed or cut off",
    }
}
