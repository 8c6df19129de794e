//! Runs an application for one exchange and enforces the contract.
//!
//! Every rule that holds behind every server is enforced here, so that servers only transmit.

mod send;
mod suspended;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::application::Application;
use super::environ::Environ;
use super::error::{Error, ErrorKind, Result};
use super::exchange::Exchange;
use super::header;
use super::input::{Input, InputSource};
use super::panic;
use super::start_response::{EachHeader, Respond, StartResponse};
use super::status::Status;

pub(crate) use suspended::{Awaited, Progress, Suspend, Suspended, start};

/// The result of an exchange.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// The response is complete.
    Complete,
    /// Nothing was sent. The server makes the response with this status: 304, 412, or one that it
    /// [overrides](Exchange::overrides).
    Status(StatusCode),
    /// Nothing was sent. The server answers with a GET of this path.
    Redirect(String),
    /// Nothing was sent. The server answers with the error's status.
    Failed(Error),
    /// A part was sent. The server must break the response visibly.
    Broken(Error),
}

/// Calls `application` for one exchange and sends its response.
///
/// A panic in the application or in its body ends the exchange like an error. The body is closed
/// before the function returns.
pub fn run(
    application: &dyn Application,
    exchange: &dyn Exchange,
    input: &mut dyn InputSource,
) -> Outcome {
    let response = Response::new(exchange);
    let result = panic::catch(|| {
        let input = Input::new(input, &response.state.input_failed);
        let environ = Environ::new(exchange, input);
        let body = application.call(environ, StartResponse::new(&response))?;
        response.send(body)
    });
    response.outcome(result.unwrap_or_else(|message| Err(Error::panicked(message))))
}

/// Makes the error of a body that has another length than its head says.
#[cold]
fn wrong_length(message: fmt::Arguments<'_>) -> Error {
    Error::of(ErrorKind::ContentLength, message.to_string())
}

/// Makes the error of an application that has given no head.
#[cold]
fn not_started() -> Error {
    Error::of(ErrorKind::NotStarted, "the application did not call start_response")
}

enum Sent {
    Whole,
    Instead(StatusCode),
    Redirect(String),
}

/// A response, and the exchange that it is sent through.
struct Response<'e> {
    exchange: &'e dyn Exchange,
    state: ResponseState,
}

/// The state of one response, which lasts between the visits of a suspended one.
#[derive(Debug, Default)]
struct ResponseState {
    is_head: bool,
    /// The status, and whether it may have a body, after the start.
    started: Cell<Option<(StatusCode, bool)>>,
    /// The status, if the server overrides it.
    overridden: Cell<Option<StatusCode>>,
    /// The application's Content-Length, and later the committed one.
    length: Cell<Option<u64>>,
    committed: Cell<bool>,
    /// Whether there is output after the last flush.
    pending: Cell<bool>,
    sent: Cell<u64>,
    input_failed: Cell<Option<ErrorKind>>,
    /// Whether the application gave the head after the input had failed.
    started_after_input_failed: Cell<bool>,
}

impl<'e> Response<'e> {
    fn new(exchange: &'e dyn Exchange) -> Self {
        let is_head = exchange.method() == b"HEAD";
        Self { exchange, state: ResponseState { is_head, ..ResponseState::default() } }
    }

    /// Converts the end of a response to the outcome of its exchange.
    fn outcome(&self, end: Result<Sent>) -> Outcome {
        match end {
            Ok(Sent::Whole) => Outcome::Complete,
            Ok(Sent::Instead(status)) => Outcome::Status(status),
            Ok(Sent::Redirect(target)) => Outcome::Redirect(target),
            Err(error) => match self.state.overridden.get() {
                Some(status) if error.kind() != ErrorKind::Panic => Outcome::Status(status),
                _ if self.state.committed.get() => Outcome::Broken(error),
                _ => Outcome::Failed(error),
            },
        }
    }

    fn commit(&self, length: Option<u64>) -> Result<()> {
        self.check_length(length)?;
        if let Some(length) = self.state.length.get().or(length)
            && i64::try_from(length).is_err()
        {
            // httpd would send a negative number.
            return Err(wrong_length(format_args!(
                "Content-Length \"{length}\": too large; expected at most {}",
                i64::MAX
            )));
        }
        self.check_input()?;
        self.check_status()?;
        if self.state.length.get().is_none() {
            self.state.length.set(length);
        }
        self.state.committed.set(true);
        self.exchange.commit(self.state.length.get());
        Ok(())
    }

