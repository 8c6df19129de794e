//! The response body, made by the thread that runs the application and sent by the one that has the
//! connection.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// What is on its way to the connection.
pub(super) type Piece = Result<Frame<Bytes>, Broken>;

/// The response breaks here: the connection is closed so that it cannot look whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the application's response broke off")
    }
}

impl std::error::Error for Broken {}

/// The body of a response: there as a whole, or still being made.
pub(super) enum ResponseBody {
    Whole { data: Bytes, trailers: Option<HeaderMap> },
    Stream { pieces: mpsc::Receiver<Piece>, breaks: bool, _guard: Guard },
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Whole { data, .. } if !data.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(data)))))
            }
            Self::Whole { trailers, .. } => {
                Poll::Ready(trailers.take().map(Frame::trailers).map(Ok))
            }
            Self::Stream { breaks: true, .. } => Poll::Ready(Some(Err(Broken))),
            Self::Stream { pieces, breaks, .. } => match pieces.poll_recv(context) {
                // hyper drops what it has not sent yet when a body fails, and sends it when there is
                // nothing to do for the moment.
                Poll::Ready(Some(Err(Broken))) => {
                    *breaks = true;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                polled => polled,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole { data, trailers: None } if data.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { data, .. } => SizeHint::with_exact(data.len() as u64),
            Self::Stream { .. } => SizeHint::default(),
        }
    }
}

/// Whether somebody is there to take the response, as the thread that makes it sees it.
#[derive(Debug, Default)]
pub(super) struct Presence {
    gone: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Presence {
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// `waker` is called when the client goes.
    pub(super) fn tell(&self, waker: Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }
}

/// Held by whoever waits for the response; its end is the client's going.
#[derive(Debug)]
pub(super) struct Guard(pub(super) Arc<Presence>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Release);
        let waker = self.0.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
