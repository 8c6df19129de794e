//! `/echo`, `/discard`, `/unread`, `/early` and `/duplex`: what may be done with a request body.

use std::io::BufRead;

use mod_rust::{Body, Environ, Error, StartResponse};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Probe;
use super::answer::{Answer, BINARY, NO_STORE, json, text};

/// `/echo`: the body with its Content-Type and, if it is known, its length.
pub(super) fn echo<'x>(
    _probe: &Probe,
    mut environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    start_with_its_type(&environ, start_response)?;
    Ok(Body::from_input(environ.take_input()))
}

/// `/duplex`: each piece as it arrives, sent before the next is waited for.
pub(super) fn duplex<'x>(
    _probe: &Probe,
    mut environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    start_with_its_type(&environ, start_response)?;
    let mut input = environ.take_input();
    Ok(Body::from_chunks(std::iter::from_fn(move || input.chunk(usize::MAX).transpose())))
}

/// `/discard`: reads it all, and answers how long it was and its SHA-256.
pub(super) fn discard<'x>(
    _probe: &Probe,
    mut environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let input = environ.input();
    let mut length = 0;
    let mut sha256 = Sha256::new();
    loop {
        let data = input.fill_buf().map_err(Error::from)?;
        if data.is_empty() {
            break;
        }
        let read = data.len();
        sha256.update(data);
        input.consume(read);
        length += read as u64;
    }
    let sha256 = sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json(start_response, &Discarded { length, sha256 })?)
}

#[derive(Serialize)]
struct Discarded {
    length: u64,
    sha256: String,
}

/// `/unread`: leaves it to the server to get rid of it.
pub(super) fn unread<'x>(
    _probe: &Probe,
    _environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    Ok(text(start_response, 200, "the request body was not read\n")?)
}

/// `/early`: answers when the first byte is there, and reads no further.
pub(super) fn early<'x>(
    _probe: &Probe,
    mut environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let reason = match environ.input().chunk(1)? {
        Some(_) => "refused at the first byte of the request body\n",
        None => "refused: the request has no body\n",
    };
    Ok(text(start_response, 403, reason)?)
}

fn start_with_its_type(
    environ: &Environ<'_>,
    start_response: &StartResponse<'_>,
) -> mod_rust::Result<()> {
    let content_type = environ.get("CONTENT_TYPE").filter(|value| !value.is_empty());
    start_response.start(
        200,
        [
            (BINARY.0, content_type.unwrap_or(BINARY.1.as_bytes())),
            (NO_STORE.0, NO_STORE.1.as_bytes()),
        ],
    )?;
    Ok(())
}
