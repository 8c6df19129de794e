//! A request's input: STDIN, and a filter's DATA behind it.

use std::sync::Arc;
use std::time::Instant;

use super::multiplexer::{Channel, CompleteHead, leave_stalled, multiplexer};
use super::piece::{Inbound, RecordPiece, Scan};
use super::records::{ReadStep, RecordReader};
use super::response::reply;
use super::thread_state::SpareHeads;
use crate::gateway::{Error, ErrorKind, Fill, InputSource, Result, header};
use crate::protocol::fastcgi::{HEADER, RecordHeader, RecordKind, Role};
use crate::server::stream::{BodyEnd as _, Buffer, ReadOutcome, gone};
use crate::server::workers::connections::Entry as _;

/// The place at which input is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputMode {
    /// All of it is in the buffer, and nothing else. The connection was given back.
    Whole,
    /// This thread has claimed the connection, and reads it.
    Claimed,
    /// The thread that reads the connection puts it into the queue.
    Queued,
    /// It has ended.
    Over,
}

/// The input of a request between two visits.
pub(super) struct InputState {
    /// Input that was read and not used.
    fed: Vec<u8>,
    length: Option<u64>,
    taken: u64,
    is_over: bool,
}

impl InputState {
    /// Returns whether all of it was read.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }
}

/// The input of a request that runs.
pub(super) struct FastCgiInput<'r, 'c> {
    pub(super) inbound: &'r Inbound<'c>,
    pub(super) buffer: &'r mut Buffer,
    pub(super) spare: &'r mut SpareHeads,
    pub(super) replies: &'r mut Vec<u8>,
    pub(super) piece: RecordPiece,
    pub(super) mode: InputMode,
    channel: &'r Arc<Channel>,
    id: u16,
    role: Role,
    /// The length of the input at the front of the buffer.
    own: usize,
    /// Input that was not read by this thread: `fed[fed_from..]`.
    fed: Vec<u8>,
    fed_from: usize,
    /// The length by CONTENT_LENGTH (and a filter's FCGI_DATA_LENGTH).
    length: Option<u64>,
    taken: u64,
}

impl<'r, 'c> FastCgiInput<'r, 'c> {
    #[allow(clippy::too_many_arguments, reason = "made in one place, of what that place has")]
    pub(super) fn new(
        inbound: &'r Inbound<'c>,
        buffer: &'r mut Buffer,
        spare: &'r mut SpareHeads,
        replies: &'r mut Vec<u8>,
        request: &'r CompleteHead,
        piece: RecordPiece,
        mode: InputMode,
    ) -> Self {
        let number = |key: &[u8]| header::decimal(request.head.params.get(key)?);
        let length = number(b"CONTENT_LENGTH");
        let length = match request.role {
            Role::AUTHORIZER => Some(0),
            Role::FILTER => {
                number(b"FCGI_DATA_LENGTH").and_then(|data| data.checked_add(length.unwrap_or(0)))
            }
            _ => length,
        };
        let mut input = Self {
            inbound,
            buffer,
            spare,
            replies,
            piece,
            mode,
            channel: &request.channel,
            id: request.id,
            role: request.role,
            own: 0,
            fed: Vec::new(),
            fed_from: 0,
            length,
            taken: 0,
        };
        inbound.set_open(mode == InputMode::Claimed);
        if mode == InputMode::Claimed {
            input.look_for_end();
        }
        if mode == InputMode::Whole && !input.next_of_whole() {
            input.mode = InputMode::Over;
            if length.is_none() {
                // It turned out to be empty.
                input.length = Some(0);
            }
        }
        input
    }

    /// Goes on with an input from a visit before.
    pub(super) fn resume(&mut self, state: InputState) {
        let InputState { fed, length, taken, is_over } = state;
        (self.fed, self.fed_from, self.length, self.taken) = (fed, 0, length, taken);
        self.mode = if is_over { InputMode::Over } else { InputMode::Queued };
    }

    /// Returns the state for the next visit, and gives the connection back. What other threads read
    /// until then goes into the queue.
    pub(super) fn suspend(&mut self) -> InputState {
        self.fed.drain(..std::mem::take(&mut self.fed_from));
        while self.mode == InputMode::Whole {
            let own = std::mem::take(&mut self.own);
            self.fed.extend_from_slice(&self.buffer.unread()[..own]);
            self.buffer.consume(own);
            self.piece.content -= own;
            if !self.next_of_whole() {
                self.mode = InputMode::Over;
            }
        }
        if self.mode == InputMode::Claimed {
            if self.own > 0 {
                self.share();
            } else {
                self.give_back();
                self.mode = InputMode::Queued;
            }
        }
        InputState {
            fed: std::mem::take(&mut self.fed),
            length: self.length,
            taken: self.taken,
            is_over: self.mode == InputMode::Over,
        }
    }

