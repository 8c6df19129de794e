//! The way of a response to hyper: a head, then pieces over a channel.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body::Frame;
use hyper::ext::ReasonPhrase;

use super::body::{Broken, Piece, ResponseOutput, ResponseRest, ResponseStart};
use super::executor::{Executor, until};
use super::input::RequestBodyQueue;
use crate::gateway::exchange::Upgrade;
use crate::gateway::{Error, ErrorKind, Interest, Result, Woken, park_thread, thread_waker};
use crate::protocol::params::Params;
use crate::server::site::{BreakOutcome, Breaker, FinalHead, OwnAnswer, Sink};
use crate::server::workers::pool::SlowReaders;

/// So much is collected before it goes out without having been asked for, in bytes.
const COLLECT: usize = 64 * 1024;

/// One response in the making.
pub(super) struct HttpSink<'s> {
    params: &'s Arc<Params>,
    executor: &'s Arc<Executor>,
    inbox: &'s RequestBodyQueue,
    output: &'s Arc<ResponseOutput>,
    upgrade: &'s Cell<Upgrade>,
    timeout: Duration,
    is_http2: bool,
    visit_waker: &'s dyn Fn() -> Option<Waker>,
    draft: ResponseDraft,
}

/// The state of a response, which lasts between visits.
#[derive(Default)]
pub(super) struct ResponseDraft {
    head: Cell<Option<Response<()>>>,
    collected: RefCell<Vec<Bytes>>,
    size: Cell<usize>,
}

impl<'s> HttpSink<'s> {
    /// `visit_waker` returns the waker that brings the next visit.
    pub(super) fn new(
        (params, executor): (&'s Arc<Params>, &'s Arc<Executor>),
        (inbox, output): (&'s RequestBodyQueue, &'s Arc<ResponseOutput>),
        upgrade: &'s Cell<Upgrade>,
        (timeout, is_http2): (Duration, bool),
        visit_waker: &'s dyn Fn() -> Option<Waker>,
        draft: ResponseDraft,
    ) -> Self {
        Self { params, executor, inbox, output, upgrade, timeout, is_http2, visit_waker, draft }
    }

    /// Returns the state for the next visit.
    pub(super) fn into_draft(self) -> ResponseDraft {
        self.draft
    }

    /// Returns whether nothing takes the response.
    pub(super) fn is_gone(&self) -> bool {
        self.output.is_gone()
    }

    /// Gives up what is collected. Returns the error of a client that took nothing of a stream of
    /// HTTP/2 for too long.
    pub(super) fn unread(&self) -> Error {
        let error = self.too_slow(self.timeout, "--send-timeout");
        self.executor.log_unread(&error.to_string());
        self.collect();
        error
    }

    fn too_slow(&self, time: Duration, limit: &str) -> Error {
        let text = format!("the client took nothing of the response for {time:?} ({limit})");
        Error::of(ErrorKind::ClientGone, text)
    }

    /// The response will not be whole: what there is goes out, and then the connection breaks.
    pub(super) fn break_off(&self) {
        if self.send_collected().is_ok() {
            let _ = self.send(Err(Broken));
        }
        self.output.complete();
        // Without a head the connection is closed without an answer.
        self.output.give_up_start();
    }

    fn collect(&self) -> Bytes {
        let mut collected = self.draft.collected.borrow_mut();
        let size = self.draft.size.replace(0);
        if collected.len() <= 1 {
            return collected.pop().unwrap_or_default();
        }
        let mut all = BytesMut::with_capacity(size);
        collected.drain(..).for_each(|piece| all.extend_from_slice(&piece));
        all.freeze()
    }

    /// Sends the head if it is not out yet, and what was collected.
    fn send_collected(&self) -> Result<()> {
        if let Some(head) = self.draft.head.take() {
            self.start(ResponseStart { head, rest: ResponseRest::Stream })?;
        }
        let data = self.collect();
        if data.is_empty() { Ok(()) } else { self.send(Ok(Frame::data(data))) }
    }

    fn start(&self, started: ResponseStart) -> Result<()> {
        self.output.start(started).map_err(|_| gone())
    }

    fn send(&self, piece: Piece) -> Result<()> {
        let mut piece = Some(piece);
        match self.output.poll_push(&mut piece, &thread_waker()) {
            Poll::Ready(sent) => sent.map_err(|_| gone()),
            Poll::Pending => self.executor.readers().count(|| self.wait_for_reader(&mut piece)),
        }
    }

