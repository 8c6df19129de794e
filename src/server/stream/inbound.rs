//! The reading side of a connection while a request has it: what its input and its response share.

use std::cell::{Cell, RefCell};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::breaking::ResponseProgress;
use super::buffer::{Buffer, ReadOutcome};
use super::connection::StreamConnection;
use super::process::StreamProcess;
use super::protocol::BodyEnd;
use super::read_ahead::ReadAhead;
use crate::gateway::{Error, ErrorKind, Interest, Result, Woken};
use crate::os;
use crate::server::site::too_large;
use crate::server::workers::parker::{self, ClientState};
use crate::server::workers::pool::SlowReaders;

/// The size of one read, in bytes.
const TAKE: usize = 32 * 1024;

/// The wait for a client before its thread is given to another request.
const MOMENT: Duration = Duration::from_millis(2);

/// The source of a running request's bytes.
pub(in crate::server) struct Inbound<'c, E> {
    pub(in crate::server) process: &'c Arc<StreamProcess>,
    pub(in crate::server) connection: &'c Arc<StreamConnection>,
    client: ClientState,
    /// Bytes that were read, but not by who reads the body.
    ahead: RefCell<ReadAhead>,
    /// The framing of the body among the bytes that come.
    end: Cell<E>,
    /// The web server sends no more of the body, or reads nothing, once the response has begun.
    half_duplex: bool,
    /// More of the body may come, and this thread is the one to read it.
    open: Cell<bool>,
    /// The last read filled its buffer: there may be more without an event that says so.
    full: Cell<bool>,
    /// The other end sends no more.
    ended: Cell<bool>,
    muted: Cell<bool>,
    /// The client has been waited for, and will be again.
    slow: Cell<bool>,
    /// The time for the next piece of the body is up.
    late: Cell<bool>,
    pub(in crate::server) progress: Arc<ResponseProgress>,
}

/// The reading side of a connection whose request waits without a thread.
pub(in crate::server) struct InboundState<E> {
    /// Bytes that were read ahead, if there are any.
    ahead: Option<ReadAhead>,
    end: E,
    half_duplex: bool,
    open: bool,
    full: bool,
    ended: bool,
    pub(in crate::server) progress: Arc<ResponseProgress>,
}

impl<'c, E: BodyEnd> Inbound<'c, E> {
    /// Goes on from a visit before. `room` is for what is taken in.
    pub(super) fn resume(
        process: &'c Arc<StreamProcess>,
        connection: &'c Arc<StreamConnection>,
        client: ClientState,
        state: InboundState<E>,
        room: Vec<u8>,
    ) -> Self {
        let inbound = Self::new(process, connection, client, (state.half_duplex, state.end), room);
        let ahead = state.ahead.map_or(inbound.ahead, RefCell::new);
        let (open, full) = (Cell::new(state.open), Cell::new(state.full));
        let ended = Cell::new(state.ended);
        Self { ahead, open, full, ended, progress: state.progress, ..inbound }
    }

    /// Returns the state for the next visit, and the room for what is taken in.
    pub(super) fn suspend(self) -> (InboundState<E>, Vec<u8>) {
        let ahead = self.ahead.into_inner();
        let (ahead, room) = match ahead.is_empty() {
            true => (None, ahead.into_memory()),
            false => (Some(ahead), Vec::new()),
        };
        let state = InboundState {
            ahead,
            end: self.end.get(),
            half_duplex: self.half_duplex,
            open: self.open.get(),
            full: self.full.get(),
            ended: self.ended.get(),
            progress: self.progress,
        };
        (state, room)
    }

    /// `room` is for what is taken in.
    pub(in crate::server) fn new(
        process: &'c Arc<StreamProcess>,
        connection: &'c Arc<StreamConnection>,
        client: ClientState,
        (half_duplex, end): (bool, E),
        room: Vec<u8>,
    ) -> Self {
        Self {
            process,
            connection,
            client,
            ahead: RefCell::new(ReadAhead::new(room, Arc::clone(&process.spool))),
            end: Cell::new(end),
            half_duplex,
            open: Cell::new(false),
            full: Cell::new(false),
            ended: Cell::new(false),
            muted: Cell::new(false),
            slow: Cell::new(false),
            late: Cell::new(false),
            progress: Arc::default(),
        }
    }