    /// Goes to the next piece of an input that is all in the buffer; `false` at its end.
    fn next_of_whole(&mut self) -> bool {
        loop {
            self.piece.skip_padding(self.buffer);
            if self.piece.content > 0 {
                self.own = self.piece.content;
                return true;
            }
            let Some(header) = self.buffer.unread().first_chunk::<HEADER>() else { return false };
            let Ok(header) = RecordHeader::decode(header) else { return false };
            self.buffer.consume(HEADER);
            self.piece.begin(&header);
            let ends = header.kind == RecordKind::DATA || self.role != Role::FILTER;
            if header.content_length == 0 && ends {
                return false;
            }
        }
    }

    /// Reads the connection, having claimed it; `None` when there is nothing yet.
    fn read(&mut self) -> Result<Option<()>> {
        let (process, connection) = (self.inbound.process, self.inbound.connection);
        loop {
            let mut table = multiplexer(connection).table();
            let mut reader = RecordReader {
                process,
                connection,
                spare: self.spare,
                replies: self.replies,
                own: Some(self.id),
            };
            let step = reader.step(&mut table, self.buffer, &mut self.piece);
            let several = table.requests.len() > 1;
            drop(table);
            if !self.replies.is_empty() && !reply(process, connection, self.replies) {
                return Err(gone());
            }
            match step {
                ReadStep::Go => {}
                ReadStep::Own(there) => {
                    self.own = there;
                    if several {
                        self.share();
                    }
                    return Ok(Some(()));
                }
                ReadStep::OwnEnd => {
                    self.give_back();
                    self.mode = InputMode::Over;
                    return Ok(Some(()));
                }
                ReadStep::Ready(request) => {
                    multiplexer(connection).table().ready.push(request);
                    process.submit(connection, |worker, connection| {
                        connection.protocol().run_ready(worker, connection);
                    });
                }
                ReadStep::QueueFull => {
                    self.put_down();
                    self.inbound.unmute();
                    self.mode = InputMode::Queued;
                    if leave_stalled(connection) {
                        return Ok(Some(()));
                    }
                    self.take_up();
                }
                ReadStep::Violation(fault, why) => {
                    process.violated(connection, fault, &why);
                    let error = format!("the connection is closed: {why}");
                    return Err(Error::of(ErrorKind::InputMalformed, error));
                }
                ReadStep::More => match self.inbound.receive(self.buffer) {
                    ReadOutcome::Full | ReadOutcome::Some => {}
                    ReadOutcome::NotYet => return Ok(None),
                    ReadOutcome::End => {
                        process.cut(connection);
                        return Err(gone());
                    }
                },
            }
            if self.channel.is_gone() {
                return Err(gone());
            }
        }
    }

    /// Other requests are on this connection: what is behind this piece may be theirs.
    fn share(&mut self) {
        self.fed.clear();
        self.fed.extend_from_slice(&self.buffer.unread()[..self.own]);
        self.fed_from = 0;
        self.buffer.consume(self.own);
        self.piece.content -= self.own;
        self.own = 0;
        self.give_back();
        self.mode = InputMode::Queued;
    }

    /// Gives the connection back, for others to read on.
    fn give_back(&mut self) {
        let connection = self.inbound.connection;
        self.put_down();
        let has_rest = !connection.kept().rest.is_empty() || self.inbound.is_full();
        self.inbound.unmute();
        if has_rest || !connection.release() {
            self.inbound.process.resume(connection);
        }
    }

    /// Reads the connection from now on, which nobody else does.
    fn take_up(&mut self) {
        self.buffer.clear();
        let mut kept = self.inbound.connection.kept();
        self.buffer.put(&kept.rest);
        kept.clear();
        drop(kept);
        self.piece = std::mem::take(&mut multiplexer(self.inbound.connection).table().piece);
        self.inbound.set_open(true);
        self.mode = InputMode::Claimed;
        self.look_for_end();
    }

    /// The end may be in what was read already.
    fn look_for_end(&self) {
        if self.role != Role::RESPONDER {
            return;
        }
        let mut end = Some(Scan::new(self.id, self.piece));
        end.pass(self.buffer.unread());
        self.inbound.set_end(end);
    }

