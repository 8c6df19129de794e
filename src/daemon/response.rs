//! The daemon process's frames, carried out on the request in httpd.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::backlog::{Backlog, SMALL};
use super::connection::frame;
use super::wait::borrow;
use crate::adapter::RequestExchange;
use crate::gateway::{Error, ErrorKind, Exchange as _, FileBody, Outcome, Status, Variables as _};
use crate::httpd::{ClientTimeout, Request};
use crate::os;
use crate::process_group::GroupOptions;
use crate::protocol::bridge::{
    self, BodyLength, FrameError, Header, Kind, LengthError, Message, Pairs, ResponseHead, Timing,
};

/// The consequence of a frame.
pub(super) enum FrameStep {
    /// More frames.
    More,
    /// The application reads the request body.
    WantsInput,
    /// The connection is another protocol's from here on, and the request body all of its input.
    Switched,
    /// The daemon process has done with the request.
    Done { outcome: Outcome, close: bool, timing: Timing },
    /// The client cannot be answered as the application wants: it has gone, or a filter failed.
    Stop(Error),
    /// The peer does not take the request.
    Refused { reason: bridge::RefusalReason, message: String },
}

/// A response under way.
pub(super) struct RelayedResponse<'x, 'e, 'r> {
    request: &'e Request<'r>,
    exchange: &'x RequestExchange<'e, 'r>,
    options: &'x GroupOptions,
    held: &'x mut HeldResponse,
}

/// The state of a response, which lasts from visit to visit.
pub(super) struct HeldResponse {
    head: HeadProgress,
    /// The body against the head's length.
    length: BodyLength,
    /// The part that the client has no room for yet.
    backlog: Backlog,
    trailers: Option<HeaderMap>,
    /// The time at which the received part is to be flushed.
    due: Option<Instant>,
    /// The output does not wait for the client.
    is_free: bool,
}

impl HeldResponse {
    /// Returns whether a part of the response has come.
    pub(super) fn has_begun(&self) -> bool {
        self.head != HeadProgress::Awaited
    }

    /// Has the output be sent without a wait from here on: what the network does not take counts as
    /// [behind](RelayedResponse::is_behind).
    pub(super) const fn free(&mut self) {
        self.is_free = true;
    }
}

impl Default for HeldResponse {
    fn default() -> Self {
        let length = BodyLength::new(200, None, false);
        let (head, backlog) = (HeadProgress::Awaited, Backlog::default());
        Self { head, length, backlog, trailers: None, due: None, is_free: false }
    }
}

/// The progress of the head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HeadProgress {
    Awaited,
    /// It has come, and waits for what follows: a file may make another status of it.
    Held {
        length: Option<u64>,
        status: u16,
    },
    Committed,
    /// The connection is another protocol's.
    Switched,
    /// httpd answers with this status, as a condition of the request holds.
    Instead(StatusCode),
}

impl<'x, 'e, 'r> RelayedResponse<'x, 'e, 'r> {
    /// Goes on with a response, or begins one.
    pub(super) fn resume(
        held: &'x mut HeldResponse,
        request: &'e Request<'r>,
        exchange: &'x RequestExchange<'e, 'r>,
        options: &'x GroupOptions,
    ) -> Self {
        Self { request, exchange, options, held }
    }

    /// Returns whether a part of the response has come.
    pub(super) fn has_begun(&self) -> bool {
        self.held.head != HeadProgress::Awaited
    }

