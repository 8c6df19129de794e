//! The way of one request through a process group: the choice of a process, the attempts, and the
//! rest of the response once the process is done.

use std::io;
use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::attempt::{Attempt, AttemptFailure, Turn};
use super::connection::BridgeConnection;
use super::failure::Failure;
use super::group::Group;
use super::idle_connections::CONNECTIONS;
use super::packet::{self, Call, HELLO_FRAME, REQUEST_FLAGS};
use super::phases::PhaseTimes;
use super::request_body::RelayedBody;
use super::response::{HeldResponse, RelayedResponse, send_unsent};
use super::wait::{DaemonRequest, Patience, Reader, Wait, Wanted};
use super::waiting::WaitingForProcess;
use crate::adapter::{Here, RequestExchange, RequestInput, conclude};
use crate::gateway::{Code, Error, Outcome};
use crate::httpd::{HookStatus, PoolRef, Request, log};
use crate::os;
use crate::process_group::{LONGEST_PAUSE_US, Lease, ProcessChoice, TriedSlots};
use crate::protocol::bridge::{BridgeFlow, stamp};

/// A request on its way through a process group. It has all that it needs but its exchange, so that
/// any thread can go on with it.
pub(super) struct Relay<'e, 'r> {
    group: PoolRef<Group>,
    request: &'e Request<'r>,
    phases: &'r PhaseTimes,
    packet: Vec<u8>,
    /// Why there is no packet.
    unfit: Option<Failure>,
    upload: RelayedBody<'e, 'r>,
    started: Instant,
    /// The bytes of the body in the packet.
    first_piece: u64,
    tried: TriedSlots,
    attempts: usize,
    unreachable: Option<Failure>,
    attempt: Option<Attempt>,
    /// The response so far.
    answer: HeldResponse,
    /// The process has done with the request.
    ending: Option<Ending>,
    /// The request gives its thread back while it waits.
    is_free: bool,
}

/// The end of a request of which the client has not taken all of the response.
struct Ending {
    outcome: Outcome,
    reader: Reader,
    is_quiet: bool,
    /// The end has been passed on.
    is_finished: bool,
}

/// The result of a stretch of the way.
pub(super) enum Stretch {
    Over(Outcome),
    Waits(Wait),
}

impl<'e, 'r> Relay<'e, 'r> {
    pub(super) fn new(
        group: PoolRef<Group>,
        exchange: &RequestExchange<'e, 'r>,
        call: Call<'r>,
        input: RequestInput<'e, 'r>,
        phases: &'r PhaseTimes,
    ) -> Self {
        let request = exchange.request();
        let mut upload = RelayedBody::new(request, input);
        let mut packet = packet::take();
        let unfit = group.pack(&mut packet, exchange, call, &mut upload).err();
        Self {
            group,
            request,
            phases,
            packet,
            unfit: unfit.map(|error| Failure::too_large(&error)),
            first_piece: upload.taken(),
            upload,
            started: Instant::now(),
            tried: TriedSlots::new(),
            attempts: 0,
            unreachable: None,
            attempt: None,
            answer: HeldResponse::default(),
            ending: None,
            is_free: false,
        }
    }

    /// Goes to the end, and waits on this thread.
    pub(super) fn on_thread(
        &mut self,
        exchange: &RequestExchange<'e, 'r>,
    ) -> Result<Outcome, Failure> {
        let mut waited = None;
        loop {
            match self.go_on(exchange, waited)? {
                Stretch::Over(outcome) => return Ok(outcome),
                Stretch::Waits(wait) => waited = Some((wait, Patience::Thread)),
            }
        }
    }

    /// Goes on to the end or to the next wait, after it has waited.
    pub(super) fn go_on(
        &mut self,
        exchange: &RequestExchange<'e, 'r>,
        mut waited: Option<(Wait, Patience)>,
    ) -> Result<Stretch, Failure> {
        if let Some(failure) = self.unfit.take() {
            return Err(failure);
        }
        let (group, request, phases) = (self.group, self.request, self.phases);
        let on = DaemonRequest { group: &group, request, exchange, phases };
        while self.ending.is_none() {
            let attempt = match &mut self.attempt {
                Some(attempt) => attempt,
                None => match self.begin(&on)? {
                    Some(attempt) => self.attempt.insert(attempt),
                    None => continue,
                },
            };
            let held = mem::take(&mut self.answer);
            let mut answer = RelayedResponse::resume(held, request, exchange, &group.options);
            let result = match waited.take() {
                Some((wait, patience)) => attempt.wait(&on, answer.has_begun(), wait, patience),
                None => Ok(()),
            };
            let turn = result
                .and_then(|()| attempt.go_on(&on, &self.packet, &mut self.upload, &mut answer));
            match turn {
                Ok(Turn::Waits(wait)) => {
                    self.answer = answer.hold();
                    return Ok(Stretch::Waits(wait));
                }
                Ok(Turn::Done(outcome, is_kept)) => {
                    self.answer = answer.hold();
                    let Some(mut attempt) = self.attempt.take() else { continue };
                    let reader = mem::take(&mut attempt.reader);
                    // Another request may use it while this client is given the rest.
                    if is_kept {
                        group.keep(attempt.lease.slot, attempt.into_connection());
                    }
                    let (is_quiet, is_finished) = (false, false);
                    self.ending = Some(Ending { outcome, reader, is_quiet, is_finished });
                }
                Err(failure) => {
                    if let Some(outcome) = self.failed(&on, failure)? {
                        return Ok(Stretch::Over(outcome));
                    }
                }
            }
        }
        Ok(self.end(&on, waited))
    }