    /// Waits until there is room for a piece.
    fn wait_for_reader(&self, piece: &mut Option<Piece>) -> Result<()> {
        let begun = Instant::now();
        loop {
            let left = self.timeout.saturating_sub(begun.elapsed());
            let deadline = Instant::now().checked_add(left.min(SlowReaders::SHORT_STALL));
            let push = |context: &mut Context<'_>| self.output.poll_push(piece, context.waker());
            if let Some(sent) = until(self.executor, deadline, push) {
                return sent.map_err(|_| gone());
            }
            let is_late = begun.elapsed() >= self.timeout;
            let limit = if is_late {
                "--send-timeout".to_owned()
            } else if let Some(reason) = self.executor.readers().too_many(begun.elapsed()) {
                reason
            } else {
                continue;
            };
            let error = self.too_slow(begun.elapsed(), &limit);
            // A connection of HTTP/1 has a deadline of its own, and the peer's name for the line.
            if self.is_http2 || !is_late {
                self.executor.log_unread(&error.to_string());
                self.output.give_up();
            }
            return Err(error);
        }
    }
}

impl Sink for HttpSink<'_> {
    fn head(&self, head: &FinalHead<'_>) -> Result<()> {
        self.draft.head.set(Some(response(head)));
        Ok(())
    }

    fn write(&self, data: Bytes) -> Result<()> {
        if self.output.is_gone() {
            return Err(gone());
        }
        self.draft.size.set(self.draft.size.get() + data.len());
        self.draft.collected.borrow_mut().push(data);
        if self.draft.size.get() >= COLLECT { self.send_collected() } else { Ok(()) }
    }

    fn flush(&self) -> Result<()> {
        self.send_collected()
    }

    fn finish(&self, trailers: Option<HeaderMap>) -> Result<()> {
        if let Some(mut head) = self.draft.head.take() {
            if !self.inbox.can_end() && !self.is_http2 {
                // hyper closes the connection then, and the client should know.
                head.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let rest = ResponseRest::Whole(self.collect(), trailers);
            return self.start(ResponseStart { head, rest });
        }
        self.send_collected()?;
        if let Some(trailers) = trailers {
            self.send(Ok(Frame::trailers(trailers)))?;
        }
        self.output.complete();
        Ok(())
    }

    fn breaker(&self) -> Option<Arc<dyn Breaker>> {
        Some(Arc::new(HttpBreaker { output: self.output.clone(), is_http2: self.is_http2 }))
    }

    fn params(&self) -> Option<Arc<Params>> {
        Some(Arc::clone(self.params))
    }

    fn visit_waker(&self) -> Option<Waker> {
        (self.visit_waker)()
    }

    fn has_room(&self) -> bool {
        self.output.has_room()
    }

    fn upgrade(&self) -> Upgrade {
        self.upgrade.replace(Upgrade::None)
    }

    fn waker(&self) -> Waker {
        thread_waker()
    }

    fn park(&self, interest: Interest) -> Woken {
        let waker = thread_waker();
        let has_input = || {
            interest == Interest::Input && self.inbox.poll_ready(&mut Context::from_waker(&waker))
        };
        self.output.tell(waker.clone());
        if self.output.is_gone() {
            return Woken::Gone;
        }
        if has_input() {
            return Woken::Input;
        }
        let deadline = match interest {
            Interest::Input => Instant::now().checked_add(self.inbox.timeout()),
            Interest::Waker => None,
        };
        if !self.executor.waiting(|| park_thread(deadline)) {
            self.inbox.expire();
            return Woken::Input;
        }
        if self.output.is_gone() {
            return Woken::Gone;
        }
        if has_input() { Woken::Input } else { Woken::Called }
    }
}

/// Breaks a response off.
struct HttpBreaker {
    output: Arc<ResponseOutput>,
    is_http2: bool,
}

impl Breaker for HttpBreaker {
    fn break_off(&self, answer: &OwnAnswer<'_>) -> BreakOutcome {
        let mut head = response(&answer.head);
        if !self.is_http2 {
            // The thread may have the rest of the request body.
            head.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let rest = ResponseRest::Whole(answer.body.clone(), None);
        self.output.cut(ResponseStart { head, rest })
    }
}

/// The head as hyper wants it. Names and values were checked before they came here.
fn response(head: &FinalHead<'_>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = head.status.unwrap_or(StatusCode::OK);
    if !head.reason.is_empty()
        && let Ok(reason) = ReasonPhrase::try_from(head.reason)
    {
        response.extensions_mut().insert(reason);
    }
    let headers = response.headers_mut();
    head.each(|name, value| {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    });
    if let Some(length) = head.length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    response
}

fn gone() -> Error {
    Error::of(ErrorKind::ClientGone, "the client went away")
}
