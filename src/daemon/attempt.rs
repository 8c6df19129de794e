//! One request on one connection to a daemon process: frames go out and come in, and the client on
//! the other side is kept up with. [`client`](super::client) chooses the connection, and what
//! follows.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use super::connection::{BridgeConnection, Received};
use super::failure::Failure;
use super::group::Group;
use super::request_body::{Pumped, RelayedBody, borrow};
use super::response::{FrameStep, RelayedResponse};
use crate::adapter::{RequestExchange, pause};
use crate::gateway::{Error, ErrorKind, Outcome};
use crate::httpd::Request;
use crate::os;
use crate::process_group::{Lease, ProcessState};
use crate::protocol::bridge::{BridgeFlow, Timing};

/// The interval at which a wait is broken off to check other things. mod_reqtimeout, for one, tells
/// that a client sends too slowly only when it is read from.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a trip has no outcome.
pub(super) enum AttemptFailure {
    Failed(Failure),
    /// The client has left.
    Gone(Error),
    /// The connection broke.
    Lost {
        has_begun: bool,
        failure: Failure,
    },
}

/// Why a step did not send what there was to send.
enum NotSent {
    /// A write failed.
    Write,
    Ended(AttemptFailure),
}

impl From<AttemptFailure> for NotSent {
    fn from(ended: AttemptFailure) -> Self {
        Self::Ended(ended)
    }
}

/// A request on its way to a process group.
pub(super) struct DaemonRequest<'c, 'e, 'r> {
    pub(super) group: &'c Group,
    pub(super) request: &'e Request<'r>,
    pub(super) exchange: &'c RequestExchange<'e, 'r>,
    pub(super) phases: &'c PhaseTimes,
}

/// One request on one connection.
pub(super) struct Attempt<'t, 'c, 'e, 'r> {
    pub(super) daemon_request: &'t DaemonRequest<'c, 'e, 'r>,
    pub(super) lease: Lease,
    pub(super) ticket: u64,
    pub(super) packet: &'t [u8],
    /// The bytes of the packet that have gone.
    pub(super) sent: usize,
    /// The turn of the frames that the process sends.
    pub(super) flow: BridgeFlow,
    /// The time at which the process last took or sent something.
    pub(super) heard: Instant,
    pub(super) started: Instant,
    /// The time at which the client was last looked for while the process was sending.
    pub(super) looked: Instant,
    /// Since when the client, who has more to send, has sent nothing.
    pub(super) silent_since: Option<Instant>,
    /// Since when the client, for whom a part of the response waits, has taken nothing.
    pub(super) stalled_since: Option<Instant>,
    /// The process takes nothing any more: a write has failed. It may have answered before.
    pub(super) is_deaf: bool,
}