    /// Carries one frame out.
    ///
    /// # Errors
    ///
    /// A frame that is malformed, or does not belong here.
    pub(super) fn on(
        &mut self,
        header: Header,
        payload: Bytes,
        descriptor: impl FnOnce() -> Option<OwnedFd>,
    ) -> Result<FrameStep, Unexpected> {
        let _limit = self.client_timeout();
        // The most frequent frame, without a look at the others.
        if header.kind == Kind::Body {
            return self.body(payload, header.flags & bridge::flags::FLUSH != 0);
        }
        Ok(match frame(header, &payload).message()? {
            Message::Continue => FrameStep::WantsInput,
            Message::Log(log) => {
                self.exchange.log(log.level, &String::from_utf8_lossy(log.text));
                FrameStep::More
            }
            Message::Head(head) => self.head(&head)?,
            Message::Switch(headers) => self.switch(headers),
            Message::File(file) => {
                let descriptor =
                    descriptor().ok_or(Unexpected::Order("a FILE without its descriptor"))?;
                self.file(file, File::from(descriptor))?
            }
            Message::End(end) => {
                if let HeadProgress::Instead(status) = self.held.head {
                    let outcome = Outcome::Status(status);
                    return Ok(FrameStep::Done { outcome, close: end.close, timing: end.timing });
                }
                self.commit()?;
                self.held.length.end()?;
                self.held.trailers = (!end.trailers.is_empty()).then(|| fields(end.trailers));
                let outcome = Outcome::Complete;
                FrameStep::Done { outcome, close: end.close, timing: end.timing }
            }
            Message::Status(status) => {
                for (name, value) in status.headers {
                    self.request.keep_with_error(name, value);
                }
                FrameStep::Done {
                    outcome: Outcome::Status(code(status.status)?),
                    close: status.close,
                    timing: status.timing,
                }
            }
            Message::Redirect(redirect) => {
                let target = std::str::from_utf8(redirect.target)
                    .map_err(|_| Unexpected::Order("a REDIRECT that is not UTF-8"))?;
                FrameStep::Done {
                    outcome: Outcome::Redirect(target.to_owned()),
                    close: redirect.close,
                    timing: redirect.timing,
                }
            }
            Message::Failed(failed) => {
                let message = String::from_utf8_lossy(failed.message).into_owned();
                let error = Error::of(failed.kind, message).answering(code(failed.status)?);
                let outcome =
                    if matches!(self.held.head, HeadProgress::Committed | HeadProgress::Switched) {
                        Outcome::Broken(error)
                    } else {
                        Outcome::Failed(error)
                    };
                FrameStep::Done { outcome, close: failed.close, timing: failed.timing }
            }
            Message::Refused(refused) => FrameStep::Refused {
                reason: refused.reason,
                message: String::from_utf8_lossy(refused.message).into_owned(),
            },
            _ => return Err(Unexpected::Order("a frame that has no place in a response")),
        })
    }

    fn head(&mut self, head: &ResponseHead<'_>) -> Result<FrameStep, Unexpected> {
        if head.length.is_some_and(|length| i64::try_from(length).is_err()) {
            return Err(Unexpected::Order("a HEAD with a length beyond what httpd can say"));
        }
        let status = code(head.status)?;
        let reason = (!head.reason.is_empty()).then_some(head.reason);
        let status = Status::with_reason(status, reason)
            .map_err(|_| Unexpected::Order("a HEAD with a status line that is none"))?;
        self.exchange.begin(status);
        for (name, value) in head.headers {
            self.exchange.put_header(name, value);
        }
        let is_head = self.exchange.get(b"REQUEST_METHOD") == Some(b"HEAD");
        self.held.length = BodyLength::new(head.status, head.length, is_head);
        self.held.head = HeadProgress::Held { length: head.length, status: head.status };
        if !head.flush {
            return Ok(FrameStep::More);
        }
        self.commit()?;
        Ok(self.flush())
    }

    /// Switches the connection to another protocol, whose bytes pass from here on.
    fn switch(&mut self, headers: Pairs<'_>) -> FrameStep {
        self.exchange.begin(Status::SWITCHING_PROTOCOLS);
        for (name, value) in headers {
            self.exchange.put_header(name, value);
        }
        self.exchange.commit(None);
        self.held.head = HeadProgress::Switched;
        FrameStep::Switched
    }

