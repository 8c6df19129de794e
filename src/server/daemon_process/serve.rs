//! One request, from its REQUEST to its last frame, in one visit or in several.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use super::connection::ChildConnection;
use super::current_request::{RequestEnd, set_for_this_thread};
use super::exchange::{BridgeExchange, ExchangeState};
use super::inbound::{InboundFrames, InboundState};
use super::input::{BridgeInput, InputState, Leftover};
use super::output::FrameOutput;
use super::place::Place;
use super::process::DaemonProcess;
use super::suspended::{Stage, SuspendedRequest, visit_soon};
use super::variables::{BridgeEnviron, KeptRequest, Times};
use super::worker::DaemonWorker;
use crate::gateway::{Awaited, Error, ErrorKind, Outcome, Progress, start};
use crate::os::{self, monotonic_us, wall_us};
use crate::process_group::Finished;
use crate::protocol::bridge::{FrameLimits, Peer, RefusalReason, RequestHead, split};
use crate::server::workers::connections::Entry as _;

/// A request that waited longer than this for a thread may have lost its client, which is worth a
/// system call to find out.
const LOOK_AFTER_US: u64 = 1000;

/// The visits of a request in a row. After them others that wait for a thread have their turn.
const VISITS_IN_A_ROW: u32 = 16;

/// The state of a connection after its thread is done with it.
pub(super) enum Served {
    /// It was given back: it may be another thread's by now.
    Released,
    /// It goes on with this.
    Kept(Leftover, bool),
    /// It is of no further use.
    Closed,
}

/// The facts of a request for its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestRecord {
    ticket: u64,
    queue_us: u64,
    /// By the wall clock.
    start_us: u64,
    started_us: u64,
    wall_offset_us: u64,
    ignored: bool,
}

/// The end of a visit.
enum VisitEnd {
    /// The request is over.
    Over(Served),
    /// The request waits.
    Suspended(Box<SuspendedRequest>),
}

/// Serves the REQUEST of `size` bytes at the front of the worker's buffer. `full` says that there
/// may be more to read without an event that tells.
pub(super) fn serve(
    worker: &mut DaemonWorker,
    connection: &Arc<ChildConnection>,
    size: usize,
    full: bool,
) -> Served {
    match begin(worker, connection, size, full) {
        VisitEnd::Over(served) => served,
        VisitEnd::Suspended(request) => leave(worker, connection, request),
    }
}

/// Goes on with a request that waited.
pub(super) fn resume(
    worker: &mut DaemonWorker,
    connection: &Arc<ChildConnection>,
    request: Box<SuspendedRequest>,
    hung_up: bool,
) -> Served {
    match visit(worker, connection, *request, hung_up) {
        VisitEnd::Over(served) => served,
        VisitEnd::Suspended(request) => leave(worker, connection, request),
    }
}

/// Leaves a request that waits with its connection, and gives that back. Visits it again if
/// something has happened meanwhile.
fn leave(
    worker: &mut DaemonWorker,
    connection: &Arc<ChildConnection>,
    mut request: Box<SuspendedRequest>,
) -> Served {
    for _ in 0..VISITS_IN_A_ROW {
        connection.kept().suspended = Some(request);
        if connection.release() {
            return Served::Released;
        }
        let Some(waiting) = connection.kept().suspended.take() else { return Served::Closed };
        match visit(worker, connection, *waiting, os::has_hung_up(connection.as_fd())) {
            VisitEnd::Over(served) => return served,
            VisitEnd::Suspended(next) => request = next,
        }
    }
    connection.kept().suspended = Some(request);
    visit_soon(&worker.process, connection.clone());
    Served::Released
}

