//! One request of an httpd child as the gateway's exchange.

mod ending;

use std::cell::{Cell, OnceCell, RefCell};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::connection::ChildConnection;
use super::current_request::{CurrentRequest, OutputPieces as _, left, wait_to_write};
use super::inbound::InboundFrames;
use super::output::FrameOutput;
use super::place::Place;
use super::process::DaemonProcess;
use super::suspended::RequestWaker;
use super::variables::{BridgeEnviron, KeptRequest};
#[cfg(feature = "tower")]
use crate::gateway::exchange::Upgrade;
use crate::gateway::{
    Error, ErrorKind, Exchange, FileBody, Interest, Level, Result, SharedVariables, Status,
    Suspend, Variables, Woken,
};
use crate::os::monotonic_us;
use crate::process_group::{Phase, WorkerScore};
use crate::protocol::bridge::{FieldsEncoder, HeadEncoder, put_end, put_file};
use crate::server::workers::parker::{self, ClientState};

/// A request in a daemon process, for one visit.
pub(super) struct BridgeExchange<'e, 'c> {
    pub(super) process: &'e Arc<DaemonProcess>,
    environ: BridgeEnviron<'e>,
    pub(super) current: &'e CurrentRequest,
    pub(super) row: &'e WorkerScore,
    inbound: &'e InboundFrames<'c>,
    output: RefCell<&'e mut FrameOutput>,
    head: RefCell<Option<HeadEncoder>>,
    state: ExchangeState,
}

/// The state of a request that lasts from visit to visit.
#[derive(Debug, Default)]
pub(super) struct ExchangeState {
    /// The status, as soon as it is begun.
    status: Cell<u16>,
    /// Why there is no head, though it was committed.
    unsent: RefCell<Option<Error>>,
    /// A HEAD's file, whose validators only httpd's child can tell.
    file_of_head: RefCell<Option<(File, u64, bool)>>,
    gone: Cell<bool>,
    /// The connection was given back with the last frame: it may be another thread's by now.
    released: Cell<bool>,
    /// The last frame is written.
    over: Cell<bool>,
    sent: Cell<u64>,
    /// Bytes of the collected output that are written.
    written: Cell<usize>,
    /// There was no room for the rest.
    clogged: Cell<bool>,
    /// Room is reported.
    watches_room: Cell<bool>,
    queue_us: u64,
    started_us: u64,
    head_us: Cell<u64>,
    kept: OnceCell<Arc<KeptRequest>>,
    /// The head is one that switches protocols.
    switches: Cell<bool>,
    /// The application is known to be a service.
    is_service: Cell<bool>,
    /// It waits on its thread, as too many wait without one.
    stays: Cell<bool>,
    /// The waker, from the first wait on.
    waker: OnceCell<Arc<RequestWaker>>,
    /// The place that the thread takes when the request keeps the thread's.
    pub(super) spare: RefCell<Option<Place>>,
}

/// The result of a request, as it is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestCounts {
    pub(super) status: u16,
    pub(super) bytes_out: u64,
    /// The connection was given back.
    pub(super) released: bool,
    /// The last frame was written, and the connection can go on.
    pub(super) over: bool,
}

impl ExchangeState {
    pub(super) fn new(queue_us: u64, started_us: u64) -> Self {
        Self { queue_us, started_us, ..Self::default() }
    }
}

impl<'e, 'c> BridgeExchange<'e, 'c> {
    /// Makes the exchange of a visit. `output` holds what was collected before and has no room yet.
    pub(super) const fn new(
        process: &'e Arc<DaemonProcess>,
        environ: BridgeEnviron<'e>,
        (current, row): (&'e CurrentRequest, &'e WorkerScore),
        inbound: &'e InboundFrames<'c>,
        output: &'e mut FrameOutput,
        state: ExchangeState,
    ) -> Self {
        let (output, head) = (RefCell::new(output), RefCell::new(None));
        Self { process, environ, current, row, inbound, output, head, state }
    }

    pub(super) fn tally(&self) -> RequestCounts {
        RequestCounts {
            status: self.state.status.get(),
            bytes_out: self.state.sent.get(),
            released: self.state.released.get(),
            over: self.state.over.get(),
        }
    }

    /// The state for the next visit, and the request itself.
    pub(super) fn into_state(self) -> (ExchangeState, Arc<KeptRequest>) {
        let kept = self.keep();
        (self.state, kept)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state.gone.get() || self.inbound.is_broken()
    }

    /// Notes that nobody is there any more to take the response.
    pub(super) fn set_gone(&self) {
        self.state.gone.set(true);
    }

    /// Returns whether output waits for room.
    pub(super) fn is_clogged(&self) -> bool {
        !self.is_gone() && self.state.clogged.get()
    }

