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

#[cfg(test)]
mod tests {
    use mod_rust::gateway::memory::TestRequest;

    use super::*;

    #[test]
    fn thirteen_bytes_for_everything() {
        for method in ["GET", "POST", "OPTIONS", "BREW"] {
            let response = TestRequest::new(method, "/any/path?query").call(&hello);
            assert_eq!((response.status().as_u16(), &*response.text()), (200, "Hello, world\n"));
            assert_eq!(response.header("content-type"), Some(&b"text/plain"[..]));
            assert_eq!(response.header("content-length"), Some(&b"13"[..]));
        }
        let response = TestRequest::head("/").call(&hello);
        assert_eq!(response.header("content-length"), Some(&b"13"[..]));
        assert_eq!(response.body().len(), 0);
    }
}
