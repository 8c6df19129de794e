//! One request on one connection to a daemon process: frames go out and come in, and the client on
//! the other side is kept up with. [`client`](super::client) chooses the connection, and what
//! follows.
//!
//! An attempt never waits by itself: it says what it [waits](Wait) for. Its caller waits on the
//! thread, or leaves the thread and comes back.

use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use super::connection::{BridgeConnection, Received};
use super::failure::Failure;
use super::group::Group;
use super::phases::PhaseTimes;
use super::request_body::{Pumped, RelayedBody, borrow};
use super::response::{FrameStep, RelayedResponse};
use crate::adapter::{RequestExchange, pause};
use crate::gateway::{Error, ErrorKind, Outcome};
use crate::httpd::Request;
use crate::os::{self, Polled};
use crate::process_group::{Lease, ProcessState};
use crate::protocol::bridge::BridgeFlow;

/// The interval at which a wait on the thread is broken off to check other things. mod_reqtimeout,
/// for one, tells that a client sends too slowly only when it is read from.
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

/// A request on its way to a process group, for one visit of a thread.
pub(super) struct DaemonRequest<'c, 'e, 'r> {
    pub(super) group: &'c Group,
    pub(super) request: &'e Request<'r>,
    pub(super) exchange: &'c RequestExchange<'e, 'r>,
    pub(super) phases: &'c PhaseTimes,
}

impl DaemonRequest<'_, '_, '_> {
    /// Returns the longest time in which the process may send nothing.
    fn patience(&self) -> Duration {
        self.group.options.socket_timeout.unwrap_or_else(|| self.request.server().timeout())
    }

    /// Returns the longest time in which the client may take nothing.
    pub(super) fn client_patience(&self) -> Duration {
        self.group.options.response_socket_timeout.unwrap_or_else(|| self.patience())
    }

    /// Returns the failure of a client that took nothing for too long.
    pub(super) fn gave_up(&self) -> Error {
        let timeout = self.client_patience();
        Error::of(
            ErrorKind::ClientGone,
            format!("the client took nothing of the response for {} s", timeout.as_secs_f64()),
        )
    }
}

/// The states of one socket that are waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) input: bool,
    pub(super) room: bool,
}

impl Wanted {
    pub(super) const NOTHING: Self = Self { input: false, room: false };
    pub(super) const INPUT: Self = Self { input: true, room: false };
    pub(super) const ROOM: Self = Self { input: false, room: true };
    pub(super) const BOTH: Self = Self { input: true, room: true };
}

/// The events that a request waits for, and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// Of the connection to the process.
    pub(super) bridge: Wanted,
    /// Of the client's socket.
    pub(super) client: Wanted,
    /// After this time there is something to do in any case.
    pub(super) longest: Duration,
    /// The process is to do something. It is looked after when it does not.
    is_for_process: bool,
}

/// The result of a turn.
pub(super) enum Turn {
    /// The process has done with the request. The connection may be good for another.
    Done(Outcome, bool),
    Waits(Wait),
}

/// One request on one connection.
pub(super) struct Attempt {
    pub(super) lease: Lease,
    pub(super) ticket: u64,
    pub(super) connection: BridgeConnection,
    /// The bytes of the packet that are not for this connection.
    skipped: usize,
    /// The bytes of the rest that have gone.
    pub(super) sent: usize,
    /// The turn of the frames that the process sends.
    flow: BridgeFlow,
    /// The time at which the process last took or sent something.
    heard: Instant,
    started: Instant,
    /// The time at which the client was last looked for while the process was sending.
    looked: Instant,
    /// Since when the client, who has more to send, has sent nothing.
    silent_since: Option<Instant>,
    /// Since when the client, for whom a part of the response waits, has taken nothing.
    stalled_since: Option<Instant>,
    /// The client's socket has room, as the last wait found.
    has_client_room: bool,
    /// The process takes nothing any more: a write has failed. It may have answered before.
    is_deaf: bool,
    /// The connection is another protocol's, which may be silent for any time.
    is_switched: bool,
}

impl Attempt {
    pub(super) fn new(
        lease: Lease,
        ticket: u64,
        connection: BridgeConnection,
        skipped: usize,
        flow: BridgeFlow,
    ) -> Self {
        let now = Instant::now();
        Self {
            lease,
            ticket,
            connection,
            skipped,
            sent: 0,
            flow,
            heard: now,
            started: now,
            looked: now,
            silent_since: None,
            stalled_since: None,
            has_client_room: false,
            is_deaf: false,
            is_switched: false,
        }
    }

