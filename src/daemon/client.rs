//! The way of a request to a process group and back, in the httpd child that has it.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::thread;
use std::time::{Duration, Instant};

use super::answer::{Answer, Step};
use super::connection::{Connection, Received};
use super::failure::Failure;
use super::group::Group;
use super::phases::Phases;
use super::upload::{Pumped, Upload, borrow};
use crate::adapter::{Facts, RequestExchange, RequestInput, conclude};
use crate::gateway::{Error, ErrorKind, Level, Outcome, Variables as _};
use crate::httpd::{HookStatus, Request, log};
use crate::process::{Choice, Hold, State, Tried};
use crate::protocol::bridge::{
    HEADER, HELLO, Limits, Pairs, RequestEncoder, RequestFacts, put_hello, stamp,
};
use crate::server::os;

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
        facts: Facts<'r>,
        phases: &Phases,
    ) -> HookStatus {
        let input = match RequestInput::new(request) {
            Ok(input) => input,
            Err(status) => return HookStatus::from_raw(status),
        };
        let exchange = RequestExchange::new(request, facts);
        let mut upload = Upload::new(request, input);
        let mut packet = PACKET.take();
        packet.clear();
        let ended = self
            .pack(&mut packet, &exchange, call, &mut upload)
            .map_err(|error| Failure::too_large(&error))
            .and_then(|()| {
                let courier = Courier { group: self, request, exchange: &exchange, phases };
                courier.carry(&mut packet, &mut upload)
            });
        if packet.capacity() <= KEPT_PACKET {
            PACKET.set(packet);
        }
        match ended {
            Ok(outcome) => conclude(request, exchange, upload.is_unread(), outcome),
            Err(failure) => {
                let is_broken = exchange.has_passed();
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
        upload: &mut Upload<'_, '_>,
    ) -> Result<(), crate::protocol::bridge::EncodeError> {
        put_hello(packet, &self.token);
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
        headers.finish(&Limits::default())?;
        upload.begin(packet);
        Ok(())
    }
}

/// One request under way.
struct Courier<'c, 'e, 'r> {
    group: &'c Group,
    request: &'e Request<'r>,
    exchange: &'c RequestExchange<'e, 'r>,
    phases: &'c Phases,
}

/// How one attempt ended that may be followed by another.
enum Attempt {
    Answered(Outcome),
    /// The process could not be connected to.
    NotConnected(Failure),
    /// No application has seen a byte of the request.
    Untouched(Failure),
}

