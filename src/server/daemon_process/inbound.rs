//! The reading side of a request's connection, and the buffer that bodies are read into.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::time::Duration;

use super::connection::ChildConnection;
use super::current_request::wait_to_write;
use super::process::DaemonProcess;
use crate::gateway::{Error, ErrorKind, Result};
use crate::os::{self, monotonic_us};
use crate::process_group::Phase;
use crate::server::workers::pool::WorkerPool;

/// Room to read into, in bytes: an INPUT of 64 KiB and what comes with it.
pub(super) const BUFFER: usize = 128 * 1024;

/// The most that is taken in before the application asks for it, in bytes.
const AHEAD: usize = 256 * 1024;

/// The wait for a client before its thread is given to another request, in microseconds.
const MOMENT_US: u64 = 2_000;

/// For how many such moments of one request in all: who sends a byte every millisecond is slow too.
const MOMENTS_US: u64 = 50_000;

/// The state of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyState {
    /// More may come.
    Open,
    Ended,
    Failed(ErrorKind),
}

/// The reading side of a connection, which input and output of an exchange share.
pub(super) struct InboundFrames<'c> {
    pub(super) connection: &'c ChildConnection,
    pool: &'c WorkerPool<DaemonProcess>,
    kept: InboundState,
}

/// The state of the reading side, which lasts from visit to visit.
#[derive(Debug)]
pub(super) struct InboundState {
    /// Bytes that were read, but not by who reads the body.
    pub(super) ahead: RefCell<Vec<u8>>,
    pub(super) state: Cell<BodyState>,
    /// The number of bytes that were read behind the body's end.
    pub(super) behind: Cell<usize>,
    /// The last read filled its buffer: there may be more without an event that says so.
    full: Cell<bool>,
    /// The child has closed the connection, or broken the protocol.
    pub(super) broken: Cell<bool>,
    muted: Cell<bool>,
    /// The place of the request to which a thread returns that has waited for its client.
    pub(super) phase: Cell<Phase>,
    /// The client has been waited for, and will be again.
    is_slow: Cell<bool>,
    /// The time that is left before that.
    left_us: Cell<u64>,
}

impl Deref for InboundFrames<'_> {
    type Target = InboundState;

    fn deref(&self) -> &InboundState {
        &self.kept
    }
}

impl InboundState {
    /// `behind` bytes came with the REQUEST behind it; `room` is for what is taken in.
    pub(super) fn new(room: Vec<u8>, has_body: bool, behind: usize, full: bool) -> Self {
        Self {
            ahead: RefCell::new(room),
            state: Cell::new(if has_body { BodyState::Open } else { BodyState::Ended }),
            behind: Cell::new(if has_body { 0 } else { behind }),
            full: Cell::new(full),
            broken: Cell::new(false),
            muted: Cell::new(false),
            phase: Cell::new(Phase::Application),
            is_slow: Cell::new(false),
            left_us: Cell::new(MOMENTS_US),
        }
    }
}

impl<'c> InboundFrames<'c> {
    pub(super) const fn new(
        connection: &'c ChildConnection,
        pool: &'c WorkerPool<DaemonProcess>,
        kept: InboundState,
    ) -> Self {
        Self { connection, pool, kept }
    }

    /// The state for the next visit. Without a visit all events of the connection count.
    pub(super) fn into_state(self) -> InboundState {
        self.unmute();
        self.kept
    }

