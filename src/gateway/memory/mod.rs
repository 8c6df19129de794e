//! A gateway without a server: applications run against a request made by hand, in memory.
//!
//! For tests of applications and of middleware, as wsgiref and werkzeug are for WSGI. The rules
//! are the same as behind any server, since [`run`] keeps them; what the application
//! answered is there to be looked at afterwards.
//!
//! ```
//! use mod_rust::gateway::memory::Request;
//! use mod_rust::gateway::{Body, Environ, Result, StartResponse};
//!
//! fn hello<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
//!     let name = environ.query_string().strip_prefix(b"name=").unwrap_or(b"world");
//!     start_response.start(200, [("Content-Type", "text/plain")])?;
//!     Ok(Body::from(format!("Hello, {}\n", name.escape_ascii())))
//! }
//!
//! let response = Request::get("/greet/hello?name=Jo").mount("/greet").call(&hello);
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

use self::exchange::{Client, Memory, Step};
use self::input::Source;
use self::variables::{Names, Table};
use super::application::Application;
use super::error::ErrorKind;
use super::run::run;

pub use self::response::Response;

/// How long a request may wait for somebody to wake it, unless told otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

/// A request in the making.
#[derive(Clone, Debug)]
pub struct Request {
    names: Names,
    steps: Vec<Step>,
    /// `Some(None)` says that the length is not known beforehand.
    length: Option<Option<u64>>,
    trailers: Option<HeaderMap>,
    client: Client,
}

impl Request {
    /// A request with this method for `target`, as it would stand on the request line: a path,
    /// percent-encoded, and behind a `?` the query.
    pub fn new(method: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self {
            names: Names::new(method.as_ref(), target.as_ref()),
            steps: Vec::new(),
            length: None,
            trailers: None,
            client: Client {
                leaves_after: None,
                leaves_at_wait: false,
                must_block: false,
                deadline: DEADLINE,
            },
        }
    }

    /// A GET request.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// A HEAD request.
    pub fn head(target: impl AsRef<[u8]>) -> Self {
        Self::new("HEAD", target)
    }

    /// A POST request with `body`.
    pub fn post(target: impl AsRef<[u8]>, body: impl Into<Bytes>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// Where the application is mounted: SCRIPT_NAME, decoded. The rest of the target's path
    /// becomes PATH_INFO.
    #[must_use]
    pub fn mount(mut self, script_name: impl AsRef<[u8]>) -> Self {
        self.names.script_name = script_name.as_ref().to_vec();
        self
    }

    /// PATH_INFO, decoded, in place of what the target says: as after a rewrite.
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

    /// Sets a key of the environ, whatever the server would have made of it.
    #[must_use]
    pub fn variable(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.names.set.push((key.as_ref().to_vec(), Some(value.as_ref().to_vec())));
        self
    }

    /// Takes a key of the environ away.
    #[must_use]
    pub fn without(mut self, key: impl AsRef<[u8]>) -> Self {
        self.names.set.push((key.as_ref().to_vec(), None));
        self
    }

    /// The body, with its Content-Length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        self.length = Some(Some(body.len() as u64));
        self.steps = vec![Step::Data(body)];
        self
    }

    /// Adds a piece of a body whose length is not known beforehand, unless
    /// [`length`](Self::length) gives it. The application gets it in one read, or in several.
    #[must_use]
    pub fn chunk(self, data: impl Into<Bytes>) -> Self {
        self.step(Step::Data(data.into()))
    }

    /// The next piece is not there when first asked for, and comes when the application waits.
    #[must_use]
    pub fn pause(self) -> Self {
        self.step(Step::Pause)
    }

    /// The client sends the next piece when it has received `bytes` of the response's body, and
    /// not before: an application that reads on without having sent and flushed them fails with
    /// [`ErrorKind::InputTimeout`].
    #[must_use]
    pub fn after_output(self, bytes: u64) -> Self {
        self.step(Step::AfterOutput(bytes))
    }

    /// The body fails here.
    #[must_use]
    pub fn fail(self, kind: ErrorKind) -> Self {
        self.step(Step::Fail(kind))
    }

    /// What the server says of the body's length, in bytes; `None`: not known beforehand.
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

    /// The client leaves when it has read `bytes` of the response's body.
    #[must_use]
    pub fn leaves_after(mut self, bytes: u64) -> Self {
        self.client.leaves_after = Some(bytes);
        self
    }

    /// The client leaves as soon as the application waits for something.
    #[must_use]
    pub fn leaves_at_wait(mut self) -> Self {
        self.client.leaves_at_wait = true;
        self
    }

    /// Behaves as a server that cannot wait for the request body and a waker at once.
    #[must_use]
    pub fn must_block(mut self) -> Self {
        self.client.must_block = true;
        self
    }

    /// How long the application may wait for something before it is given up, which is a panic.
    /// Ten seconds unless told otherwise.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.client.deadline = deadline;
        self
    }

    /// Runs `application` for this request.
    ///
    /// # Panics
    ///
    /// When the target's path does not lie below the mount point and no PATH_INFO was given.
    pub fn call(&self, application: &dyn Application) -> Response {
        let length = self.length.unwrap_or(if self.steps.is_empty() { Some(0) } else { None });
        let has_body = !self.steps.is_empty();
        let table = Arc::new(Table::new(&self.names, length.filter(|_| has_body), has_body));
        let steps: VecDeque<Step> = self.steps.iter().cloned().collect();
        let memory = Memory::new(table, steps, self.client);
        let mut source = Source::new(&memory, length, self.trailers.clone());
        let outcome = run(application, &memory, &mut source);
        memory.into_response(outcome)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}
