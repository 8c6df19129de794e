//! Protocols with one request a connection: a head, a body of known length, a response that ends
//! with the connection. SCGI and uwsgi differ in how their heads are written.
//!
//! A client may close its sending side behind the request, and still gets its answer.
//!
//! Only a Content-Length tells a response that broke off from one that is whole: both end with the
//! connection. Therefore the last bytes of a request stay in the socket until its response is out.
//! A connection that is closed before is reset by the kernel then, also where this process was
//! killed, and also on a Unix socket.

mod input;

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use self::input::{BytesLeft, SingleInput};
use super::StreamWorker;
use super::breaking::ResponseProgress;
use super::buffer::ReadOutcome;
use super::connection::{Due, StreamConnection};
use super::inbound::{Inbound, InboundState, gone};
use super::output::{Framing, Output};
use super::overload::put_refusal;
use super::process::StreamProcess;
use super::sending::{self, SendOutcome, Then};
use crate::gateway::run::Awaited;
use crate::gateway::{Error, ErrorKind, Interest, Level, Result, Woken};
use crate::os::{self, monotonic_us};
use crate::protocol::params::{ParamLimits, Params};
use crate::server::site::{
    self, BreakOutcome, Breaker, Fault, FinalHead, Mode, OwnAnswer, Refusal, ResponseEnd, Served,
    Sink, SuspendedRequest,
};
use crate::server::workers::connections::Entry as _;
use crate::server::workers::parker::ClientState;
use crate::server::workers::pool::WorkerPool;
use crate::server::workers::visits::{Visited, Visits};

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
        process.expect_soon(connection);
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
    let params = std::mem::take(&mut worker.params);
    worker.output.begin(Framing::Raw);
    let request = (*codec, params, length);
    go_on(worker, connection, request, OnceCell::new(), Visit::First { full });
}

/// The visits of a request.
type SingleVisits = Visits<StreamProcess, Box<WaitingRequest>>;

/// A request between two visits. Its connection stays claimed.
struct WaitingRequest {
    connection: Arc<StreamConnection>,
    codec: Codec,
    params: Params,
    length: u64,
    visits: OnceCell<Arc<SingleVisits>>,
    /// Output that is collected and not sent.
    output: Option<Output>,
    waited: Waited,
}

/// The state of a request that has waited.
struct Waited {
    suspended: Box<SuspendedRequest>,
    inbound: InboundState<BytesLeft>,
    /// The part of the request body that is here.
    body: Vec<u8>,
    /// The length of the unread body.
    left: u64,
}

/// A visit of a request.
enum Visit {
    First { full: bool },
    Next(Waited),
}

impl Visited<StreamProcess> for Box<WaitingRequest> {
    fn visit(self, worker: &mut StreamWorker, _: &Arc<SingleVisits>) {
        let connection = Arc::clone(&self.connection);
        WorkerPool::<StreamProcess>::catch(worker, Some(&connection), |worker| {
            let WaitingRequest { codec, params, length, visits, output, waited, .. } = *self;
            worker.buffer.clear();
            worker.buffer.put(&waited.body);
            match output {
                Some(output) => worker.output = output,
                None => worker.output.begin(Framing::Raw),
            }
            let request = (codec, params, length);
            go_on(worker, &connection, request, visits, Visit::Next(waited));
        });
    }
}

impl WaitingRequest {
    /// Has the request wait for its next visit.
    fn wait(self, process: &StreamProcess) {
        let Some(visits) = self.visits.get().cloned() else { return };
        let waker = visits.waker();
        let awaited = self.waited.suspended.awaited();
        let waits_for_input = awaited == Awaited::Input;
        // The end of the connection, and input that is awaited, are events, also if they came before.
        process.watch(&self.connection, |watched| watched.muted = !waits_for_input);
        if waits_for_input {
            let timeout = super::us(process.site.timeouts.body);
            visits.expect(Some(monotonic_us().saturating_add(timeout)));
        }
        if awaited == Awaited::Room {
            self.connection.sending.wait_for_room(&waker);
        }
        if self.waited.inbound.progress.is_cut() {
            waker.wake();
        }
        visits.suspend(Box::new(self));
    }
}

