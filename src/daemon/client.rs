//! The way of a request to a process group and back, in the httpd child that has it.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::attempt::PhaseTimes;
use super::attempt::{Attempt, AttemptFailure, DaemonRequest};
use super::connection::BridgeConnection;
use super::failure::Failure;
use super::group::Group;
use super::idle_connections::CONNECTIONS;
use super::request_body::RelayedBody;
use super::response::RelayedResponse;
use super::waiting::WaitingForProcess;
use crate::adapter::{ExchangeContext, RequestExchange, RequestInput, conclude};
use crate::gateway::{Code, Error, Outcome, Variables as _};
use crate::httpd::{HookStatus, Request, log};
use crate::os;
use crate::process_group::{LONGEST_PAUSE_US, Lease, ProcessChoice, ProcessState, TriedSlots};
use crate::protocol::bridge::{
    BridgeFlow, FrameLimits, HEADER, HELLO, Pairs, RequestEncoder, RequestFacts, put_hello, stamp,
};
use crate::server::workers::size::MOST_BLOCKED;

/// Which application a process of the group is to run.
#[derive(Clone, Copy)]
pub(crate) struct Call<'r> {
    /// Its number in the module.
    pub(crate) application: u32,
    /// Its options.
    pub(crate) options: Pairs<'r>,
    /// Whether the group counts as idle although it has this request.
    pub(crate) ignores_activity: bool,
}

thread_local! {
    /// The packet of a request, whose room is used again.
    static PACKET: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A packet that grew beyond this is not kept, in bytes.
const KEPT_PACKET: usize = 256 * 1024;

impl Group {
    /// Answers a request through a process of the group, as httpd's handler.
    pub(crate) fn serve<'r>(
        &self,
        request: &Request<'r>,
        call: Call<'r>,
        facts: ExchangeContext<'r>,
        phases: &PhaseTimes,
    ) -> HookStatus {
        let input = match RequestInput::new(request) {
            Ok(input) => input,
            Err(status) => return HookStatus::from_raw(status),
        };
        RequestExchange::with(request, facts, |exchange| {
            self.exchange(request, exchange, call, input, phases)
        })
    }

    fn exchange<'e, 'r>(
        &self,
        request: &'e Request<'r>,
        exchange: &RequestExchange<'e, 'r>,
        call: Call<'r>,
        input: RequestInput<'e, 'r>,
        phases: &PhaseTimes,
    ) -> HookStatus {
        let mut upload = RelayedBody::new(request, input);
        let mut packet = PACKET.take();
        packet.clear();
        let ended = self
            .pack(&mut packet, exchange, call, &mut upload)
            .map_err(|error| Failure::too_large(&error))
            .and_then(|()| {
                let daemon_request = DaemonRequest { group: self, request, exchange, phases };
                daemon_request.carry(&mut packet, &mut upload)
            });
        if packet.capacity() <= KEPT_PACKET {
            PACKET.set(packet);
        }
        match ended {
            Ok(outcome) => conclude(request, exchange, upload.is_unread(), outcome),
            Err(failure) => {
                let is_broken = exchange.has_begun();
                failure.report(request, self.name(), is_broken);
                if is_broken {
                    exchange.break_off();
                    return HookStatus::Ok;
                }
                exchange.withdraw();
                failure.advise(request);
                if upload.is_unread() {
                    // httpd would wait for the rest of the body before it answers with some of
                    // these statuses, and answer 408 where that does not come.
                    request.close_after();
                }
                HookStatus::Http(failure.status())
            }
        }
    }

    /// Puts HELLO, the request and what has come of its body into one packet.
    fn pack(
        &self,
        packet: &mut Vec<u8>,
        exchange: &RequestExchange<'_, '_>,
        call: Call<'_>,
        upload: &mut RelayedBody<'_, '_>,
    ) -> Result<(), crate::protocol::bridge::EncodeError> {
        put_hello(packet, &self.board.group.token());
        let request = exchange.request();
        let mut encoder = RequestEncoder::begin(
            packet,
            &RequestFacts {
                ticket: 0,
                start_us: request.time_us().cast_unsigned(),
                sent_us: 0,
                incarnation: 0,
                length: upload.length(),
                application: call.application,
                options: call.options,
                server: request.server().name(),
                target: request.unparsed_uri(),
                expect: upload.is_held(),
                error_override: exchange.overrides_errors(),
                ignored: call.ignores_activity,
                log_level: log::request_level(request),
            },
        );
        exchange.each_variable(&mut |name, value| encoder.variable(name, value));
        let mut headers = encoder.headers();
        exchange.each_header(&mut |name, value| headers.header(name, value));
        headers.finish(&FrameLimits::default())?;
        upload.begin(packet, || self.is_crowded());
        Ok(())
    }
}

