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
mod service;
mod upload;
mod wait;
mod websocket;

use std::fmt;

use mod_rust::{Application, Body, Environ, Factory, Result, StartResponse};

use self::answer::{Refusal, text};
pub use self::options::{Directory, Options};
use self::paths::Handler;
pub(crate) use self::paths::{GROUPS, Path, Try};

/// The probe as one mount has it.
pub struct Probe {
    options: Options,
    wait: Box<dyn Application>,
    events: Box<dyn Application>,
    websocket: Box<dyn Application>,
}

impl Probe {
    /// Builds it out of its options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            wait: Box::new(service::of_query(wait::wait)),
            events: Box::new(service::of_query(wait::events)),
            websocket: Box::new(service::application(websocket::echo)),
        }
    }

    /// Returns the factory that a server builds it with.
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
        let handler = match path.handler {
            Handler::Function(handler) => handler,
            Handler::Service(service) => return service(self).call(environ, start_response),
        };
        match handler(self, environ, &start_response) {
            Ok(body) => Ok(body),
            Err(Refusal::Answer(status, reason)) => {
                text(&start_response, status, format!("{reason}\n"))
            }
            Err(Refusal::Error(error)) => Err(error),
        }
    }

    fn delegate(&self, environ: &mut Environ<'_>) -> Option<&dyn Application> {
        match paths::find(environ.path_info())?.handler {
            Handler::Function(_) => None,
            Handler::Service(service) => Some(service(self)),
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A GET of the probe that has no options, at the server's root.
#[cfg(test)]
fn get(target: &str) -> mod_rust::gateway::memory::TestResponse {
    mod_rust::gateway::memory::TestRequest::get(target).call(&Probe::new(Options::default()))
}

#[cfg(test)]
mod tests {
    use mod_rust::gateway::memory::TestRequest;

    use super::*;

    #[test]
    fn an_unknown_path_tells_the_known_ones() {
        for path in ["/", "/nothing", "/echo/", "/status"] {
            let response = get(path);
            assert_eq!(response.status(), 404, "{path}");
            let text = response.text();
            assert!(text.contains("\n/environ[/…]\n") && text.contains("\n/echo\n"), "{text}");
        }
    }

    #[test]
    fn its_factory_reads_its_options() {
        let options = [("note", "here"), ("allow-crash", "On"), ("root", "/")];
        let probe = Probe::factory().build(&options.into_iter().collect()).unwrap();
        let response = TestRequest::get("/config").call(&*probe);
        assert_eq!(response.header("content-type"), Some(&b"application/json"[..]));
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(response.body()).unwrap(),
            serde_json::json!({"root": "/", "allow-crash": true, "note": "here"})
        );
        assert_eq!(Probe::factory().declared(), Some(&["root", "allow-crash", "note"][..]));
    }
}
