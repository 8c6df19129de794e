//! A middleware that checks both sides of the contract, like `wsgiref.validate` for WSGI.
//!
//! [`Validate`] runs between a server and an application. A violation by either ends the exchange
//! with [`ErrorKind::Validation`](super::ErrorKind::Validation). The message names the side, the
//! rule and its source. Use it in tests and for the search of a fault: it copies and checks
//! everything.

mod environ;
mod input;
mod response;
mod rules;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use self::input::ValidInput;
use self::response::{ValidHead, ValidStream};
use self::rules::{RuleState, application};
use super::application::Application;
use super::body::{Body, BodyKind};
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
        let state = Rc::new(RuleState::new(environ.method() == b"HEAD"));
        let input = ValidInput::new(environ.take_input(), state.clone());
        environ.set_input(Input::from_source(input));
        let head = ValidHead::new(start_response, state.clone());
        let body = self.application.call(environ, StartResponse::wrap(head));
        state.verdict()?;
        let body = body?;
        match &body.kind {
            BodyKind::Full(bytes) => state.whole(bytes.len() as u64)?,
            BodyKind::File(file) => {
                if state.sent.get() > 0 {
                    return Err(application(
                        "a file follows what was written (PEP 3333, File Handling)",
                    ));
                }
                state.whole(file.length())?;
            }
            BodyKind::Redirect(_) => {
                if state.started.get().is_some() {
                    return Err(application(
                        "an internal redirect follows start_response (RFC 3875, 6.2.2)",
                    ));
                }
            }
            BodyKind::Stream { length, .. } => {
                state.check_length(*length)?;
                let length = *length;
                let stream = ValidStream::new(body.into_stream()?, state);
                return Ok(Body::stream(stream).with_length(length));
            }
        }
        Ok(body)
    }
}