impl<'e, 'r> Courier<'_, 'e, 'r> {
    /// Carries the request to a process, and to another where the first took nothing of it.
    fn carry(&self, packet: &mut [u8], upload: &mut Upload<'e, 'r>) -> Result<Outcome, Failure> {
        let started = Instant::now();
        let first_piece = upload.taken();
        let mut tried = Tried::new();
        let mut attempts = 0;
        loop {
            let hold = self.choose(&mut tried, started)?;
            let failure = match self.attempt(hold, packet, upload)? {
                Attempt::Answered(outcome) => return Ok(outcome),
                Attempt::NotConnected(failure) => {
                    // Its line of connections is full, mostly: another's may not be. When all have
                    // been tried, there is a pause.
                    tried.add(hold.slot);
                    if started.elapsed() >= self.group.options.connect_timeout {
                        return Err(failure);
                    }
                    continue;
                }
                Attempt::Untouched(failure) => failure,
            };
            attempts += 1;
            // What has left the packet behind cannot be sent a second time.
            let is_complete = upload.taken() == first_piece;
            if !is_complete || attempts > self.group.board.slots.len() + 1 {
                return Err(failure);
            }
            log::request(
                self.request,
                Level::Info,
                &format!(
                    "RUST0038: process group {}: daemon process {} took nothing of the request; it \
                     goes to another",
                    self.group.name(),
                    hold.pid
                ),
            );
        }
    }

    /// Takes hold of the least busy process; waits for one where none is ready yet.
    fn choose(&self, tried: &mut Tried, started: Instant) -> Result<Hold, Failure> {
        let board = &self.group.board;
        let mut pause = Duration::from_millis(1);
        loop {
            match board.take(tried, os::monotonic_us()) {
                Ok(hold) => return Ok(hold),
                Err(Choice::Full) => {
                    board.group.refused(true);
                    return Err(Failure::full());
                }
                Err(Choice::Open { until_us }) => {
                    board.group.refused(false);
                    let left = until_us.saturating_sub(os::monotonic_us());
                    return Err(Failure::circuit_open(left.div_ceil(1_000_000)));
                }
                Err(_) => {
                    // One that was tried may be another process by now.
                    *tried = Tried::new();
                    if started.elapsed() >= self.group.options.connect_timeout {
                        return Err(Failure::none_ready(started.elapsed()));
                    }
                    if pause == Duration::from_millis(1) {
                        self.group.ring();
                    }
                    // A process that starts has nobody's address: its state is looked at.
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
            }
        }
    }

    fn attempt(
        &self,
        hold: Hold,
        packet: &mut [u8],
        upload: &mut Upload<'e, 'r>,
    ) -> Result<Attempt, Failure> {
        let board = &self.group.board;
        let started = os::monotonic_us();
        let mut connection = match self.connect(hold) {
            Ok(connection) => connection,
            Err(error) => {
                board.release(hold.slot, hold.incarnation);
                return Ok(Attempt::NotConnected(Failure::cannot_connect(hold.pid, &error)));
            }
        };
        let ticket = board.group.ticket();
        let sent_us = os::monotonic_us();
        stamp(&mut packet[HELLO_FRAME..], ticket, sent_us, hold.incarnation);
        self.phases.connected(hold, started, sent_us);
        let mut trip = Trip {
            courier: self,
            hold,
            ticket,
            packet: if connection.is_new { packet } else { &packet[HELLO_FRAME..] },
            sent: 0,
            heard: Instant::now(),
            started: Instant::now(),
        };
        connection.is_new = false;
        let mut answer =
            Answer::new(self.request, self.exchange, self.group.options.response_flush_delay);
        match trip.run(&mut connection, upload, &mut answer) {
            Ok((outcome, is_kept)) => {
                // Another request may use it while this client is given the rest.
                if is_kept {
                    self.group.keep(hold.slot, connection);
                }
                let outcome = match outcome {
                    Outcome::Complete => match answer.complete() {
                        Ok(()) => Outcome::Complete,
                        Err(error) => self.stopped(error),
                    },
                    Outcome::Broken(error) => {
                        // What came before the error is the client's.
                        let _ = answer.catch_up(true);
                        Outcome::Broken(error)
                    }
                    other => other,
                };
                self.phases.ended();
                Ok(Attempt::Answered(outcome))
            }
            Err(Ended::Failed(failure)) => Err(failure),
            Err(Ended::Gone(error)) => Ok(Attempt::Answered(self.stopped(error))),
            Err(Ended::Lost { has_begun, failure }) => {
                if trip.sent == 0 {
                    board.release(hold.slot, hold.incarnation);
                    return Ok(Attempt::Untouched(failure));
                }
                // The connection must be closed before the question, so that a process which lives
                // does not take the request up after it.
                drop(connection);
                self.group.look_after(hold);
                if has_begun || board.find_ticket(&hold, ticket).may_have_started() {
                    return Err(failure);
                }
                Ok(Attempt::Untouched(failure))
            }
        }
    }

    /// The client cannot be given the response.
    fn stopped(&self, error: Error) -> Outcome {
        if self.exchange.has_passed() { Outcome::Broken(error) } else { Outcome::Failed(error) }
    }

    fn connect(&self, hold: Hold) -> io::Result<Connection> {
        match self.group.take_kept(hold.slot, hold.incarnation) {
            Some(connection) => Ok(connection),
            None => Connection::open(
                &self.group.paths[hold.slot],
                hold.incarnation,
                self.group.buffers(),
            ),
        }
    }
}

/// HELLO with its header, which only a new connection sends.
const HELLO_FRAME: usize = HEADER + HELLO;

/// Why a trip has no outcome.
enum Ended {
    Failed(Failure),
    /// The client has left.
    Gone(Error),
    /// The connection broke.
    Lost {
        has_begun: bool,
        failure: Failure,
    },
}

/// One request on one connection.
struct Trip<'t, 'c, 'e, 'r> {
    courier: &'t Courier<'c, 'e, 'r>,
    hold: Hold,
    ticket: u64,
    packet: &'t [u8],
    /// How much of the packet has gone.
    sent: usize,
    /// When the process was last heard of.
    heard: Instant,
    started: Instant,
}

