//! The request body of a service: pulled by the service, from whatever thread it is on, and fed by
//! the thread that has the request.

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

/// The most that is read before it is handed over, in bytes.
const FRAME: usize = 64 * 1024;

/// Less than this and the rest may be long in coming: no memory is set aside for it.
const LITTLE: usize = 4 * 1024;

/// The body of a service's request.
///
/// It can be kept and moved to any task. When the exchange is over, what was not read of it is
/// gone, and reading it is an error.
#[derive(Default)]
pub struct RequestBody {
    /// `None` when there is nothing, or nothing more.
    open: Option<Open>,
}

struct Open {
    pipe: Arc<Pipe>,
    /// What is still to come, in bytes, if that is known.
    left: Option<u64>,
}

/// What the body and the thread that has the request share.
struct Pipe {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether somebody waits for a frame, and who.
    wanted: bool,
    reader: Option<Waker>,
    /// Whom to tell that a frame is wanted, when the thread that has the request cannot see it.
    asleep: Option<Waker>,
    data: Bytes,
    end: Option<End>,
}

enum End {
    Complete(Option<HeaderMap>),
    Failed(Error),
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
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
            let nothing_follows = matches!(state.end, Some(End::Complete(None)));
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
            End::Complete(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            End::Failed(error) => Some(Err(error)),
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

impl State {
    /// Notes who waits, and returns whom to wake for it.
    fn ask(&mut self, reader: &Waker) -> Option<Waker> {
        self.wanted = true;
        match &mut self.reader {
            Some(known) => known.clone_from(reader),
            none => *none = Some(reader.clone()),
        }
        // Who asks with the driver's own waker is being polled by it.
        self.asleep.take().filter(|asleep| !asleep.will_wake(reader))
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.open.as_ref().map_or(Some(0), |open| open.left);
        f.debug_struct("RequestBody").field("left", &left).finish_non_exhaustive()
    }
}

/// The other end: reads the input when the service asks for more. Dropped with the exchange.
pub(super) struct Feed<'x> {
    input: Input<'x>,
    pipe: Arc<Pipe>,
    left: Option<u64>,
}

/// What [`Feed::serve`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// The service asks for nothing.
    Unasked,
    /// The service asks for more, and there is nothing yet.
    NotYet,
    /// It got something: bytes, the end, or an error.
    Served,
}

/// The request's body, and what feeds it unless it is empty.
pub(super) fn body(input: Input<'_>) -> (RequestBody, Option<Feed<'_>>) {
    let length = input.length();
    if length == Some(0) {
        return (RequestBody::default(), None);
    }
    let pipe = Arc::new(Pipe { state: Mutex::default() });
    let open = Open { pipe: pipe.clone(), left: length };
    (RequestBody { open: Some(open) }, Some(Feed { input, pipe, left: length }))
}

impl Feed<'_> {
    /// Reads a frame if one is asked for; with `wait`, until there is one. If nobody asks, `driver`
    /// is called when somebody does.
    pub(super) fn serve(&mut self, driver: &Waker, wait: bool) -> Fed {
        {
            let mut state = self.pipe.lock();
            if !state.wanted {
                // Nobody else has the body any more: then nobody will ask.
                state.asleep = (Arc::strong_count(&self.pipe) > 1).then(|| driver.clone());
                return Fed::Unasked;
            }
        }
        let (data, end) = self.read(wait);
        if data.is_empty() && end.is_none() {
            return Fed::NotYet;
        }
        let mut state = self.pipe.lock();
        state.wanted = false;
        state.data = data;
        state.end = end;
        let reader = state.reader.take();
        drop(state);
        // The driver polls its own future next, woken or not.
        if let Some(reader) = reader
            && !reader.will_wake(driver)
        {
            reader.wake();
        }
        Fed::Served
    }

    fn read(&mut self, wait: bool) -> (Bytes, Option<End>) {
        let mut read = Vec::new();
        let end = loop {
            match self.input.fill(wait && read.is_empty()) {
                Ok(Fill::Data(data)) => {
                    let taken = data.len().min(FRAME - read.len());
                    if read.is_empty() {
                        read.reserve_exact(expected(self.left, taken));
                    }
                    read.extend_from_slice(&data[..taken]);
                    self.input.consume(taken);
                    self.left = self.left.map(|left| left.saturating_sub(taken as u64));
                    if read.len() == FRAME || self.left == Some(0) {
                        break None;
                    }
                }
                Ok(Fill::End) => break Some(End::Complete(self.input.trailers())),
                Ok(Fill::NotYet) => break None,
                Err(error) => break Some(End::Failed(error)),
            }
        };
        // A service may keep many small frames.
        if read.capacity() / 2 > read.len() {
            read.shrink_to_fit();
        }
        (Bytes::from(read), end)
    }
}

/// How much to set aside when `first` bytes are there. The client's word on the length is not
/// enough to go by: it could send one byte at a time.
fn expected(left: Option<u64>, first: usize) -> usize {
    match left {
        Some(left) if first >= LITTLE => left.min(FRAME as u64) as usize,
        _ => first,
    }
}

impl Drop for Feed<'_> {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        if state.end.is_none() {
            state.end = Some(End::Failed(Error::of(
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
