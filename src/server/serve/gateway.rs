//! The builder of a gateway program: its applications and their mount points.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use crate::gateway::Factory;

/// A program that serves applications over every protocol that its features enable.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use mod_rust::{Body, Environ, Factory, Gateway, Result, StartResponse};
///
/// fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
///     start_response.start(200, [("Content-Type", "text/plain")])?;
///     Ok(Body::from("Hello, world\n"))
/// }
///
/// fn main() -> ExitCode {
///     Gateway::new("greeter", env!("CARGO_PKG_VERSION"))
///         .application("hello", Factory::of(hello))
///         .mount("/", "hello")
///         .main()
/// }
/// ```
#[must_use]
pub struct Gateway {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) applications: Vec<(String, Factory)>,
    pub(super) mounts: Vec<(String, String)>,
}

/// Serves one application at `/`, with the options of the command line. `--version` prints the
/// version of this crate, as such: [`Gateway::new`] takes the program's own.
///
/// ```no_run
/// use mod_rust::{Body, Environ, Factory, Result, StartResponse, serve};
///
/// fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
///     start_response.start(200, [("Content-Type", "text/plain")])?;
///     Ok(Body::from("Hello, world\n"))
/// }
///
/// fn main() -> std::process::ExitCode {
///     serve(Factory::of(hello))
/// }
/// ```
pub fn serve(factory: Factory) -> ExitCode {
    single(factory).main()
}

/// Makes the program of [`serve`], which has no version of its own.
pub(super) fn single(factory: Factory) -> Gateway {
    let name = std::env::args_os()
        .next()
        .and_then(|name| Some(Path::new(&name).file_name()?.to_string_lossy().into_owned()));
    // Leaked once, because the name lives as long as the process.
    let name: &'static str = name.unwrap_or_else(|| "gateway".into()).leak();
    let version = concat!("(mod_rust ", env!("CARGO_PKG_VERSION"), ")");
    Gateway::new(name, version).application("app", factory)
}

impl Gateway {
    /// Makes a program with this name and version, which `--help` and `--version` show.
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self { name, version, applications: Vec::new(), mounts: Vec::new() }
    }

    /// Adds an application, in place of an earlier one of the same name.
    pub fn application(mut self, name: impl Into<String>, factory: Factory) -> Self {
        let name = name.into();
        self.applications.retain(|(known, _)| *known != name);
        self.applications.push((name, factory));
        self
    }

    /// Adds several applications, given like those of `module!`.
    pub fn applications<N: Into<String>>(
        self,
        applications: impl IntoIterator<Item = (N, Factory)>,
    ) -> Self {
        applications
            .into_iter()
            .fold(self, |gateway, (name, factory)| gateway.application(name, factory))
    }

    /// Mounts an application at a path, unless the command line has a `--mount`. A single
    /// application is mounted at `/` by default.
    pub fn mount(mut self, path: impl Into<String>, application: impl Into<String>) -> Self {
        self.mounts.push((path.into(), application.into()));
        self
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.applications.iter().position(|(known, _)| known == name)
    }

    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.applications.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("name", &self.name)
            .field("applications", &self.names())
            .field("mounts", &self.mounts)
            .finish_non_exhaustive()
    }
}
