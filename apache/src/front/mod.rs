//! `front`: the page that `cargo httpd run` serves at `/`: what runs here, and what to click next.

mod page;

use http::Method;
use mod_rust::gateway::app_fn;
use mod_rust::{Application, Body, Environ, Factory, Result, StartResponse};
use serde::Deserialize;

/// Where the other stock applications are mounted, so that the page can link to them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Options {
    /// The mount point of `hello`.
    pub hello: MountPoint,
    /// The mount point of `probe`.
    pub probe: MountPoint,
}

impl Default for Options {
    fn default() -> Self {
        Self { hello: MountPoint("/hello".into()), probe: MountPoint("/probe".into()) }
    }
}

/// A URL path with a slash in front and none at its end.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct MountPoint(String);

impl TryFrom<String> for MountPoint {
    type Error = &'static str;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        let is_path = path.starts_with('/')
            && !path.starts_with("//")
            && !path.ends_with('/')
            && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte));
        if is_path {
            Ok(Self(path))
        } else {
            Err("expected a URL path with a slash in front and none at its end")
        }
    }
}

/// What a server builds it with.
#[must_use]
pub fn factory() -> Factory {
    Factory::with_options(|options| Ok(front(options)))
}

/// The page, for `GET` and `HEAD` of `/`.
#[must_use]
pub fn front(options: Options) -> impl Application {
    app_fn(move |environ, start_response| answer(&options, &environ, &start_response))
}

fn answer<'x>(
    options: &Options,
    environ: &Environ<'_>,
    start_response: &StartResponse<'_>,
) -> Result<Body<'x>> {
    const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");
    if !matches!(environ.path_info(), b"" | b"/") {
        start_response.start(404, [TEXT])?;
        return Ok(Body::from("nothing is mounted here; the front page is at /\n"));
    }
    if ![Method::GET, Method::HEAD]
        .iter()
        .any(|method| method.as_str().as_bytes() == environ.method())
    {
        start_response.start(405, [TEXT, ("Allow", "GET, HEAD")])?;
        return Ok(Body::from("the front page is there to be read: GET or HEAD\n"));
    }
    start_response.start(
        200,
        [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Cache-Control", "no-store"),
            // The page has its one style sheet within, and nothing else.
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
        ],
    )?;
    Ok(Body::from(page::render(options, environ)))
}

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
