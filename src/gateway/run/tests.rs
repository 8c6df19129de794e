//! Every rule that `run` keeps, each against an exchange in memory.

mod failure;
mod head;
mod input;
mod length;
mod pace;

use bytes::Bytes;

use crate::gateway::error::{ErrorKind, Result};
use crate::gateway::memory::TestResponse;
use crate::gateway::{Body, BodyStream, Level, Pace};

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];

/// Says what kind of error a response failed with before anything had gone out.
fn failed(response: &TestResponse) -> ErrorKind {
    assert!(!response.is_complete() && !response.is_broken(), "{response:?}");
    assert!(response.body().is_empty() && response.headers().is_empty(), "{response:?}");
    response.error().expect("an error").kind()
}

/// Says what kind of error a response broke off with.
fn broken(response: &TestResponse) -> ErrorKind {
    assert!(response.is_broken(), "{response:?}");
    response.error().expect("an error").kind()
}

fn chunks<const N: usize>(chunks: [&'static str; N]) -> [Result<Bytes>; N] {
    chunks.map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())))
}

fn errors_logged(response: &TestResponse) -> Vec<&str> {
    let errors = response.log().iter().filter(|(level, _)| *level == Level::Error);
    errors.map(|(_, line)| line.as_str()).collect()
}

/// A stream out of a closure.
struct Stream<F>(F);

impl<F: FnMut(&mut dyn Pace) -> Result<Option<Bytes>>> BodyStream for Stream<F> {
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        (self.0)(pace)
    }
}

fn stream<'x>(f: impl FnMut(&mut dyn Pace) -> Result<Option<Bytes>> + 'x) -> Body<'x> {
    Body::stream(Stream(f))
}
