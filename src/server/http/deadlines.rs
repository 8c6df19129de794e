//! The deadlines of a connection: its first byte, each request head, its idle time, its reader.
//!
//! hyper has a deadline for the heads of HTTP/1 only. So the connection's stream is watched here:
//! for the version of HTTP, and for the frames of HTTP/2.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::server::site::{HeadShare, Timeouts};

/// The reason for which a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// No byte came.
    Silent,
    /// A preface or a head began and did not end.
    Head,
    /// No other request came.
    Idle,
    /// The same, in a process that is to end.
    Drained,
    /// The client took nothing of a response that is complete.
    Unread,
    /// A response was given up whose client took nothing of it (HTTP/1).
    GivenUp,
    /// The unfinished heads of all connections have no room for this one's.
    Crowded,
}

/// The activity on one connection, from which its deadline follows.
#[derive(Debug)]
pub(super) struct Activity {
    timeouts: Timeouts,
    state: Mutex<ConnectionPhase>,
}

#[derive(Debug)]
struct ConnectionPhase {
    version: Version,
    frames: Frames,
    /// The start of a preface or head that is not complete.
    head_since: Option<Instant>,
    /// The bytes that have come of it (HTTP/1).
    head_size: usize,
    /// The most that a head may have: HPACK expands a few bytes to as many.
    head_max: usize,
    /// Its part of what the process may hold of unfinished heads.
    share: HeadShare,
    /// The time at which there was no room for it.
    crowded_at: Option<Instant>,
    /// Whether the connection has switched to another protocol.
    is_switched: bool,
    /// The last sign that the client takes part.
    active_at: Instant,
    /// The time at which a response was given up.
    given_up_at: Option<Instant>,
    /// The start of the drain.
    draining_since: Option<Instant>,
    /// Requests without a whole response.
    requests: usize,
    /// Responses among them that the application has finished.
    complete: usize,
    /// Tasks of hyper's for requests, and for streams that have switched to another protocol.
    tasks: usize,
    /// The socket has no room for output that there is.
    is_blocked: bool,
    /// The reader of a response that waits until there is room again (HTTP/1).
    reader: Option<Waker>,
    /// The task of the connection.
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// So many bytes of the HTTP/2 preface have come.
    Unknown(usize),
    Http1,
    Http2,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Activity {
    /// Returns the activity of a connection that has just been accepted. Its unfinished head is `share`
    /// of the process's, and has `head_max` bytes at most.
    pub(super) fn new(timeouts: Timeouts, share: HeadShare, head_max: usize) -> Arc<Self> {
        let state = ConnectionPhase {
            version: Version::Unknown(0),
            frames: Frames::default(),
            head_since: None,
            head_size: 0,
            head_max,
            share,
            crowded_at: None,
            is_switched: false,
            active_at: Instant::now(),
            given_up_at: None,
            draining_since: None,
            requests: 0,
            complete: 0,
            tasks: 0,
            is_blocked: false,
            reader: None,
            waker: None,
        };
        Arc::new(Self { timeouts, state: Mutex::new(state) })
    }

    /// Returns whether the client has sent the preface of HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.state().version == Version::Http2
    }

    /// Closes the connection from now on once it is idle.
    pub(super) fn drain(&self) {
        self.state().draining_since = Some(Instant::now());
    }

    /// Gives an idle connection its time in a drain once more. Returns `false` in the second half
    /// of the graceful time.
    pub(super) fn wait_again(&self) -> bool {
        let mut state = self.state();
        let half = self.timeouts.graceful / 2;
        let is_early = state.draining_since.is_some_and(|since| since.elapsed() < half);
        if is_early {
            state.active_at = Instant::now();
        }
        is_early
    }