    /// The room for what is taken in, for another request.
    pub(in crate::server) fn into_room(self) -> Vec<u8> {
        self.ahead.into_inner().into_memory()
    }

    /// Whether this thread reads the connection, and more of a body is to come.
    pub(in crate::server) const fn is_open(&self) -> bool {
        self.open.get()
    }

    pub(in crate::server) fn set_open(&self, open: bool) {
        self.open.set(open);
    }

    pub(in crate::server) const fn is_full(&self) -> bool {
        self.full.get()
    }

    pub(in crate::server) fn set_full(&self, full: bool) {
        self.full.set(full);
    }

    /// Whether the timer has broken the response off.
    pub(in crate::server) fn is_cut(&self) -> bool {
        self.progress.is_cut()
    }

    pub(in crate::server) const fn has_ended(&self) -> bool {
        self.ended.get()
    }

    pub(in crate::server) fn has_ahead(&self) -> bool {
        !self.ahead.borrow().is_empty()
    }

    /// Other threads are not woken for what is read here anyway.
    fn mute(&self) {
        if !self.muted.replace(true) {
            self.process.watch(self.connection, |watched| watched.muted = true);
        }
    }

    /// Others may hear of what comes again.
    pub(in crate::server) fn unmute(&self) {
        if self.muted.replace(false) {
            self.process.watch(self.connection, |watched| watched.muted = false);
        }
    }

    /// Reads what is there: what was taken in before, or from the socket.
    pub(in crate::server) fn receive(&self, buffer: &mut Buffer) -> ReadOutcome {
        {
            let mut ahead = self.ahead.borrow_mut();
            if !ahead.is_empty() {
                // Bytes that cannot be read again are lost, and the request with them.
                return ahead.take(buffer).map_or(ReadOutcome::End, |()| ReadOutcome::Some);
            }
        }
        if self.ended.get() {
            return ReadOutcome::End;
        }
        // An error of the socket ends it.
        let before = buffer.len();
        let received = match self.end.get().left() {
            Some(1) => buffer.look(self.connection, 1),
            Some(left) => buffer.receive_at_most(self.connection, all_but_one(left)),
            None => buffer.receive(self.connection),
        };
        let received = received.unwrap_or(ReadOutcome::End);
        self.came(&buffer.unread()[before..]);
        self.full.set(received == ReadOutcome::Full);
        self.ended.set(received == ReadOutcome::End);
        received
    }

    /// Waits until there is something to read, or the end.
    pub(in crate::server) fn wait_to_read(&self) -> Result<()> {
        let limit = self.process.site.timeouts.body;
        self.mute();
        let start = Instant::now();
        loop {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() || self.late.get() {
                return Err(too_late(limit));
            }
            let polled = if self.slow.get() {
                self.process.wait_for_client(|| self.poll(true, false, left))
            } else {
                self.poll(true, false, left.min(MOMENT))
            }?;
            if polled.readable || polled.hung_up {
                return Ok(());
            }
            self.slow.set(true);
        }
    }

