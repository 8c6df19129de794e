//! One request, from its REQUEST to its last frame.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use super::connection::ChildConnection;
use super::current_request::RequestEnd;
use super::exchange::BridgeExchange;
use super::inbound::InboundFrames;
use super::input::{BridgeInput, Leftover};
use super::variables::{BridgeEnviron, Times};
use super::worker::DaemonWorker;
use crate::gateway::{Error, ErrorKind, Outcome, Result, run};
use crate::os::{self, monotonic_us, wall_us};
use crate::process_group::Finished;
use crate::protocol::bridge::{FrameLimits, Peer, RefusalReason, RequestHead, split};

/// A request that waited longer than this for a thread may have lost its client, which is worth a
/// system call to find out.
const LOOK_AFTER_US: u64 = 1000;

/// The state of a connection after its thread is done with it.
pub(super) enum Served {
    /// It was given back: it may be another thread's by now.
    Released,
    /// It goes on with this.
    Kept(Leftover, bool),
    /// It is of no further use.
    Closed,
}

/// Serves the REQUEST of `size` bytes at the front of the worker's buffer. `full` says that there
/// may be more to read without an event that tells.
pub(super) fn serve(
    worker: &mut DaemonWorker,
    connection: &Arc<ChildConnection>,
    size: usize,
    full: bool,
) -> Served {
    let DaemonWorker { process, row, current, read, from, to, output, input: buffer, spare } =
        worker;
    let (frame, behind) = read[*from..*to].split_at(size);
    let limits = FrameLimits::default();
    let head = match split(frame, Peer::Child, &limits)
        .and_then(|frame| frame.map(|frame| RequestHead::decode(&frame)).transpose())
    {
        Ok(Some(head)) => head,
        Ok(None) => return Served::Closed,
        Err(error) => {
            process.refuse(connection, RefusalReason::of_error(&error), &error.to_string());
            process.slot().release(process.incarnation);
            process.less_load();
            return Served::Closed;
        }
    };
    let facts = head.facts;
    if facts.incarnation != process.incarnation {
        // It was for the process that died here, and counted in its load. The httpd child finds out
        // that it died, and asks elsewhere.
        process.turn_away(connection);
        return Served::Closed;
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
        return Served::Closed;
    }
    (*from, *to) = (0, 0);
    // Of this request: the wall clock may have been set since the one before.
    let wall_offset_us = wall_us().saturating_sub(started_us);
    let times = Times {
        queue_start: facts.sent_us.saturating_add(wall_offset_us),
        daemon_start: started_us + wall_offset_us,
        application_start: started_us + wall_offset_us,
    };
    let inbound = InboundFrames::new(
        connection,
        &process.pool,
        std::mem::take(spare),
        facts.has_body(),
        behind.len(),
        full,
    );
    let environ = BridgeEnviron::new(head, &process.variables, times);
    current.begin(connection.clone(), started_us, facts.log_level);
    let exchange = BridgeExchange::new(
        process,
        environ,
        (current, row),
        &inbound,
        output,
        queue_us,
        started_us,
    );
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
    // A failed send is seen by the count.
    let (_, error) = if waited_too_long {
        let seconds = queue_us / 1_000_000;
        let why = format!("the request waited {seconds} s for a thread (queue-timeout)");
        let error = Error::of(ErrorKind::QueueTimeout, why);
        (exchange.end_with_failure(&error), true)
    } else {
        match process.applications.find(facts.application, facts.options) {
            Ok(application) => {
                let outcome = run(&*application, &exchange, &mut input);
                end(&exchange, outcome)
            }
            Err(error) => (exchange.end_with_failure(&error), true),
        }
    };
    let tally = exchange.tally();
    drop(exchange);

    if !tally.over {
        process.board.note_lost(facts.ticket);
    }
    let left = current.end();
    row.end();
    let now_us = monotonic_us();
    let finished = Finished {
        status: tally.status,
        error: error || !tally.over,
        bytes_in: input.taken(),
        bytes_out: tally.bytes_out,
        queue_us,
        application_us: now_us.saturating_sub(started_us),
        total_us: (now_us + wall_offset_us).saturating_sub(facts.start_us),
        ignored: facts.ignored,
    };
    process.record(&finished, now_us);
    if left == Some(RequestEnd::Whole) {
        process.slot().release(process.incarnation);
    }
    process.less_load();
    if tally.released {
        drop(input);
        *spare = inbound.into_room();
        spare.clear();
        return Served::Released;
    }
    let leftover = input.into_leftover();
    inbound.unmute();
    if !tally.over || inbound.is_broken() {
        return Served::Closed;
    }
    Served::Kept(leftover, inbound.is_full())
}

/// Sends the end of what the application answered; whether it failed.
fn end(exchange: &BridgeExchange<'_, '_>, outcome: Outcome) -> (Result<()>, bool) {
    match outcome {
        Outcome::Complete => (Ok(()), false),
        Outcome::Status(status) => (exchange.end_with_status(status), false),
        Outcome::Redirect(target) => (exchange.end_with_redirect(&target), false),
        Outcome::Failed(error) | Outcome::Broken(error) => {
            if exchange.is_gone() {
                return (Err(error), true);
            }
            (exchange.end_with_failure(&error), true)
        }
    }
}
