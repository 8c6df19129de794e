//! A worker thread: waits for connections that have something to read, and reads frames.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connection::{ChildConnection, ChildConnectionState};
use super::current_request::{self, RequestEnd};
use super::inbound::BodyBuffer;
use super::input::Leftover;
use super::output::FrameOutput;
use super::place::Place;
use super::process::DaemonProcess;
use super::serve::{self, Served};
use crate::gateway::{Code, Error};
use crate::os::{self, monotonic_us};
use crate::protocol::bridge::{
    FrameError, FrameLimits, HEADER, Header, Kind, Message, Peer, RefusalReason, put_reply, split,
};
use crate::server::workers::connections::Entry as _;

/// Room to read requests into, in bytes. It grows for a larger one, and shrinks again.
const READ: usize = 128 * 1024;

/// The state that a worker thread keeps from one request to the next.
pub(super) struct DaemonWorker {
    pub(super) process: Arc<DaemonProcess>,
    /// The place of the request that it works on.
    pub(super) place: Place,
    /// The unused bytes that were read: `read[from..to]`.
    pub(super) read: Vec<u8>,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) output: FrameOutput,
    pub(super) input: BodyBuffer,
    pub(super) spare: Vec<u8>,
}

/// The next step after a frame.
enum NextStep {
    /// Look at the next one.
    Go,
    /// More bytes are wanted for it.
    More,
    /// A request: its frame has so many bytes.
    Request(usize),
    /// The connection is of no further use.
    Close,
}

impl DaemonWorker {
    /// Makes the state of the calling thread.
    pub(super) fn new(process: &Arc<DaemonProcess>) -> Self {
        let place = process.places.take_for_thread();
        current_request::set_for_this_thread(place.current.clone());
        Self {
            process: process.clone(),
            place,
            read: vec![0; READ],
            from: 0,
            to: 0,
            output: FrameOutput::default(),
            input: BodyBuffer::default(),
            spare: Vec::new(),
        }
    }

    /// Ends a request that a panic outside of the application has broken off, and its connection.
    pub(super) fn panicked(&mut self, connection: Option<&ChildConnection>, error: &Error) {
        self.process.log(
            Code::WorkerPanicked.level(),
            &Code::WorkerPanicked.line(format_args!("a worker thread {error}")),
        );
        if let Some(connection) = connection {
            self.process.pool.connections.remove(connection.token());
            os::shutdown(connection.as_fd());
        }
        self.place.row.end();
        if self.place.current.end() == Some(RequestEnd::Whole) {
            self.process.slot().release(self.process.incarnation);
        }
        self.process.less_load();
    }

    /// Works on a connection until it has nothing to read, or is closed. Once its child has
    /// `hung_up` nobody wants an answer, and no event tells of the end behind what is to be read.
    pub(super) fn serve(&mut self, connection: &Arc<ChildConnection>, hung_up: bool) {
        let mut kept = self.take_up(connection);
        let waiting = kept.suspended.take();
        // An event that found the connection taken may have told of the end, behind what is to be
        // read: then a read that brings less than there is room for is not the last.
        let mut drains = hung_up || waiting.is_some();
        if let Some(request) = waiting {
            match serve::resume(self, connection, request, hung_up) {
                Served::Released => return,
                Served::Closed => return self.close(connection),
                Served::Kept(leftover, _) => self.take_back(leftover, &mut kept),
            }
        }
        loop {
            let Ok((read, mut full)) = self.receive(connection) else {
                return self.gone(connection, &kept);
            };
            full |= drains && read;
            loop {
                match self.frame(connection, &mut kept) {
                    NextStep::Go => {}
                    NextStep::More => break,
                    NextStep::Close => return self.close(connection),
                    NextStep::Request(_) if hung_up => return self.gone(connection, &kept),
                    NextStep::Request(size) => match serve::serve(self, connection, size, full) {
                        Served::Released => return,
                        Served::Closed => return self.close(connection),
                        Served::Kept(leftover, is_full) => {
                            // After a wait as well: its events may have told of something to read.
                            drains |= is_full;
                            full = drains;
                            self.take_back(leftover, &mut kept);
                        }
                    },
                }
            }
            if full || hung_up {
                continue;
            }
            self.put_down(connection, kept);
            if connection.release() {
                return;
            }
            drains = true;
            kept = self.take_up(connection);
        }
    }

