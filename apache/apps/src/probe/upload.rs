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

#[cfg(test)]
mod tests {
    use mod_rust::gateway::ErrorKind;
    use mod_rust::gateway::memory::{TestRequest, TestResponse};

    use super::super::Options;
    use super::*;

    fn call(request: &TestRequest) -> TestResponse {
        request.call(&Probe::new(Options::default()))
    }

    #[test]
    fn echo_keeps_type_and_length() {
        let response =
            call(&TestRequest::post("/echo", "some\0thing").header("Content-Type", "a/b"));
        assert_eq!(response.header("content-type"), Some(&b"a/b"[..]));
        assert_eq!(response.header("content-length"), Some(&b"10"[..]));
        assert_eq!(response.text(), "some\0thing");

        let response = call(&TestRequest::new("PUT", "/echo").chunk("some").chunk("thing"));
        assert_eq!(response.header("content-type"), Some(&b"application/octet-stream"[..]));
        assert_eq!(response.header("content-length"), None);
        assert_eq!(response.text(), "something");

        let response = call(&TestRequest::get("/echo"));
        assert_eq!((response.status().as_u16(), response.body().len()), (200, 0));
    }

    #[test]
    fn discard_reads_it_all() {
        let response = call(&TestRequest::new("POST", "/discard").chunk("ab").pause().chunk("c"));
        let answer: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        // FIPS 180-2, B.1.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(answer, serde_json::json!({"length": 3, "sha256": sha256}));
    }

    #[test]
    fn a_bad_body_has_its_own_status() {
        for (kind, status) in [
            (ErrorKind::InputTooLarge, 413),
            (ErrorKind::InputTimeout, 408),
            (ErrorKind::InputMalformed, 400),
        ] {
            for path in ["/echo", "/duplex", "/discard", "/early"] {
                let response = call(&TestRequest::new("POST", path).fail(kind));
                assert_eq!(response.status().as_u16(), status, "{path}");
                assert_eq!(response.error().unwrap().kind(), kind, "{path}");
            }
            assert!(call(&TestRequest::new("POST", "/unread").fail(kind)).is_complete());
        }
    }

    #[test]
    fn early_reads_no_further() {
        let request = TestRequest::new("POST", "/early").chunk("a").fail(ErrorKind::InputMalformed);
        let response = call(&request);
        assert!(response.is_complete(), "{response:?}");
        assert_eq!(response.status(), 403);
        assert!(response.text().contains("at the first byte"));
        let response = call(&TestRequest::get("/early"));
        assert_eq!((response.status().as_u16(), response.text().contains("no body")), (403, true));
    }

    #[test]
    fn duplex_answers_before_it_reads_on() {
        let request = TestRequest::new("POST", "/duplex")
            .chunk("ab")
            .after_output(2)
            .chunk("c")
            .after_output(3);
        let response = call(&request);
        assert!(response.is_complete(), "{response:?}");
        assert_eq!(response.text(), "abc");
        assert_eq!(response.flushes(), [2, 3]);
    }
}
