//! A service's response for an application that is called on a thread: the thread polls, and waits
//! between the polls.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;

use crate::gateway::body::{Body, BodyStream, Pace};
use crate::gateway::connection_fields;
use crate::gateway::environ::Environ;
use crate::gateway::error::{Error, Result};
use crate::gateway::exchange::Exchange;
use crate::gateway::input::Input;
use crate::gateway::start_response::StartResponse;
use crate::gateway::status::IntoStatus;
use crate::gateway::task::{BoxTask, Step, wait_on_thread};

/// A task, and what a thread needs to run it.
pub(super) struct TaskOnThread<'x> {
    task: BoxTask,
    exchange: &'x dyn Exchange,
    input: Input<'x>,
    waker: Waker,
    trailers: Option<HeaderMap>,
}

impl<'x> TaskOnThread<'x> {
    pub(super) fn new(task: BoxTask, mut environ: Environ<'x>) -> Self {
        let (exchange, input) = (environ.exchange(), environ.take_input());
        Self { task, exchange, input, waker: exchange.waker(), trailers: None }
    }

    /// Starts the response, and returns its body: in one piece if it is ready, else as a stream.
    pub(super) fn respond(mut self, start_response: StartResponse<'x>) -> Result<Body<'x>> {
        let (head, whole, length) = match self.next(&mut || Ok(()))? {
            Step::Whole(head, data) => (head, Some(data), None),
            Step::Head(head, length) => (head, None, length),
            Step::Switch(_) | Step::Data(_) | Step::End(_) => {
                return Err(Error::new("a service's head comes first"));
            }
        };
        let mut headers = head.headers;
        connection_fields::drop(&mut headers, self.exchange);
        start_response.start(head.status.into_status()?, &headers)?;
        Ok(whole.map_or_else(|| Body::stream(self).with_length(length), Body::from))
    }

    /// Polls until the next step is ready, and calls `before_wait` each time before it waits.
    fn next(&mut self, before_wait: &mut dyn FnMut() -> Result<()>) -> Result<Step> {
        loop {
            let mut context = Context::from_waker(&self.waker);
            if let Poll::Ready(step) = self.task.as_mut().poll(&mut context, &mut self.input) {
                return step;
            }
            before_wait()?;
            wait_on_thread(self.exchange, &mut self.task, &mut self.input, &self.waker)?;
        }
    }
}

impl BodyStream for TaskOnThread<'_> {
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        match self.next(&mut || pace.must_wait())? {
            Step::Data(data) => Ok(Some(data)),
            Step::End(trailers) => {
                self.trailers = trailers;
                Ok(None)
            }
            Step::Whole(..) | Step::Head(..) | Step::Switch(_) => {
                Err(Error::new("a service has one head"))
            }
        }
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        let mut trailers = self.trailers.take()?;
        connection_fields::drop(&mut trailers, self.exchange);
        Some(trailers)
    }
}
