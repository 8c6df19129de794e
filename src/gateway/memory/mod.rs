//! A server in memory: it runs applications with a hand-made request and records the response.
//!
//! It is for tests of applications and middleware, like wsgiref and werkzeug for WSGI. The rules of
//! the contract are the same as behind any other server.
//!
//! ```
//! use mod_rust::gateway::memory::TestRequest;
//! use mod_rust::gateway::{Body, Environ, Result, StartResponse};
//!
//! fn hello<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
//!     let name = environ.query_string().strip_prefix(b"name=").unwrap_or(b"world");
//!     start_response.start(200, [("Content-Type", "text/plain")])?;
//!     Ok(Body::from(format!("Hello, {}\n", name.escape_ascii())))
//! }
//!
//! let response = TestRequest::get("/greet/hello?name=Jo").mount("/greet").call(&hello);
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.header("content-type"), Some(&b"text/plain"[..]));
//! assert_eq!(response.text(), "Hello, Jo\n");
//! ```

mod exchange;
mod input;
mod response;
mod variables;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use self::exchange::{BodyStep, ClientBehaviour, Memory};
use self::input::Source;
use self::variables::{Names, VariableTable};
use super::application::Application;
use super::error::ErrorKind;

pub use self::response::TestResponse;

#[cfg(all(test, feature = "tower"))]
pub(crate) use self::exchange::STAYS_ON_THREAD;

/// The default time that a request may wait for its waker.
const DEADLINE: Duration = Duration::from_secs(10);

/// A request for the server in memory: a builder, which [`call`](Self::call) sends.
///
/// ```
/// use mod_rust::gateway::memory::TestRequest;
/// # use mod_rust::{Body, Environ, Result, StartResponse};
/// # fn app<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
/// #     start_response.start(200, [("Content-Type", "text/plain")])?;
/// #     Ok(Body::from("stored"))
/// # }
///
/// let request = TestRequest::post("/notes?to=me", "text").header("Content-Type", "text/plain");
/// let response = request.variable("REMOTE_USER", "jo").call(&app);
/// assert!(response.is_complete());
/// assert_eq!(response.text(), "stored");
/// ```
#[derive(Clone, Debug)]
pub struct TestRequest {
    names: Names,
    steps: Vec<BodyStep>,
    /// `Some(None)` is an unknown length.
    length: Option<Option<u64>>,
    trailers: Option<HeaderMap>,
    client: ClientBehaviour,
}

impl TestRequest {
    /// Makes a request with this method for `target`, which has the form of the request line: a
    /// percent-encoded path, and the query after a `?`.
    pub fn new(method: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self {
            names: Names::new(method.as_ref(), target.as_ref()),
            steps: Vec::new(),
            length: None,
            trailers: None,
            client: ClientBehaviour {
                leaves_after: None,
                leaves_at_wait: false,
                must_block: false,
                deadline: DEADLINE,
            },
        }
    }

    /// Makes a GET request.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// Makes a HEAD request.
    pub fn head(target: impl AsRef<[u8]>) -> Self {
        Self::new("HEAD", target)
    }

    /// Makes a POST request with `body`.
    pub fn post(target: impl AsRef<[u8]>, body: impl Into<Bytes>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// Sets the mount point of the application: SCRIPT_NAME, decoded. The rest of the target's path
    /// becomes PATH_INFO.
    #[must_use]
    pub fn mount(mut self, script_name: impl AsRef<[u8]>) -> Self {
        self.names.script_name = script_name.as_ref().to_vec();
        self
    }

    /// Sets PATH_INFO, decoded, in place of the target's path, like a rewrite.
    #[must_use]
    pub fn path_info(mut self, path_info: impl AsRef<[u8]>) -> Self {
        self.names.path_info = Some(path_info.as_ref().to_vec());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.names.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Sets a key of the environ, in place of the server's value.
    #[must_use]
    pub fn variable(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.names.set.push((key.as_ref().to_vec(), Some(value.as_ref().to_vec())));
        self
    }

    /// Removes a key of the environ.
    #[must_use]
    pub fn without(mut self, key: impl AsRef<[u8]>) -> Self {
        self.names.set.push((key.as_ref().to_vec(), None));
        self
    }

    /// Sets the body and its Content-Length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        self.length = Some(Some(body.len() as u64));
        self.steps = vec![BodyStep::Data(body)];
        self
    }

    /// Adds a piece of a body. Its length is unknown to the application unless
    /// [`length`](Self::length) sets it.
    #[must_use]
    pub fn chunk(self, data: impl Into<Bytes>) -> Self {
        self.step(BodyStep::Data(data.into()))
    }

    /// Delays the next piece until the application waits.
    #[must_use]
    pub fn pause(self) -> Self {
        self.step(BodyStep::Pause)
    }

    /// Delays the next piece until the client has received `bytes` of the response's body. An
    /// application that reads on before it flushed them fails with [`ErrorKind::InputTimeout`].
    #[must_use]
    pub fn after_output(self, bytes: u64) -> Self {
        self.step(BodyStep::AfterOutput(bytes))
    }

    /// Ends the body with an error of `kind`.
    #[must_use]
    pub fn fail(self, kind: ErrorKind) -> Self {
        self.step(BodyStep::Fail(kind))
    }

    /// Sets the body's length in bytes for the application, or `None` for an unknown length.
    #[must_use]
    pub fn length(mut self, length: Option<u64>) -> Self {
        self.length = Some(length);
        self
    }

    /// Adds a trailer field.
    #[must_use]
    pub fn trailer(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.trailers.get_or_insert_default().append(name, value);
        self
    }

    /// Lets the client leave after it read `bytes` of the response's body.
    #[must_use]
    pub fn leaves_after(mut self, bytes: u64) -> Self {
        self.client.leaves_after = Some(bytes);
        self
    }

    /// Lets the client leave when the application waits.
    #[must_use]
    pub fn leaves_at_wait(mut self) -> Self {
        self.client.leaves_at_wait = true;
        self
    }

    /// Simulates a server that cannot wait for the request body and a waker at once.
    #[must_use]
    pub fn must_block(mut self) -> Self {
        self.client.must_block = true;
        self
    }

    /// Sets the time that the application may wait for an event, ten seconds by default. A longer
    /// wait is a panic.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.client.deadline = deadline;
        self
    }

    /// Runs `application` for this request.
    ///
    /// # Panics
    ///
    /// Panics when the target's path is not below the mount point and PATH_INFO is not set.
    pub fn call(&self, application: &dyn Application) -> TestResponse {
        let length = self.length.unwrap_or(if self.steps.is_empty() { Some(0) } else { None });
        let has_body = !self.steps.is_empty();
        let table =
            Arc::new(VariableTable::new(&self.names, length.filter(|_| has_body), has_body));
        let steps: VecDeque<BodyStep> = self.steps.iter().cloned().collect();
        let memory = Memory::new(table, steps, self.client);
        let mut source = Source::new(&memory, length, self.trailers.clone());
        let outcome = memory.run(application, &mut source);
        memory.into_response(outcome)
    }

    fn step(mut self, step: BodyStep) -> Self {
        self.steps.push(step);
        self
    }
}