    /// Reads what is there. Returns whether that is anything, and whether there may be more.
    fn receive(&mut self, connection: &ChildConnection) -> Result<(bool, bool), ()> {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        }
        if self.to == self.read.len() {
            if self.from > 0 {
                self.read.copy_within(self.from..self.to, 0);
                (self.from, self.to) = (0, self.to - self.from);
            } else {
                // No longer than a frame may be, which its header has been asked for already.
                self.read.resize(self.read.len() * 2, 0);
            }
        }
        let room = &mut self.read[self.to..];
        match os::receive(connection.as_fd(), room) {
            Ok(Some(read)) if read > 0 => {
                let full = read == room.len();
                self.to += read;
                Ok((true, full))
            }
            Ok(None) => Ok((false, false)),
            Ok(Some(_)) | Err(_) => Err(()),
        }
    }

    /// The bytes that the connection kept go into the buffer.
    fn take_up(&mut self, connection: &ChildConnection) -> ChildConnectionState {
        let mut kept = std::mem::take(&mut *connection.kept());
        self.fill(&kept.rest);
        kept.rest.clear();
        kept
    }

    /// The bytes in the buffer go to the connection.
    fn put_down(&mut self, connection: &ChildConnection, mut kept: ChildConnectionState) {
        kept.rest.extend_from_slice(&self.read[self.from..self.to]);
        (self.from, self.to) = (0, 0);
        if self.read.len() > READ {
            self.read.truncate(READ);
            self.read.shrink_to_fit();
        }
        *connection.kept() = kept;
    }

    /// The rest that a request left on its connection goes into the buffer.
    fn take_back(&mut self, leftover: Leftover, kept: &mut ChildConnectionState) {
        self.fill(&leftover.rest);
        kept.skip = leftover.skip;
        kept.body = leftover.body;
        self.spare = leftover.rest;
        self.spare.clear();
        self.spare.shrink_to(READ);
    }

    fn fill(&mut self, bytes: &[u8]) {
        if self.read.len() < bytes.len() + HEADER {
            self.read.resize(bytes.len() + READ, 0);
        }
        self.read[..bytes.len()].copy_from_slice(bytes);
        (self.from, self.to) = (0, bytes.len());
    }

    /// Looks at the frame that comes first in the buffer.
    fn frame(&mut self, connection: &ChildConnection, kept: &mut ChildConnectionState) -> NextStep {
        let unread = &self.read[self.from..self.to];
        if kept.skip > 0 {
            let skipped = unread.len().min(kept.skip as usize);
            self.from += skipped;
            kept.skip -= skipped as u32;
            return if kept.skip > 0 { NextStep::More } else { NextStep::Go };
        }
        let Some(header) = unread.first_chunk::<HEADER>() else { return NextStep::More };
        let limits = FrameLimits::default();
        let header = match Header::decode(header, Peer::Child, &limits) {
            Ok(header) => header,
            Err(error) => return self.violated(connection, kept, &error),
        };
        let good = match header.kind {
            Kind::Hello => !connection.is_greeted(),
            // An administrator's tool does not know the token.
            Kind::Control => !kept.body,
            Kind::Input | Kind::InputEnd | Kind::InputFailed | Kind::InputStop => kept.body,
            _ => connection.is_greeted() && !kept.body,
        };
        if !good {
            let why = format!("{} does not belong here", header.kind);
            return self.refuse(connection, kept, RefusalReason::Protocol, &why);
        }
        if header.kind == Kind::Input {
            self.from += HEADER;
            kept.skip = header.length;
            return NextStep::Go;
        }
        let frame = match split(unread, Peer::Child, &limits) {
            Ok(Some(frame)) => frame,
            Ok(None) => return NextStep::More,
            Err(error) => return self.violated(connection, kept, &error),
        };
        let size = frame.size;
        if frame.kind == Kind::Request {
            return NextStep::Request(size);
        }
        match frame.message() {
            Ok(Message::Hello(hello)) if hello.knows(&self.process.token) => {
                connection.set_greeted();
            }
            Ok(Message::Hello(_)) => {
                let why = "its token is not the process group's";
                return self.refuse(connection, kept, RefusalReason::Token, why);
            }
            Ok(Message::Control(command)) => {
                if !answer_control(&self.process, connection, command) {
                    return NextStep::Close;
                }
            }
            // The rest of a body, which nobody wants: here it ends.
            Ok(_) => kept.body = false,
            Err(error) => return self.violated(connection, kept, &error),
        }
        self.from += size;
        NextStep::Go
    }

    fn violated(
        &self,
        connection: &ChildConnection,
        kept: &ChildConnectionState,
        error: &FrameError,
    ) -> NextStep {
        self.refuse(connection, kept, RefusalReason::of_error(error), &error.to_string())
    }

    fn refuse(
        &self,
        connection: &ChildConnection,
        kept: &ChildConnectionState,
        reason: RefusalReason,
        why: &str,
    ) -> NextStep {
        self.process.refuse(connection, reason, why);
        self.give_up_request(connection, kept);
        NextStep::Close
    }

    /// The other end has closed.
    fn gone(&self, connection: &ChildConnection, kept: &ChildConnectionState) {
        self.give_up_request(connection, kept);
        self.close(connection);
    }

    /// A child that has written a part of a REQUEST counts on this process to take it off its load.
    fn give_up_request(&self, connection: &ChildConnection, kept: &ChildConnectionState) {
        let unread = &self.read[self.from..self.to];
        let is_request = unread.get(4).is_none_or(|&kind| kind == Kind::Request.number());
        if connection.is_greeted() && !kept.body && !unread.is_empty() && is_request {
            self.process.slot().release(self.process.incarnation);
            self.process.less_load();
        }
    }

    fn close(&self, connection: &ChildConnection) {
        self.process.pool.connections.remove(connection.token());
        os::shutdown(connection.as_fd());
        self.process.less_load();
    }
}

