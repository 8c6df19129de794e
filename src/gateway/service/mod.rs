//! Any tower service as an application, axum's `Router` among them.
//!
//! The request's thread polls the service's future. If the future is ready, the thread sends the
//! response at once. Otherwise the request waits until the future is woken. Each process has one
//! tokio runtime for timers, sockets and tasks.
//!
//! ```
//! use std::convert::Infallible;
//! use std::future::{Ready, ready};
//! use std::task::{Context, Poll};
//!
//! use http::{Request, Response};
//! use mod_rust::gateway::service::{RequestBody, service};
//!
//! /// Stands for any service, for example `axum::Router::new().route("/", get(hello))`.
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
//! let response = mod_rust::gateway::memory::TestRequest::get("/app/page").mount("/app").call(&service(Hello));
//! assert_eq!(response.text(), "This is /page\n");
//! ```

mod body;
mod environ;
mod extension;
mod names;
mod on_thread;
mod request;
pub(crate) mod runtime;
mod target;
mod task;
#[cfg(test)]
mod tests;
mod upgrade;

use http::{Request, Response};
use http_body::Body as HttpBody;
use once_cell::sync::OnceCell;
use tokio::runtime::Handle;
use tower_service::Service;

use self::on_thread::TaskOnThread;
use self::task::ServiceTask;
use self::upgrade::Switch;
use super::application::Application;
use super::body::Body;
use super::environ::Environ;
use super::error::Result;
use super::start_response::StartResponse;
use super::task::BoxTask;

pub use self::body::RequestBody;
pub use self::environ::ServiceEnviron;
pub use self::extension::{WithExtension, with_extension};

/// The error of a service, of any type.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Converts a service to an application.
///
/// The service sees the path below the mount point, not decoded, and every header. The request's
/// extensions hold the [environ](ServiceEnviron) and the values of middleware. The rules of the
/// contract hold, with one exception: the response may have fields of the connection, such as
/// `Transfer-Encoding`. They are left out, with a line at level debug.
///
/// Tasks that the service spawns run on the process's tokio runtime and may outlive the request.
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
    /// The process's runtime, after the first request.
    runtime: OnceCell<Handle>,
}

/// A clone may belong to another process, so it starts without a runtime.
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
        let task = self.begin(&mut environ, false)?;
        TaskOnThread::new(task, environ).respond(start_response)
    }

    fn task(&self, environ: &mut Environ<'_>) -> Option<Result<BoxTask>> {
        Some(self.begin(environ, true))
    }
}

impl<S, B> ServiceApplication<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: HttpBody + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn begin(&self, environ: &mut Environ<'_>, may_upgrade: bool) -> Result<BoxTask> {
        runtime::check_thread();
        let runtime = self.runtime.get_or_try_init(runtime::handle)?.clone();
        let (body, feed) = body::body(environ.input().length());
        let mut request = Request::new(body);
        request::fill(environ, &mut request)?;
        let mut switch = Switch::Never;
        if may_upgrade && upgrade::is_asked_for(&request) {
            switch = upgrade::offer(environ.exchange().upgrade(), request.extensions_mut())?;
        }
        Ok(Box::pin(ServiceTask::new(self.service.clone(), request, runtime, feed, switch)))
    }
}
