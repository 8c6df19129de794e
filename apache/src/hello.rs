//! `hello`: the least that an application can do, so that what it costs is what the server costs.

use mod_rust::{Body, Environ, Result, StartResponse};

/// Thirteen bytes of text for every path and method. Nothing is allocated.
///
/// # Errors
///
/// As [`StartResponse::start`].
pub fn hello<'x>(_environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from("Hello, world\n"))
}
