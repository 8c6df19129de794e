//! One request on one connection to a daemon process: frames go out and come in, and the client on
//! the other side is kept up with. [`relay`](super::relay) chooses the connection, and what
//! follows.
//!
//! An attempt never waits by itself: it says what it [waits](Wait) for. Its caller waits on the
//! thread, or leaves the thread and comes back.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::{BridgeConnection, Received};
use super::failure::Failure;
use super::outgoing::Outgoing;
use super::request_body::{Pumped, RelayedBody};
use super::response::{FrameStep, RelayedResponse};
use super::tempo::QUICK;
use super::wait::{
    ALL_READY, DaemonRequest, FOR_PROCESS, FOR_ROOM, LOOK_EVERY, Patience, Reader, Wait, Wanted,
    borrow,
};
use crate::gateway::{Error, ErrorKind, Outcome};
use crate::httpd::suspend::Doorbell;
use crate::os::{self, Awaits};
use crate::process_group::Lease;
use crate::protocol::bridge::BridgeFlow;

/// Why a trip has no outcome.
pub(super) enum AttemptFailure {
    Failed(Failure),
    /// The client is answered no further: it has left, or this process ends.
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
    pub(super) reader: Reader,
    /// The last wait found nothing.
    pub(super) is_quiet: bool,
    /// The states of the connection that bring a visit.
    watch: Option<(Arc<Doorbell>, Wanted)>,
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
            reader: Reader::default(),
            is_quiet: false,
            watch: None,
            is_deaf: false,
            is_switched: false,
        }
    }

    /// Sends, receives, and carries out, until the process is done or there is nothing to do.
    pub(super) fn go_on<'e, 'r>(
        &mut self,
        on: &DaemonRequest<'_, 'e, 'r>,
        packet: &Outgoing<'r>,
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
                self.reader = Reader::default();
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
        packet: &Outgoing<'r>,
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
                let took = on.phases.first_byte();
                on.group.tempo.note(took < QUICK);
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

    /// Returns the number of bytes of the packet that are still to be sent.
    const fn unsent(&self, packet: &Outgoing<'_>) -> usize {
        packet.len() - self.skipped - self.sent
    }

    /// Leaves the connection at rest, if it can be.
    fn settle(&self, packet: &Outgoing<'_>, upload: &RelayedBody<'_, '_>) -> bool {
        if self.unsent(packet) > 0 {
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
        Ok(Some(Wait { bridge, client, longest: Some(longest) }))
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
        if self.reader.takes_more() || answer.is_free() {
            answer.catch_up(false).map_err(AttemptFailure::Gone)?;
            if !answer.is_behind() {
                return Ok(None);
            }
        }
        let longest = self.reader.time_left(on).map_err(AttemptFailure::Gone)?;
        let takes_more = (answer.backlog() as u64) < on.group.options.response_buffer_size;
        let bridge = if takes_more { Wanted::INPUT } else { Wanted::NOTHING };
        Ok(Some(Wait::for_client(bridge, longest)))
    }

    /// Sends what can be sent.
    fn step<'e, 'r>(
        &mut self,
        on: &DaemonRequest<'_, 'e, 'r>,
        packet: &Outgoing<'r>,
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
        Ok(Some(FOR_PROCESS))
    }

    fn send<'e, 'r>(
        &mut self,
        on: &DaemonRequest<'_, 'e, 'r>,
        packet: &Outgoing<'r>,
        upload: &mut RelayedBody<'e, 'r>,
        answer: &RelayedResponse<'_, 'e, 'r>,
    ) -> Result<Option<Wait>, NotSent> {
        let lost = |_: io::Error| NotSent::Write;
        let unsent = self.unsent(packet);
        if unsent > 0 {
            let send = |slices: &[IoSlice<'_>]| self.connection.send(slices);
            let sent = packet.rest(self.skipped + self.sent, send).map_err(lost)?;
            self.sent += sent;
            if sent == 0 {
                return Ok(Some(FOR_ROOM));
            }
            self.heard = Instant::now();
            if sent < unsent {
                return Ok(None);
            }
        }
        if upload.is_over() || upload.is_held() {
            return Ok(Some(FOR_PROCESS));
        }
        match upload.pump(&self.connection).map_err(lost)? {
            Pumped::Idle => Ok(Some(FOR_PROCESS)),
            Pumped::Some => {
                self.heard = Instant::now();
                self.receive(on, answer.has_begun())?;
                Ok(None)
            }
            Pumped::NoRoom => Ok(Some(FOR_ROOM)),
            Pumped::NoData => {
                // Another protocol may be silent for any time.
                let timeout = on.request.server().timeout();
                let timeout = if self.is_switched { Duration::MAX } else { timeout };
                Ok(upload.wait(Wanted::INPUT, timeout))
            }
        }
    }

    /// Waits, and receives what has come. An endless response ends with the httpd child.
    pub(super) fn wait(
        &mut self,
        on: &DaemonRequest<'_, '_, '_>,
        has_begun: bool,
        wait: Wait,
        patience: Patience,
    ) -> Result<(), AttemptFailure> {
        on.exchange.check_grace().map_err(AttemptFailure::Gone)?;
        let was_quiet = std::mem::take(&mut self.is_quiet);
        if wait == FOR_PROCESS && !(was_quiet && patience == Patience::Thread) {
            // The most frequent wait costs one system call.
            let received = self.connection.receive(patience != Patience::None);
            self.is_quiet = !self.take_note(on, has_begun, received)?;
            return if self.is_quiet && patience == Patience::None {
                self.look_around(on, has_begun)
            } else {
                Ok(())
            };
        }
        let longest = wait.time(patience);
        let bridge = self.connection.socket();
        let (came, is_ready) = if wait.client.room {
            let bridge = wait.bridge.input.then_some(bridge);
            let came = self.reader.wait(on, bridge, longest).map_err(AttemptFailure::Gone)?;
            (came, self.reader.has_room)
        } else {
            let socket = if wait.client.input { on.request.socket() } else { None };
            let client = socket.as_ref().map(borrow);
            let wanted = (wait.bridge.input, wait.bridge.room);
            let polled = os::poll(bridge, wanted, client, Some(longest));
            let (polled, is_client_ready) = polled.unwrap_or((ALL_READY, false));
            (polled.readable, polled.writable || is_client_ready)
        };
        if came {
            self.receive(on, has_begun)?;
        } else if !is_ready {
            self.is_quiet = true;
            if wait.longest.is_none() && patience != Patience::Moment {
                self.look_around(on, has_begun)?;
            }
        }
        Ok(())
    }

    /// Returns the time after which a request that waits without a thread has to be looked at.
    pub(super) fn longest(
        &self,
        on: &DaemonRequest<'_, '_, '_>,
        has_begun: bool,
        wait: Wait,
    ) -> Duration {
        if let Some(longest) = wait.longest {
            return if self.is_switched { longest } else { wait.for_body(longest) };
        }
        if self.is_switched {
            return Duration::MAX;
        }
        let left = on.patience().saturating_sub(self.heard.elapsed());
        let waited = self.started.elapsed();
        match on.group.options.queue_timeout.filter(|timeout| !has_begun && *timeout > waited) {
            Some(timeout) => left.min(timeout.saturating_sub(waited)),
            None => left,
        }
    }

    /// Has the states that the request waits for bring a visit.
    ///
    /// # Errors
    ///
    /// Returns an error if the system can watch no more descriptors.
    pub(super) fn watch(&mut self, doorbell: &Arc<Doorbell>, wanted: Wanted) -> io::Result<()> {
        let socket = self.connection.socket();
        let awaits = Awaits { input: wanted.input, room: wanted.room, departure: wanted.input };
        match &self.watch {
            Some((_, before)) if *before == wanted => {}
            // One that has hung up would bring visits without end.
            _ if wanted == Wanted::NOTHING => self.unwatch(),
            Some((doorbell, _)) => {
                doorbell.change(socket, awaits)?;
                self.watch = Some((Arc::clone(doorbell), wanted));
            }
            None => {
                doorbell.add(socket, awaits)?;
                self.watch = Some((Arc::clone(doorbell), wanted));
            }
        }
        Ok(())
    }

    /// Returns whether its connection brings visits.
    pub(super) const fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    fn unwatch(&mut self) {
        if let Some((doorbell, _)) = self.watch.take() {
            let _ = doorbell.remove(self.connection.socket());
        }
    }

    /// Returns the connection, for another request.
    pub(super) fn into_connection(mut self) -> BridgeConnection {
        self.unwatch();
        self.connection
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
        if on.group.has_lost(self.lease.slot, self.lease.incarnation) {
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