    /// Lets the request be visited when there is room, if output waits for it.
    pub(super) fn watch_for_room(&self) {
        let is_clogged = self.is_clogged();
        if self.state.watches_room.replace(is_clogged) != is_clogged {
            self.process.pool.watch_for(self.inbound.connection, true, is_clogged);
        }
    }

    /// Notes that the request is over, so that its waker has no effect.
    pub(super) fn end(&self) {
        self.watch_for_room();
        if let Some(waker) = self.state.waker.get() {
            waker.end();
        }
    }

    fn keep(&self) -> Arc<KeptRequest> {
        self.state.kept.get_or_init(|| Arc::new(self.environ.keep())).clone()
    }

    /// Writes what is collected: all of it, or what there is room for if the request can wait for
    /// more without a thread.
    pub(super) fn write_out(&self, last: bool) -> Result<()> {
        if self.is_gone() {
            return Err(left());
        }
        let mut output = self.output.borrow_mut();
        let written = self.write_collected(&mut output, last);
        if written.is_err() {
            output.clear();
            self.set_gone();
        }
        written
    }

    fn write_collected(&self, output: &mut FrameOutput, last: bool) -> Result<()> {
        let (mut written, length) = (self.state.written.get(), output.length());
        while self.may_leave_output() && written < length {
            written = self.current.write_some(written, &*output, last)?;
            if written == length || self.inbound.connection.widen() {
                continue;
            }
            if Suspend::waker(self).is_none() {
                break;
            }
            self.state.written.set(written);
            self.state.clogged.set(true);
            // Nothing is added to a frame whose header may be out.
            output.closed();
            return Ok(());
        }
        let wait = |connection: &_| self.wait_to_write(connection, last);
        self.current.write_from(written, &*output, last, wait)?;
        self.state.written.set(0);
        self.state.clogged.set(false);
        output.clear();
        Ok(())
    }

    /// Returns whether the request may wait for room without its thread.
    pub(super) fn may_leave_output(&self) -> bool {
        let state = &self.state;
        state.is_service.get() && !state.stays.get() && !state.released.get()
    }

    /// Waits until the httpd child has room, which for a large response is its client's affair.
    fn wait_to_write(&self, connection: &ChildConnection, last: bool) -> Result<()> {
        if connection.widen() || !self.inbound.is_slow(true)? {
            return Ok(());
        }
        self.process.wait_for_client(self.current, self.row, self.inbound.phase.get(), || {
            // With the last frame the connection may have become another thread's to read.
            if last { wait_to_write(connection) } else { self.inbound.wait_to_write(connection) }
        })
    }

    fn send_file(&self, file: &File, start: u64, length: u64, whole: bool) -> Result<()> {
        if !self.output.borrow().is_empty() {
            self.write_out(false)?;
        }
        let mut frame = Vec::with_capacity(32);
        put_file(&mut frame, start, length, whole);
        let sent = self.current.write_with_descriptor(&frame, file.as_fd(), |connection| {
            self.wait_to_write(connection, false)
        });
        if sent.is_err() {
            self.set_gone();
        }
        sent
    }

    /// Nothing can be sent any more, because of the client or because of the head.
    fn check(&self) -> Result<()> {
        if let Some(error) = &*self.state.unsent.borrow() {
            return Err(Error::of(error.kind(), error.to_string()));
        }
        if self.is_gone() { Err(left()) } else { Ok(()) }
    }
}

impl Suspend for BridgeExchange<'_, '_> {
    fn waker(&self) -> Option<Waker> {
        if let Some(waker) = self.state.waker.get() {
            return Some(Waker::from(waker.clone()));
        }
        if self.state.stays.get() {
            return None;
        }
        let Some(spare) = self.process.places.take() else {
            self.state.stays.set(true);
            return None;
        };
        self.state.is_service.set(true);
        *self.state.spare.borrow_mut() = Some(spare);
        let new = || Arc::new(RequestWaker::new(self.process, self.inbound.connection));
        Some(Waker::from(self.state.waker.get_or_init(new).clone()))
    }

    fn has_room(&self) -> bool {
        self.state.is_service.set(true);
        !self.is_clogged()
    }

    fn expect_large_output(&self) {
        self.state.is_service.set(true);
    }
}

impl Variables for BridgeExchange<'_, '_> {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.environ.get(key)
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.environ.each(visit);
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.environ.head().headers.get_ignore_case(name)
    }

    fn each_header(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.environ.head().headers.iter().for_each(|(name, value)| visit(name, value));
    }

    fn header_count(&self) -> usize {
        self.environ.head().headers.iter().count()
    }

    fn raw_target(&self) -> &[u8] {
        self.environ.head().facts.target
    }
}

