//! The request body of a service: the service pulls it on any thread, and the request's thread
//! feeds it.

use std::fmt;
use std::io::BufRead;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::gateway::error::{Error, ErrorKind, Result};
use crate::gateway::input::{Fill, Input};

/// The maximum size of a frame, in bytes.
const FRAME: usize = 64 * 1024;

/// The size of a first read below which no memory is reserved for the rest, which may come late.
const LITTLE: usize = 4 * 1024;

/// The body of a service's request.
///
/// It may be kept and moved to any task. After the end of the exchange the unread rest is lost, and
/// a read is an error.
#[derive(Default)]
pub struct RequestBody {
    /// The pipe to the request's thread, or `None` for an empty body and after the end.
    open: Option<Open>,
}

struct Open {
    pipe: Arc<Pipe>,
    /// The number of unread bytes, if it is known.
    left: Option<u64>,
}

/// The state that the body and the request's thread share.
struct Pipe {
    state: Mutex<FeedState>,
}

#[derive(Default)]
struct FeedState {
    /// The waker of the task that waits for a frame.
    wanted: bool,
    reader: Option<Waker>,
    /// The driver's waker, called when a frame is wanted and the request's thread does not poll.
    asleep: Option<Waker>,
    data: Bytes,
    end: Option<FeedEnd>,
}

enum FeedEnd {
    Complete(Option<HeaderMap>),
    Failed(Error),
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, FeedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        let Some(open) = &mut self.open else { return Poll::Ready(None) };
        let mut state = open.pipe.lock();
        if !state.data.is_empty() {
            let data = std::mem::take(&mut state.data);
            let nothing_follows = matches!(state.end, Some(FeedEnd::Complete(None)));
            drop(state);
            let read = data.len() as u64;
            open.left = open.left.map(|left| left.saturating_sub(read));
            if nothing_follows || open.left == Some(0) {
                self.open = None;
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(end) = state.end.take() else {
            let asleep = state.ask(context.waker());
            drop(state);
            if let Some(asleep) = asleep {
                asleep.wake();
            }
            return Poll::Pending;
        };
        drop(state);
        self.open = None;
        Poll::Ready(match end {
            FeedEnd::Complete(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            FeedEnd::Failed(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.open.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.open {
            None => SizeHint::with_exact(0),
            Some(open) => open.left.map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

impl FeedState {
    /// Stores the waker of the waiting task, and returns the driver's waker to call.
    fn ask(&mut self, reader: &Waker) -> Option<Waker> {
        self.wanted = true;
        match &mut self.reader {
            Some(known) => known.clone_from(reader),
            none => *none = Some(reader.clone()),
        }
        // A task with the driver's own waker is polled by the driver right now.
        self.asleep.take().filter(|asleep| !asleep.will_wake(reader))
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.open.as_ref().map_or(Some(0), |open| open.left);
        f.debug_struct("RequestBody").field("left", &left).finish_non_exhaustive()
    }
}

/// The feeding end, which reads the input on demand. It is dropped with the exchange.
pub(super) struct Feed {
    pipe: Arc<Pipe>,
    left: Option<u64>,
}

/// The result of [`Feed::serve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// The service wants no frame.
    Unasked,
    /// The service wants a frame, and no byte has arrived.
    NotYet,
    /// The service got bytes, the end, or an error.
    Served,
}

/// Makes a request's body of this length, and the feeding end unless the body is empty.
pub(super) fn body(length: Option<u64>) -> (RequestBody, Option<Feed>) {
    if length == Some(0) {
        return (RequestBody::default(), None);
    }
    let pipe = Arc::new(Pipe { state: Mutex::default() });
    let open = Open { pipe: pipe.clone(), left: length };
    (RequestBody { open: Some(open) }, Some(Feed { pipe, left: length }))
}

impl Feed {
    /// Reads a frame if the service wants one, and with `wait` blocks for it. If it wants none, a
    /// later demand wakes `driver`.
    pub(super) fn serve(&mut self, input: &mut Input<'_>, driver: &Waker, wait: bool) -> Fed {
        {
            let mut state = self.pipe.lock();
            if !state.wanted {
                // The service dropped the body, so no demand will come.
                state.asleep = (Arc::strong_count(&self.pipe) > 1).then(|| driver.clone());
                return Fed::Unasked;
            }
        }
        let (data, end) = self.read(input, wait);
        if data.is_empty() && end.is_none() {
            return Fed::NotYet;
        }
        let mut state = self.pipe.lock();
        state.wanted = false;
        state.data = data;
        state.end = end;
        let reader = state.reader.take();
        drop(state);
        // The driver polls its own future next without a wake.
        if let Some(reader) = reader
            && !reader.will_wake(driver)
        {
            reader.wake();
        }
        Fed::Served
    }

    fn read(&mut self, input: &mut Input<'_>, wait: bool) -> (Bytes, Option<FeedEnd>) {
        let mut read = Vec::new();
        let end = loop {
            match input.fill(wait && read.is_empty()) {
                Ok(Fill::Data(data)) => {
                    let taken = data.len().min(FRAME - read.len());
                    if read.is_empty() {
                        read.reserve_exact(expected(self.left, taken));
                    }
                    read.extend_from_slice(&data[..taken]);
                    input.consume(taken);
                    self.left = self.left.map(|left| left.saturating_sub(taken as u64));
                    if read.len() == FRAME || self.left == Some(0) {
                        break None;
                    }
                }
                Ok(Fill::End) => break Some(FeedEnd::Complete(input.trailers())),
                Ok(Fill::NotYet) => break None,
                Err(error) => break Some(FeedEnd::Failed(error)),
            }
        };
        // A copy, because a service may keep many small frames.
        if read.capacity() / 2 > read.len() {
            read.shrink_to_fit();
        }
        (Bytes::from(read), end)
    }
}

/// Returns the capacity to reserve after a first read of `first` bytes. The declared length is not
/// enough, because the client may send one byte at a time.
fn expected(left: Option<u64>, first: usize) -> usize {
    match left {
        Some(left) if first >= LITTLE => left.min(FRAME as u64) as usize,
        _ => first,
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        if state.end.is_none() {
            state.end = Some(FeedEnd::Failed(Error::of(
                ErrorKind::InputMalformed,
                "the rest of the request body is gone: its exchange is over",
            )));
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}