    /// Counts a request, whose head has come.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        state.requests += 1;
        if state.version != Version::Http2 {
            state.head_ended();
        }
    }

    /// Notes that only the client keeps a response from its end.
    pub(super) fn complete(&self) {
        let mut state = self.state();
        state.complete += 1;
        state.moved();
    }

    /// Notes that the connection took a part of a response.
    pub(super) fn progress(&self) {
        self.state().active_at = Instant::now();
    }

    /// Closes a connection of HTTP/1 whose client takes nothing of its response: hyper and the
    /// kernel would keep a part of it until `--send-timeout`.
    pub(super) fn give_up(&self) {
        let mut state = self.state();
        if state.version == Version::Http1 && state.is_blocked {
            state.given_up_at.get_or_insert_with(Instant::now);
            let waker = state.waker.clone();
            drop(state);
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// Notes that a request has its whole response, or never will.
    pub(super) fn end(&self, was_complete: bool) {
        let mut state = self.state();
        state.requests -= 1;
        state.complete -= usize::from(was_complete);
        state.moved();
    }

    /// Notes that a request body was read behind its response: it is not the begin of a head.
    pub(super) fn discarded(&self) {
        let mut state = self.state();
        if state.requests == 0 {
            state.head_since = None;
            state.active_at = Instant::now();
        }
    }

    /// Returns the time at which the connection is to be closed, and the reason. The task of
    /// `context` is woken when a request ends, which may bring that time forward.
    pub(super) fn deadline(&self, context: &Context<'_>) -> Option<(Instant, Expired)> {
        let mut state = self.state();
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            state.waker = Some(context.waker().clone());
        }
        if let Some(at) = state.crowded_at {
            return Some((at, Expired::Crowded));
        }
        if let Some(at) = state.given_up_at {
            return Some((at, Expired::GivenUp));
        }
        let (since, time, expired) = match state.head_since {
            Some(since) => (since, self.timeouts.head, Expired::Head),
            None if state.requests > 0 => {
                // An application that is at work has no deadline here; neither has a response of
                // HTTP/1, as the stream's own deadline for writing applies.
                if state.complete == 0 || state.version != Version::Http2 {
                    return None;
                }
                (state.active_at, self.timeouts.send, Expired::Unread)
            }
            // The stream's own deadline for writing applies. Another protocol may be silent.
            None if state.is_blocked || state.tasks > 0 => return None,
            None => match (state.draining_since, state.version) {
                (Some(since), version) => {
                    let time = match version {
                        Version::Unknown(_) => self.timeouts.drain_first,
                        _ => self.timeouts.drain_idle,
                    };
                    (since.max(state.active_at), time, Expired::Drained)
                }
                (None, Version::Unknown(_)) => {
                    (state.active_at, self.timeouts.head, Expired::Silent)
                }
                (None, _) => (state.active_at, self.timeouts.keep_alive, Expired::Idle),
            },
        };
        since.checked_add(time).map(|deadline| (deadline, expired))
    }

    /// Watches no longer: the connection is another protocol's.
    pub(super) fn switch(&self) {
        self.state().is_switched = true;
    }

    /// Counts a task of hyper's that begins or ends.
    pub(super) fn task(&self, is_begun: bool) {
        let mut state = self.state();
        if is_begun {
            state.tasks += 1;
        } else {
            state.tasks -= 1;
            state.moved();
        }
    }

    fn received(&self, bytes: &[u8]) {
        let now = Instant::now();
        let mut state = self.state();
        if !state.is_switched {
            state.received(bytes, now);
        }
    }

    /// Notes how much output the socket took; `None` when it is full.
    fn wrote(&self, size: Option<usize>) {
        // Not a PING, which is not part of a response.
        const SMALL: usize = 64;
        let mut state = self.state();
        let is_blocked = size.is_none();
        if size.is_some_and(|size| size > SMALL || state.is_blocked) {
            state.active_at = Instant::now();
        }
        state.is_blocked = is_blocked;
        let reader = state.reader.take_if(|_| !is_blocked);
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Returns whether a response of HTTP/1 has to wait: hyper would keep 128 KiB and more of it
    /// beside what the socket has no room for. `reader` is called when there is room.
    pub(super) fn holds_back(&self, reader: &Waker) -> bool {
        let mut state = self.state();
        let holds_back = state.version == Version::Http1 && state.is_blocked;
        if holds_back {
            state.reader = Some(reader.clone());
        }
        holds_back
    }

    fn state(&self) -> MutexGuard<'_, ConnectionPhase> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPhase {
    /// Notes an event of a request. A request of HTTP/2 has a task of its own: the connection's
    /// task has to look at its deadline again.
    fn moved(&mut self) {
        self.active_at = Instant::now();
        if self.version == Version::Http2
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }

    fn received(&mut self, mut bytes: &[u8], now: Instant) {
        if let Version::Unknown(known) = self.version
            && !bytes.is_empty()
        {
            let common = bytes.len().min(PREFACE.len() - known);
            self.active_at = now;
            if bytes[..common] != PREFACE[known..known + common] {
                self.version = Version::Http1;
                self.head_came(known + bytes.len(), now);
                return;
            }
            if known + common < PREFACE.len() {
                self.version = Version::Unknown(known + common);
                self.head_since.get_or_insert(now);
                return;
            }
            self.version = Version::Http2;
            self.head_since = None;
            bytes = &bytes[common..];
        }
        if bytes.is_empty() {
            return;
        }
        if self.version == Version::Http1 {
            self.active_at = now;
            // Within a request these are its body, or the next head, which hyper reads later.
            if self.requests == 0 {
                self.head_came(bytes.len(), now);
            }
            return;
        }
        if self.frames.read(bytes) {
            self.active_at = now;
        }
        if self.frames.is_within_head {
            self.head_came(self.head_max, now);
        } else {
            self.head_ended();
        }
    }

    /// Counts bytes of a head that is not complete.
    fn head_came(&mut self, size: usize, now: Instant) {
        self.head_since.get_or_insert(now);
        self.head_size = self.head_size.saturating_add(size).min(self.head_max);
        if !self.share.set(self.head_size) {
            self.crowded_at = Some(now);
        }
    }

    /// Notes that there is not an unfinished head any more.
    fn head_ended(&mut self) {
        self.head_since = None;
        self.head_size = 0;
        self.share.clear();
        self.crowded_at = None;
    }
}

/// A reader of HTTP/2 frame headers (RFC 9113, section 4.1).
#[derive(Debug, Default)]
struct Frames {
    header: [u8; 9],
    filled: usize,
    /// Bytes of the payload that have not come.
    left: usize,
    /// HEADERS have begun, and END_HEADERS has not come.
    is_within_head: bool,
}

impl Frames {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const WINDOW_UPDATE: u8 = 8;
    const CONTINUATION: u8 = 9;
    const END_HEADERS: u8 = 4;

    /// Reads on; returns whether there is a frame that belongs to a request or its response. PING
    /// and SETTINGS do not: a client could keep a connection open with them for ever.
    fn read(&mut self, mut bytes: &[u8]) -> bool {
        let mut is_active = false;
        while !bytes.is_empty() {
            if self.filled < self.header.len() {
                let taken = bytes.len().min(self.header.len() - self.filled);
                self.header[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
                self.filled += taken;
                bytes = &bytes[taken..];
                if self.filled < self.header.len() {
                    break;
                }
                let [a, b, c, ..] = self.header;
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.is_within_head |= self.is_head();
            }
            is_active |= self.is_head()
                || matches!(self.header[3], Self::DATA | Self::RST_STREAM | Self::WINDOW_UPDATE);
            let taken = bytes.len().min(self.left);
            bytes = &bytes[taken..];
            self.left -= taken;
            if self.left == 0 {
                self.filled = 0;
                if self.is_head() && self.header[4] & Self::END_HEADERS != 0 {
                    self.is_within_head = false;
                }
            }
        }
        is_active
    }

    const fn is_head(&self) -> bool {
        matches!(self.header[3], Self::HEADERS | Self::CONTINUATION)
    }
}

/// A stream whose activity is noted. It hands the stream on when hyper, which owns it, is done with
/// it and has closed its sending side.
#[derive(Debug)]
pub(super) struct WatchedStream<S: Unpin> {
    stream: Option<S>,
    activity: Arc<Activity>,
    is_shut: bool,
    closed: Option<oneshot::Sender<S>>,
    _held: ConnectionPlace,
}

/// A connection's place among those that are allowed, and the hold on a drain: a connection that
/// has switched protocols has both until it is closed.
#[derive(Clone, Debug)]
pub(super) struct ConnectionPlace {
    pub(super) _permit: Arc<OwnedSemaphorePermit>,
    pub(super) is_draining: watch::Receiver<bool>,
}

impl<S: Unpin> WatchedStream<S> {
    pub(super) fn new(
        stream: S,
        activity: Arc<Activity>,
        closed: oneshot::Sender<S>,
        place: ConnectionPlace,
    ) -> Self {
        let (stream, closed) = (Some(stream), Some(closed));
        Self { stream, activity, is_shut: false, closed, _held: place }
    }

    /// Returns the stream, which is there until this is dropped.
    fn stream(&mut self) -> Pin<&mut S> {
        Pin::new(self.stream.as_mut().expect("the stream stays until the drop"))
    }

    fn note(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &polled {
            Poll::Pending => self.activity.wrote(None),
            Poll::Ready(Ok(size)) => self.activity.wrote(Some(*size)),
            Poll::Ready(Err(_)) => {}
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.stream().poll_read(context, buffer);
        if let Some(bytes) = buffer.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.activity.received(bytes);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream().poll_write(context, bytes);
        self.note(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.stream().poll_shutdown(context);
        self.is_shut |= matches!(polled, Poll::Ready(Ok(())));
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream().poll_write_vectored(context, slices);
        self.note(polled)
    }
}

impl<S: Unpin> Drop for WatchedStream<S> {
    fn drop(&mut self) {
        if let (true, Some(stream), Some(closed)) =
            (self.is_shut, self.stream.take(), self.closed.take())
        {
            let _ = closed.send(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::site::{HeadBudget, Limits};

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// The frames may come in pieces of any size.
    #[test]
    fn a_head_lasts_until_its_last_frame() {
        let begun = frame(Frames::HEADERS, 0, b"abc");
        let ended = frame(Frames::CONTINUATION, Frames::END_HEADERS, b"");
        for size in [1, 4, 100] {
            let mut frames = Frames::default();
            let mut active = false;
            begun.chunks(size).for_each(|piece| active |= frames.read(piece));
            assert!(active && frames.is_within_head, "pieces of {size}");
            ended.chunks(size).for_each(|piece| active |= frames.read(piece));
            assert!(!frames.is_within_head, "pieces of {size}");
        }
    }

    #[test]
    fn pings_and_settings_do_not_count() {
        let mut frames = Frames::default();
        assert!(!frames.read(&[frame(6, 0, &[0; 8]), frame(4, 1, b"")].concat()));
        assert!(frames.read(&frame(Frames::WINDOW_UPDATE, 0, &[0; 4])));
    }

    #[test]
    fn the_phases_of_a_connection() {
        let timeouts = Timeouts {
            head: Duration::from_secs(1),
            keep_alive: Duration::from_secs(2),
            send: Duration::from_secs(3),
            ..Timeouts::default()
        };
        let waker = Waker::noop();
        let context = Context::from_waker(waker);
        let limits = Limits { head: 10_000, heads: 10_000, ..Limits::default() };
        let budget = HeadBudget::new(&limits);
        let activity = || Activity::new(timeouts, budget.share(), limits.head);
        let expired = |activity: &Activity| activity.deadline(&context).map(|(_, reason)| reason);
        let first = activity();
        assert_eq!(expired(&first), Some(Expired::Silent));
        first.received(b"GE");
        assert_eq!((expired(&first), first.is_http2()), (Some(Expired::Head), false));
        first.begin();
        assert_eq!(expired(&first), None, "the application is at work");
        first.complete();
        first.end(true);
        assert_eq!(expired(&first), Some(Expired::Idle));
        first.wrote(None);
        assert_eq!(expired(&first), None, "output waits for the socket");
        first.wrote(Some(1));
        first.drain();
        assert_eq!(expired(&first), Some(Expired::Drained));
        let drained = first.deadline(&context).unwrap().0;
        assert!(first.wait_again() && first.deadline(&context).unwrap().0 > drained);
        let second = activity();
        second.received(&PREFACE[..9]);
        assert_eq!(expired(&second), Some(Expired::Head));
        second.received(&PREFACE[9..]);
        assert_eq!((expired(&second), second.is_http2()), (Some(Expired::Idle), true));
        second.begin();
        second.complete();
        assert_eq!(expired(&second), Some(Expired::Unread));
        second.received(&frame(Frames::HEADERS, 0, b""));
        assert_eq!(expired(&second), Some(Expired::Head));
        let third = activity();
        third.received(&[b'x'; 9000]);
        assert_eq!(
            expired(&third),
            Some(Expired::Crowded),
            "HPACK may expand what the second sent"
        );
        second.received(&frame(Frames::CONTINUATION, Frames::END_HEADERS, b""));
        third.begin();
        assert_eq!(expired(&third), None, "it was whole all the same");
    }
}