impl<'e, 'r> Attempt<'_, '_, 'e, 'r> {
    /// Sends, receives, and carries out. Returns also whether the connection can be kept.
    pub(super) fn run(
        &mut self,
        connection: &mut BridgeConnection,
        upload: &mut RelayedBody<'e, 'r>,
        answer: &mut RelayedResponse<'_, 'e, 'r>,
    ) -> Result<(Outcome, bool), AttemptFailure> {
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
                    answer.flush_now().map_err(AttemptFailure::Gone)?;
                }
            } else if answer.is_behind() {
                self.serve_client(connection, answer)?;
            } else {
                self.stalled_since = None;
                self.step(connection, upload, answer)?;
            }
        }
    }

    /// Carries out the frames that have come.
    fn frames(
        &mut self,
        connection: &mut BridgeConnection,
        upload: &mut RelayedBody<'e, 'r>,
        answer: &mut RelayedResponse<'_, 'e, 'r>,
    ) -> Result<Option<(Outcome, bool)>, AttemptFailure> {
        let pid = self.lease.pid;
        loop {
            let next = connection.next_frame().map_err(|error| {
                AttemptFailure::Failed(Failure::protocol(pid, answer.has_begun(), &error))
            })?;
            let Some((header, payload)) = next else { return Ok(None) };
            let had_begun = answer.has_begun();
            self.flow.pass(header.kind, header.flags).map_err(|error| {
                AttemptFailure::Failed(Failure::protocol(pid, had_begun, &error))
            })?;
            let step =
                answer.on(header, payload, || connection.take_descriptor()).map_err(|error| {
                    AttemptFailure::Failed(Failure::protocol(pid, had_begun, &error))
                })?;
            if !had_begun && answer.has_begun() {
                self.daemon_request.phases.first_byte();
            }
            match step {
                FrameStep::More => {}
                FrameStep::WantsInput => upload.release(),
                FrameStep::Done { outcome, close, timing } => {
                    self.daemon_request.phases.reported(&timing);
                    let is_kept = !close && self.settle(connection, upload);
                    return Ok(Some((outcome, is_kept)));
                }
                // The process sees the connection closed, and its application that nobody reads.
                FrameStep::Stop(error) => {
                    return Ok(Some((self.daemon_request.stopped(error), false)));
                }
                FrameStep::Refused { reason, message } => {
                    let failure = Failure::refused(pid, &format!("{reason}: {message}"));
                    return Err(AttemptFailure::Lost { has_begun: had_begun, failure });
                }
            }
        }
    }

    /// Leaves the connection at rest, if it can be.
    fn settle(&self, connection: &BridgeConnection, upload: &RelayedBody<'e, 'r>) -> bool {
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

    /// Serves a client that is slower than the process: sends what it has room for, and receives
    /// from the process meanwhile, up to `response-buffer-size`.
    fn serve_client(
        &mut self,
        connection: &mut BridgeConnection,
        answer: &mut RelayedResponse<'_, 'e, 'r>,
    ) -> Result<(), AttemptFailure> {
        let Some(socket) = self.daemon_request.request.socket() else {
            return answer.catch_up(true).map_err(AttemptFailure::Gone);
        };
        let limit = self.daemon_request.group.options.response_buffer_size;
        let takes_more = (answer.backlog() as u64) < limit;
        let client = borrow(&socket);
        let bridge = takes_more.then(|| connection.socket());
        // Data from the process is not progress of the client.
        let stalled = self.stalled_since.get_or_insert_with(Instant::now).elapsed();
        let left = self.client_patience().saturating_sub(stalled);
        let polled = os::poll(client, (false, true), bridge, Some(left));
        let (client, bridge_is_ready) = polled.map_err(|_| self.gave_up())?;
        if client.writable {
            self.stalled_since = None;
            answer.catch_up(false).map_err(AttemptFailure::Gone)?;
        } else if !bridge_is_ready || left.is_zero() {
            return Err(self.gave_up());
        }
        if bridge_is_ready { self.receive(connection, false, answer) } else { Ok(()) }
    }

    fn gave_up(&self) -> AttemptFailure {
        let timeout = self.client_patience();
        AttemptFailure::Gone(Error::of(
            ErrorKind::ClientGone,
            format!("the client took nothing of the response for {} s", timeout.as_secs_f64()),
        ))
    }

    /// Returns the longest time in which the client may take nothing.
    fn client_patience(&self) -> Duration {
        let options = &self.daemon_request.group.options;
        options.response_socket_timeout.unwrap_or_else(|| self.patience())
    }

    /// Sends what can be sent, receives what has come, and waits where there is neither.
    fn step(
        &mut self,
        connection: &mut BridgeConnection,
        upload: &mut RelayedBody<'e, 'r>,
        answer: &RelayedResponse<'_, 'e, 'r>,
    ) -> Result<(), AttemptFailure> {
        if !self.is_deaf {
            match self.send_and_receive(connection, upload, answer) {
                // The process may have answered before it closed: that is read first.
                Err(NotSent::Write) => self.is_deaf = true,
                Err(NotSent::Ended(ended)) => return Err(ended),
                Ok(()) => return Ok(()),
            }
        }
        self.receive(connection, true, answer)
    }

    fn send_and_receive(
        &mut self,
        connection: &mut BridgeConnection,
        upload: &mut RelayedBody<'e, 'r>,
        answer: &RelayedResponse<'_, 'e, 'r>,
    ) -> Result<(), NotSent> {
        let lost = |_: io::Error| NotSent::Write;
        if self.sent < self.packet.len() {
            let sent = connection.send(&[IoSlice::new(&self.packet[self.sent..])]).map_err(lost)?;
            self.sent += sent;
            if sent == 0 {
                return self.wait_for_room(connection, answer);
            }
            self.heard = Instant::now();
            if self.sent < self.packet.len() {
                return Ok(());
            }
        }
        if upload.is_over() || upload.is_held() {
            return Ok(self.receive(connection, true, answer)?);
        }
        match upload.pump(connection, false).map_err(lost)? {
            Pumped::Idle => Ok(self.receive(connection, true, answer)?),
            Pumped::Some => {
                self.silent_since = None;
                self.heard = Instant::now();
                Ok(self.receive(connection, false, answer)?)
            }
            Pumped::NoRoom => self.wait_for_room(connection, answer),
            Pumped::NoData => {
                let timeout = self.daemon_request.request.server().timeout();
                let silent = self.silent_since.get_or_insert_with(Instant::now).elapsed();
                let left = timeout.saturating_sub(silent);
                let Some(socket) = upload.socket() else {
                    // A stream of HTTP/2 has no socket to wait for. The process is waited for, and
                    // the client's next piece looked for after a pause.
                    if left.is_zero() {
                        upload.pump(connection, true).map_err(lost)?;
                    } else {
                        let longest = Some(pause(silent).min(left));
                        os::poll(connection.socket(), (true, false), None, longest)
                            .map_err(lost)?;
                    }
                    return Ok(self.receive(connection, false, answer)?);
                };
                let client = borrow(&socket);
                let (polled, client_is_ready) = os::poll(
                    connection.socket(),
                    (true, false),
                    Some(client),
                    Some(left.min(LOOK_EVERY)),
                )
                .map_err(lost)?;
                // The client's bytes may be a part of a chunk's or a record's head, so it is
                // not read blocking.
                let is_quiet = !client_is_ready && !polled.readable;
                if is_quiet && left <= LOOK_EVERY {
                    // After the time-out a read finds nothing and returns the error.
                    upload.pump(connection, true).map_err(lost)?;
                }
                Ok(self.receive(connection, false, answer)?)
            }
        }
    }

    /// Waits until the process takes more, or says something: it may be waiting for room itself.
    /// One that does neither is given up in the end.
    fn wait_for_room(
        &mut self,
        connection: &mut BridgeConnection,
        answer: &RelayedResponse<'_, 'e, 'r>,
    ) -> Result<(), NotSent> {
        let timeout = Some(self.patience().min(LOOK_EVERY));
        let polled = os::poll(connection.socket(), (true, true), None, timeout);
        let (polled, _) = polled.map_err(|_| NotSent::Write)?;
        let is_stuck = !(polled.readable || polled.writable);
        Ok(self.receive(connection, is_stuck, answer)?)
    }

    fn receive(
        &mut self,
        connection: &mut BridgeConnection,
        wait: bool,
        answer: &RelayedResponse<'_, 'e, 'r>,
    ) -> Result<(), AttemptFailure> {
        let has_begun = answer.has_begun();
        match connection.receive(wait) {
            Ok(Received::Some) => {
                self.heard = Instant::now();
                // A process that never pauses gives no other chance to see that the client has
                // left.
                if self.heard.saturating_duration_since(self.looked) >= LOOK_EVERY {
                    self.looked = self.heard;
                    self.look_for_client()?;
                }
                Ok(())
            }
            Ok(Received::Nothing) if wait => match self.look_around(has_begun) {
                // The last bytes that the process has sent come first.
                Err(lost @ AttemptFailure::Lost { .. }) => match connection.receive(false) {
                    Ok(Received::Some) => Ok(()),
                    _ => Err(lost),
                },
                result => result,
            },
            Ok(Received::Nothing) => Ok(()),
            Ok(Received::End) | Err(_) => Err(AttemptFailure::Lost {
                has_begun,
                failure: Failure::died(self.lease.pid, has_begun),
            }),
        }
    }

    fn look_for_client(&self) -> Result<(), AttemptFailure> {
        if !self.daemon_request.request.has_client_gone() {
            return Ok(());
        }
        let gone = Error::of(ErrorKind::ClientGone, "the client left while it was served");
        Err(AttemptFailure::Gone(gone))
    }

    /// Checks that waiting on makes sense.
    fn look_around(&self, has_begun: bool) -> Result<(), AttemptFailure> {
        self.look_for_client()?;
        let options = &self.daemon_request.group.options;
        let slot = &self.daemon_request.group.board.slots[self.lease.slot];
        if slot.incarnation() != self.lease.incarnation || slot.state() == ProcessState::Failed {
            // It died before it had taken the connection: the parent keeps the socket for the next.
            return Err(AttemptFailure::Lost {
                has_begun,
                failure: Failure::died(self.lease.pid, has_begun),
            });
        }
        if let Some(timeout) = options.queue_timeout
            && !has_begun
            && self.started.elapsed() >= timeout
            && !self
                .daemon_request
                .group
                .board
                .find_ticket(&self.lease, self.ticket)
                .may_have_started()
        {
            return Err(AttemptFailure::Failed(Failure::queued(timeout)));
        }
        let timeout = self.patience();
        if self.heard.elapsed() >= timeout {
            return Err(AttemptFailure::Failed(Failure::silent(self.lease.pid, timeout)));
        }
        Ok(())
    }

    /// Returns the longest time in which the process may send nothing.
    fn patience(&self) -> Duration {
        let options = &self.daemon_request.group.options;
        options.socket_timeout.unwrap_or_else(|| self.daemon_request.request.server().timeout())
    }
}