    /// Sends, receives, and carries out, until the process is done or there is nothing to do.
    pub(super) fn go_on<'e, 'r>(
        &mut self,
        on: &DaemonRequest<'_, 'e, 'r>,
        packet: &[u8],
        upload: &mut RelayedBody<'e, 'r>,
        answer: &mut RelayedResponse<'_, 'e, 'r>,
    ) -> Result<Turn, AttemptFailure> {
        loop {
            if let Some((outcome, is_kept)) = self.frames(on, packet, upload, answer)? {
                return Ok(Turn::Done(outcome, is_kept));
            }
            let wait = if let Some(due) = answer.flush_due() {
                self.flush(on, due, answer)?
            } else if answer.is_behind() {
                self.serve_client(on, answer)?
            } else {
                self.stalled_since = None;
                self.step(on, packet, upload, answer)?
            };
            if let Some(wait) = wait {
                return Ok(Turn::Waits(wait));
            }
        }
    }

    /// Carries out the frames that have come.
    fn frames<'e, 'r>(
        &mut self,
        on: &DaemonRequest<'_, 'e, 'r>,
        packet: &[u8],
        upload: &mut RelayedBody<'e, 'r>,
        answer: &mut RelayedResponse<'_, 'e, 'r>,
    ) -> Result<Option<(Outcome, bool)>, AttemptFailure> {
        let pid = self.lease.pid;
        loop {
            let connection = &mut self.connection;
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
                on.phases.first_byte();
            }
            match step {
                FrameStep::More => {}
                FrameStep::WantsInput => upload.release(),
                FrameStep::Switched => {
                    upload.switch();
                    self.is_switched = true;
                }
                FrameStep::Done { outcome, close, timing } => {
                    on.phases.reported(&timing);
                    let is_kept = !close && self.settle(packet, upload);
                    return Ok(Some((outcome, is_kept)));
                }
                // The process sees the connection closed, and its application that nobody reads.
                FrameStep::Stop(error) => return Ok(Some((on.stopped(error), false))),
                FrameStep::Refused { reason, message } => {
                    let failure = Failure::refused(pid, &format!("{reason}: {message}"));
                    return Err(AttemptFailure::Lost { has_begun: had_begun, failure });
                }
            }
        }
    }

    /// Returns what is left of the packet.
    fn unsent<'p>(&self, packet: &'p [u8]) -> &'p [u8] {
        &packet[self.skipped + self.sent..]
    }

    /// Leaves the connection at rest, if it can be.
    fn settle(&self, packet: &[u8], upload: &RelayedBody<'_, '_>) -> bool {
        if !self.unsent(packet).is_empty() {
            return false;
        }
        match upload.stop() {
            None => false,
            Some(stop) => {
                stop.is_empty() || self.connection.send_all(&stop, Duration::from_secs(1)).is_ok()
            }
        }
    }

    /// Waits for more before a part of the response is flushed.
    fn flush(
        &mut self,
        on: &DaemonRequest<'_, '_, '_>,
        due: Instant,
        answer: &mut RelayedResponse<'_, '_, '_>,
    ) -> Result<Option<Wait>, AttemptFailure> {
        if self.receive(on, answer.has_begun())? {
            return Ok(None);
        }
        let longest = due.saturating_duration_since(Instant::now());
        if longest.is_zero() {
            answer.flush_now().map_err(AttemptFailure::Gone)?;
            return Ok(None);
        }
        let (bridge, client) = (Wanted::INPUT, Wanted::NOTHING);
        Ok(Some(Wait { bridge, client, longest, is_for_process: false }))
    }

    /// Serves a client that is slower than the process: sends what it has room for, and receives
    /// from the process meanwhile, up to `response-buffer-size`.
    fn serve_client(
        &mut self,
        on: &DaemonRequest<'_, '_, '_>,
        answer: &mut RelayedResponse<'_, '_, '_>,
    ) -> Result<Option<Wait>, AttemptFailure> {
        if on.request.socket().is_none() {
            answer.catch_up(true).map_err(AttemptFailure::Gone)?;
            return Ok(None);
        }
        if std::mem::take(&mut self.has_client_room) {
            self.stalled_since = None;
            answer.catch_up(false).map_err(AttemptFailure::Gone)?;
            if !answer.is_behind() {
                return Ok(None);
            }
        }
        // Data from the process is not progress of the client.
        let stalled = self.stalled_since.get_or_insert_with(Instant::now).elapsed();
        let longest = on.client_patience().saturating_sub(stalled);
        if longest.is_zero() {
            return Err(AttemptFailure::Gone(on.gave_up()));
        }
        let takes_more = (answer.backlog() as u64) < on.group.options.response_buffer_size;
        let bridge = if takes_more { Wanted::INPUT } else { Wanted::NOTHING };
        Ok(Some(Wait { bridge, client: Wanted::ROOM, longest, is_for_process: false }))
    }

    /// Sends what can be sent.
    fn step<'e, 'r>(
        &mut self,
        on: &DaemonRequest<'_, 'e, 'r>,
        packet: &[u8],
        upload: &mut RelayedBody<'e, 'r>,
        answer: &RelayedResponse<'_, 'e, 'r>,
    ) -> Result<Option<Wait>, AttemptFailure> {
        if !self.is_deaf {
            match self.send(on, packet, upload, answer) {
                // The process may have answered before it closed: that is read first.
                Err(NotSent::Write) => self.is_deaf = true,
                Err(NotSent::Ended(ended)) => return Err(ended),
                Ok(wait) => return Ok(wait),
            }
        }
        Ok(Some(self.wait_for_process(on, Wanted::INPUT)))
    }

    fn send<'e, 'r>(
        &mut self,
        on: &DaemonRequest<'_, 'e, 'r>,
        packet: &[u8],
        upload: &mut RelayedBody<'e, 'r>,
        answer: &RelayedResponse<'_, 'e, 'r>,
    ) -> Result<Option<Wait>, NotSent> {
        let lost = |_: io::Error| NotSent::Write;
        let unsent = self.unsent(packet);
        if !unsent.is_empty() {
            let sent = self.connection.send(&[IoSlice::new(unsent)]).map_err(lost)?;
            self.sent += sent;
            if sent == 0 {
                return Ok(Some(self.wait_for_process(on, Wanted::BOTH)));
            }
            self.heard = Instant::now();
            if sent < unsent.len() {
                return Ok(None);
            }
        }
        if upload.is_over() || upload.is_held() {
            return Ok(Some(self.wait_for_process(on, Wanted::INPUT)));
        }
        match upload.pump(&self.connection).map_err(lost)? {
            Pumped::Idle => Ok(Some(self.wait_for_process(on, Wanted::INPUT))),
            Pumped::Some => {
                self.silent_since = None;
                self.heard = Instant::now();
                self.receive(on, answer.has_begun())?;
                Ok(None)
            }
            // The process may be waiting for room itself.
            Pumped::NoRoom => Ok(Some(self.wait_for_process(on, Wanted::BOTH))),
            Pumped::NoData => {
                if self.is_switched {
                    self.silent_since = None;
                }
                let timeout = on.request.server().timeout();
                let silent = self.silent_since.get_or_insert_with(Instant::now).elapsed();
                let left = timeout.saturating_sub(silent);
                if left.is_zero() {
                    upload.expire();
                    return Ok(None);
                }
                let bridge = Wanted::INPUT;
                Ok(Some(match upload.socket() {
                    Some(_) => {
                        Wait { bridge, client: Wanted::INPUT, longest: left, is_for_process: false }
                    }
                    // A stream of HTTP/2 has no socket to wait for. The process is waited for, and
                    // the client's next piece looked for after a pause.
                    None => Wait {
                        bridge,
                        client: Wanted::NOTHING,
                        longest: pause(silent).min(left),
                        is_for_process: false,
                    },
                }))
            }
        }
    }

    /// Returns a wait for the process. One that does nothing is given up in the end.
    fn wait_for_process(&self, on: &DaemonRequest<'_, '_, '_>, bridge: Wanted) -> Wait {
        let silent = if self.is_switched { Duration::ZERO } else { self.heard.elapsed() };
        let longest = on.patience().saturating_sub(silent);
        Wait { bridge, client: Wanted::NOTHING, longest, is_for_process: true }
    }

    /// Waits on the thread, and receives what has come.
    pub(super) fn wait(
        &mut self,
        on: &DaemonRequest<'_, '_, '_>,
        has_begun: bool,
        wait: Wait,
    ) -> Result<(), AttemptFailure> {
        if wait.is_for_process && wait.bridge == Wanted::INPUT {
            // The most frequent wait costs one system call.
            let received = self.connection.receive(true);
            return match self.take_note(on, has_begun, received)? {
                true => Ok(()),
                false => self.look_around(on, has_begun),
            };
        }
        self.poll(on, has_begun, wait, wait.longest.min(LOOK_EVERY))
    }

    fn poll(
        &mut self,
        on: &DaemonRequest<'_, '_, '_>,
        has_begun: bool,
        wait: Wait,
        longest: Duration,
    ) -> Result<(), AttemptFailure> {
        let socket: Option<RawFd> = on.request.socket();
        let bridge = self.connection.socket();
        let Wait { client, .. } = wait;
        let (came, is_ready) = match &socket {
            Some(socket) if client != Wanted::NOTHING => {
                let bridge = wait.bridge.input.then_some(bridge);
                let wanted = (client.input, client.room);
                let is_half = on.exchange.serves_half_closed();
                let poll = if is_half { os::poll_open } else { os::poll };
                let polled = poll(borrow(socket), wanted, bridge, Some(longest));
                let (polled, came) = polled.unwrap_or((ALL_READY, true));
                self.has_client_room = client.room && polled.writable;
                if client.room && !polled.writable && !came && polled.hung_up {
                    return Err(AttemptFailure::Gone(on.gave_up()));
                }
                (came, polled.readable || polled.writable || polled.hung_up)
            }
            _ => {
                let wanted = (wait.bridge.input, wait.bridge.room);
                let polled = os::poll(bridge, wanted, None, Some(longest));
                let (polled, _) = polled.unwrap_or((ALL_READY, false));
                (polled.readable, polled.readable || polled.writable)
            }
        };
        if came {
            self.receive(on, has_begun)?;
        } else if !is_ready && wait.is_for_process {
            self.look_around(on, has_begun)?;
        }
        Ok(())
    }

    /// Receives what has come. Returns whether something has.
    fn receive(
        &mut self,
        on: &DaemonRequest<'_, '_, '_>,
        has_begun: bool,
    ) -> Result<bool, AttemptFailure> {
        let received = self.connection.receive(false);
        self.take_note(on, has_begun, received)
    }

    fn take_note(
        &mut self,
        on: &DaemonRequest<'_, '_, '_>,
        has_begun: bool,
        received: io::Result<Received>,
    ) -> Result<bool, AttemptFailure> {
        match received {
            Ok(Received::Some) => {
                self.heard = Instant::now();
                // A process that never pauses gives no other chance to see that the client has
                // gone.
                if self.heard.saturating_duration_since(self.looked) >= LOOK_EVERY {
                    self.looked = self.heard;
                    self.look_for_client(on)?;
                }
                Ok(true)
            }
            Ok(Received::Nothing) => Ok(false),
            Ok(Received::End) | Err(_) => Err(AttemptFailure::Lost {
                has_begun,
                failure: Failure::died(self.lease.pid, has_begun),
            }),
        }
    }

    fn look_for_client(&self, on: &DaemonRequest<'_, '_, '_>) -> Result<(), AttemptFailure> {
        let has_gone = if self.is_switched {
            // The end of another protocol's input is read behind what came before it.
            on.exchange.finds_client_gone()
        } else {
            on.exchange.has_client_gone()
        };
        if !has_gone {
            return Ok(());
        }
        let gone = Error::of(ErrorKind::ClientGone, "the client left while it was served");
        Err(AttemptFailure::Gone(gone))
    }

    /// Checks that waiting on makes sense.
    fn look_around(
        &mut self,
        on: &DaemonRequest<'_, '_, '_>,
        has_begun: bool,
    ) -> Result<(), AttemptFailure> {
        self.look_for_client(on)?;
        let options = &on.group.options;
        let slot = &on.group.board.slots[self.lease.slot];
        if slot.incarnation() != self.lease.incarnation || slot.state() == ProcessState::Failed {
            // The last bytes that the process has sent come first.
            if matches!(self.connection.receive(false), Ok(Received::Some)) {
                return Ok(());
            }
            // It died before it had taken the connection: the parent keeps the socket for the next.
            return Err(AttemptFailure::Lost {
                has_begun,
                failure: Failure::died(self.lease.pid, has_begun),
            });
        }
        if let Some(timeout) = options.queue_timeout
            && !has_begun
            && self.started.elapsed() >= timeout
            && !on.group.board.find_ticket(&self.lease, self.ticket).may_have_started()
        {
            return Err(AttemptFailure::Failed(Failure::queued(timeout)));
        }
        let timeout = on.patience();
        if self.heard.elapsed() >= timeout && !self.is_switched {
            return Err(AttemptFailure::Failed(Failure::silent(self.lease.pid, timeout)));
        }
        Ok(())
    }
}

/// The result of a poll that failed: whatever is tried next says why.
const ALL_READY: Polled = Polled { readable: true, writable: true, hung_up: false, closed: false };