impl Exchange for BridgeExchange<'_, '_> {
    fn begin(&self, status: Status<'_>) {
        let mut output = self.output.borrow_mut();
        let mut head = self.head.borrow_mut();
        if let Some(head) = head.take() {
            head.abandon(&mut output.frames);
        }
        let (code, reason) = (status.code().as_u16(), status.reason().unwrap_or_default());
        self.state.status.set(code);
        let switches = status.code() == StatusCode::SWITCHING_PROTOCOLS;
        self.state.switches.set(switches);
        *head = Some(if switches {
            HeadEncoder::switch(&mut output.frames)
        } else {
            HeadEncoder::begin(&mut output.frames, code, reason)
        });
    }

    fn put_header(&self, name: &[u8], value: &[u8]) {
        if let Some(head) = &mut *self.head.borrow_mut() {
            head.header(&mut self.output.borrow_mut().frames, name, value);
        }
    }

    #[cfg(feature = "tower")]
    fn upgrade(&self) -> Upgrade {
        if self.environ.head().facts.upgrade { Upgrade::Tunnel } else { Upgrade::None }
    }

    fn commit(&self, length: Option<u64>) {
        let Some(head) = self.head.borrow_mut().take() else { return };
        let mut output = self.output.borrow_mut();
        match head.commit(&mut output.frames, length, false, &self.process.limits) {
            Ok(size) => {
                if self.state.switches.get() {
                    output.closed();
                    self.inbound.switch();
                    self.current.switch();
                } else {
                    let start = output.frames.len() - size;
                    output.head_put(start);
                }
                let now_us = monotonic_us();
                self.state.head_us.set(now_us);
                self.inbound.phase.set(Phase::Body);
                self.row.head_sent(now_us);
            }
            Err(error) => {
                let message = format!("{error} (header-buffer-size)");
                *self.state.unsent.borrow_mut() =
                    Some(Error::of(ErrorKind::InvalidHeader, message));
            }
        }
    }

    fn write(&self, data: Bytes) -> Result<()> {
        self.check()?;
        self.state.sent.set(self.state.sent.get() + data.len() as u64);
        let mut output = self.output.borrow_mut();
        output.body(&data);
        if !output.is_due() {
            return Ok(());
        }
        drop(output);
        self.write_out(false)
    }

    /// The httpd child knows the file too, and does them. For a HEAD it has to be told of the file.
    fn conditions(&self, file: &FileBody) -> Option<StatusCode> {
        if self.get(b"REQUEST_METHOD") == Some(b"HEAD")
            && let Ok(duplicate) = file.file().try_clone()
        {
            let kept = (duplicate, file.start(), file.is_whole());
            *self.state.file_of_head.borrow_mut() = Some(kept);
        }
        None
    }

    fn overrides(&self, _status: StatusCode) -> bool {
        self.environ.head().facts.error_override
    }

    fn file(&self, file: FileBody) -> Result<()> {
        self.check()?;
        self.state.sent.set(self.state.sent.get() + file.length());
        self.send_file(file.file(), file.start(), file.length(), file.is_whole())
    }

    fn flush(&self) -> Result<()> {
        self.check()?;
        self.output.borrow_mut().flush();
        self.write_out(false)
    }

    fn finish(&self, trailers: Option<HeaderMap>) -> Result<()> {
        self.check()?;
        let file = self.state.file_of_head.borrow_mut().take();
        if let Some((file, start, whole)) = file {
            // For its validators: a HEAD has no body.
            self.send_file(&file, start, 0, whole)?;
        }
        let close = self.process.is_draining();
        self.last(|frames, timing| match trailers {
            None => {
                put_end(frames, close, timing);
                Ok(())
            }
            Some(trailers) => {
                let mut encoder = FieldsEncoder::end(frames, close, timing);
                for (name, value) in &trailers {
                    encoder.header(name.as_str().as_bytes(), value.as_bytes());
                }
                encoder.finish(&self.process.limits).map(drop)
            }
        })
    }

    fn logs(&self, level: Level) -> bool {
        self.current.logs(level).unwrap_or(true)
    }

    fn log(&self, level: Level, message: &str) {
        match self.current.logs(level) {
            Some(true) if self.current.log(level, message) => {}
            Some(false) => {}
            // The client and the child have gone; or the child has its last frame, and may have
            // sent another request.
            Some(true) | None => self.process.log(level, message),
        }
    }

    fn share(&self) -> Arc<dyn SharedVariables> {
        self.keep()
    }

    fn waker(&self) -> Waker {
        parker::waker()
    }

    fn park(&self, interest: Interest) -> Woken {
        if self.is_gone() {
            return Woken::Gone;
        }
        if interest == Interest::Input {
            if self.inbound.has_ahead() {
                return Woken::Input;
            }
            self.inbound.mute();
        }
        parker::park(self.inbound.connection, ClientState::Whole, interest, None, |wait| {
            self.process.park(self.current, self.row, self.inbound.phase.get(), wait)
        })
    }
}
