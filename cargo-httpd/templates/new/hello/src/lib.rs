//! The application `@NAME@`: one function, the same behind every server.
#![forbid(unsafe_code)]

use mod_rust::{Body, Environ, Factory, Result, StartResponse};

/// Returns the applications by name, for the httpd module and for the gateway alike.
#[must_use]
pub fn applications() -> Vec<(&'static str, Factory)> {
    vec![("@NAME@", Factory::of(hello))]
}

/// Greets whom the path names: `/@NAME@/Jo`.
pub fn hello<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let name = match environ.path_info() {
        b"" | b"/" => b"world",
        path => path.strip_prefix(b"/").unwrap_or(path),
    };
    start_response.start(200, [("Content-Type", "text/plain; charset=utf-8")])?;
    Ok(Body::from(format!("Hello, {}\n", name.escape_ascii())))
}
