//! A response in steps: the form in which a service answers, which needs no thread between steps.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http::response::Parts;

use super::error::{Error, ErrorKind, Result};
use super::exchange::{Exchange, Interest, Woken};
use super::input::Input;

/// The next part of a response.
#[derive(Debug)]
#[expect(unnameable_types, reason = "only applications of this crate have tasks")]
pub enum Step {
    /// The head and the whole body.
    Whole(Parts, Bytes),
    /// The head of a response whose body follows, and the length of that body if it is known.
    Head(Parts, Option<u64>),
    /// The head with status 101, or a successful one for CONNECT. What follows are the bytes of another protocol, in both
    /// directions.
    Switch(Parts),
    /// A piece of the body, not empty.
    Data(Bytes),
    /// The end of the body.
    End(Option<HeaderMap>),
}

/// A response that is computed in steps.
///
/// It owns all that it uses, so it may be kept between two polls, and polled by any thread.
#[expect(unnameable_types, reason = "only applications of this crate have tasks")]
pub trait ResponseTask: Send {
    /// Goes on to the next step, and reads the request body from `input` as far as it is wanted and
    /// there.
    fn poll(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        input: &mut Input<'_>,
    ) -> Poll<Result<Step>>;

    /// Tells whether the last poll is pending because the request body has no byte yet.
    fn wants_input(&self) -> bool;

    /// Reads a piece of the request body, and blocks until it is there.
    fn read_input(self: Pin<&mut Self>, input: &mut Input<'_>, waker: &Waker);
}

/// A task that this thread owns.
pub(super) type BoxTask = Pin<Box<dyn ResponseTask>>;

/// Waits on this thread until `task` needs another poll.
///
/// # Errors
///
/// Returns an error if the client leaves ([`ErrorKind::ClientGone`]), if the server lacks a waker
/// ([`ErrorKind::Resources`]), or if the process ends ([`ErrorKind::ProcessEnds`]).
#[cold]
pub(super) fn wait_on_thread(
    exchange: &dyn Exchange,
    task: &mut BoxTask,
    input: &mut Input<'_>,
    waker: &Waker,
) -> Result<()> {
    let interest = if task.wants_input() { Interest::Input } else { Interest::Waker };
    match exchange.park(interest) {
        Woken::Called | Woken::Input => Ok(()),
        Woken::MustBlock => {
            task.as_mut().read_input(input, waker);
            Ok(())
        }
        Woken::Unable => {
            let message = "the application has to wait, and no descriptor is left to wait with";
            Err(Error::of(ErrorKind::Resources, message))
        }
        Woken::ProcessEnds => {
            let message = "the process ends, and its streams had their time to end";
            Err(Error::of(ErrorKind::ProcessEnds, message))
        }
        Woken::Gone => {
            Err(Error::of(ErrorKind::ClientGone, "the client left while the application waited"))
        }
    }
}
