//! `/bytes` and `/stream`: response bodies of known and of unknown length.

use std::thread;
use std::time::Duration;

use bytes::Bytes;
use mod_rust::gateway::Result;
use mod_rust::{Body, Environ, StartResponse};

use super::Probe;
use super::answer::{Answer, BINARY, NO_STORE, TEXT};
use super::query::rest;
use super::query::{Query, number};

/// Whole periods of the pattern, so that every piece of a body starts with it anew.
static PATTERN: [u8; 251 * 261] = {
    let mut pattern = [0; 251 * 261];
    let mut at = 0;
    while at < pattern.len() {
        pattern[at] = (at % 251) as u8;
        at += 1;
    }
    pattern
};

/// `/bytes/N`: N bytes, of which byte i is i mod 251. They are never in memory all at once.
pub(super) fn bytes<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    // httpd counts bytes in a signed 64-bit number.
    let length = number("the number of bytes", rest(&environ), 0..=i64::MAX as u64)?;
    start_response.start(200, [BINARY])?;
    Ok(Body::from_ready(pattern(length)).with_length(Some(length)))
}

/// `length` bytes of the pattern in pieces.
pub(super) fn pattern(length: u64) -> impl Iterator<Item = Result<Bytes>> {
    let mut left = length;
    std::iter::from_fn(move || {
        let size = PATTERN.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        left -= size as u64;
        (size > 0).then(|| Ok(Bytes::from_static(&PATTERN[..size])))
    })
}

/// `/stream?chunks=N&size=B&ms=T`: N chunks (10; `inf` for no end) of B bytes `x` (10), T ms
/// apart (0), each sent before the next is made.
pub(super) fn stream<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let query = Query::of(&environ);
    let chunks = match query.get("chunks") {
        Some(chunks) if *chunks == *b"inf" => None,
        Some(chunks) => Some(number("chunks (or inf)", &chunks, 0..=MOST_CHUNKS)?),
        None => Some(10),
    };
    let size = query.number("size", 1..=LARGEST_CHUNK)?.unwrap_or(10);
    let pause = Duration::from_millis(query.number("ms", 0..=LONGEST_PAUSE)?.unwrap_or(0));

    let chunk = Bytes::from(vec![b'x'; size as usize]);
    let mut given: u64 = 0;
    start_response.start(200, [TEXT, NO_STORE])?;
    Ok(Body::from_chunks(std::iter::from_fn(move || {
        if chunks == Some(given) {
            return None;
        }
        if given > 0 {
            thread::sleep(pause);
        }
        given += 1;
        Some(Ok(chunk.clone()))
    })))
}

const MOST_CHUNKS: u64 = 1_000_000;
const LARGEST_CHUNK: u64 = 1024 * 1024;
/// In milliseconds.
const LONGEST_PAUSE: u64 = 60_000;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use mod_rust::gateway::ErrorKind;
    use mod_rust::gateway::memory::TestRequest;

    use super::super::{Options, get};
    use super::*;

    #[test]
    fn bytes_are_counted_modulo_251() {
        for length in [0, 1, 250, 251, 65_510, 65_511, 65_512, 200_000] {
            let response = get(&format!("/bytes/{length}"));
            assert!(response.is_complete());
            assert_eq!(response.header("content-length"), Some(length.to_string().as_bytes()));
            assert_eq!(response.body().len(), length);
            assert!(
                response.body().iter().enumerate().all(|(at, &byte)| usize::from(byte) == at % 251)
            );
        }
    }

    #[test]
    fn so_many_bytes_that_no_memory_would_hold_them() {
        let probe = Probe::new(Options::default());
        let target = format!("/bytes/{}", i64::MAX);
        let response = TestRequest::head(&target).call(&probe);
        assert_eq!(response.header("content-length"), Some(&b"9223372036854775807"[..]));
        let response = TestRequest::get(&target).leaves_after(100_000).call(&probe);
        assert_eq!(response.error().unwrap().kind(), ErrorKind::ClientGone);
        assert_eq!(get("/bytes/9223372036854775808").status(), 400);
    }

    #[test]
    fn each_chunk_is_flushed() {
        let begin = Instant::now();
        let response = get("/stream?chunks=3&size=5&ms=20");
        assert!(begin.elapsed() >= Duration::from_millis(40));
        assert!(response.is_complete());
        assert_eq!(response.text(), "x".repeat(15));
        assert_eq!(response.header("content-length"), None);
        assert_eq!(response.writes(), [5, 5, 5]);
        assert_eq!(response.flushes(), [5, 10, 15]);
        assert_eq!(get("/stream").body().len(), 100);
        assert_eq!(get("/stream?chunks=0").body().len(), 0);
    }

    #[test]
    fn an_endless_stream_ends_with_its_client() {
        let response = TestRequest::get("/stream?chunks=inf&size=1000")
            .leaves_after(50_000)
            .call(&Probe::new(Options::default()));
        assert_eq!(response.error().unwrap().kind(), ErrorKind::ClientGone);
        assert_eq!(response.body().len(), 50_000);
    }

    #[test]
    fn limits_are_reported() {
        for (query, allowed) in [
            (
                "chunks=1000001",
                "chunks (or inf) is \"1000001\"; allowed are whole numbers from 0 to 1000000",
            ),
            ("size=0", "size is \"0\"; allowed are whole numbers from 1 to 1048576"),
            ("ms=60001", "ms is \"60001\"; allowed are whole numbers from 0 to 60000"),
        ] {
            let response = get(&format!("/stream?{query}"));
            assert_eq!(response.status(), 400);
            assert_eq!(response.text(), format!("{allowed}\n"));
        }
    }
}
