//! The way of one request through a process group: the choice of a process, the attempts, and the
//! rest of the response once the process is done.

use std::io;
use std::mem;
use std::thread;
use std::time::Duration;

use super::attempt::{Attempt, AttemptFailure, Turn};
use super::connection::BridgeConnection;
use super::failure::Failure;
use super::group::Group;
use super::idle_connections::CONNECTIONS;
use super::outgoing::Outgoing;
use super::packet::{self, Call, HELLO_FRAME, REQUEST_FLAGS};
use super::phases::PhaseTimes;
use super::request_body::RelayedBody;
use super::response::{HeldResponse, RelayedResponse, send_unsent};
use super::wait::{ALL_READY, DaemonRequest, Patience, Reader, Wait, Wanted, borrow};
use super::waiting::{Choice, Choosing};
use crate::adapter::{Here, Lookout, RequestExchange, RequestInput, conclude};
use crate::gateway::{Code, Error, Outcome};
use crate::httpd::{HookStatus, PoolRef, Request, log};
use crate::os;
use crate::process_group::Lease;
use crate::protocol::bridge::{BridgeFlow, stamp};

/// A request on its way through a process group. It has all that it needs but its exchange, so that
/// any thread can go on with it.
pub(super) struct Relay<'e, 'r> {
    group: PoolRef<Group>,
    request: &'e Request<'r>,
    phases: &'r PhaseTimes,
    packet: Outgoing<'r>,
    /// Why there is no packet.
    unfit: Option<Failure>,
    upload: RelayedBody<'e, 'r>,
    /// The bytes of the body in the packet.
    first_piece: u64,
    choosing: Choosing,
    attempts: usize,
    attempt: Option<Attempt>,
    /// The last wait before an attempt found nothing.
    is_quiet: bool,
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

/// The result of a step towards an attempt.
#[allow(clippy::large_enum_variant, reason = "one at a time, for a moment")]
enum Begun {
    Sends(Attempt),
    Waits(Wait),
    /// The process could not be connected to. Another is to be tried.
    NotReached,
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
            choosing: Choosing::new(group),
            attempts: 0,
            attempt: None,
            is_quiet: false,
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
                None => {
                    if let Some((wait, patience)) = waited.take() {
                        self.wait(wait, patience);
                    }
                    match self.begin(&on)? {
                        Begun::Sends(attempt) => self.attempt.insert(attempt),
                        Begun::Waits(wait) => return Ok(Stretch::Waits(wait)),
                        Begun::NotReached => continue,
                    }
                }
            };
            let held = &mut self.answer;
            let mut answer = RelayedResponse::resume(held, request, exchange, &group.options);
            let result = match waited.take() {
                Some((wait, patience)) => attempt.wait(&on, answer.has_begun(), wait, patience),
                None => Ok(()),
            };
            let turn = result
                .and_then(|()| attempt.go_on(&on, &self.packet, &mut self.upload, &mut answer));
            match turn {
                Ok(Turn::Waits(wait)) => return Ok(Stretch::Waits(wait)),
                Ok(Turn::Done(outcome, is_kept)) => {
                    exchange.set_whole();
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
        let held = &mut self.answer;
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
            (None, None) => self.is_quiet || self.choosing.is_waiting(),
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
            let exact = self.packet.frames.as_slice().to_vec();
            packet::give_back(mem::replace(&mut self.packet.frames, exact));
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
        self.choosing.give_up();
        let (group, request, phases) = (self.group, self.request, self.phases);
        DaemonRequest { group: &group, request, exchange, phases }.stopped(error)
    }

    /// Collects a small body that is to be sent at once. Returns the wait for more of it.
    fn collect(&mut self) -> Option<Wait> {
        let timeout = self.request.server().timeout();
        while !self.upload.collect(&mut self.packet) {
            let wait = self.upload.wait(Wanted::NOTHING, timeout);
            if wait.is_some() {
                return wait;
            }
        }
        None
    }

    /// Waits before an attempt: for the body, or for a process.
    fn wait(&mut self, wait: Wait, patience: Patience) {
        if self.choosing.is_waiting() {
            if patience == Patience::Thread {
                self.choosing.wait();
            }
            return;
        }
        let longest = wait.time(patience);
        let Some(socket) = self.upload.socket() else {
            thread::sleep(longest);
            return;
        };
        let polled = os::poll(borrow(&socket), (true, false), None, Some(longest));
        let (polled, _) = polled.unwrap_or((ALL_READY, false));
        self.is_quiet = !polled.readable && !polled.hung_up;
    }

    /// Chooses a process, and connects to it.
    fn begin(&mut self, on: &DaemonRequest<'_, 'e, 'r>) -> Result<Begun, Failure> {
        if self.upload.is_collected() {
            if let Some(wait) = self.collect() {
                return Ok(Begun::Waits(wait));
            }
            self.first_piece = self.upload.taken();
            self.choosing = Choosing::new(self.group);
            self.is_quiet = false;
        }
        let lease = match self.choosing.choose()? {
            Choice::Process(lease) => lease,
            Choice::Waits(wait) => return Ok(Begun::Waits(wait)),
        };
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
                self.choosing.could_not_connect(lease, failure)?;
                return Ok(Begun::NotReached);
            }
        };
        let ticket = self.group.board.group.ticket();
        let sent_us = os::monotonic_us();
        stamp(&mut self.packet.frames[HELLO_FRAME..], ticket, sent_us, lease.incarnation);
        let flow = BridgeFlow::of_request(self.packet.frames[REQUEST_FLAGS]);
        self.phases.connected(lease, started, sent_us);
        let skipped = if mem::take(&mut connection.is_new) { 0 } else { HELLO_FRAME };
        self.answer = HeldResponse::default();
        if self.is_free {
            self.answer.free();
        }
        Ok(Begun::Sends(Attempt::new(lease, ticket, connection, skipped, flow)))
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
        let Some(attempt) = &mut self.attempt else {
            here.look_out(self.choosing.lookout());
            return Ok(wait.for_body(wait.longest.unwrap_or(Duration::MAX)));
        };
        let has_begun = self.answer.has_begun();
        if !attempt.is_watched() {
            let Lease { slot, incarnation, .. } = attempt.lease;
            let is_lost = move || group.has_lost(slot, incarnation);
            here.look_out((!has_begun).then(|| Lookout::rare(is_lost)));
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
            packet::give_back(mem::take(&mut self.packet.frames));
        }
    }
}

impl DaemonRequest<'_, '_, '_> {
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