/// The first visit.
fn begin(
    worker: &mut DaemonWorker,
    connection: &Arc<ChildConnection>,
    size: usize,
    full: bool,
) -> VisitEnd {
    let DaemonWorker { process, place, read, from, to, output, input: buffer, spare } = worker;
    let (row, current) = (place.row, &*place.current);
    let (frame, behind) = read[*from..*to].split_at(size);
    let limits = FrameLimits::default();
    let head = match split(frame, Peer::Child, &limits)
        .and_then(|frame| frame.map(|frame| RequestHead::decode(&frame)).transpose())
    {
        Ok(Some(head)) => head,
        Ok(None) => return VisitEnd::Over(Served::Closed),
        Err(error) => {
            process.refuse(connection, RefusalReason::of_error(&error), &error.to_string());
            process.slot().release(process.incarnation);
            process.less_load();
            return VisitEnd::Over(Served::Closed);
        }
    };
    let facts = head.facts;
    if facts.incarnation != process.incarnation {
        // It was for the process that died here, and counted in its load. The httpd child finds out
        // that it died, and asks elsewhere.
        process.turn_away(connection);
        return VisitEnd::Over(Served::Closed);
    }
    let started_us = monotonic_us();
    let queue_us = started_us.saturating_sub(facts.sent_us);
    // First the ticket, then the look: a child that closes the connection looks for the ticket
    // after that, so one of the two sees the other.
    let method = head.variables.get(b"REQUEST_METHOD").unwrap_or_default();
    row.begin(facts.ticket, started_us, &[method, facts.server, facts.target]);
    if queue_us > LOOK_AFTER_US && os::has_hung_up(connection.as_fd()) {
        // Nobody waits for the answer any more.
        row.end();
        process.slot().release(process.incarnation);
        process.less_load();
        return VisitEnd::Over(Served::Closed);
    }
    (*from, *to) = (0, 0);
    // Of this request: the wall clock may have been set since the one before.
    let wall_offset_us = wall_us().saturating_sub(started_us);
    let times = Times {
        queue_start: facts.sent_us.saturating_add(wall_offset_us),
        daemon_start: started_us + wall_offset_us,
        application_start: started_us + wall_offset_us,
    };
    let record = RequestRecord {
        ticket: facts.ticket,
        queue_us,
        start_us: facts.start_us,
        started_us,
        wall_offset_us,
        ignored: facts.ignored,
    };
    let state = InboundState::new(std::mem::take(spare), facts.has_body(), behind.len(), full);
    let inbound = InboundFrames::new(connection, &process.pool, state);
    let environ = BridgeEnviron::new(head, frame, &process.variables, times);
    current.begin(connection.clone(), started_us, facts.log_level);
    output.clear();
    let state = ExchangeState::new(queue_us, started_us);
    let exchange = BridgeExchange::new(process, environ, (current, row), &inbound, output, state);
    let mut input = BridgeInput::new(
        process,
        &inbound,
        (current, row),
        (facts.length, facts.expect),
        behind,
        buffer,
    );

    let waited_too_long = process
        .options
        .queue_timeout
        .is_some_and(|longest| u128::from(queue_us) > longest.as_micros());
    let progress = if waited_too_long {
        let seconds = queue_us / 1_000_000;
        let why = format!("the request waited {seconds} s for a thread (queue-timeout)");
        Progress::Done(Outcome::Failed(Error::of(ErrorKind::QueueTimeout, why)))
    } else {
        match process.applications.find(facts.application, facts.options) {
            Ok(application) => start(&*application, &exchange, &mut input, &exchange),
            Err(error) => Progress::Done(Outcome::Failed(error)),
        }
    };
    let pause = pause(exchange, input, record, progress);
    settle((place, output, spare), process, inbound, record, pause)
}

/// A further visit.
fn visit(
    worker: &mut DaemonWorker,
    connection: &Arc<ChildConnection>,
    waiting: SuspendedRequest,
    hung_up: bool,
) -> VisitEnd {
    let SuspendedRequest { record, request, mut place, exchange, inbound, input, .. } = waiting;
    let (stage, collected) = (waiting.stage, waiting.output);
    std::mem::swap(&mut worker.place, &mut place);
    *exchange.spare.borrow_mut() = Some(place);
    set_for_this_thread(worker.place.current.clone());
    let DaemonWorker { process, place, output, input: buffer, spare, .. } = worker;
    let (row, current) = (place.row, &*place.current);
    process.goes_on(current, row, inbound.phase.get());
    output.clear();
    if !collected.is_empty() {
        *output = collected;
    }
    if inbound.ahead.borrow().is_empty() {
        inbound.ahead.replace(std::mem::take(spare));
    }
    let inbound = InboundFrames::new(connection, &process.pool, inbound);
    // The events of the wait may have told of something to read.
    inbound.look_again();
    let environ = request.environ().expect("a REQUEST that was decoded before");
    let exchange =
        BridgeExchange::new(process, environ, (current, row), &inbound, output, exchange);
    let mut input = BridgeInput::resume(process, &inbound, (current, row), input, buffer);

    if hung_up || current.is_cut() {
        exchange.set_gone();
    }
    let pause = match stage {
        Stage::Ending(error) => {
            // A failed write is seen by the count.
            let _ = exchange.write_last();
            ended(exchange, input, record, error)
        }
        Stage::Waiting(suspended) => {
            if exchange.is_clogged() {
                // Seen by the next look.
                let _ = exchange.write_out(false);
            }
            let progress = if exchange.is_gone() {
                let why = "the client left while the application waited";
                let error = Error::of(ErrorKind::ClientGone, why);
                Progress::Done(suspended.give_up(&exchange, error))
            } else if exchange.is_clogged() && suspended.awaited() == Awaited::Room {
                Progress::Suspended(suspended)
            } else {
                suspended.resume(&exchange, &mut input, &exchange)
            };
            pause(exchange, input, record, progress)
        }
    };
    settle((place, output, spare), process, inbound, record, pause)
}