impl Group {
    /// Returns whether each process has so many requests that a small body should not be waited for
    /// there: one for each thread, and half of those that may wait beside them.
    fn is_crowded(&self) -> bool {
        let threads = self.options.threads as usize;
        let most = threads + MOST_BLOCKED / 2;
        let mut ready =
            self.board.slots.iter().filter(|slot| slot.state() == ProcessState::Ready).peekable();
        ready.peek().is_some()
            && ready.all(|slot| slot.running().saturating_add(slot.parked()) as usize >= most)
    }
}

/// The end of an attempt that another may follow.
enum AttemptEnd {
    Answered(Outcome),
    /// The process could not be connected to.
    NotConnected(Failure),
    /// No application has seen a byte of the request.
    Untouched(Failure),
}

impl<'e, 'r> DaemonRequest<'_, 'e, 'r> {
    /// Carries the request to a process, and to another where the first took nothing of it.
    fn carry(
        &self,
        packet: &mut [u8],
        upload: &mut RelayedBody<'e, 'r>,
    ) -> Result<Outcome, Failure> {
        let started = Instant::now();
        let first_piece = upload.taken();
        let mut tried = TriedSlots::new();
        let mut attempts = 0;
        let mut unreachable = None;
        loop {
            let lease = self.choose(&mut tried, started, &mut unreachable)?;
            let failure = match self.attempt(lease, packet, upload)? {
                AttemptEnd::Answered(outcome) => return Ok(outcome),
                AttemptEnd::NotConnected(failure) => {
                    // Its line of connections is full, mostly: another's may not be. When all have
                    // been tried, there is a pause.
                    tried.add(lease.slot);
                    if failure.is_lasting() {
                        unreachable = Some(failure);
                        continue;
                    }
                    if started.elapsed() >= self.group.options.connect_timeout {
                        return Err(failure);
                    }
                    continue;
                }
                AttemptEnd::Untouched(failure) => failure,
            };
            attempts += 1;
            // A body that has left the packet behind cannot be sent a second time.
            let is_complete = upload.taken() == first_piece;
            if !is_complete || attempts > self.group.board.slots.len() + 1 {
                return Err(failure);
            }
            log::request(
                self.request,
                Code::RequestResent.level(),
                &Code::RequestResent.line(format_args!(
                    "process group {}: daemon process {} took nothing of the request; it \
                     goes to another",
                    self.group.name(),
                    lease.pid
                )),
            );
        }
    }

    /// Takes hold of the least busy process; waits for one where none is ready yet, but not where
    /// the socket of one that is cannot be reached.
    fn choose(
        &self,
        tried: &mut TriedSlots,
        started: Instant,
        unreachable: &mut Option<Failure>,
    ) -> Result<Lease, Failure> {
        let board = &self.group.board;
        let mut waiting = None;
        loop {
            // Read before the look: a change after it ends the wait below.
            let changes = board.group.changes().load(Ordering::SeqCst);
            match board.take(tried, os::monotonic_us()) {
                Ok(lease) => return Ok(lease),
                Err(ProcessChoice::Full) => {
                    board.group.refused(true);
                    return Err(Failure::full());
                }
                Err(ProcessChoice::Open { until_us }) => {
                    board.group.refused(false);
                    // An application process can write any moment there.
                    let longest = self.group.options.crash_backoff.as_micros() as u64;
                    let longest = longest.max(LONGEST_PAUSE_US);
                    let left = until_us.saturating_sub(os::monotonic_us()).min(longest);
                    return Err(Failure::circuit_open(left.div_ceil(1_000_000)));
                }
                Err(_) => {
                    if let Some(failure) = unreachable.take() {
                        return Err(failure);
                    }
                    // One that was tried may be another process by now.
                    let were_tried = std::mem::take(tried) != TriedSlots::new();
                    let waited = started.elapsed();
                    let left = self.group.options.connect_timeout.saturating_sub(waited);
                    if left.is_zero() {
                        return Err(Failure::none_ready(waited));
                    }
                    if waiting.is_none() {
                        waiting = Some(WaitingForProcess::begin(self.group)?);
                        self.group.ring();
                    }
                    if let Some(waiting) = &mut waiting {
                        waiting.wait(changes, were_tried, left);
                    }
                }
            }
        }
    }

    fn attempt(
        &self,
        lease: Lease,
        packet: &mut [u8],
        upload: &mut RelayedBody<'e, 'r>,
    ) -> Result<AttemptEnd, Failure> {
        let board = &self.group.board;
        let started = os::monotonic_us();
        let mut connection = match self.connect(lease) {
            Ok(connection) => connection,
            Err(error) => {
                board.release(lease.slot, lease.incarnation);
                // Nobody listens where the process has died, and httpd's parent does not hold the
                // socket: that is of an earlier configuration, or of `httpd -X`.
                self.group.look_after(lease);
                let socket = &self.group.seen[lease.slot];
                return Ok(AttemptEnd::NotConnected(Failure::cannot_connect(
                    lease.pid, socket, &error,
                )));
            }
        };
        let ticket = board.group.ticket();
        let sent_us = os::monotonic_us();
        stamp(&mut packet[HELLO_FRAME..], ticket, sent_us, lease.incarnation);
        let flow = BridgeFlow::of_request(packet[REQUEST_FLAGS]);
        self.phases.connected(lease, started, sent_us);
        let mut attempt = Attempt {
            daemon_request: self,
            lease,
            ticket,
            packet: if connection.is_new { packet } else { &packet[HELLO_FRAME..] },
            sent: 0,
            flow,
            heard: Instant::now(),
            started: Instant::now(),
            looked: Instant::now(),
            silent_since: None,
            stalled_since: None,
            is_deaf: false,
        };
        connection.is_new = false;
        let mut answer = RelayedResponse::new(self.request, self.exchange, &self.group.options);
        match attempt.run(&mut connection, upload, &mut answer) {
            Ok((outcome, is_kept)) => {
                // Another request may use it while this client is given the rest.
                if is_kept {
                    self.group.keep(lease.slot, connection);
                }
                let outcome = match outcome {
                    Outcome::Complete => match answer.complete() {
                        Ok(()) => Outcome::Complete,
                        Err(error) => self.stopped(error),
                    },
                    Outcome::Broken(error) => {
                        // The bytes before the error are the client's.
                        let _ = answer.catch_up(true);
                        Outcome::Broken(error)
                    }
                    other => other,
                };
                self.phases.ended();
                Ok(AttemptEnd::Answered(outcome))
            }
            Err(AttemptFailure::Failed(failure)) => Err(failure),
            Err(AttemptFailure::Gone(error)) => Ok(AttemptEnd::Answered(self.stopped(error))),
            Err(AttemptFailure::Lost { has_begun, failure }) => {
                if attempt.sent == 0 {
                    board.release(lease.slot, lease.incarnation);
                    self.group.look_after(lease);
                    return Ok(AttemptEnd::Untouched(failure));
                }
                // The connection must be closed before the question, so that a process which lives
                // does not take the request up after it.
                drop(connection);
                self.group.look_after(lease);
                if has_begun || board.find_ticket(&lease, ticket).may_have_started() {
                    return Err(failure);
                }
                Ok(AttemptEnd::Untouched(failure))
            }
        }
    }

    /// Returns the outcome for a client that cannot be given the response.
    pub(super) fn stopped(&self, error: Error) -> Outcome {
        if self.exchange.has_begun() { Outcome::Broken(error) } else { Outcome::Failed(error) }
    }

    fn connect(&self, lease: Lease) -> io::Result<BridgeConnection> {
        match self.group.take_kept(lease.slot, lease.incarnation) {
            Some(connection) => Ok(connection),
            None => match self.open(lease) {
                // Connections kept for others are worth less than this request.
                Err(error) if is_out_of_descriptors(&error) && CONNECTIONS.clear() => {
                    self.open(lease)
                }
                opened => opened,
            },
        }
    }

    fn open(&self, lease: Lease) -> io::Result<BridgeConnection> {
        let path = &self.group.seen[lease.slot];
        BridgeConnection::open(path, lease.incarnation, self.group.buffers())
    }
}

/// Returns whether this process, or the system, can open no more files.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errors = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    errors.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// HELLO with its header, which only a new connection sends.
const HELLO_FRAME: usize = HEADER + HELLO;
/// The place of the flags in the REQUEST behind it.
const REQUEST_FLAGS: usize = HELLO_FRAME + 5;
