//! The application callable, and what wraps one.

use std::sync::Arc;

use super::body::Body;
use super::environ::Environ;
use super::error::Result;
use super::start_response::StartResponse;

/// A WSGI-shaped application: the environ in, `start_response` for status and headers, a body out.
///
/// It is built once per process and called for many requests at once, from many threads. `'x` is
/// one exchange: whatever the application takes from the environ (its input, say) may live on in
/// the body that it returns, and no longer.
///
/// Any `fn(Environ<'_>, StartResponse<'_>) -> Result<Body<'_>>` is one:
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
    /// An error before the headers went out becomes an error page with the error's status; after
    /// them, a visibly broken response.
    fn call<'x>(&self, environ: Environ<'x>, start_response: StartResponse<'x>)
    -> Result<Body<'x>>;
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
}

/// Helps the compiler to see that a closure is an application.
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