    /// Waits until there is room to write, and takes in what comes meanwhile.
    pub(in crate::server) fn wait_to_write(&self) -> Result<()> {
        if self.connection.room.widen(self.connection) {
            return Ok(());
        }
        let limit = self.process.site.timeouts.send;
        let start = Instant::now();
        loop {
            let read = self.open.get() && !self.ended.get();
            if read {
                self.mute();
            }
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(self.too_slow(limit, "--send-timeout"));
            }
            let readers = &self.process.pool.readers;
            let is_slow = self.slow.get();
            let polled = if is_slow {
                let left = left.min(SlowReaders::SHORT_STALL);
                let wait = || self.process.wait_for_client(|| self.poll(read, true, left));
                readers.count(wait)
            } else {
                self.poll(read, true, left.min(MOMENT))
            }?;
            if polled.closed || (self.client == ClientState::Whole && polled.hung_up) {
                return Err(gone());
            }
            if read && polled.readable {
                self.take_in()?;
            }
            if polled.writable {
                return Ok(());
            }
            if is_slow
                && !polled.readable
                && let Some(reason) = readers.too_many(start.elapsed())
            {
                return Err(self.too_slow(start.elapsed(), &reason));
            }
            self.slow.set(!polled.readable || self.slow.get());
        }
    }

    /// Before a response begins that is not all of it: takes in what is left of the body, if the
    /// web server wants it so.
    pub(in crate::server) fn absorb(&self) -> Result<()> {
        if self.half_duplex {
            while self.open.get() && !self.ended.get() && !self.end.get().is_here() {
                self.check_size()?;
                self.wait_to_read()?;
                self.take_in()?;
            }
        }
        Ok(())
    }

    fn take_in(&self) -> Result<()> {
        let mut room = [0; TAKE];
        let (read, most) = match self.end.get().left() {
            Some(1) => (os::look(self.connection, &mut room[..1]), 1),
            Some(left) => {
                let most = all_but_one(left).min(TAKE);
                (os::receive(self.connection, &mut room[..most]), most)
            }
            None => (os::receive(self.connection, &mut room), TAKE),
        };
        let read = read.unwrap_or(Some(0));
        self.full.set(read == Some(most));
        self.ended.set(read == Some(0));
        let bytes = &room[..read.unwrap_or(0)];
        self.came(bytes);
        self.check_size()?;
        self.ahead.borrow_mut().put(bytes).map_err(|error| {
            let what = format!("the request body cannot be kept in a temporary file: {error}");
            Error::of(ErrorKind::Output, what)
        })
    }

    /// Whether no more of the body has come than may.
    fn check_size(&self) -> Result<()> {
        match self.process.site.limits.body {
            Some(limit) if self.end.get().body() > limit => Err(too_large(limit)),
            _ => Ok(()),
        }
    }

    /// The end of the body is to be found so in what comes from now on.
    pub(in crate::server) fn set_end(&self, end: E) {
        self.end.set(end);
    }

    fn came(&self, bytes: &[u8]) {
        let mut end = self.end.get();
        end.pass(bytes);
        self.end.set(end);
    }

    fn poll(&self, read: bool, write: bool, timeout: Duration) -> Result<os::Polled> {
        let timeout = Some(timeout);
        let polled = match self.client {
            ClientState::Whole => os::poll(self.connection, (read, write), None, timeout),
            ClientState::MayHalfClose => {
                os::poll_open(self.connection, (read, write), None, timeout)
            }
        };
        polled.map(|(polled, _)| polled).map_err(|_| gone())
    }

    fn too_slow(&self, time: Duration, limit: &str) -> Error {
        self.process.too_slow(self.connection, time, limit);
        Error::of(ErrorKind::ClientGone, "the client took nothing of the response for too long")
    }

    pub(in crate::server) fn waker(&self) -> Waker {
        parker::waker()
    }

    /// Waits for the waker, for the client's going, and for what `interest` names, if this thread
    /// reads the connection.
    pub(in crate::server) fn park(&self, interest: Interest) -> Woken {
        if self.is_cut() {
            return Woken::Gone;
        }
        let mut interest = interest;
        let mut limit = None;
        if interest == Interest::Input {
            if self.has_ahead() || self.ended.get() {
                return Woken::Input;
            }
            if self.open.get() {
                self.mute();
                limit = Some(self.process.site.timeouts.body);
            } else {
                interest = Interest::Waker;
            }
        }
        let start = Instant::now();
        let connection = self.connection.as_fd();
        let woken =
            parker::park(connection, self.client, interest, limit, |wait| self.process.park(wait));
        if limit.is_some_and(|limit| start.elapsed() >= limit) && woken == Woken::Called {
            self.late.set(true);
            return Woken::Input;
        }
        woken
    }

    /// The time for the next piece of the body is up.
    pub(in crate::server) fn set_late(&self) {
        self.late.set(true);
    }

    /// Why there will be no more input, if the time for it is up.
    pub(in crate::server) fn check_time(&self) -> Result<()> {
        if self.late.get() { Err(too_late(self.process.site.timeouts.body)) } else { Ok(()) }
    }
}

/// The number of coming bytes that may be taken out of the socket.
fn all_but_one(left: u64) -> usize {
    usize::try_from(left.saturating_sub(1)).unwrap_or(usize::MAX)
}

fn too_late(limit: Duration) -> Error {
    Error::of(
        ErrorKind::InputTimeout,
        format!("nothing of the request body came for {limit:?} (--body-timeout)"),
    )
}

/// Nobody is there to take the response.
pub(in crate::server) fn gone() -> Error {
    Error::of(ErrorKind::ClientGone, "the client went away")
}
