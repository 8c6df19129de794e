//! A request from its head to its END_REQUEST.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::breaking::SPOIL;
use super::input::{FastCgiInput, InputMode, InputState};
use super::multiplexer::{CompleteHead, leaves_others, multiplexer, put_down, take_off};
use super::piece::{Inbound, RecordPiece};
use super::response::FastCgiResponse;
use super::thread_state::ThreadState;
use crate::gateway::run::Awaited;
use crate::gateway::{Error, ErrorKind};
use crate::os::{self, monotonic_us};
use crate::protocol::fastcgi::{ProtocolStatus, RecordKind, put_end, put_stream_end};
use crate::server::site::{self, Mode, ResponseEnd, Served, SuspendedRequest};
use crate::server::stream::{
    Framing, Output, ResponseProgress, SendOutcome, StreamConnection, StreamProcess, StreamWorker,
    Then, us,
};
use crate::server::workers::connections::Entry as _;
use crate::server::workers::parker::ClientState;
use crate::server::workers::pool::WorkerPool;
use crate::server::workers::visits::{Visited, Visits};

/// The state of the connection for the calling thread.
#[derive(Clone, Copy, Debug)]
pub(super) enum Left {
    /// Others read it, or nobody.
    Alone,
    /// The calling thread has still claimed the connection. The worker's buffer has the bytes that
    /// were read, the piece the record that they end in. The flag says that there may be more to
    /// read without another event.
    Claimed(RecordPiece, bool),
}

/// The visits of a request.
type FastCgiVisits = Visits<StreamProcess, Box<WaitingRequest>>;

/// A request between two visits.
struct WaitingRequest {
    connection: Arc<StreamConnection>,
    request: Box<CompleteHead>,
    visits: OnceCell<Arc<FastCgiVisits>>,
    suspended: Box<SuspendedRequest>,
    input: InputState,
    /// Output that is collected and not sent.
    output: Option<Output>,
    progress: Arc<ResponseProgress>,
}

impl Visited<StreamProcess> for Box<WaitingRequest> {
    fn visit(self, worker: &mut StreamWorker, _: &Arc<FastCgiVisits>) {
        let connection = Arc::clone(&self.connection);
        WorkerPool::<StreamProcess>::catch(worker, Some(&connection), |worker| {
            let WaitingRequest { request, visits, suspended, input, output, progress, .. } = *self;
            worker.buffer.clear();
            if let Some(output) = output {
                worker.output = output;
            } else {
                worker.output.begin(Framing::Stdout(request.id));
            }
            let waited = Some((suspended, input, progress));
            let piece = RecordPiece::default();
            let from = (piece, InputMode::Queued, false);
            if let Left::Claimed(piece, _) =
                go_on(worker, &connection, request, from, (visits, waited))
            {
                put_down(worker, &connection, piece);
                worker.process.resume(&connection);
            }
        });
    }
}

/// Runs a request on the calling thread, up to its first wait.
pub(super) fn run(
    worker: &mut StreamWorker,
    connection: &Arc<StreamConnection>,
    request: Box<CompleteHead>,
    piece: RecordPiece,
    mode: InputMode,
    full: bool,
) -> Left {
    worker.output.begin(Framing::Stdout(request.id));
    go_on(worker, connection, request, (piece, mode, full), (OnceCell::new(), None))
}

/// The state of a request that has waited.
type Waited = (Box<SuspendedRequest>, InputState, Arc<ResponseProgress>);

