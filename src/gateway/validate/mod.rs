//! A middleware that checks both sides of the contract, like `wsgiref.validate` for WSGI.
//!
//! [`Validate`] runs between a server and an application. A violation by either ends the exchange with
//! [`ErrorKind::Validation`]. The message names the side, the rule and its source. Use it in tests and
//! for the search of a fault: it copies and checks everything.

mod body;
mod environ;
mod head;
mod input;
mod rules;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use self::body::ValidStream;
use self::head::ValidHead;
use self::input::ValidInput;
use self::rules::{State, application};
use super::application::Application;
use super::body::{Body, Kind};
use super::environ::Environ;
use super::error::Result;
use super::input::Input;
use super::start_response::StartResponse;

/// A middleware that checks the application inside it and the server around it.
///
/// ```
/// use mod_rust::gateway::memory::TestRequest;
/// use mod_rust::gateway::validate::Validate;
/// use mod_rust::gateway::{Body, app_fn};
///
/// let app = Validate::new(app_fn(|_environ, start_response| {
///     start_response.start(200, [("X-Greeting", "yes")])?;
///     Ok(Body::from("Hello\n"))
/// }));
/// let response = TestRequest::get("/").call(&app);
/// assert_eq!(
///     response.error().unwrap().to_string(),
///     "the application broke the contract: \
///      a 200 response with content has no Content-Type (RFC 9110, 8.3)"
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Validate<A> {
    application: A,
}

impl<A: Application> Validate<A> {
    /// Wraps `application`.
    pub const fn new(application: A) -> Self {
        Self { application }
    }
}

impl<A: Application> Application for Validate<A> {
    fn call<'x>(
        &self,
        mut environ: Environ<'x>,
        start_response: StartResponse<'x>,
    ) -> Result<Body<'x>> {
        environ::check(&mut environ)?;
        let state = Rc::new(State::new(environ.method() == b"HEAD"));
        let input = ValidInput::new(environ.take_input(), state.clone());
        environ.set_input(Input::from_source(input));
        let head = ValidHead::new(start_response, state.clone());
        let body = self.application.call(environ, StartResponse::wrap(head));
        state.verdict()?;
        let body = body?;
        match &body.kind {
            Kind::Full(bytes) => state.whole(bytes.len() as u64)?,
            Kind::File(file) => {
                if state.sent.get() > 0 {
                    return Err(application(
                        "a file follows what was written (PEP 3333, File Handling)",
                    ));
                }
                state.whole(file.length())?;
            }
            Kind::Redirect(_) => {
                if state.started.get().is_some() {
                    return Err(application(
                        "an internal redirect follows start_response (RFC 3875, 6.2.2)",
                    ));
                }
            }
            Kind::Stream { length, .. } => {
                state.check_length(*length)?;
                let length = *length;
                let stream = ValidStream::new(body.into_stream()?, state);
                return Ok(Body::stream(stream).with_length(length));
            }
        }
        Ok(body)
    }
}

/// The state of the response.
struct State {
    is_head: bool,
    started: Cell<Option<Started>>,
    /// The number of content bytes so far.
    sent: Cell<u64>,
    /// Whether a call of the body's `next_chunk` is running.
    in_body: Cell<bool>,
    /// The first violation, kept in case the application does not return the error.
    broken: RefCell<Option<String>>,
}

/// The parts of a head that later checks need.
#[derive(Clone, Copy)]
struct Started {
    status: u16,
    has_type: bool,
    length: Option<u64>,
}

impl State {
    const fn new(is_head: bool) -> Self {
        Self {
            is_head,
            started: Cell::new(None),
            sent: Cell::new(0),
            in_body: Cell::new(false),
            broken: RefCell::new(None),
        }
    }

    /// Records a violation and returns its error.
    fn broke(&self, error: Error) -> Error {
        self.broken.borrow_mut().get_or_insert_with(|| error.to_string());
        error
    }

    /// Fails if a violation was recorded.
    fn verdict(&self) -> Result<()> {
        match self.broken.borrow().clone() {
            Some(message) => Err(Error::of(ErrorKind::Validation, message)),
            None => Ok(()),
        }
    }

    fn started(&self) -> Result<Started> {
        self.started.get().ok_or_else(|| {
            application(
                "the body comes without start_response (PEP 3333, The start_response() Callable)",
            )
        })
    }

    /// Checks the next bytes of content.
    fn content(&self, bytes: u64) -> Result<()> {
        let Started { status, has_type, length } = self.started()?;
        if bytes == 0 {
            return Ok(());
        }
        if !has_content(status) {
            return Err(application(format!(
                "a {status} response has no content, but {bytes} bytes were given (RFC 9110, 6.4.1)"
            )));
        }
        if !has_type {
            return Err(application(format!(
                "a {status} response with content has no Content-Type (RFC 9110, 8.3)"
            )));
        }
        self.sent.set(self.sent.get() + bytes);
        match length {
            Some(length) if self.sent.get() > length => Err(application(format!(
                "Content-Length is {length}, but {} bytes were given (RFC 9110, 8.6)",
                self.sent.get()
            ))),
            _ => Ok(()),
        }
    }

    /// Checks the rest of the content, given in one piece.
    fn whole(&self, bytes: u64) -> Result<()> {
        self.content(bytes)?;
        self.end()
    }

    /// Checks that the content is as long as its Content-Length.
    fn end(&self) -> Result<()> {
        let Started { status, length, .. } = self.started()?;
        match length {
            Some(length) if !self.is_head && has_content(status) && self.sent.get() < length => {
                Err(application(format!(
                    "Content-Length is {length}, but only {} bytes were given (RFC 9110, 8.6)",
                    self.sent.get()
                )))
            }
            _ => Ok(()),
        }
    }

    /// Checks a body's own length against the head's.
    fn check_length(&self, stated: Option<u64>) -> Result<()> {
        match (self.started.get().and_then(|started| started.length), stated) {
            (Some(length), Some(stated)) if length != self.sent.get() + stated => {
                Err(application(format!(
                    "Content-Length is {length}, but the body says that it has {stated} bytes \
                     (RFC 9110, 8.6)"
                )))
            }
            _ => Ok(()),
        }
    }
}

const fn has_content(status: u16) -> bool {
    status != 204 && status != 304
}

fn application(what: impl fmt::Display) -> Error {
    Error::of(ErrorKind::Validation, format!("the application broke the contract: {what}"))
}

fn server(what: impl fmt::Display) -> Error {
    Error::of(ErrorKind::Validation, format!("the server broke the contract: {what}"))
}
