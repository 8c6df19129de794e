//! Runs an application for one exchange and holds it to the contract.
//!
//! Every rule that is the same behind every server is kept here, so that a server only carries out
//! what it is told.

use std::cell::Cell;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::application::Application;
use super::body::{Body, Kind, Pace};
use super::environ::Environ;
use super::error::{Error, ErrorKind, Result};
use super::errors::Level;
use super::exchange::Exchange;
use super::file::FileBody;
use super::header;
use super::input::{Input, InputSource};
use super::panic;
use super::start_response::{EachHeader, Respond, StartResponse};
use super::status::Status;

/// How an exchange ended.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// The response is complete.
    Complete,
    /// Nothing has gone out; the server answers with this status itself (304, 412).
    Status(StatusCode),
    /// Nothing has gone out; the server answers with another of its paths, as a GET.
    Redirect(String),
    /// Nothing has gone out; the server answers with the error's status itself.
    Failed(Error),
    /// A part has gone out: the server must break the response visibly.
    Broken(Error),
}

/// Calls `application` for one exchange and sends what it answers.
///
/// A panic in the application or in its body is caught and ends the exchange like an error. The
/// body is closed before this returns.
pub fn run(
    application: &dyn Application,
    exchange: &dyn Exchange,
    input: &mut dyn InputSource,
) -> Outcome {
    let response = Response::new(exchange);
    let result = panic::catch(|| {
        let input = Input::new(input, &response.input_failed);
        let environ = Environ::new(exchange, input);
        let body = application.call(environ, StartResponse::new(&response))?;
        response.send(body)
    });
    match result {
        Ok(Ok(Sent::Whole)) => Outcome::Complete,
        Ok(Ok(Sent::Instead(status))) => Outcome::Status(status),
        Ok(Ok(Sent::Redirect(target))) => Outcome::Redirect(target),
        Ok(Err(error)) | Err(error) if response.committed.get() => Outcome::Broken(error),
        Ok(Err(error)) | Err(error) => Outcome::Failed(error),
    }
}

enum Sent {
    Whole,
    Instead(StatusCode),
    Redirect(String),
}

/// The state of one response.
struct Response<'e> {
    exchange: &'e dyn Exchange,
    is_head: bool,
    /// Status and whether it may have a body, once started.
    started: Cell<Option<(StatusCode, bool)>>,
    /// The Content-Length that the application gave, then the one that was committed.
    length: Cell<Option<u64>>,
    committed: Cell<bool>,
    /// Whether something was written that no flush has followed.
    pending: Cell<bool>,
    sent: Cell<u64>,
    input_failed: Cell<Option<ErrorKind>>,
    /// Whether the head was given in knowledge of the input's failure.
    started_after_input_failed: Cell<bool>,
}

impl<'e> Response<'e> {
    fn new(exchange: &'e dyn Exchange) -> Self {
        Self {
            exchange,
            is_head: exchange.get(b"REQUEST_METHOD") == Some(b"HEAD"),
            started: Cell::new(None),
            length: Cell::new(None),
            committed: Cell::new(false),
            pending: Cell::new(false),
            sent: Cell::new(0),
            input_failed: Cell::new(None),
            started_after_input_failed: Cell::new(false),
        }
    }

    fn send(&self, body: Body<'_>) -> Result<Sent> {
        let (kind, _close) = body.into_parts();
        match kind {
            Kind::Full(data) => self.send_bytes(data),
            Kind::File(file) => self.send_file(file),
            Kind::Stream { stream, length } => self.send_stream(stream, length),
            Kind::Redirect(target) => self.redirect(target),
        }
    }

