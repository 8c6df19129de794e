//! Runs an application for one exchange and enforces the contract.
//!
//! Every rule that holds behind every server is enforced here, so that servers only transmit.

mod send;
#[cfg(test)]
mod tests;

use std::cell::Cell;

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
        let input = Input::new(input, &response.input_failed);
        let environ = Environ::new(exchange, input);
        let body = application.call(environ, StartResponse::new(&response))?;
        response.send(body)
    })
    .map_err(Error::panicked);
    if let (Ok(Err(_)), Some(status)) = (&result, response.overridden.get()) {
        return Outcome::Status(status);
    }
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
        Self {
            exchange,
            is_head: exchange.get(b"REQUEST_METHOD") == Some(b"HEAD"),
            started: Cell::new(None),
            overridden: Cell::new(None),
            length: Cell::new(None),
            committed: Cell::new(false),
            pending: Cell::new(false),
            sent: Cell::new(0),
            input_failed: Cell::new(None),
            started_after_input_failed: Cell::new(false),
        }
    }

    fn commit(&self, length: Option<u64>) -> Result<()> {
        self.check_length(length)?;
        if let Some(length) = self.length.get().or(length)
            && i64::try_from(length).is_err()
        {
            // httpd would send a negative number.
            return Err(Error::of(
                ErrorKind::ContentLength,
                format!("Content-Length \"{length}\": too large; expected at most {}", i64::MAX),
            ));
        }
        self.check_input()?;
        self.check_status()?;
        if self.length.get().is_none() {
            self.length.set(length);
        }
        self.committed.set(true);
        self.exchange.commit(self.length.get());
        Ok(())
    }

    /// Checks the application's Content-Length against the known length of the body.
    fn check_length(&self, known: Option<u64>) -> Result<()> {
        match (self.length.get(), known) {
            (Some(given), Some(known)) if given != known => Err(Error::of(
                ErrorKind::ContentLength,
                format!("Content-Length is {given}, but the body has {known} bytes"),
            )),
            _ => Ok(()),
        }
    }

    /// Fails if the server replaces a response with this error status by its own.
    fn check_status(&self) -> Result<()> {
        let (status, _) = self.started()?;
        let is_error = status.is_client_error() || status.is_server_error();
        if is_error && self.exchange.overrides(status) {
            self.overridden.set(Some(status));
            return Err(Error::with_status(status, "the server answers this status itself"));
        }
        Ok(())
    }

    /// Sends a piece of a body, after the head. `length` is the whole body's, if known.
    fn put(&self, data: Bytes, length: Option<u64>) -> Result<()> {
        let sent = self.sent.get() + data.len() as u64;
        if let Some(length) = self.length.get().or(length)
            && sent > length
        {
            return Err(Error::of(
                ErrorKind::ContentLength,
                format!("Content-Length is {length}, but the body has more: at least {sent} bytes"),
            ));
        }
        if !self.committed.get() {
            self.commit(length)?;
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
        match self.input_failed.get() {
            Some(kind) if !self.started_after_input_failed.get() => {
                Err(Error::of(kind, "the request body failed while the answer was on its way"))
            }
            _ => Ok(()),
        }
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
        self.overridden.set(None);
        self.length.set(None);
        self.exchange.begin(status);
        headers(&mut |name, value| {
            header::check(name, value)?;
            if header::is_content_length(name) {
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
        self.put(data, None)
    }

    fn flush(&self) -> Result<()> {
        if self.pending.replace(false) { self.exchange.flush() } else { Ok(()) }
    }

    fn is_committed(&self) -> bool {
        self.committed.get()
    }
}
