//! The response body: made by the thread that runs the application, parked here, and sent by the
//! thread that has the connections.
//!
//! A thread that has parked all of a response is free again, however slowly the client reads.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::deadlines::Activity;
use crate::server::site::BreakOutcome;

/// The bytes that one response may park; the last piece may go beyond.
const RESPONSE_MAX: usize = 256 * 1024;
/// The bytes that all responses of a process may park together. The first piece of each comes on
/// top.
const PROCESS_MAX: usize = 64 * 1024 * 1024;

/// A part of a response on its way to the connection.
pub(super) type Piece = Result<Frame<Bytes>, Broken>;

/// A response as the connection's thread gets it.
pub(super) struct ResponseStart {
    pub(super) head: Response<()>,
    pub(super) rest: ResponseRest,
}

/// The part after a head.
pub(super) enum ResponseRest {
    /// All of the body.
    Whole(Bytes, Option<HeaderMap>),
    /// The output that is parked, and more.
    Stream,
}

/// The response breaks here: the connection is closed so that it cannot look whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the application's response broke off")
    }
}

impl std::error::Error for Broken {}

/// The client has gone: nothing takes the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// The output that waits for its readers, in all responses of a process.
#[derive(Debug, Default)]
pub(super) struct ParkedOutput {
    bytes: AtomicUsize,
}

/// The output of one response, between the application's thread and the connection.
pub(super) struct ResponseOutput {
    state: Mutex<OutputState>,
    parked: Arc<ParkedOutput>,
    activity: Arc<Activity>,
}

#[derive(Default)]
struct OutputState {
    /// The way of the head, until it is sent.
    start: Option<oneshot::Sender<ResponseStart>>,
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// The application adds no more.
    is_complete: bool,
    is_gone: bool,
    /// The timer has broken the response off.
    is_cut: bool,
    reader: Option<Waker>,
    /// Called when there is room.
    writer: Option<Waker>,
    /// Called when the client goes.
    watcher: Option<Waker>,
}

impl fmt::Debug for ResponseOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseOutput").field("activity", &self.activity).finish_non_exhaustive()
    }
}

impl ResponseOutput {
    /// Begins the response to a request of the connection with this `activity`.
    pub(super) fn new(
        parked: Arc<ParkedOutput>,
        activity: Arc<Activity>,
        start: oneshot::Sender<ResponseStart>,
    ) -> (Arc<Self>, OutputReader) {
        activity.begin();
        let state = OutputState { start: Some(start), ..OutputState::default() };
        let output = Arc::new(Self { state: Mutex::new(state), parked, activity });
        (output.clone(), OutputReader(output))
    }

    /// Sends the head.
    pub(super) fn start(&self, started: ResponseStart) -> Result<(), Gone> {
        let start = self.state().start.take().ok_or(Gone)?;
        start.send(started).map_err(|_| Gone)
    }

    /// Notes that there will be no head: the connection is closed without an answer.
    pub(super) fn give_up_start(&self) {
        drop(self.state().start.take());
    }

    /// Sends `answer` in the application's place if its head is not sent; else breaks the response
    /// off.
    pub(super) fn cut(&self, answer: ResponseStart) -> BreakOutcome {
        let mut state = self.state();
        if state.start.is_none() && state.is_complete {
            return BreakOutcome::Whole;
        }
        state.is_cut = true;
        let wakers = [state.writer.take(), state.watcher.take()];
        let outcome = if let Some(start) = state.start.take() {
            drop(state);
            // The client may be gone.
            let _ = start.send(answer);
            BreakOutcome::Answered { logged: false }
        } else {
            state.pieces.push_back(Err(Broken));
            drop(state);
            BreakOutcome::Broken
        };
        self.complete();
        wakers.into_iter().flatten().for_each(Waker::wake);
        outcome
    }

    /// Closes the connection of a client that takes nothing, if the response is all that is on it.
    pub(super) fn give_up(&self) {
        self.activity.give_up();
    }

    /// Returns whether the timer has broken the response off.
    pub(super) fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    /// Parks a piece, or keeps `waker` until there is room for it, or the client has gone.
    pub(super) fn poll_push(
        &self,
        piece: &mut Option<Piece>,
        waker: &Waker,
    ) -> Poll<Result<(), Gone>> {
        let mut state = self.state();
        if state.is_gone || state.is_cut {
            return Poll::Ready(Err(Gone));
        }
        let size = piece.as_ref().map_or(0, size);
        if size > 0 && !self.has_room_in(&state) {
            state.writer = Some(waker.clone());
            return Poll::Pending;
        }
        state.pieces.extend(piece.take());
        state.bytes += size;
        self.parked.bytes.fetch_add(size, Ordering::Relaxed);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }

    /// Returns whether there is room for another piece, or the client has gone.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state();
        state.is_gone || state.is_cut || self.has_room_in(&state)
    }

    /// Keeps `waker` until there is room or the client has gone. Returns whether that is to come.
    pub(super) fn wait_for_room(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        let waits = !state.is_gone && !state.is_cut && !self.has_room_in(&state);
        if waits {
            state.writer = Some(waker.clone());
        }
        waits
    }

    /// Each may have one piece, so that a response whose reader is fast goes on in any case. The last
    /// piece may go beyond the bounds, as it is in memory already.
    fn has_room_in(&self, state: &OutputState) -> bool {
        state.pieces.is_empty()
            || (state.bytes < RESPONSE_MAX
                && self.parked.bytes.load(Ordering::Relaxed) < PROCESS_MAX)
    }

    /// Notes that the application adds no more.
    pub(super) fn complete(&self) {
        let mut state = self.state();
        if state.is_gone || std::mem::replace(&mut state.is_complete, true) {
            return;
        }
        self.activity.complete();
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Returns whether nothing takes the response.
    pub(super) fn is_gone(&self) -> bool {
        let state = self.state();
        state.is_gone || state.is_cut
    }

    /// Has `waker` called when the client goes.
    pub(super) fn tell(&self, waker: Waker) {
        self.state().watcher = Some(waker);
    }

    /// Takes the next piece, or so many bytes of it.
    fn poll_pop(&self, most: usize, waker: &Waker) -> Poll<Option<Piece>> {
        let mut state = self.state();
        let Some(piece) = state.pop(most) else {
            if state.is_complete {
                return Poll::Ready(None);
            }
            state.reader = Some(waker.clone());
            return Poll::Pending;
        };
        let size = size(&piece);
        state.bytes -= size;
        self.parked.bytes.fetch_sub(size, Ordering::Relaxed);
        let writer = state.writer.take();
        drop(state);
        self.activity.progress();
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(Some(piece))
    }

    fn abandon(&self) {
        let mut state = self.state();
        state.is_gone = true;
        let bytes = std::mem::take(&mut state.bytes);
        self.parked.bytes.fetch_sub(bytes, Ordering::Relaxed);
        let pieces = std::mem::take(&mut state.pieces);
        let wakers = [state.writer.take(), state.watcher.take()];
        let was_complete = state.is_complete;
        drop(state);
        drop(pieces);
        self.activity.end(was_complete);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, OutputState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutputState {
    fn pop(&mut self, most: usize) -> Option<Piece> {
        if let Some(Ok(frame)) = self.pieces.front_mut()
            && let Some(data) = frame.data_mut().filter(|data| data.len() > most)
        {
            return Some(Ok(Frame::data(data.split_to(most))));
        }
        self.pieces.pop_front()
    }
}

fn size(piece: &Piece) -> usize {
    piece.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len)
}

/// The reading end of an output. Dropping it tells the application that the client has gone.
#[derive(Debug)]
pub(super) struct OutputReader(Arc<ResponseOutput>);

impl Drop for OutputReader {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// The body of a response: there as a whole, or still being made.
#[derive(Debug)]
pub(super) enum ResponseBody {
    /// `piece` bytes at most are given at once.
    Whole {
        data: Bytes,
        piece: usize,
        trailers: Option<HeaderMap>,
        _reader: Option<OutputReader>,
    },
    Stream {
        reader: OutputReader,
        piece: usize,
        breaks: bool,
    },
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Whole { data, piece, .. } if !data.is_empty() => {
                let size = data.len().min(*piece);
                Poll::Ready(Some(Ok(Frame::data(data.split_to(size)))))
            }
            Self::Whole { trailers, .. } => {
                Poll::Ready(trailers.take().map(Frame::trailers).map(Ok))
            }
            Self::Stream { breaks: true, .. } => Poll::Ready(Some(Err(Broken))),
            Self::Stream { reader, .. } if reader.0.activity.holds_back(context.waker()) => {
                Poll::Pending
            }
            Self::Stream { reader, piece, breaks } => {
                match reader.0.poll_pop(*piece, context.waker()) {
                    // hyper drops what it has not sent yet when a body fails, and sends it when there
                    // is nothing to do for the moment.
                    Poll::Ready(Some(Err(Broken))) => {
                        *breaks = true;
                        context.waker().wake_by_ref();
                        Poll::Pending
                    }
                    polled => polled,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole { data, trailers: None, .. } if data.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { data, .. } => SizeHint::with_exact(data.len() as u64),
            Self::Stream { .. } => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::site::{HeadBudget, Limits, Timeouts};

    fn data(size: usize) -> Option<Piece> {
        Some(Ok(Frame::data(Bytes::from(vec![0; size]))))
    }

    #[test]
    fn a_response_parks_so_much_and_gives_it_back() {
        let parked = Arc::<ParkedOutput>::default();
        let share = HeadBudget::new(&Limits::default()).share();
        let activity = Activity::new(Timeouts::default(), share, 0);
        let start = || oneshot::channel().0;
        let (first, one) = ResponseOutput::new(parked.clone(), activity.clone(), start());
        let (second, two) = ResponseOutput::new(parked.clone(), activity, start());
        let waker = Waker::noop();
        for _ in 0..4 {
            assert_eq!(first.poll_push(&mut data(RESPONSE_MAX / 4), waker), Poll::Ready(Ok(())));
        }
        let mut more = data(1);
        assert_eq!(first.poll_push(&mut more, waker), Poll::Pending);
        assert!(more.is_some(), "it is the caller's still");
        assert!(first.poll_pop(RESPONSE_MAX, waker).is_ready());
        assert_eq!(first.poll_push(&mut more, waker), Poll::Ready(Ok(())));
        parked.bytes.fetch_add(PROCESS_MAX, Ordering::Relaxed);
        assert_eq!(second.poll_push(&mut data(9), waker), Poll::Ready(Ok(())), "the first piece");
        assert_eq!(second.poll_push(&mut data(9), waker), Poll::Pending);
        drop((one, two));
        assert_eq!(first.poll_push(&mut data(1), waker), Poll::Ready(Err(Gone)));
        assert_eq!(parked.bytes.load(Ordering::Relaxed), PROCESS_MAX);
    }
}