    fn redirect(&self, target: String) -> Result<Sent> {
        if self.started.get().is_some() {
            return Err(Error::of(
                ErrorKind::AlreadyStarted,
                "an internal redirect cannot follow start_response",
            ));
        }
        if !target.starts_with('/') || target.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(Error::of(
                ErrorKind::InvalidHeader,
                format!(
                    "internal redirect to \"{}\": it takes an encoded path of this server, /…",
                    target.escape_debug()
                ),
            ));
        }
        Ok(Sent::Redirect(target))
    }

    fn send_bytes(&self, data: Bytes) -> Result<Sent> {
        let has_body = self.has_body()?;
        if !self.committed.get() {
            let length = data.len() as u64;
            if !has_body {
                return self.send_head(Some(length));
            }
            self.commit(Some(length))?;
        }
        if !data.is_empty() {
            self.put(data)?;
        }
        self.finish(None)
    }

    fn send_file(&self, file: FileBody) -> Result<Sent> {
        let has_body = self.has_body()?;
        if self.committed.get() {
            return Err(Error::of(
                ErrorKind::AlreadyStarted,
                "a file cannot follow a body that was written",
            ));
        }
        let (status, may_have_body) = self.started()?;
        if status == StatusCode::OK
            && let Some(instead) = self.exchange.conditions(&file)
        {
            return Ok(Sent::Instead(instead));
        }
        if !has_body {
            return self.send_head(may_have_body.then_some(file.length()));
        }
        self.commit(Some(file.length()))?;
        self.sent.set(file.length());
        self.exchange.file(file)?;
        self.finish(None)
    }

    fn send_stream(
        &self,
        mut stream: Box<dyn super::body::BodyStream + '_>,
        length: Option<u64>,
    ) -> Result<Sent> {
        // The status may come with the first chunk only: then a HEAD has to run it that far.
        if self.started.get().is_some() && !self.has_body()? {
            drop(stream);
            return self.send_head(length);
        }
        let mut pace = Waiting { response: self, length };
        while let Some(data) = stream.next_chunk(&mut pace)? {
            if data.is_empty() {
                continue;
            }
            if !self.has_body()? {
                drop(stream);
                return self.send_head(length);
            }
            if !self.committed.get() {
                self.commit(length)?;
            }
            self.put(data)?;
        }
        if !self.has_body()? {
            drop(stream);
            return self.send_head(length);
        }
        if !self.committed.get() {
            // It ended without a chunk, so its length is known after all.
            self.commit(length.or(Some(0)))?;
        }
        let trailers = stream.trailers();
        self.finish(trailers)
    }

    /// A response that has no body to send: HEAD, 204, 304. `length` is what a GET's would have.
    fn send_head(&self, length: Option<u64>) -> Result<Sent> {
        let (status, may_have_body) = self.started()?;
        if self.committed.get() {
            return self.finish(None);
        }
        // An application that answers HEAD itself without a body says nothing about the length.
        let length = length.filter(|&length| length > 0);
        if may_have_body {
            self.check_length(length)?;
            self.length.set(self.length.get().or(length));
        } else if length.is_some() {
            self.exchange.log(
                Level::Warn,
                &format!("the body of a {} response is dropped: it has none", status.as_u16()),
            );
        }
        self.committed.set(true);
        self.exchange.commit(self.length.get());
        self.exchange.finish(None)?;
        Ok(Sent::Whole)
    }

    fn commit(&self, length: Option<u64>) -> Result<()> {
        self.check_length(length)?;
        if self.length.get().is_none() {
            self.length.set(length);
        }
        self.committed.set(true);
        self.exchange.commit(self.length.get());
        Ok(())
    }

    /// The Content-Length that the application gave against what is known of the body.
    fn check_length(&self, known: Option<u64>) -> Result<()> {
        match (self.length.get(), known) {
            (Some(given), Some(known)) if given != known => Err(Error::of(
                ErrorKind::ContentLength,
                format!("Content-Length is {given}, but the body has {known} bytes"),
            )),
            _ => Ok(()),
        }
    }

    fn put(&self, data: Bytes) -> Result<()> {
        let sent = self.sent.get() + data.len() as u64;
        if let Some(length) = self.length.get()
            && sent > length
        {
            return Err(Error::of(
                ErrorKind::ContentLength,
                format!("Content-Length is {length}, but the body has more: at least {sent} bytes"),
            ));
        }
        self.sent.set(sent);
        self.pending.set(true);
        self.exchange.write(data)
    }

    fn finish(&self, trailers: Option<HeaderMap>) -> Result<Sent> {
        let sent = self.sent.get();
        if let Some(length) = self.length.get()
            && sent < length
            && self.has_body()?
        {
            return Err(Error::of(
                ErrorKind::ContentLength,
                format!("Content-Length is {length}, but the body ended after {sent} bytes"),
            ));
        }
        // An answer made of a request that turned out cut or malformed must not look whole.
        if let Some(kind) = self.input_failed.get()
            && !self.started_after_input_failed.get()
        {
            return Err(Error::of(kind, "the request body failed while the answer was on its way"));
        }
        self.exchange.finish(trailers)?;
        Ok(Sent::Whole)
    }

    fn started(&self) -> Result<(StatusCode, bool)> {
        self.started.get().ok_or_else(|| {
            Error::of(ErrorKind::NotStarted, "the application did not call start_response")
        })
    }

    fn has_body(&self) -> Result<bool> {
        Ok(self.started()?.1 && !self.is_head)
    }
}

impl Respond for Response<'_> {
    fn start(&self, status: Status<'_>, headers: &mut EachHeader<'_>, replace: bool) -> Result<()> {
        if self.committed.get() || (self.started.get().is_some() && !replace) {
            return Err(Error::of(
                ErrorKind::AlreadyStarted,
                "start_response was called a second time",
            ));
        }
        self.started.set(None);
        self.length.set(None);
        self.exchange.begin(status);
        headers(&mut |name, value| {
            header::check(name, value)?;
            if name.eq_ignore_ascii_case(b"content-length") {
                if self.length.get().is_some() {
                    return Err(Error::of(
                        ErrorKind::ContentLength,
                        "Content-Length is given twice",
                    ));
                }
                self.length.set(Some(header::content_length(value)?));
            } else {
                self.exchange.put_header(name, value);
            }
            Ok(())
        })?;
        self.started_after_input_failed.set(self.input_failed.get().is_some());
        self.started.set(Some((status.code(), status.has_body())));
        Ok(())
    }

    fn write(&self, data: Bytes) -> Result<()> {
        if data.is_empty() || !self.has_body()? {
            return Ok(());
        }
        if !self.committed.get() {
            self.commit(None)?;
        }
        self.put(data)
    }

    fn flush(&self) -> Result<()> {
        if self.pending.replace(false) { self.exchange.flush() } else { Ok(()) }
    }

    fn is_committed(&self) -> bool {
        self.committed.get()
    }
}

/// Flushes when a stream says that it may or must wait.
struct Waiting<'w, 'e> {
    response: &'w Response<'e>,
    length: Option<u64>,
}

impl Pace for Waiting<'_, '_> {
    fn may_wait(&mut self) -> Result<()> {
        Respond::flush(self.response)
    }

    fn must_wait(&mut self) -> Result<()> {
        let response = self.response;
        if !response.committed.get() && response.started.get().is_some() && response.has_body()? {
            response.commit(self.length)?;
            response.pending.set(true);
        }
        Respond::flush(response)
    }
}