    /// Checks the application's Content-Length against the known length of the body.
    fn check_length(&self, known: Option<u64>) -> Result<()> {
        match (self.state.length.get(), known) {
            (Some(given), Some(known)) if given != known => Err(wrong_length(format_args!(
                "Content-Length is {given}, but the body has {known} bytes"
            ))),
            _ => Ok(()),
        }
    }

    /// Fails if the server replaces a response with this error status by its own.
    fn check_status(&self) -> Result<()> {
        let (status, _) = self.started()?;
        let is_error = status.is_client_error() || status.is_server_error();
        if is_error && self.exchange.overrides(status) {
            self.state.overridden.set(Some(status));
            return Err(Error::with_status(status, "the server answers this status itself"));
        }
        Ok(())
    }

    /// Sends a piece of a body, after the head. `length` is the whole body's, if known.
    fn put(&self, data: Bytes, length: Option<u64>) -> Result<()> {
        let sent = self.state.sent.get() + data.len() as u64;
        if let Some(length) = self.state.length.get().or(length)
            && sent > length
        {
            return Err(wrong_length(format_args!(
                "Content-Length is {length}, but the body has more: at least {sent} bytes"
            )));
        }
        if !self.state.committed.get() {
            self.commit(length)?;
        }
        self.state.sent.set(sent);
        self.state.pending.set(true);
        self.exchange.write(data)
    }

    fn finish(&self, trailers: Option<HeaderMap>) -> Result<Sent> {
        let sent = self.state.sent.get();
        if let Some(length) = self.state.length.get()
            && sent < length
            && self.has_body()?
        {
            return Err(wrong_length(format_args!(
                "Content-Length is {length}, but the body ended after {sent} bytes"
            )));
        }
        self.end(trailers)
    }

    /// Ends a response whose body is whole.
    // The trailers are large, and mostly none.
    #[inline(always)]
    fn end(&self, trailers: Option<HeaderMap>) -> Result<Sent> {
        self.check_input()?;
        if let Some(trailers) = &trailers {
            trailers.keys().try_for_each(|name| header::check_trailer(name.as_str().as_bytes()))?;
        }
        self.exchange.finish(trailers)?;
        Ok(Sent::Whole)
    }

    /// Fails if the input failed after the head was given, so that the response does not look
    /// complete.
    fn check_input(&self) -> Result<()> {
        match self.state.input_failed.get() {
            Some(kind) if !self.state.started_after_input_failed.get() => {
                Err(Error::of(kind, "the request body failed while the answer was on its way"))
            }
            _ => Ok(()),
        }
    }

    fn started(&self) -> Result<(StatusCode, bool)> {
        self.state.started.get().ok_or_else(not_started)
    }

    fn has_body(&self) -> Result<bool> {
        Ok(self.started()?.1 && !self.state.is_head)
    }

    /// Begins a head, whose headers follow.
    fn begin(&self, status: Status<'_>, replace: bool) -> Result<()> {
        if self.state.committed.get() || (self.state.started.get().is_some() && !replace) {
            return Err(Error::of(
                ErrorKind::AlreadyStarted,
                "start_response was called a second time",
            ));
        }
        self.state.started.set(None);
        self.state.overridden.set(None);
        self.state.length.set(None);
        self.exchange.begin(status);
        Ok(())
    }

    /// Takes a header of the head, which has been checked.
    fn put_header(&self, name: &[u8], value: &[u8]) -> Result<()> {
        if !header::is_content_length(name) {
            self.exchange.put_header(name, value);
            return Ok(());
        }
        if self.state.length.get().is_some() {
            return Err(Error::of(ErrorKind::ContentLength, "Content-Length is given twice"));
        }
        self.state.length.set(Some(header::content_length(value)?));
        Ok(())
    }

    /// Ends the headers of a head.
    fn begun(&self, status: Status<'_>) {
        self.state.started_after_input_failed.set(self.state.input_failed.get().is_some());
        self.state.started.set(Some((status.code(), status.has_body())));
    }
}

impl Respond for Response<'_> {
    fn start(&self, status: Status<'_>, headers: &mut EachHeader<'_>, replace: bool) -> Result<()> {
        self.begin(status, replace)?;
        headers(&mut |name, value| {
            header::check(name, value)?;
            self.put_header(name, value)
        })?;
        self.begun(status);
        Ok(())
    }

    fn write(&self, data: Bytes) -> Result<()> {
        if data.is_empty() || !self.has_body()? {
            return Ok(());
        }
        self.put(data, None)
    }

    fn flush(&self) -> Result<()> {
        if self.state.pending.replace(false) { self.exchange.flush() } else { Ok(()) }
    }

    fn is_committed(&self) -> bool {
        self.state.committed.get()
    }
}
