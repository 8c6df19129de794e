//! The request body, read by the thread that visits the request.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;

use super::body::ResponseOutput;
use super::executor::{Executor, until};
use crate::gateway::{Error, ErrorKind, Fill, InputSource, Result, thread_waker};

/// The most that is read of a body for nobody, in bytes, so that its connection can be kept.
const DISCARD_MAX: u64 = 64 * 1024;
/// The longest time of that.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Reads and discards the rest of a body that its application did not want.
pub(super) async fn discard(mut body: Incoming) {
    let mut left = DISCARD_MAX as usize;
    let frames = async {
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
            && let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len))
        {
            left = rest;
        }
    };
    // hyper closes the connection when a body is dropped that has not ended.
    let _ = tokio::time::timeout(DISCARD_TIME, frames).await;
}

/// The body as it comes from the connection; the exchange waits on it too.
pub(super) struct RequestBodyQueue {
    body: RefCell<Incoming>,
    /// Came while the exchange looked for something to read.
    ahead: RefCell<Option<NextPiece>>,
    length: Option<u64>,
    timeout: Duration,
    /// Nothing has come within `timeout`.
    expired: Cell<bool>,
    /// The bytes that have come.
    received: Cell<u64>,
    /// The client sends the body once it is asked for.
    is_held_back: bool,
    /// The response, whose end may come first.
    output: Arc<ResponseOutput>,
    executor: Arc<Executor>,
}

enum NextPiece {
    Data(Bytes),
    End(Option<HeaderMap>),
    Failed(Error),
}

impl RequestBodyQueue {
    pub(super) fn new(
        body: Incoming,
        (timeout, is_held_back): (Duration, bool),
        output: Arc<ResponseOutput>,
        executor: Arc<Executor>,
    ) -> Self {
        let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        Self {
            body: RefCell::new(body),
            ahead: RefCell::new(None),
            length,
            timeout,
            expired: Cell::new(false),
            received: Cell::new(0),
            is_held_back,
            output,
            executor,
        }
    }

    /// Returns whether the connection survives this request: its body was read, or the rest may be so
    /// small that it can be [discarded](discard).
    pub(super) fn can_end(&self) -> bool {
        if self.is_at_end() {
            return true;
        }
        let left = self.length.map(|length| length.saturating_sub(self.received.get()));
        let is_unasked = self.is_held_back && self.received.get() == 0;
        !self.expired.get() && !is_unasked && left.is_none_or(|left| left <= DISCARD_MAX)
    }

    /// Returns the body, of which a part may be to come.
    pub(super) fn into_rest(self) -> Incoming {
        self.body.into_inner()
    }

    /// Whether all of it was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.body.borrow().is_end_stream()
    }

    /// The time that the client may be silent.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// It was silent longer: whoever reads on is told.
    pub(super) fn expire(&self) {
        self.expired.set(true);
    }

    /// Whether there is something to read, or an end. `context` is called when there is.
    pub(super) fn poll_ready(&self, context: &mut Context<'_>) -> bool {
        if self.ahead.borrow().is_some() {
            return true;
        }
        match self.poll(context) {
            Poll::Ready(next) => {
                *self.ahead.borrow_mut() = Some(next);
                true
            }
            Poll::Pending => false,
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<NextPiece> {
        if let Some(next) = self.ahead.borrow_mut().take() {
            return Poll::Ready(next);
        }
        if self.output.is_cut() {
            let text = "the request was answered in the application's place";
            return Poll::Ready(NextPiece::Failed(Error::of(ErrorKind::ClientGone, text)));
        }
        loop {
            let mut body = self.body.borrow_mut();
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) else {
                return Poll::Pending;
            };
            return Poll::Ready(match frame {
                None => NextPiece::End(None),
                Some(Err(error)) => NextPiece::Failed(failed(&error)),
                Some(Ok(frame)) => match frame.into_data().map_err(Frame::into_trailers) {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => {
                        self.received.set(self.received.get() + data.len() as u64);
                        NextPiece::Data(data)
                    }
                    Err(Ok(trailers)) => NextPiece::End(Some(trailers)),
                    Err(Err(_)) => continue,
                },
            });
        }
    }

    fn next(&self, wait: bool) -> Result<Option<NextPiece>> {
        let too_slow = || {
            let text = format!("no byte of the request body within {:?}", self.timeout);
            Error::of(ErrorKind::InputTimeout, text)
        };
        if wait && !self.expired.get() {
            let deadline = Instant::now().checked_add(self.timeout);
            let found = until(&self.executor, deadline, |context| self.poll(context));
            return found.map(Some).ok_or_else(too_slow);
        }
        match self.poll(&mut Context::from_waker(&thread_waker())) {
            Poll::Ready(next) => Ok(Some(next)),
            Poll::Pending if self.expired.get() => Err(too_slow()),
            Poll::Pending => Ok(None),
        }
    }
}

/// The input that the application reads.
pub(super) struct BodySource<'i> {
    inbox: &'i RequestBodyQueue,
    read: ReadBody,
}

/// The part of a body that was taken out of the queue.
#[derive(Default)]
pub(super) struct ReadBody {
    data: Bytes,
    end: bool,
    trailers: Option<HeaderMap>,
}

impl<'i> BodySource<'i> {
    pub(super) const fn new(inbox: &'i RequestBodyQueue, read: ReadBody) -> Self {
        Self { inbox, read }
    }

    /// Notes that the client was silent for too long: whoever reads on is told.
    pub(super) fn expire(&self) {
        self.inbox.expire();
    }

    /// Returns the state for the next visit.
    pub(super) fn into_read(self) -> ReadBody {
        self.read
    }
}

impl InputSource for BodySource<'_> {
    fn length(&self) -> Option<u64> {
        self.inbox.length
    }

    fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        let read = &mut self.read;
        if read.data.is_empty() && !read.end {
            match self.inbox.next(wait)? {
                None => return Ok(Fill::NotYet),
                Some(NextPiece::Data(data)) => read.data = data,
                Some(NextPiece::End(trailers)) => (read.end, read.trailers) = (true, trailers),
                Some(NextPiece::Failed(error)) => return Err(error),
            }
        }
        Ok(if read.data.is_empty() { Fill::End } else { Fill::Data(&read.data) })
    }

    fn consume(&mut self, amount: usize) {
        self.read.data.advance(amount);
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.read.trailers.take()
    }
}

/// A wrong chunk is an `io::Error` of hyper's; all else is the connection's end.
fn failed(error: &hyper::Error) -> Error {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<io::Error>()
            && matches!(inner.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        {
            return Error::of(ErrorKind::InputMalformed, format!("the request body: {inner}"));
        }
        cause = inner.source();
    }
    Error::of(ErrorKind::ClientGone, format!("the client left within its request body: {error}"))
}