    fn body(&mut self, data: Bytes, flush: bool) -> Result<FrameStep, Unexpected> {
        if data.is_empty() && !flush {
            return Err(Unexpected::Order("an empty BODY without FLUSH"));
        }
        self.commit()?;
        self.held.length.pass(data.len() as u64)?;
        // Output that does not wait may be kept: in few pieces.
        let is_merged = self.held.is_free && !data.is_empty() && data.len() < SMALL;
        if is_merged
            || !self.held.backlog.is_empty()
            || !has_room(self.request, self.exchange, self.held.is_free, data.len())
        {
            let is_later = is_merged && self.is_flushed_later();
            self.held.backlog.push(data, flush && !is_later);
            if flush && is_later {
                self.flush_later();
            }
            return Ok(FrameStep::More);
        }
        if !data.is_empty()
            && let Err(error) = self.exchange.write(data)
        {
            return Ok(FrameStep::Stop(error));
        }
        Ok(if flush { self.flush() } else { FrameStep::More })
    }

    /// Returns the number of bytes that wait for the client.
    pub(super) const fn backlog(&self) -> usize {
        self.held.backlog.bytes()
    }

    /// Returns whether anything waits for the client.
    pub(super) fn is_behind(&self) -> bool {
        !self.held.backlog.is_empty() || (self.held.is_free && self.request.has_unsent_output())
    }

    /// Returns whether the output does not wait for the client.
    pub(super) const fn is_free(&self) -> bool {
        self.held.is_free
    }

    /// Gives the client what it has room for; with `wait`, everything.
    ///
    /// # Errors
    ///
    /// The client has gone, or a filter failed.
    pub(super) fn catch_up(&mut self, wait: bool) -> Result<(), Error> {
        let _limit = self.client_timeout();
        let (request, exchange, is_free) = (self.request, self.exchange, self.held.is_free);
        if is_free {
            send_unsent(request)?;
        }
        let may_pass = |bytes| wait || has_room(request, exchange, is_free, bytes);
        while let Some(piece) = self.held.backlog.pop_if(may_pass) {
            exchange.write(piece)?;
        }
        let is_done = self.held.backlog.is_empty();
        if is_done && self.held.backlog.take_flush() { exchange.flush() } else { Ok(()) }
    }

    /// Sends the rest of a response that is complete.
    ///
    /// # Errors
    ///
    /// Those of [`RelayedResponse::catch_up`].
    pub(super) fn complete(&mut self) -> Result<(), Error> {
        // No flush before the end: it goes out with it.
        self.held.backlog.take_flush();
        let _limit = self.client_timeout();
        self.catch_up(true)?;
        self.exchange.finish(self.held.trailers.take())
    }

