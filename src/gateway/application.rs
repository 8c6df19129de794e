//! The trait of applications, and the helper that makes a closure one.

use std::sync::Arc;

use super::body::Body;
use super::environ::Environ;
use super::error::Result;
use super::start_response::StartResponse;
use super::task::BoxTask;

/// A WSGI-shaped application: the environ in, `start_response` for status and headers, a body out.
///
/// A process builds it once and calls it for many requests at once, from many threads. `'x` is the
/// lifetime of one exchange. Parts of the environ, the input for example, may live on in the
/// returned body, and no longer.
///
/// Any `fn(Environ<'_>, StartResponse<'_>) -> Result<Body<'_>>` is an application:
///
/// ```
/// use mod_rust::gateway::{Body, Environ, Result, StartResponse};
///
/// fn hello<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
///     let agent = environ.header("user-agent").unwrap_or(b"stranger");
///     start_response.start(200, [("Content-Type", "text/plain; charset=utf-8")])?;
///     Ok(Body::from(format!("Hello, {}\n", agent.escape_ascii())))
/// }
/// # fn is_application(_: impl mod_rust::gateway::Application) {}
/// # is_application(hello);
/// ```
pub trait Application: Send + Sync + 'static {
    /// Answers one request.
    ///
    /// # Errors
    ///
    /// An error before the headers were sent becomes an error page with the error's status. After
    /// the headers it breaks the response visibly.
    fn call<'x>(&self, environ: Environ<'x>, start_response: StartResponse<'x>)
    -> Result<Body<'x>>;

    /// Returns the application that this one hands a request on to unchanged, if it does.
    ///
    /// An application that only chooses among others should have this method, and `call` must
    /// choose the same. A server that can suspend a request asks it, so that a
    /// [service](super::service()) among them waits without a thread. It may change `environ` as
    /// `call` does, for the application that it returns.
    ///
    /// Default: `None`, and a service that `call` hands on to waits on the request's thread.
    fn delegate(&self, environ: &mut Environ<'_>) -> Option<&dyn Application> {
        let _ = environ;
        None
    }

    /// Returns the response as a task, if the application is a [service](super::service()).
    #[doc(hidden)]
    fn task(&self, environ: &mut Environ<'_>) -> Option<Result<BoxTask>> {
        let _ = environ;
        None
    }
}

impl<F> Application for F
where
    F: for<'x> Fn(Environ<'x>, StartResponse<'x>) -> Result<Body<'x>> + Send + Sync + 'static,
{
    fn call<'x>(
        &self,
        environ: Environ<'x>,
        start_response: StartResponse<'x>,
    ) -> Result<Body<'x>> {
        self(environ, start_response)
    }
}

impl Application for Arc<dyn Application> {
    fn call<'x>(
        &self,
        environ: Environ<'x>,
        start_response: StartResponse<'x>,
    ) -> Result<Body<'x>> {
        (**self).call(environ, start_response)
    }

    fn delegate(&self, environ: &mut Environ<'_>) -> Option<&dyn Application> {
        (**self).delegate(environ)
    }

    fn task(&self, environ: &mut Environ<'_>) -> Option<Result<BoxTask>> {
        (**self).task(environ)
    }
}

/// Tells the compiler that a closure is an application, and returns the closure.
///
/// ```
/// # use mod_rust::gateway::{app_fn, Body};
/// let greeting = String::from("Hello\n");
/// let app = app_fn(move |_environ, start_response| {
///     start_response.start(200, [("Content-Type", "text/plain")])?;
///     Ok(Body::from(greeting.clone()))
/// });
/// # fn is_application(_: impl mod_rust::gateway::Application) {}
/// # is_application(app);
/// ```
pub fn app_fn<F>(f: F) -> F
where
    F: for<'x> Fn(Environ<'x>, StartResponse<'x>) -> Result<Body<'x>> + Send + Sync + 'static,
{
    f
}