/// The times that one request takes in each part of its way through a process group, in
/// microseconds.
#[derive(Debug, Default)]
pub(crate) struct PhaseTimes {
    /// The process that had it.
    pub(crate) pid: Cell<Option<u32>>,
    /// From the choice of the process to the request's first byte on its way.
    pub(crate) connect: Cell<u64>,
    /// Until a thread took it up.
    pub(crate) queue: Cell<u64>,
    /// From there until the application had done.
    pub(crate) application: Cell<u64>,
    /// From the request's first byte on its way to the first of the response.
    pub(crate) first_byte: Cell<u64>,
    /// From there to the last of the response.
    pub(crate) body: Cell<u64>,
    sent_us: Cell<u64>,
    begun_us: Cell<u64>,
}

impl PhaseTimes {
    pub(super) fn connected(&self, lease: Lease, started_us: u64, sent_us: u64) {
        self.pid.set(Some(lease.pid));
        self.connect.set(sent_us - started_us);
        self.sent_us.set(sent_us);
    }

    pub(super) fn first_byte(&self) {
        let now = os::monotonic_us();
        self.begun_us.set(now);
        self.first_byte.set(now.saturating_sub(self.sent_us.get()));
    }

    pub(super) fn reported(&self, timing: &Timing) {
        self.queue.set(timing.queue_us);
        self.application.set(timing.application_us);
    }

    pub(super) fn ended(&self) {
        let begun = self.begun_us.get();
        if begun > 0 {
            self.body.set(os::monotonic_us().saturating_sub(begun));
        }
    }
}