impl<'e, 'r> Trip<'_, '_, 'e, 'r> {
    /// Sends, receives, and carries out. Returns also whether the connection can be kept.
    fn run(
        &mut self,
        connection: &mut Connection,
        upload: &mut Upload<'e, 'r>,
        answer: &mut Answer<'_, 'e, 'r>,
    ) -> Result<(Outcome, bool), Ended> {
        loop {
            if let Some(done) = self.frames(connection, upload, answer)? {
                return Ok(done);
            }
            if let Some(due) = answer.flush_due() {
                let left = due.saturating_duration_since(Instant::now());
                let polled = os::poll(connection.socket(), (true, false), None, Some(left));
                if polled.is_ok_and(|(polled, _)| polled.readable) {
                    self.receive(connection, false, answer)?;
                } else {
                    answer.flush_now().map_err(Ended::Gone)?;
                }
            } else if answer.is_behind() {
                self.serve_client(connection, answer)?;
            } else {
                self.step(connection, upload, answer)?;
            }
        }
    }

    /// Carries out the frames that have come.
    fn frames(
        &mut self,
        connection: &mut Connection,
        upload: &mut Upload<'e, 'r>,
        answer: &mut Answer<'_, 'e, 'r>,
    ) -> Result<Option<(Outcome, bool)>, Ended> {
        let pid = self.hold.pid;
        loop {
            let next = connection.next_frame().map_err(|error| {
                Ended::Failed(Failure::protocol(pid, answer.has_begun(), &error))
            })?;
            let Some((header, payload)) = next else { return Ok(None) };
            let had_begun = answer.has_begun();
            let step = answer
                .on(header, payload, || connection.take_descriptor())
                .map_err(|error| Ended::Failed(Failure::protocol(pid, had_begun, &error)))?;
            if !had_begun && answer.has_begun() {
                self.courier.phases.first_byte();
            }
            match step {
                Step::More => {}
                Step::WantsInput => upload.release(),
                Step::Done { outcome, close, timing } => {
                    self.courier.phases.reported(&timing);
                    let is_kept = !close && self.settle(connection, upload);
                    return Ok(Some((outcome, is_kept)));
                }
                // The process sees the connection closed, and its application that nobody reads.
                Step::Stop(error) => return Ok(Some((self.courier.stopped(error), false))),
                Step::Refused { reason, message } => {
                    let failure = Failure::refused(pid, &format!("{reason}: {message}"));
                    return Err(Ended::Lost { has_begun: had_begun, failure });
                }
            }
        }
    }

    /// Leaves the connection at rest, if it can be.
    fn settle(&self, connection: &Connection, upload: &Upload<'e, 'r>) -> bool {
        if self.sent < self.packet.len() {
            return false;
        }
        match upload.stop() {
            None => false,
            Some(stop) => {
                stop.is_empty() || connection.send_all(&stop, Duration::from_secs(1)).is_ok()
            }
        }
    }

    /// The client is slower than the process: gives it what it has room for, and takes in what the
    /// process sends meanwhile, up to `response-buffer-size`.
    fn serve_client(
        &mut self,
        connection: &mut Connection,
        answer: &mut Answer<'_, 'e, 'r>,
    ) -> Result<(), Ended> {
        let Some(socket) = self.courier.request.socket() else {
            return answer.catch_up(true).map_err(Ended::Gone);
        };
        let limit = self.courier.group.options.response_buffer_size;
        let takes_more = (answer.backlog() as u64) < limit;
        let client = borrow(&socket);
        let bridge = takes_more.then(|| connection.socket());
        let polled = os::poll(client, (false, true), bridge, Some(self.client_patience()));
        let (client, bridge_is_ready) = polled.map_err(|_| self.gave_up())?;
        if client.writable {
            answer.catch_up(false).map_err(Ended::Gone)?;
        } else if !bridge_is_ready {
            return Err(self.gave_up());
        }
        if bridge_is_ready { self.receive(connection, false, answer) } else { Ok(()) }
    }

    fn gave_up(&self) -> Ended {
        let timeout = self.client_patience();
        Ended::Gone(Error::of(
            ErrorKind::ClientGone,
            format!("the client took nothing of the response for {} s", timeout.as_secs_f64()),
        ))
    }

    /// How long the client may take nothing.
    fn client_patience(&self) -> Duration {
        let options = &self.courier.group.options;
        options.response_socket_timeout.unwrap_or_else(|| self.patience())
    }