    /// Gives the client the rest.
    fn end(&mut self, on: &DaemonRequest<'_, 'e, 'r>, waited: Option<(Wait, Patience)>) -> Stretch {
        let request = self.request;
        let Some(mut ending) = self.ending.take() else {
            return Stretch::Over(on.stopped(Error::new("the response is over")));
        };
        if let Some((wait, patience)) = waited {
            let longest = wait.time(patience);
            if let Err(error) = ending.reader.wait(on, None, longest) {
                request.drop_held_output();
                return Stretch::Over(on.stopped(error));
            }
            ending.is_quiet = !ending.reader.has_room;
        }
        let held = mem::take(&mut self.answer);
        let mut answer = RelayedResponse::resume(held, request, on.exchange, &on.group.options);
        let mut rest = Ok(());
        if !ending.is_finished && matches!(ending.outcome, Outcome::Complete | Outcome::Broken(_)) {
            let has_socket = request.socket().is_some();
            while rest.is_ok() && has_socket && answer.is_behind() {
                if ending.reader.takes_more() || answer.is_free() {
                    rest = answer.catch_up(false);
                    if rest.is_err() || !answer.is_behind() {
                        continue;
                    }
                }
                match ending.reader.time_left(on) {
                    Ok(longest) => {
                        self.answer = answer.hold();
                        self.ending = Some(ending);
                        return Stretch::Waits(Wait::for_client(Wanted::NOTHING, longest));
                    }
                    Err(error) => rest = Err(error),
                }
            }
            // The bytes before an error are the client's.
            rest = rest.and_then(|()| match ending.outcome {
                Outcome::Complete => answer.complete(),
                _ => answer.catch_up(true),
            });
        }
        ending.is_finished = true;
        while rest.is_ok() && request.has_held_output() {
            if ending.reader.takes_more() {
                rest = send_unsent(request);
                continue;
            }
            match ending.reader.time_left(on) {
                Ok(longest) => {
                    self.ending = Some(ending);
                    return Stretch::Waits(Wait::for_client(Wanted::NOTHING, longest));
                }
                Err(error) => rest = Err(error),
            }
        }
        let outcome = match (ending.outcome, rest) {
            (Outcome::Complete, Err(error)) => {
                request.drop_held_output();
                on.stopped(error)
            }
            (outcome, _) => outcome,
        };
        self.phases.ended();
        Stretch::Over(outcome)
    }

    /// Returns whether the last wait found nothing.
    pub(super) fn is_quiet(&self) -> bool {
        match (&self.attempt, &self.ending) {
            (_, Some(ending)) => ending.is_quiet,
            (Some(attempt), None) => attempt.is_quiet,
            (None, None) => false,
        }
    }

    /// Returns whether a part of the response has come.
    pub(super) fn has_begun(&self) -> bool {
        self.answer.has_begun()
    }

    /// Prepares for waits without a thread: the output does not wait, and memory that others can use
    /// is given back.
    pub(super) fn free(&mut self) {
        if !mem::replace(&mut self.is_free, true) {
            let exact = self.packet.as_slice().to_vec();
            packet::give_back(mem::replace(&mut self.packet, exact));
        }
        self.answer.free();
        self.upload.rest();
        if let Some(attempt) = &mut self.attempt {
            attempt.connection.rest();
        }
    }

    /// Gives up a request whose client has gone. The process sees the connection closed.
    pub(super) fn give_up(&mut self, exchange: &RequestExchange<'e, 'r>, error: Error) -> Outcome {
        self.attempt = None;
        let (group, request, phases) = (self.group, self.request, self.phases);
        DaemonRequest { group: &group, request, exchange, phases }.stopped(error)
    }

