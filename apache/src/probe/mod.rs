//! `probe`: one application that shows every side of a gateway, as httpbin does for HTTP clients.
//!
//! Every gateway must serve it identically. It is for tests and for a first look, not for the
//! public: it redirects wherever it is told, and tells what it knows about the server.

mod answer;
mod download;
mod environ;
mod fail;
mod file;
mod head;
mod log;
mod options;
mod paths;
mod query;
mod upload;
mod wait;

use mod_rust::{Application, Body, Environ, Factory, Result, StartResponse};

use self::answer::{Refusal, text};
pub use self::options::{Directory, Options};
pub(crate) use self::paths::{GROUPS, Path, Try};

/// The probe as one mount has it.
#[derive(Debug)]
pub struct Probe {
    options: Options,
}

impl Probe {
    /// Builds it out of its options.
    #[must_use]
    pub const fn new(options: Options) -> Self {
        Self { options }
    }

    /// What a server builds it with.
    #[must_use]
    pub fn factory() -> Factory {
        Factory::with_options(|options| Ok(Self::new(options)))
    }
}

impl Application for Probe {
    fn call<'x>(
        &self,
        environ: Environ<'x>,
        start_response: StartResponse<'x>,
    ) -> Result<Body<'x>> {
        let Some(path) = paths::find(environ.path_info()) else {
            return text(&start_response, 404, paths::not_found());
        };
        match (path.handler)(self, environ, &start_response) {
            Ok(body) => Ok(body),
            Err(Refusal::Answer(status, reason)) => {
                text(&start_response, status, format!("{reason}\n"))
            }
            Err(Refusal::Error(error)) => Err(error),
        }
    }
}
