//! Protocols with one request a connection: a head, a body of known length, a response that ends
//! with the connection. SCGI and uwsgi differ in how their heads are written.
//!
//! A client may close its sending side behind the request, and still gets its answer.
//!
//! Only a Content-Length tells a response that broke off from one that is whole: both end with the
//! connection. Therefore the last bytes of a request stay in the socket until its response is out.
//! A connection that is closed before is reset by the kernel then, also where this process was
//! killed, and also on a Unix socket.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;

use super::StreamWorker;
use super::breaking::ResponseProgress;
use super::buffer::{Buffer, ReadOutcome};
use super::connection::{Due, StreamConnection};
use super::inbound::{Inbound, gone};
use super::output::{Framing, Output};
use super::overload::put_refusal;
use super::process::StreamProcess;
use super::protocol::BodyEnd;
use super::sending::{self, SendOutcome, Then};
use crate::gateway::{Error, ErrorKind, Fill, InputSource, Interest, Level, Result, Woken};
use crate::os::{self, monotonic_us};
use crate::protocol::params::{ParamLimits, Params};
use crate::server::site::{
    self, BreakOutcome, Breaker, Fault, FinalHead, Mode, OwnAnswer, Refusal, ResponseEnd, Sink,
};
use crate::server::workers::connections::Entry as _;
use crate::server::workers::parker::ClientState;

/// The number of bytes that are peeked at before they are read: most requests without a body, and a
/// part of others.
const LOOK: usize = 16 * 1024;

/// Room of a head that is kept for the next one, in bytes.
const KEEP: usize = 16 * 1024;

/// A request head and a response head on the wire.
#[derive(Clone, Copy)]
pub(in crate::server) struct Codec {
    pub(in crate::server) mode: Mode,
    /// Decodes a head: the bytes that it takes, and those of the body behind it.
    pub(in crate::server) decode: fn(&[u8], &ParamLimits, &mut Params) -> Decoded,
    /// Writes a response's head.
    pub(in crate::server) write_head: fn(&FinalHead<'_>, &mut Vec<u8>),
}

/// The end of a body whose length is known.
#[derive(Clone, Copy)]
struct BytesLeft(u64);

impl BodyEnd for BytesLeft {
    fn pass(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_sub(bytes.len() as u64);
    }

    fn is_here(&self) -> bool {
        self.0 == 0
    }