/// Goes on with a request to its next wait, or to its end.
fn go_on(
    worker: &mut StreamWorker,
    connection: &Arc<StreamConnection>,
    request: Box<CompleteHead>,
    (piece, mode, full): (RecordPiece, InputMode, bool),
    (visits, waited): (OnceCell<Arc<FastCgiVisits>>, Option<Waited>),
) -> Left {
    let StreamWorker { process, buffer, output, ahead, states, .. } = worker;
    let state = states.get(ThreadState::new);
    let half_duplex = request.is_half_duplex();
    let room = std::mem::take(ahead);
    let mut inbound =
        Inbound::new(process, connection, ClientState::Whole, (half_duplex, None), room);
    inbound.set_full(full);
    let (suspended, input_state) = match waited {
        Some((suspended, input, progress)) => {
            inbound.progress = progress;
            (Some(suspended), Some(input))
        }
        None => (None, None),
    };
    let is_whole = input_state
        .as_ref()
        .map_or(matches!(mode, InputMode::Whole | InputMode::Over), InputState::is_over);
    let visit_waker = || {
        // All of the body has to be taken in before the response begins, by the thread that has it.
        if half_duplex && !is_whole && !request.channel.queue().over {
            return None;
        }
        if visits.get().is_none() {
            let new = Visits::new(process)?;
            drop(request.channel.listen(Some(new.waker())));
            let _ = visits.set(new);
        }
        visits.get().map(Visits::waker)
    };
    let response = FastCgiResponse {
        inbound: &inbound,
        channel: &request.channel,
        id: request.id,
        keep_conn: request.keep_conn,
        output: RefCell::new(output),
        broken: Cell::new(false),
        visit_waker: &visit_waker,
    };
    state.log.set(Some((process, connection, request.id)));
    let mut input = FastCgiInput::new(
        &inbound,
        buffer,
        &mut state.spare,
        &mut state.replies,
        &request,
        piece,
        mode,
    );
    if let Some(state) = input_state {
        input.resume(state);
    }
    let parts = (&*process.site, Mode::FastCgi, &request.head.params);
    let served = match suspended {
        None => site::start(parts, &response, &mut input),
        Some(suspended) if inbound.is_cut() || request.channel.is_gone() => {
            let text = "the client left while the application waited";
            let error = Error::of(ErrorKind::ClientGone, text);
            Served::Done(suspended.give_up(parts, &response, error))
        }
        Some(suspended) => {
            if visits.get().is_some_and(|visits| visits.is_late()) {
                inbound.set_late();
            }
            suspended.resume(parts, &response, &mut input)
        }
    };
    let ending = match served {
        Served::Done(ending) => ending,
        Served::Suspended(suspended) => {
            state.log.set(None);
            let input = input.suspend();
            let output = (!output.is_empty()).then(|| output.take());
            buffer.clear();
            inbound.unmute();
            let progress = Arc::clone(&inbound.progress);
            *ahead = inbound.into_room();
            let connection = Arc::clone(connection);
            let waiting =
                WaitingRequest { connection, request, visits, suspended, input, output, progress };
            waiting.wait(process);
            return Left::Alone;
        }
    };
    if let Some(visits) = visits.get() {
        visits.end();
    }
    state.log.set(None);
    input.throw_away_ahead();
    let (mode, piece) = (input.mode, input.piece);
    let all_read =
        matches!(mode, InputMode::Whole | InputMode::Over) || request.channel.queue().over;
    drop(input);

    if inbound.is_cut() {
        // Its client has an answer, or a broken response.
        inbound.unmute();
        let left = match mode {
            InputMode::Claimed if inbound.has_ended() => {
                process.forget(connection);
                Left::Alone
            }
            InputMode::Claimed => Left::Claimed(piece, inbound.is_full()),
            _ => Left::Alone,
        };
        return_room(ahead, inbound, state, *request);
        return left;
    }
    // In this order: the web server may use the id again as soon as it has the END_REQUEST.
    multiplexer(connection).ending.fetch_add(1, Ordering::AcqRel);
    let taken = (request.id, &request.channel, request.keep_conn);
    let closes = take_off(process, connection, taken).unwrap_or(true);
    let claimed = |unread| match mode {
        InputMode::Claimed if unread => Left::Claimed(piece, inbound.is_full()),
        _ => Left::Alone,
    };
    inbound.unmute();
    let lingers = !all_read && !inbound.has_ended();
    let then = match (closes, lingers) {
        (false, _) => Then::Keep,
        (true, false) => Then::Close,
        (true, true) => Then::Linger,
    };
    let end = response.end(ending, then);
    multiplexer(connection).ending.fetch_sub(1, Ordering::AcqRel);
    let left = match end {
        EndOutcome::Parked => claimed(true),
        EndOutcome::Whole if !closes => claimed(true),
        EndOutcome::Whole if lingers => {
            // Were it closed now, what has not been read would make it a reset, and the response
            // could be lost.
            connection.linger();
            if mode != InputMode::Claimed && connection.claim() {
                process.resume(connection);
            }
            claimed(true)
        }
        EndOutcome::Whole => {
            process.forget(connection);
            Left::Alone
        }
        EndOutcome::Broken if leaves_others(connection) => claimed(!inbound.has_ended()),
        broken @ (EndOutcome::Broken | EndOutcome::Cut) => {
            wait_for_ends(&inbound);
            if matches!(broken, EndOutcome::Broken) && response.spoil() {
                return_room(ahead, inbound, state, *request);
                return Left::Alone;
            }
            os::reset_on_close(connection);
            process.cut(connection);
            Left::Alone
        }
    };
    return_room(ahead, inbound, state, *request);
    left
}