/// Goes on with a request to its next wait, or to its end.
fn go_on(
    worker: &mut StreamWorker,
    connection: &Arc<StreamConnection>,
    (codec, params, length): (Codec, Params, u64),
    visits: OnceCell<Arc<SingleVisits>>,
    visit: Visit,
) {
    let StreamWorker { process, buffer, output, ahead, .. } = worker;
    let room = std::mem::take(ahead);
    let client = ClientState::MayHalfClose;
    let (inbound, suspended, left) = match visit {
        Visit::First { full } => {
            // Of the web servers lighttpd alone reads a response while it still sends the body.
            let software = params.get(b"SERVER_SOFTWARE").unwrap_or_default();
            let half_duplex = !software.starts_with(b"lighttpd");
            let end = BytesLeft(length.saturating_sub(buffer.len() as u64));
            let inbound = Inbound::new(process, connection, client, (half_duplex, end), room);
            inbound.set_open(length > buffer.len() as u64);
            inbound.set_full(full);
            (inbound, None, length)
        }
        Visit::Next(Waited { suspended, inbound, left, .. }) => {
            let inbound = Inbound::resume(process, connection, client, inbound, room);
            (inbound, Some(suspended), left)
        }
    };
    let visit_waker = || {
        if visits.get().is_none() {
            let new = Visits::new(process)?;
            connection.tell(new.waker());
            let _ = visits.set(new);
        }
        visits.get().map(Visits::waker)
    };
    let response = SingleResponse {
        inbound: &inbound,
        codec: &codec,
        output: RefCell::new(output),
        gone: Cell::new(false),
        over: Cell::new(false),
        visit_waker: &visit_waker,
    };
    let mut input = SingleInput { inbound: &inbound, buffer, length, left };
    let request = (&*process.site, codec.mode, &params);
    let served = match suspended {
        None => site::start(request, &response, &mut input),
        Some(suspended) if inbound.is_cut() || is_closed(connection) => {
            let text = "the client left while the application waited";
            let error = Error::of(ErrorKind::ClientGone, text);
            Served::Done(suspended.give_up(request, &response, error))
        }
        Some(suspended) => {
            if visits.get().is_some_and(|visits| visits.is_late()) {
                inbound.set_late();
            }
            suspended.resume(request, &response, &mut input)
        }
    };
    let left = input.left;
    let ending = match served {
        Served::Done(ending) => ending,
        Served::Suspended(suspended) => {
            let output = (!output.is_empty()).then(|| output.take());
            let body = buffer.unread().to_vec();
            buffer.clear();
            let (inbound, room) = inbound.suspend();
            *ahead = room;
            let connection = Arc::clone(connection);
            let waited = Waited { suspended, inbound, body, left };
            let waiting =
                WaitingRequest { connection, codec, params, length, visits, output, waited };
            return waiting.wait(process);
        }
    };
    if let Some(visits) = visits.get() {
        visits.end();
    }
    if inbound.is_cut() {
        process.watch(connection, |watched| watched.muted = false);
        buffer.clear();
        keep(&mut worker.params, params);
        *ahead = inbound.into_room();
        // An answer is out, or parked, and the connection lingers.
        return leave(worker, connection);
    }
    let unread = left > 0 && !inbound.has_ended();
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
    keep(&mut worker.params, params);
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

/// Returns whether the peer of a connection has closed it, as far as events tell.
fn is_closed(connection: &StreamConnection) -> bool {
    connection.is_noticed()
        && os::poll_open(connection, (false, false), None, Some(Duration::ZERO))
            .is_ok_and(|(polled, _)| polled.closed)
}

/// Keeps room for another head.
fn keep(room: &mut Params, mut params: Params) {
    params.shrink_to(KEEP);
    *room = params;
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

/// The response.
struct SingleResponse<'r, 'c> {
    inbound: &'r Inbound<'c, BytesLeft>,
    codec: &'r Codec,
    output: RefCell<&'r mut Output>,
    gone: Cell<bool>,
    over: Cell<bool>,
    visit_waker: &'r dyn Fn() -> Option<Waker>,
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

    fn visit_waker(&self) -> Option<Waker> {
        (self.visit_waker)()
    }

    fn has_room(&self) -> bool {
        self.inbound.connection.sending.has_room()
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