    /// Sends what can be sent, receives what has come, and waits where there is neither.
    fn step(
        &mut self,
        connection: &mut Connection,
        upload: &mut Upload<'e, 'r>,
        answer: &Answer<'_, 'e, 'r>,
    ) -> Result<(), Ended> {
        let (pid, has_begun) = (self.hold.pid, answer.has_begun());
        let lost = |_: io::Error| Ended::Lost { has_begun, failure: Failure::died(pid, has_begun) };
        if self.sent < self.packet.len() {
            let sent = connection.send(&[IoSlice::new(&self.packet[self.sent..])]).map_err(lost)?;
            self.sent += sent;
            if sent == 0 {
                // It may be waiting for room itself.
                let timeout = Some(self.patience());
                os::poll(connection.socket(), (true, true), None, timeout).map_err(lost)?;
                return self.receive(connection, false, answer);
            }
            if self.sent < self.packet.len() {
                return Ok(());
            }
        }
        if upload.is_over() || upload.is_held() {
            return self.receive(connection, true, answer);
        }
        match upload.pump(connection, false).map_err(lost)? {
            Pumped::Idle => self.receive(connection, true, answer),
            Pumped::Some => self.receive(connection, false, answer),
            Pumped::NoRoom => {
                let timeout = Some(self.patience());
                os::poll(connection.socket(), (true, true), None, timeout).map_err(lost)?;
                self.receive(connection, false, answer)
            }
            Pumped::NoData => {
                let Some(socket) = upload.socket() else {
                    // A stream of HTTP/2 has no socket to wait for: its next piece is waited for,
                    // after a look at what the process says.
                    self.receive(connection, false, answer)?;
                    if connection.is_at_rest() {
                        upload.pump(connection, true).map_err(lost)?;
                    }
                    return Ok(());
                };
                let client = borrow(&socket);
                let timeout = self.courier.request.server().timeout_us();
                let timeout = Duration::from_micros(timeout.max(0).cast_unsigned());
                let (polled, client_is_ready) =
                    os::poll(connection.socket(), (true, false), Some(client), Some(timeout))
                        .map_err(lost)?;
                if client_is_ready || !polled.readable {
                    // Where the time is up, reading finds nothing and says so.
                    upload.pump(connection, true).map_err(lost)?;
                }
                self.receive(connection, false, answer)
            }
        }
    }

    fn receive(
        &mut self,
        connection: &mut Connection,
        wait: bool,
        answer: &Answer<'_, 'e, 'r>,
    ) -> Result<(), Ended> {
        let has_begun = answer.has_begun();
        match connection.receive(wait) {
            Ok(Received::Some) => {
                self.heard = Instant::now();
                Ok(())
            }
            Ok(Received::Nothing) if wait => match self.look_around(has_begun) {
                // What it has sent in its last moment comes first.
                Err(lost @ Ended::Lost { .. }) => match connection.receive(false) {
                    Ok(Received::Some) => Ok(()),
                    _ => Err(lost),
                },
                result => result,
            },
            Ok(Received::Nothing) => Ok(()),
            Ok(Received::End) | Err(_) => {
                Err(Ended::Lost { has_begun, failure: Failure::died(self.hold.pid, has_begun) })
            }
        }
    }

    /// Whether it makes sense to wait on.
    fn look_around(&self, has_begun: bool) -> Result<(), Ended> {
        if self.courier.request.has_client_gone() {
            let gone = Error::of(ErrorKind::ClientGone, "the client left while it was served");
            return Err(Ended::Gone(gone));
        }
        let options = &self.courier.group.options;
        let slot = &self.courier.group.board.slots[self.hold.slot];
        if slot.incarnation() != self.hold.incarnation || slot.state() == State::Failed {
            // It died before it had taken the connection: the parent keeps the socket for the next.
            return Err(Ended::Lost {
                has_begun,
                failure: Failure::died(self.hold.pid, has_begun),
            });
        }
        if let Some(timeout) = options.queue_timeout
            && !has_begun
            && self.started.elapsed() >= timeout
            && !self.courier.group.board.find_ticket(&self.hold, self.ticket).may_have_started()
        {
            return Err(Ended::Failed(Failure::queued(timeout)));
        }
        let timeout = self.patience();
        if self.heard.elapsed() >= timeout {
            return Err(Ended::Failed(Failure::silent(self.hold.pid, timeout)));
        }
        Ok(())
    }

    /// How long the process may say nothing.
    fn patience(&self) -> Duration {
        self.courier.group.options.socket_timeout.unwrap_or_else(|| {
            let timeout = self.courier.request.server().timeout_us();
            Duration::from_micros(timeout.max(0).cast_unsigned())
        })
    }
}
