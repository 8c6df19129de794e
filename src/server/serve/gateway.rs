//! The builder of a gateway program: its applications and their mount points.

use std::ffi::OsString;
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
    /// Options with their values.
    pub(super) defaults: Vec<(String, String)>,
    /// In place of the command line, without the program's name.
    arguments: Option<Vec<OsString>>,
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
        Self {
            name,
            version,
            applications: Vec::new(),
            mounts: Vec::new(),
            defaults: Vec::new(),
            arguments: None,
        }
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

    /// Listens at an address with a protocol, `fastcgi`, `scgi`, `uwsgi` or `http`, as `--http ADDR`
    /// does. It counts where nothing else says what to serve: no listener on the command line, in
    /// the environment or in the configuration file, and no socket of a web server or systemd.
    ///
    /// ```no_run
    /// # use mod_rust::{Factory, Gateway};
    /// # fn program(factory: Factory) -> std::process::ExitCode {
    /// Gateway::new("shop", env!("CARGO_PKG_VERSION"))
    ///     .application("shop", factory)
    ///     .listen("http", "127.0.0.1:8080")
    ///     .set("workers", "2")
    ///     .set("graceful-timeout", "10s")
    ///     .main()
    /// # }
    /// ```
    pub fn listen(self, protocol: impl Into<String>, address: impl Into<String>) -> Self {
        self.set(protocol, address)
    }

    /// Sets an option of the command line, without its `--`, to a value: the default of this
    /// program. An option without a value gets an empty one. Options that may be repeated on the
    /// command line may be set several times.
    pub fn set(mut self, option: impl Into<String>, value: impl Into<String>) -> Self {
        self.defaults.push((option.into(), value.into()));
        self
    }

    /// Takes these in place of the command line, without the program's name: for a program that
    /// parses its own. Like the command line, a CGI program does not read them.
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments = Some(arguments.into_iter().map(Into::into).collect());
        self
    }

    /// Returns the words to parse, the program's name first, where it was started with
    /// `command_line`.
    pub(super) fn words(&self, command_line: Vec<OsString>) -> Vec<OsString> {
        let Some(own) = &self.arguments else { return command_line };
        let name = command_line.into_iter().next().unwrap_or_else(|| self.name.into());
        [name].into_iter().chain(own.iter().cloned()).collect()
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