impl WaitingRequest {
    /// Has the request wait for its next visit.
    fn wait(self, process: &StreamProcess) {
        let Some(visits) = self.visits.get().cloned() else { return };
        let waker = visits.waker();
        // The channel tells of input and of the client's departure from now on.
        let is_gone = self.request.channel.is_gone() || self.progress.is_cut();
        let has_come = match self.suspended.awaited() {
            Awaited::Input => {
                let timeout = us(process.site.timeouts.body);
                visits.expect(Some(monotonic_us().saturating_add(timeout)));
                let queue = self.request.channel.queue();
                !queue.bytes.is_empty() || queue.over
            }
            Awaited::Room => {
                self.connection.sending.wait_for_room(&waker);
                false
            }
            Awaited::Waker => false,
        };
        if is_gone || has_come {
            waker.wake();
        }
        visits.suspend(Box::new(self));
    }
}

/// Keeps room for another request.
fn return_room(
    ahead: &mut Vec<u8>,
    inbound: Inbound<'_>,
    state: &mut ThreadState,
    request: CompleteHead,
) {
    let CompleteHead { head, channel, .. } = request;
    *ahead = inbound.into_room();
    state.spare.put(head, channel);
}

/// The way in which the end of a response went out.
enum EndOutcome {
    /// All of it is out.
    Whole,
    /// It waits for room, and goes out without this thread.
    Parked,
    /// There is none, so that it looks broken.
    Broken,
    /// The connection takes no more.
    Cut,
}

impl FastCgiResponse<'_, '_> {
    /// Writes the end of the response.
    fn end(&self, ending: ResponseEnd, then: Then) -> EndOutcome {
        let app_status = match ending {
            ResponseEnd::Whole => 0,
            // The web server wants no more of it, but the end.
            ResponseEnd::Gone if self.channel.is_aborted() && !self.broken.get() => {
                self.output.borrow_mut().begin(Framing::Stdout(self.id));
                1
            }
            ResponseEnd::Gone if self.broken.get() => return EndOutcome::Cut,
            ResponseEnd::Gone | ResponseEnd::Broken => return EndOutcome::Broken,
        };
        self.output.borrow_mut().record(|into| {
            put_stream_end(into, RecordKind::STDOUT, self.id);
            put_end(into, self.id, app_status, ProtocolStatus::REQUEST_COMPLETE);
        });
        match self.send(Some(then)) {
            Ok(SendOutcome::Whole) => EndOutcome::Whole,
            Ok(SendOutcome::Parked) => EndOutcome::Parked,
            Err(_) => EndOutcome::Cut,
        }
    }
}

impl FastCgiResponse<'_, '_> {
    /// Breaks the stream of records. To nginx the end of a connection is the end of a response,
    /// with or without END_REQUEST. It breaks the response off for a record that is not FastCGI
    /// (version 0). On a TCP connection it also does so for a reset, which a Unix socket does not
    /// have.
    ///
    /// Returns whether that waits for room. The connection is reset behind it then.
    fn spoil(&self) -> bool {
        self.output.borrow_mut().record(|into| into.extend_from_slice(&SPOIL));
        matches!(self.send(Some(Then::Reset)), Ok(SendOutcome::Parked))
    }
}

/// Waits until the ends of other responses are sent, before the connection is broken off.
fn wait_for_ends(inbound: &Inbound<'_>) {
    let ending = &multiplexer(inbound.connection).ending;
    if ending.load(Ordering::Acquire) > 0 {
        let start = Instant::now();
        inbound.process.wait_for_client(|| {
            let limit = inbound.process.site.timeouts.send;
            while ending.load(Ordering::Acquire) > 0 && start.elapsed() < limit {
                thread::sleep(Duration::from_millis(1));
            }
        });
    }
}