    fn left(&self) -> Option<u64> {
        Some(self.0)
    }
}

/// The bytes of a head that have come.
pub(in crate::server) type Decoded = std::result::Result<Option<(usize, u64)>, String>;

/// Works on a connection that the calling thread has claimed.
pub(in crate::server) fn serve(
    worker: &mut StreamWorker,
    connection: &Arc<StreamConnection>,
    codec: &Codec,
    hung_up: bool,
) {
    if connection.sending.is_parked() {
        return leave(worker, connection);
    }
    let lingers = connection.due().is_some_and(|(due, _)| due == Due::End);
    if lingers {
        return throw_away(worker, connection, hung_up);
    }
    let process = worker.process.clone();
    let limits = ParamLimits { head: process.site.limits.head, ..ParamLimits::default() };
    worker.buffer.clear();
    {
        let mut kept = connection.kept();
        if !kept.rest.is_empty() {
            worker.buffer.put(&kept.rest);
            kept.clear();
        }
    }
    loop {
        let before = worker.buffer.len();
        let received = worker.buffer.look(connection, LOOK).unwrap_or(ReadOutcome::End);
        let seen = worker.buffer.len() - before;
        if received != ReadOutcome::NotYet {
            match (codec.decode)(worker.buffer.unread(), &limits, &mut worker.params) {
                Ok(Some((size, length))) => {
                    worker.buffer.consume(size);
                    if length > worker.buffer.len() as u64 {
                        worker.buffer.take_seen(connection, seen);
                    }
                    if let Some(refusal) = worker.refusal() {
                        return refuse(worker, connection, codec, refusal);
                    }
                    let full = received == ReadOutcome::Full;
                    return run(worker, connection, codec, length, full);
                }
                Ok(None) => worker.buffer.take_seen(connection, seen),
                Err(why) => {
                    process.complain(connection, Fault::Violation, Level::Warn, || {
                        format!("{why}; closing the connection")
                    });
                    return process.forget(connection);
                }
            }
        }
        match received {
            ReadOutcome::Full => continue,
            ReadOutcome::Some if hung_up => continue,
            ReadOutcome::End => {
                if !worker.buffer.is_empty() {
                    process.complain(connection, Fault::Violation, Level::Info, || {
                        let count = worker.buffer.len();
                        format!("it closed within a request head, of which {count} bytes came")
                    });
                }
                return process.forget(connection);
            }
            ReadOutcome::Some | ReadOutcome::NotYet => {}
        }
        put_down(worker, connection);
        if !connection.has_room() {
            return process.crowded(connection);
        }
        if connection.release() {
            return;
        }
        let mut kept = connection.kept();
        worker.buffer.put(&kept.rest);
        kept.clear();
    }
}

/// The bytes in the buffer go to the connection.
fn put_down(worker: &mut StreamWorker, connection: &StreamConnection) {
    let process = &worker.process;
    let due = connection.due().map(|(due, _)| due);
    if !worker.buffer.is_empty() && due == Some(Due::FirstByte) {
        connection.expect(Due::Head, monotonic_us() + super::us(process.site.timeouts.head));
    }
    if worker.buffer.is_empty() && process.is_draining() {
        // It may just have been accepted: what it was opened for is on its way.
        super::expect_soon(connection);
    }
    connection.kept().rest.extend_from_slice(worker.buffer.unread());
    worker.buffer.clear();
}

/// Runs the request whose head is in `worker.params`. `full` says that there may be more to read
/// without an event that tells.
fn run(
    worker: &mut StreamWorker,
    connection: &Arc<StreamConnection>,
    codec: &Codec,
    length: u64,
    full: bool,
) {
    connection.expect_nothing();
    let StreamWorker { process, buffer, output, ahead, params, .. } = worker;
    // Of the web servers lighttpd alone reads a response while it still sends the body.
    let software = params.get(b"SERVER_SOFTWARE").unwrap_or_default();
    let half_duplex = !software.starts_with(b"lighttpd");
    let room = std::mem::take(ahead);
    let end = BytesLeft(length.saturating_sub(buffer.len() as u64));
    let inbound =
        Inbound::new(process, connection, ClientState::MayHalfClose, (half_duplex, end), room);
    inbound.set_open(length > buffer.len() as u64);
    inbound.set_full(full);
    output.begin(Framing::Raw);
    let response = SingleResponse {
        inbound: &inbound,
        codec,
        output: RefCell::new(output),
        gone: Cell::new(false),
        over: Cell::new(false),
    };
    let mut input = SingleInput { inbound: &inbound, buffer, length, left: length };
    let ending = site::serve(&process.site, codec.mode, params, &response, &mut input);
    if inbound.is_cut() {
        buffer.clear();
        params.shrink_to(KEEP);
        *ahead = inbound.into_room();
        // An answer is out, or parked, and the connection lingers.
        return leave(worker, connection);
    }
    let unread = input.left > 0 && !inbound.has_ended();
    let then = if unread { Then::Linger } else { Then::Close };
    let (ending, sent) = match ending {
        ResponseEnd::Whole => match response.send(Some(then)) {
            Ok(sent) => (ResponseEnd::Whole, sent),
            Err(_) => (ResponseEnd::Gone, SendOutcome::Whole),
        },
        // Parked output goes out before the connection is broken off.
        ResponseEnd::Broken if !connection.sending.writer().finish(Then::Reset) => {
            (ResponseEnd::Whole, SendOutcome::Parked)
        }
        ending => (ending, SendOutcome::Whole),
    };
    if ending != ResponseEnd::Whole {
        // A client that has half-closed must not take what it got for the whole. On a Unix socket
        // only a Content-Length tells.
        os::reset_on_close(connection);
    }
    buffer.clear();
    params.shrink_to(KEEP);
    *ahead = inbound.into_room();
    if sent == SendOutcome::Parked {
        return leave(worker, connection);
    }
    if ending == ResponseEnd::Whole && unread {
        return linger(worker, connection);
    }
    if ending == ResponseEnd::Whole {
        // The end of the request, so that the connection is closed without a reset.
        let _ = worker.buffer.receive(connection);
        worker.buffer.clear();
    }
    worker.process.forget(connection);
}

/// Answers a request that no thread takes up.
fn refuse(
    worker: &mut StreamWorker,
    connection: &Arc<StreamConnection>,
    codec: &Codec,
    refusal: Refusal,
) {
    let mut output = Output::new();
    let from = (&*worker.process, &**connection);
    put_refusal(from, (codec.mode, &worker.params), &mut output, refusal, codec.write_head);
    if !sending::reply(&worker.process, connection, &mut output) {
        return worker.process.forget(connection);
    }
    if !connection.sending.writer().finish(Then::Linger) {
        return leave(worker, connection);
    }
    connection.linger();
    throw_away(worker, connection, true);
}

/// Leaves a connection to the thread that writes what is parked.
fn leave(worker: &mut StreamWorker, connection: &Arc<StreamConnection>) {
    while connection.sending.is_parked() {
        if connection.release() {
            return;
        }
    }
    throw_away(worker, connection, true);
}

/// The response is out, but not all of the request is in: were the connection closed now, the rest
/// would make it a reset, and the response could be lost.
fn linger(worker: &mut StreamWorker, connection: &Arc<StreamConnection>) {
    connection.linger();
    worker.process.watch(connection, |watched| watched.muted = false);
    throw_away(worker, connection, true);
}

/// Reads what is there, for nobody.
fn throw_away(worker: &mut StreamWorker, connection: &Arc<StreamConnection>, hung_up: bool) {
    loop {
        worker.buffer.clear();
        let received = worker.buffer.receive(connection).unwrap_or(ReadOutcome::End);
        if matches!(received, ReadOutcome::Full | ReadOutcome::Some) {
            connection.lingers_on();
        }
        match received {
            ReadOutcome::End => return worker.process.forget(connection),
            ReadOutcome::Full => {}
            ReadOutcome::Some if hung_up => {}
            ReadOutcome::Some | ReadOutcome::NotYet => {
                worker.buffer.clear();
                if connection.release() {
                    return;
                }
            }
        }
    }
}

/// The request body.
struct SingleInput<'r, 'c> {
    inbound: &'r Inbound<'c, BytesLeft>,
    buffer: &'r mut Buffer,
    length: u64,
    left: u64,
}

impl SingleInput<'_, '_> {
    fn there(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(self.buffer.len())
    }
}

impl InputSource for SingleInput<'_, '_> {
    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        while self.left > 0 && self.buffer.is_empty() {
            match self.inbound.receive(self.buffer) {
                ReadOutcome::Full | ReadOutcome::Some => {}
                ReadOutcome::End => {
                    let came = self.length - self.left;
                    let length = self.length;
                    return Err(Error::of(
                        ErrorKind::InputMalformed,
                        format!("the request body ended after {came} of {length} bytes"),
                    ));
                }
                ReadOutcome::NotYet if wait => self.inbound.wait_to_read()?,
                ReadOutcome::NotYet => {
                    self.inbound.check_time()?;
                    return Ok(Fill::NotYet);
                }
            }
        }
        let there = self.there();
        if self.left <= self.buffer.len() as u64 {
            // All of it is here.
            self.inbound.set_open(false);
        }
        Ok(if there == 0 { Fill::End } else { Fill::Data(&self.buffer.unread()[..there]) })
    }