    /// Bytes that were read and not asked for are passed over. What stands between of other
    /// requests is theirs.
    pub(super) fn throw_away_ahead(&mut self) {
        while self.mode == InputMode::Claimed && self.inbound.has_ahead() {
            let own = std::mem::take(&mut self.own);
            self.buffer.consume(own);
            self.piece.content -= own;
            if !matches!(self.read(), Ok(Some(()))) {
                break;
            }
        }
    }

    /// Unused bytes go to the connection.
    pub(super) fn put_down(&mut self) {
        while self.inbound.has_ahead() {
            self.inbound.receive(self.buffer);
        }
        let mut kept = self.inbound.connection.kept();
        kept.rest.extend_from_slice(self.buffer.unread());
        drop(kept);
        multiplexer(self.inbound.connection).table().piece = self.piece;
        self.buffer.clear();
        self.inbound.set_open(false);
    }

    /// Takes what others have read; `None` when there is nothing.
    fn take_fed(&mut self) -> Option<InputStep> {
        let mut queue = self.channel.queue();
        if !queue.bytes.is_empty() {
            self.fed.clear();
            self.fed_from = 0;
            std::mem::swap(&mut self.fed, &mut queue.bytes);
            drop(queue);
            self.resume_reading();
            return Some(InputStep::Bytes);
        }
        queue.over.then_some(InputStep::End)
    }

    /// There is room in the queue again: somebody may read on.
    fn resume_reading(&self) {
        let connection = self.inbound.connection;
        let stalled = std::mem::take(&mut multiplexer(connection).table().stalled);
        if stalled && connection.claim() {
            self.inbound.process.resume(connection);
        }
    }

    /// Claims the connection, unless nothing can be read of it before another request has taken
    /// what is its.
    fn claim(&self) -> bool {
        let connection = self.inbound.connection;
        !multiplexer(connection).table().stalled && connection.claim()
    }

    fn wait_for_fed(&self) -> Result<()> {
        let limit = self.inbound.process.site.timeouts.body;
        let start = Instant::now();
        self.inbound.process.wait_for_client(|| {
            let queue = self.channel.listen(None);
            drop(self.channel.wait(queue, limit));
        });
        if start.elapsed() >= limit {
            return Err(Error::of(
                ErrorKind::InputTimeout,
                format!("nothing of the request body came for {limit:?} (--body-timeout)"),
            ));
        }
        Ok(())
    }

    /// The end has come: it has to be where the web server said.
    fn check_end(&self) -> Result<()> {
        match self.length {
            Some(length) if length != self.taken => Err(Error::of(
                ErrorKind::InputMalformed,
                format!("the request body ended after {} of {length} bytes", self.taken),
            )),
            _ => Ok(()),
        }
    }
}

enum InputStep {
    Bytes,
    End,
}

impl InputSource for FastCgiInput<'_, '_> {
    fn length(&self) -> Option<u64> {
        self.length
    }

    fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        loop {
            if self.fed_from < self.fed.len() {
                return Ok(Fill::Data(&self.fed[self.fed_from..]));
            }
            if self.own > 0 {
                return Ok(Fill::Data(&self.buffer.unread()[..self.own]));
            }
            if self.mode != InputMode::Over && self.channel.is_gone() {
                return Err(gone());
            }
            match self.mode {
                InputMode::Over => {
                    self.check_end()?;
                    return Ok(Fill::End);
                }
                InputMode::Whole => {
                    if !self.next_of_whole() {
                        self.mode = InputMode::Over;
                    }
                }
                InputMode::Claimed => {
                    // Bytes that other threads have read come before those in the socket.
                    match self.take_fed() {
                        Some(InputStep::Bytes) => continue,
                        Some(InputStep::End) => {
                            self.give_back();
                            self.mode = InputMode::Over;
                            continue;
                        }
                        None => {}
                    }
                    if self.read()?.is_none() {
                        if !wait {
                            self.inbound.check_time()?;
                            return Ok(Fill::NotYet);
                        }
                        self.inbound.wait_to_read()?;
                    }
                }
                InputMode::Queued => match self.take_fed() {
                    Some(InputStep::Bytes) => {}
                    Some(InputStep::End) => self.mode = InputMode::Over,
                    None if self.claim() => self.take_up(),
                    None if !wait => {
                        self.inbound.check_time()?;
                        return Ok(Fill::NotYet);
                    }
                    None => self.wait_for_fed()?,
                },
            }
        }
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount as u64;
        if self.fed_from < self.fed.len() {
            self.fed_from += amount;
        } else {
            self.buffer.consume(amount);
            self.piece.content -= amount;
            self.own -= amount;
        }
    }
}
