//! Any tower service as an application, axum's `Router` among them.
//!
//! The service's future is polled on the thread that has the request. If it is ready, the answer
//! goes out there and then; only one that must wait does, on that thread, until what it waits for
//! wakes it. Timers, sockets and tasks are the [runtime]'s, of which a process has one.
//!
//! ```
//! use std::convert::Infallible;
//! use std::future::{Ready, ready};
//! use std::task::{Context, Poll};
//!
//! use http::{Request, Response};
//! use mod_rust::gateway::service::{RequestBody, service};
//!
//! /// Any other service will do: `axum::Router::new().route("/", get(hello))`, say.
//! #[derive(Clone)]
//! struct Hello;
//!
//! impl tower_service::Service<Request<RequestBody>> for Hello {
//!     type Response = Response<String>;
//!     type Error = Infallible;
//!     type Future = Ready<Result<Self::Response, Self::Error>>;
//!
//!     fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
//!         ready(Ok(Response::new(format!("This is {}\n", request.uri().path()))))
//!     }
//! }
//!
//! let response = mod_rust::gateway::memory::Request::get("/app/page").mount("/app").call(&service(Hello));
//! assert_eq!(response.text(), "This is /page\n");
//! ```

mod body;
mod drive;
mod environ;
mod request;
mod response;
pub mod runtime;
mod target;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::pin;

use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use once_cell::sync::OnceCell;
use tokio::runtime::Handle;
use tower_service::Service;

use self::drive::Driver;
use super::application::Application;
use super::body::Body;
use super::environ::Environ;
use super::error::{Error, Result};
use super::start_response::StartResponse;

pub use self::body::RequestBody;
pub use self::environ::ServiceEnviron;
use self::response::BoxError;

/// Makes an application of a service.
///
/// The service sees the path below the mount point as the client wrote it, every header, and the
/// [environ](ServiceEnviron) among the request's extensions, beside what middleware put there. The
/// rules for what an application answers hold for it too: a hop-by-hop header is refused, say.
///
/// What the service spawns runs on the process's [runtime], and may outlive the request.
pub fn service<S, B>(service: S) -> impl Application + Clone
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: HttpBody + Send + 'static,
    B::Error: Into<BoxError>,
{
    ServiceApplication { service, runtime: OnceCell::new() }
}

struct ServiceApplication<S> {
    service: S,
    /// Known from the first request on.
    runtime: OnceCell<Handle>,
}

/// A clone may be for another process: it does not know its runtime yet.
impl<S: Clone> Clone for ServiceApplication<S> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), runtime: OnceCell::new() }
    }
}

impl<S, B> Application for ServiceApplication<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: HttpBody + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn call<'x>(
        &self,
        mut environ: Environ<'x>,
        start_response: StartResponse<'x>,
    ) -> Result<Body<'x>> {
        let runtime = self.runtime()?;
        let _context = runtime.enter();
        let (body, feed) = body::body(environ.take_input());
        let mut driver = Driver::new(environ.exchange(), feed);
        let request = request::request(&mut environ, body)?;
        drop(environ);
        let is_head = *request.method() == Method::HEAD;

        let mut service = self.service.clone();
        let nothing_to_send = || Ok(());
        driver
            .drive(|context| service.poll_ready(context), nothing_to_send)?
            .map_err(Error::from_source)?;
        let mut future = pin!(service.call(request));
        let response = driver
            .drive(|context| future.as_mut().poll(context), nothing_to_send)?
            .map_err(Error::from_source)?;
        response::respond(response, &start_response, driver, runtime, is_head)
    }
}

impl<S> ServiceApplication<S> {
    fn runtime(&self) -> Result<&Handle> {
        runtime::check_thread();
        self.runtime.get_or_try_init(runtime::handle)
    }
}