impl Drop for DaemonWorker {
    fn drop(&mut self) {
        self.process.places.thread_ended();
    }
}

/// Answers CONTROL, an administrator's command. Returns `false` when the peer was refused.
fn answer_control(process: &DaemonProcess, connection: &ChildConnection, command: &str) -> bool {
    if !process.controllers.contains(&connection.peer().uid) {
        process.refuse(connection, RefusalReason::User, "its user may not send CONTROL");
        return false;
    }
    let mut words = command.split_whitespace();
    let pid = std::process::id();
    let reply = match (words.next(), words.next().map(str::parse::<u32>), words.next()) {
        (Some("status"), None, None) => {
            process.board.snapshot(&process.options.name, monotonic_us()).to_json()
        }
        // Another process than the one that is meant may be in the slot by now.
        (Some("drain"), Some(Ok(meant)), None) if meant != pid => {
            format!("{{\"error\":\"process {pid} is here now, not {meant}\"}}")
        }
        (Some("drain"), None | Some(Ok(_)), None) => {
            process.drain_asked.store(true, Ordering::Release);
            process.bell.ring();
            "{\"draining\":true}".to_owned()
        }
        _ => "{\"error\":\"unknown command; there are status and drain PID\"}".to_owned(),
    };
    let mut frame = Vec::new();
    let limits = FrameLimits { head: u32::MAX, ..FrameLimits::default() };
    if put_reply(&mut frame, &reply, &limits).is_err() {
        return false;
    }
    let mut done = 0;
    while done < frame.len() {
        match os::send(connection.as_fd(), &frame[done..]) {
            Ok(Some(sent)) => done += sent,
            Ok(None) => {
                if os::poll(connection, (false, true), None, None).is_err() {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}