    /// Chooses a process, and connects to it. `None` if another is to be tried.
    fn begin(&mut self, on: &DaemonRequest<'_, 'e, 'r>) -> Result<Option<Attempt>, Failure> {
        let lease = on.choose(&mut self.tried, self.started, &mut self.unreachable)?;
        let started = os::monotonic_us();
        let mut connection = match on.connect(lease) {
            Ok(connection) => connection,
            Err(error) => {
                let board = &self.group.board;
                board.release(lease.slot, lease.incarnation);
                // Nobody listens where the process has died, and httpd's parent does not hold the
                // socket: that is of an earlier configuration, or of `httpd -X`.
                self.group.look_after(lease);
                let socket = &self.group.seen[lease.slot];
                let failure = Failure::cannot_connect(lease.pid, socket, &error);
                // Its line of connections is full, mostly: another's may not be. When all have
                // been tried, there is a pause.
                self.tried.add(lease.slot);
                if failure.is_lasting() {
                    self.unreachable = Some(failure);
                } else if self.started.elapsed() >= self.group.options.connect_timeout {
                    return Err(failure);
                }
                return Ok(None);
            }
        };
        let ticket = self.group.board.group.ticket();
        let sent_us = os::monotonic_us();
        stamp(&mut self.packet[HELLO_FRAME..], ticket, sent_us, lease.incarnation);
        let flow = BridgeFlow::of_request(self.packet[REQUEST_FLAGS]);
        self.phases.connected(lease, started, sent_us);
        let skipped = if mem::take(&mut connection.is_new) { 0 } else { HELLO_FRAME };
        self.answer = HeldResponse::default();
        if self.is_free {
            self.answer.free();
        }
        Ok(Some(Attempt::new(lease, ticket, connection, skipped, flow)))
    }

    /// Decides what follows from the failure of an attempt. `None` if another is to be made.
    fn failed(
        &mut self,
        on: &DaemonRequest<'_, 'e, 'r>,
        failure: AttemptFailure,
    ) -> Result<Option<Outcome>, Failure> {
        let attempt = self.attempt.take();
        let (has_begun, failure) = match failure {
            AttemptFailure::Failed(failure) => return Err(failure),
            AttemptFailure::Gone(error) => return Ok(Some(on.stopped(error))),
            AttemptFailure::Lost { has_begun, failure } => (has_begun, failure),
        };
        let Some(Attempt { lease, ticket, sent, connection, .. }) = attempt else {
            return Err(failure);
        };
        // The connection must be closed before the question, so that a process which lives does not
        // take the request up after it.
        drop(connection);
        let board = &self.group.board;
        if sent == 0 {
            board.release(lease.slot, lease.incarnation);
        }
        self.group.look_after(lease);
        if sent > 0 && (has_begun || board.find_ticket(&lease, ticket).may_have_started()) {
            return Err(failure);
        }
        self.attempts += 1;
        // A body that has left the packet behind cannot be sent a second time.
        let is_complete = self.upload.taken() == self.first_piece;
        if !is_complete || self.attempts > board.slots.len() + 1 {
            return Err(failure);
        }
        log::request(
            self.request,
            Code::RequestResent.level(),
            &Code::RequestResent.line(format_args!(
                "process group {}: daemon process {} took nothing of the request; it goes to \
                 another",
                self.group.name(),
                lease.pid
            )),
        );
        Ok(None)
    }

    /// Makes of the end what httpd's handler answers.
    pub(super) fn conclude(
        &mut self,
        exchange: &RequestExchange<'e, 'r>,
        ended: Result<Outcome, Failure>,
    ) -> HookStatus {
        let request = self.request;
        match ended {
            Ok(outcome) => conclude(request, exchange, self.upload.is_unread(), outcome),
            Err(failure) => {
                let is_broken = exchange.has_begun();
                failure.report(request, self.group.name(), is_broken);
                if is_broken {
                    exchange.break_off();
                    return HookStatus::Ok;
                }
                exchange.withdraw();
                failure.advise(request);
                if self.upload.is_unread() {
                    // httpd would wait for the rest of the body before it answers with some of
                    // these statuses, and answer 408 where that does not come.
                    request.close_after();
                }
                HookStatus::Http(failure.status())
            }
        }
    }
}

impl<'r> Relay<'r, 'r> {
    /// Has what the request waits for at its process bring a visit. Returns the longest time up to
    /// that.
    ///
    /// # Errors
    ///
    /// Returns an error if the system can watch no more descriptors.
    pub(super) fn watch(&mut self, here: &Here<'_, 'r>, wait: Wait) -> io::Result<Duration> {
        let (group, request, phases) = (self.group, self.request, self.phases);
        let Some(attempt) = &mut self.attempt else { return Ok(wait.time(Patience::None)) };
        let has_begun = self.answer.has_begun();
        if !attempt.is_watched() && !has_begun {
            let Lease { slot, incarnation, .. } = attempt.lease;
            here.look_out(Some(Box::new(move || group.has_lost(slot, incarnation))));
        }
        attempt.watch(here.doorbell(), wait.bridge)?;
        let exchange = here.exchange();
        let on = DaemonRequest { group: &group, request, exchange, phases };
        Ok(attempt.longest(&on, has_begun, wait))
    }
}

impl Drop for Relay<'_, '_> {
    fn drop(&mut self) {
        if !self.is_free {
            packet::give_back(mem::take(&mut self.packet));
        }
    }
}

impl DaemonRequest<'_, '_, '_> {
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
