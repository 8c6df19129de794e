//! Application factories, which build an application from its options.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "tower")]
use http::{Request, Response};
use serde::de::DeserializeOwned;
#[cfg(feature = "tower")]
use tower_service::Service;

use super::application::Application;
use super::error::{Error, Result};
use super::options::{self, Options};
#[cfg(feature = "tower")]
use super::service::RequestBody;
use super::{logger, panic};

/// A builder of an application, which runs once per process and distinct set of options.
///
/// It runs after the fork and before the first request. It may start threads and open files.
pub struct Factory {
    check: Box<Check>,
    build: Box<Build>,
    declared: Option<&'static [&'static str]>,
    needs_runtime: bool,
}

type Check = dyn Fn(&Options) -> Result<()> + Send + Sync;
type Build = dyn Fn(&Options) -> Result<Arc<dyn Application>> + Send + Sync;

impl Factory {
    /// Makes a factory of an application without options.
    pub fn of<A: Application + Clone>(application: A) -> Self {
        Self::with_options(move |()| Ok(application.clone()))
    }

    /// Makes a factory of an application with options. `T` declares them, and `build` may refuse
    /// values that the types allow.
    ///
    /// ```
    /// use mod_rust::gateway::{app_fn, Application, Body, Factory, Result};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Greeting {
    ///     #[serde(default)]
    ///     polite: bool,
    /// }
    ///
    /// fn build(options: Greeting) -> Result<impl Application> {
    ///     let text = if options.polite { "Good day\n" } else { "Hi\n" };
    ///     Ok(app_fn(move |_environ, start_response| {
    ///         start_response.start(200, [("Content-Type", "text/plain")])?;
    ///         Ok(Body::from(text))
    ///     }))
    /// }
    ///
    /// let factory = Factory::with_options(build);
    /// # let options = [("polite", "On")].into_iter().collect();
    /// # assert!(factory.check(&options).is_ok());
    /// ```
    pub fn with_options<T, A, F>(build: F) -> Self
    where
        T: DeserializeOwned,
        A: Application,
        F: Fn(T) -> Result<A> + Send + Sync + 'static,
    {
        Self {
            check: Box::new(|options| options.read::<T>().map(drop)),
            build: Box::new(move |options| Ok(Arc::new(build(options.read()?)?))),
            declared: options::declared::<T>(),
            needs_runtime: false,
        }
    }

    /// Makes a factory of a [service](super::service()) without options: an axum `Router`, for
    /// example.
    #[cfg(feature = "tower")]
    pub fn service<S, B>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self { needs_runtime: true, ..Self::of(super::service::service(service)) }
    }

    /// Makes a factory of a service with options. `build` runs in the context of the process's
    /// tokio runtime, so it may start tasks and open connection pools.
    #[cfg(feature = "tower")]
    pub fn service_with_options<T, S, B, F>(build: F) -> Self
    where
        T: DeserializeOwned,
        F: Fn(T) -> Result<S> + Send + Sync + 'static,
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let build = move |options| {
            let runtime = super::service::runtime::handle()?;
            let _context = runtime.enter();
            build(options).map(super::service::service)
        };
        Self { needs_runtime: true, ..Self::with_options(build) }
    }

    /// Makes a factory of a service that an asynchronous function builds, which connects to a
    /// database for example. The function runs on the process's tokio runtime. Its error is logged,
    /// and the mount answers 500.
    ///
    /// ```
    /// # use axum::Router;
    /// # use mod_rust::Factory;
    /// #[derive(serde::Deserialize)]
    /// struct Options {
    ///     database: String,
    /// }
    ///
    /// async fn router(options: Options) -> std::io::Result<Router> {
    ///     // Connects to `options.database`.
    ///     # drop(options.database);
    ///     Ok(Router::new())
    /// }
    ///
    /// let factory = Factory::service_async(router);
    /// # let options = [("database", "shop.db")].into_iter().collect();
    /// # assert!(factory.check(&options).is_ok());
    /// # assert!(factory.build(&options).is_ok());
    /// ```
    #[cfg(feature = "tower")]
    pub fn service_async<T, S, B, E, R, F>(build: F) -> Self
    where
        T: DeserializeOwned,
        F: Fn(T) -> R + Send + Sync + 'static,
        R: Future<Output = std::result::Result<S, E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // A factory runs on a thread of httpd's or of the program's, which may wait.
        Self::service_with_options(move |options| {
            let built = super::service::runtime::handle()?.block_on(build(options));
            built.map_err(Error::from_source)
        })
    }

    /// Tells whether the application is a service. The process then starts its runtime before it
    /// builds the application, and shuts it down before it exits (`service::runtime`).
    #[must_use]
    #[cfg_attr(
        not(all(feature = "serve", feature = "tower")),
        allow(dead_code, reason = "only a gateway program starts the runtime first")
    )]
    pub(crate) const fn needs_runtime(&self) -> bool {
        self.needs_runtime
    }

    /// Checks `options` against the declared names and types.
    ///
    /// # Errors
    ///
    /// [`super::ErrorKind::Options`] when an option is missing, unknown or ill-typed.
    pub fn check(&self, options: &Options) -> Result<()> {
        (self.check)(options)
    }

    /// Builds the application.
    ///
    /// # Errors
    ///
    /// The same as [`Factory::check`], and any error of the factory itself.
    pub fn build(&self, options: &Options) -> Result<Arc<dyn Application>> {
        (self.build)(options)
    }

    /// Builds the application, and returns a panic of the factory as an error.
    ///
    /// # Errors
    ///
    /// The same as [`Factory::build`], and [`super::ErrorKind::Panic`].
    #[cfg_attr(
        not(any(feature = "httpd", feature = "serve")),
        allow(dead_code, reason = "only a server uses it")
    )]
    pub(crate) fn build_caught(&self, options: &Options) -> Result<Arc<dyn Application>> {
        panic::catch(|| self.build(options))
            .map_err(|message| logger::explain(Error::panicked(message)))
            .and_then(|built| built)
    }

    /// Returns the names of the declared options, or `None` if the application takes any.
    #[must_use]
    pub const fn declared(&self) -> Option<&'static [&'static str]> {
        self.declared
    }

    /// Tells whether the application knows an option of this name.
    #[cfg(any(feature = "httpd", feature = "serve"))]
    #[must_use]
    pub(crate) fn knows(&self, option: &str) -> bool {
        self.declared.is_none_or(|declared| declared.contains(&option))
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Factory").field("declared", &self.declared).finish_non_exhaustive()
    }
}