    /// Whether the connection is at rest: nothing of this request follows, and nothing else has
    /// come.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.is_open() && !self.full.get() && self.behind.get() == 0 && !self.has_ahead()
    }

    /// The room for what is taken in, for another request.
    pub(super) fn into_room(self) -> Vec<u8> {
        self.kept.ahead.into_inner()
    }

    /// Goes on with what the child sends after a switch of protocols.
    pub(super) fn switch(&self) {
        self.state.set(BodyState::Open);
        self.behind.set(0);
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.get() == BodyState::Open
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.get()
    }

    /// Notes that there may be more to read without an event that says so.
    pub(super) fn look_again(&self) {
        self.full.set(true);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    pub(super) fn has_ahead(&self) -> bool {
        !self.ahead.borrow().is_empty()
    }

    /// Whether the client, waited for a moment, is not ready to send, or to take: `write`. A thread
    /// is worth giving away for who is slow, and not for who is not.
    pub(super) fn is_slow(&self, write: bool) -> Result<bool> {
        let left_us = self.left_us.get();
        if self.is_slow.get() || left_us == 0 {
            return Ok(true);
        }
        let moment = Duration::from_micros(MOMENT_US.min(left_us));
        let began_us = monotonic_us();
        let (polled, _) =
            os::poll(self.connection, (!write, write), None, Some(moment)).map_err(|_| closed())?;
        self.left_us.set(left_us.saturating_sub(monotonic_us().saturating_sub(began_us)));
        let is_ready = if write { polled.writable } else { polled.readable };
        self.is_slow.set(!is_ready && !polled.hung_up);
        Ok(!is_ready)
    }

    /// Workers are not woken for what is read here anyway.
    pub(super) fn mute(&self) {
        if !self.muted.replace(true) {
            self.pool.mute(self.connection);
        }
    }

    pub(super) fn unmute(&self) {
        if self.muted.replace(false) {
            self.pool.unmute(self.connection);
        }
    }

    /// Waits until there is room to write, and takes in what comes meanwhile.
    pub(super) fn wait_to_write(&self, connection: &ChildConnection) -> Result<()> {
        self.waits(|| self.take_in_until_writable(connection))
    }

    /// Waits as `wait` does. A client that was ready within a moment is not taken for slow the next
    /// time: to give a permit back wakes another thread, which costs more than such a wait.
    pub(super) fn waits<T>(&self, wait: impl FnOnce() -> T) -> T {
        let began_us = monotonic_us();
        let waited = wait();
        self.is_slow.set(monotonic_us().saturating_sub(began_us) >= MOMENT_US);
        waited
    }

    fn take_in_until_writable(&self, connection: &ChildConnection) -> Result<()> {
        if !self.is_open() || self.broken.get() || self.ahead.borrow().len() >= AHEAD {
            return wait_to_write(connection);
        }
        self.mute();
        let (polled, _) = os::poll(connection, (true, true), None, None).map_err(|_| closed())?;
        if polled.readable {
            let mut ahead = self.ahead.borrow_mut();
            let start = ahead.len();
            ahead.resize(start + BUFFER, 0);
            let read = self.receive(&mut ahead[start..]);
            ahead.truncate(start + read.as_ref().map_or(0, |read| read.unwrap_or(0)));
            read?;
        }
        Ok(())
    }

    /// Reads what is there: `None` when nothing is.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        match os::receive(self.connection, buffer) {
            Ok(Some(read)) if read > 0 => {
                self.full.set(read == buffer.len());
                Ok(Some(read))
            }
            Ok(None) => {
                self.full.set(false);
                Ok(None)
            }
            Ok(Some(_)) | Err(_) => {
                self.broken.set(true);
                Err(closed())
            }
        }
    }
}

pub(super) fn closed() -> Error {
    Error::of(ErrorKind::ClientGone, "the httpd child closed the bridge")
}

/// The buffer that a worker thread keeps for bodies, from one request to the next.
#[derive(Debug, Default)]
pub(super) struct BodyBuffer {
    data: Vec<u8>,
    /// The unused bytes that were read: `data[from..to]`.
    pub(super) from: usize,
    pub(super) to: usize,
}

impl BodyBuffer {
    pub(super) fn unread(&self) -> &[u8] {
        &self.data[self.from..self.to]
    }

    /// Moves what is left to the front and returns the room behind it.
    pub(super) fn room(&mut self, least: usize) -> &mut [u8] {
        self.data.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        if self.data.len() < BUFFER.max(self.to + least) {
            self.data.resize(BUFFER.max(self.to + least), 0);
        }
        &mut self.data[self.to..]
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.to += bytes.len();
    }

    pub(super) fn empty(&mut self) {
        (self.from, self.to) = (0, 0);
        self.data.truncate(BUFFER);
        self.data.shrink_to(BUFFER);
    }
}