    /// httpd may wait for the client in a write: not longer than `response-socket-timeout`, while
    /// this is kept.
    fn client_timeout(&self) -> Option<ClientTimeout<'e>> {
        let timeout = self.options.response_socket_timeout?;
        self.request.client_timeout(timeout)
    }

    /// Sends a file. A HEAD gets it with a length of 0, for its validators.
    fn file(&mut self, part: bridge::File, file: File) -> Result<FrameStep, Unexpected> {
        let HeadProgress::Held { length, status } = self.held.head else {
            return Err(Unexpected::Order("a FILE without a HEAD just before it"));
        };
        self.held.length.pass(part.length)?;
        let body = if part.whole {
            FileBody::new(file)
        } else {
            FileBody::range(file, part.start, part.length)
        };
        let body = match body {
            Ok(body) => body,
            Err(error) => return Ok(FrameStep::Stop(Error::from_source(error))),
        };
        if part.whole
            && status == 200
            && let Some(instead) = self.exchange.conditions(&body)
        {
            self.held.head = HeadProgress::Instead(instead);
            return Ok(FrameStep::More);
        }
        self.exchange.commit(length);
        self.held.head = HeadProgress::Committed;
        if part.length == 0 {
            return Ok(FrameStep::More);
        }
        // It may have grown since the head was made.
        let body = match FileBody::range(body.into_file(), part.start, part.length) {
            Ok(body) => body,
            Err(error) => return Ok(FrameStep::Stop(Error::from_source(error))),
        };
        Ok(match self.exchange.file(body) {
            Ok(()) => FrameStep::More,
            Err(error) => FrameStep::Stop(error),
        })
    }

    /// Returns the time at which the received part is to be flushed, if it is.
    pub(super) const fn flush_due(&self) -> Option<Instant> {
        self.held.due
    }

    /// Flushes what has come.
    ///
    /// # Errors
    ///
    /// Those of [`RelayedResponse::catch_up`].
    pub(super) fn flush_now(&mut self) -> Result<(), Error> {
        self.held.due = None;
        if self.held.is_free && !self.held.backlog.is_empty() {
            self.held.backlog.push(Bytes::new(), true);
            return self.catch_up(false);
        }
        let _limit = self.client_timeout();
        self.exchange.flush()
    }

    fn is_flushed_later(&self) -> bool {
        !self.options.response_flush_delay.is_zero() && self.held.head != HeadProgress::Switched
    }

    fn flush_later(&mut self) {
        let delay = self.options.response_flush_delay;
        self.held.due.get_or_insert_with(|| Instant::now() + delay);
    }

    fn flush(&mut self) -> FrameStep {
        if self.is_flushed_later() {
            self.flush_later();
            return FrameStep::More;
        }
        match self.exchange.flush() {
            Ok(()) => FrameStep::More,
            Err(error) => FrameStep::Stop(error),
        }
    }

    fn commit(&mut self) -> Result<(), Unexpected> {
        match self.held.head {
            HeadProgress::Awaited => return Err(Unexpected::Order("a body without a HEAD")),
            HeadProgress::Held { length, .. } => self.exchange.commit(length),
            HeadProgress::Committed | HeadProgress::Switched => return Ok(()),
            HeadProgress::Instead(_) => {
                return Err(Unexpected::Order("a body behind a whole FILE"));
            }
        }
        self.held.head = HeadProgress::Committed;
        Ok(())
    }
}

/// Why the bridge is not to be trusted any further.
#[derive(Debug)]
pub(super) enum Unexpected {
    Frame(FrameError),
    Length(LengthError),
    Order(&'static str),
}

impl From<LengthError> for Unexpected {
    fn from(error: LengthError) -> Self {
        Self::Length(error)
    }
}

impl From<FrameError> for Unexpected {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl std::fmt::Display for Unexpected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Length(error) => error.fmt(f),
            Self::Order(what) => f.write_str(what),
        }
    }
}

/// Sends what the network takes of the output that is held back.
///
/// # Errors
///
/// Returns an error if the client has gone.
pub(super) fn send_unsent(request: &Request<'_>) -> Result<(), Error> {
    request.send_unsent();
    if request.is_aborted() {
        return Err(Error::of(ErrorKind::ClientGone, "the client left while it was answered"));
    }
    Ok(())
}

/// Returns whether so many bytes can be given to httpd's filters without waiting for the client.
fn has_room(
    request: &Request<'_>,
    exchange: &RequestExchange<'_, '_>,
    is_free: bool,
    bytes: usize,
) -> bool {
    if !exchange.would_pass(bytes) {
        return true;
    }
    if is_free {
        return !request.has_unsent_output();
    }
    let Some(socket) = request.socket() else { return true };
    let zero = Some(Duration::ZERO);
    os::poll(borrow(&socket), (false, true), None, zero).is_ok_and(|(polled, _)| polled.writable)
}

fn code(status: u16) -> Result<StatusCode, Unexpected> {
    StatusCode::from_u16(status).map_err(|_| Unexpected::Order("a status that is none"))
}

/// Trailers: what cannot be one was refused by the daemon process.
fn fields(pairs: Pairs<'_>) -> HeaderMap {
    pairs
        .iter()
        .filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
        })
        .collect()
}