    fn consume(&mut self, amount: usize) {
        debug_assert!(amount <= self.there());
        self.buffer.consume(amount);
        self.left -= amount as u64;
    }
}

/// The response.
struct SingleResponse<'r, 'c> {
    inbound: &'r Inbound<'c, BytesLeft>,
    codec: &'r Codec,
    output: RefCell<&'r mut Output>,
    gone: Cell<bool>,
    over: Cell<bool>,
}

impl SingleResponse<'_, '_> {
    fn send_part(&self) -> Result<()> {
        self.inbound.absorb()?;
        self.send(None).map(|_| ())
    }

    fn send(&self, then: Option<Then>) -> Result<SendOutcome> {
        if self.gone.get() {
            return Err(gone());
        }
        let sent = sending::send(self.inbound, &mut self.output.borrow_mut(), then);
        self.gone.set(sent.is_err());
        sent
    }
}

impl Sink for SingleResponse<'_, '_> {
    fn head(&self, head: &FinalHead<'_>) -> Result<()> {
        let mut output = self.output.borrow_mut();
        output.head(|into| (self.codec.write_head)(head, into));
        Ok(())
    }

    fn write(&self, data: Bytes) -> Result<()> {
        let mut output = self.output.borrow_mut();
        output.body(data);
        let is_due = output.is_due();
        drop(output);
        if is_due || self.gone.get() { self.send_part() } else { Ok(()) }
    }

    fn flush(&self) -> Result<()> {
        self.send_part()
    }

    /// It is sent when the ending is known.
    fn finish(&self, _trailers: Option<HeaderMap>) -> Result<()> {
        self.over.set(true);
        Ok(())
    }

    fn breaker(&self) -> Option<Arc<dyn Breaker>> {
        Some(Arc::new(SingleBreaker {
            process: Arc::clone(self.inbound.process),
            connection: Arc::clone(self.inbound.connection),
            progress: Arc::clone(&self.inbound.progress),
            codec: *self.codec,
        }))
    }

    fn waker(&self) -> Waker {
        self.inbound.waker()
    }

    fn park(&self, interest: Interest) -> Woken {
        if self.gone.get() { Woken::Gone } else { self.inbound.park(interest) }
    }
}

/// Breaks the response off.
struct SingleBreaker {
    process: Arc<StreamProcess>,
    connection: Arc<StreamConnection>,
    progress: Arc<ResponseProgress>,
    codec: Codec,
}

impl Breaker for SingleBreaker {
    fn break_off(&self, answer: &OwnAnswer<'_>) -> BreakOutcome {
        let (process, connection) = (&*self.process, &*self.connection);
        if let (Some(writer), false) = self.progress.cut(connection) {
            let mut output = Output::new();
            output.head(|into| (self.codec.write_head)(&answer.head, into));
            output.body(answer.body.clone());
            let then = Some(Then::Linger);
            match sending::reply_with((process, connection), writer, &mut output, then) {
                Some(SendOutcome::Whole) => connection.linger(),
                Some(SendOutcome::Parked) => {}
                None => process.abort(connection),
            }
            return BreakOutcome::Answered { logged: false };
        }
        process.abort(connection);
        BreakOutcome::Broken
    }
}