/// The end of what a visit does for the application.
#[allow(clippy::large_enum_variant, reason = "one at a time, for a moment")]
enum Pause {
    Waits {
        stage: Stage,
        exchange: ExchangeState,
        request: Arc<KeptRequest>,
        input: InputState,
    },
    /// The request is over. Unless the connection was given back, it goes on with the rest, or is
    /// closed.
    Over {
        rest: Option<Leftover>,
        can_go_on: bool,
    },
}

fn pause(
    exchange: BridgeExchange<'_, '_>,
    input: BridgeInput<'_, '_>,
    record: RequestRecord,
    progress: Progress,
) -> Pause {
    match progress {
        Progress::Suspended(suspended) => waits(exchange, input, Stage::Waiting(suspended)),
        Progress::Done(outcome) => {
            let error = end(&exchange, outcome);
            ended(exchange, input, record, error)
        }
    }
}

fn waits(exchange: BridgeExchange<'_, '_>, input: BridgeInput<'_, '_>, stage: Stage) -> Pause {
    exchange.watch_for_room();
    let (exchange, request) = exchange.into_state();
    Pause::Waits { stage, exchange, request, input: input.into_state() }
}

/// The end of a request whose last frame is written, or collected, or cannot be written.
fn ended(
    exchange: BridgeExchange<'_, '_>,
    input: BridgeInput<'_, '_>,
    record: RequestRecord,
    error: bool,
) -> Pause {
    if exchange.is_clogged() {
        return waits(exchange, input, Stage::Ending(error));
    }
    exchange.end();
    let BridgeExchange { process, current, row, .. } = exchange;
    let tally = exchange.tally();
    drop(exchange);
    if !tally.over {
        process.board.note_lost(record.ticket);
    }
    let left = current.end();
    row.end();
    let now_us = monotonic_us();
    let finished = Finished {
        status: tally.status,
        error: error || !tally.over,
        bytes_in: input.taken(),
        bytes_out: tally.bytes_out,
        queue_us: record.queue_us,
        application_us: now_us.saturating_sub(record.started_us),
        total_us: (now_us + record.wall_offset_us).saturating_sub(record.start_us),
        ignored: record.ignored,
    };
    process.record(&finished, now_us);
    if left == Some(RequestEnd::Whole) {
        process.slot().release(process.incarnation);
    }
    process.less_load();
    let rest = (!tally.released).then(|| input.into_leftover());
    Pause::Over { rest, can_go_on: tally.over }
}

/// Ends a visit. The thread goes on without the request if that waits.
fn settle(
    (place, output, spare): (&mut Place, &mut FrameOutput, &mut Vec<u8>),
    process: &DaemonProcess,
    inbound: InboundFrames<'_>,
    record: RequestRecord,
    pause: Pause,
) -> VisitEnd {
    let (stage, exchange, request, input) = match pause {
        Pause::Over { rest: None, .. } => {
            *spare = inbound.into_room();
            spare.clear();
            return VisitEnd::Over(Served::Released);
        }
        Pause::Over { rest: Some(rest), can_go_on } => {
            inbound.unmute();
            let is_usable = can_go_on && !inbound.is_broken();
            let kept = Served::Kept(rest, inbound.is_full());
            return VisitEnd::Over(if is_usable { kept } else { Served::Closed });
        }
        Pause::Waits { stage, exchange, request, input } => (stage, exchange, request, input),
    };
    let inbound = inbound.into_state();
    if inbound.ahead.borrow().is_empty() {
        *spare = inbound.ahead.take();
    }
    let output = if output.is_empty() { FrameOutput::default() } else { std::mem::take(output) };
    let own = exchange.spare.take().expect("a request that has its waker, and so a place");
    let place = std::mem::replace(place, own);
    process.waits(&place.current, place.row);
    VisitEnd::Suspended(Box::new(SuspendedRequest {
        record,
        request,
        place,
        exchange,
        inbound,
        input,
        output,
        stage,
    }))
}

/// Sends the end of what the application answered; whether it failed.
fn end(exchange: &BridgeExchange<'_, '_>, outcome: Outcome) -> bool {
    // A failed send is seen by the count.
    let _ = match &outcome {
        Outcome::Complete => Ok(()),
        Outcome::Status(status) => exchange.end_with_status(*status),
        Outcome::Redirect(target) => exchange.end_with_redirect(target),
        Outcome::Failed(_) | Outcome::Broken(_) if exchange.is_gone() => Ok(()),
        Outcome::Failed(error) | Outcome::Broken(error) => exchange.end_with_failure(error),
    };
    matches!(outcome, Outcome::Failed(_) | Outcome::Broken(_))
}
