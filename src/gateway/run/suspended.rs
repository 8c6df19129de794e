//! Exchanges of services that give their thread back while they wait.
//!
//! A server visits such an exchange: [`start`] runs it until it waits or is done, and
//! [`Suspended::resume`] goes on, on any thread. Between two visits the server keeps the
//! [`Suspended`] and what it needs to make its exchange and input again.

use std::fmt;
use std::task::{Context, Poll, Waker};

use super::{Outcome, Response, ResponseState, Sent};
use crate::gateway::application::Application;
use crate::gateway::connection_fields;
use crate::gateway::environ::Environ;
use crate::gateway::error::{Error, Result};
use crate::gateway::exchange::Exchange;
use crate::gateway::input::{Input, InputSource};
use crate::gateway::panic;
use crate::gateway::start_response::StartResponse;
use crate::gateway::task::{BoxTask, Step, wait_on_thread};

/// The size of a large piece of output, in bytes: a socket may not take it at once.
const LARGE: usize = 32 * 1024;

/// The result of a visit.
#[derive(Debug)]
#[must_use]
pub(crate) enum Progress {
    /// The exchange is over.
    Done(Outcome),
    /// The exchange waits, without this thread.
    Suspended(Suspended),
}

/// The events that resume a suspended exchange, besides its waker and the client's departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The waker alone.
    Waker,
    /// More of the request body.
    Input,
    /// Room for output.
    Room,
}

/// The server's means to suspend one exchange.
pub(crate) trait Suspend {
    /// Returns the waker that brings the next visit. A call during a visit counts as well.
    ///
    /// `None` if the exchange cannot be suspended: it then waits on its thread.
    fn waker(&self) -> Option<Waker>;

    /// Tells whether more output can be sent without a wait for the client.
    fn has_room(&self) -> bool {
        true
    }

    /// Takes note that a large piece of output comes next.
    fn expect_large_output(&self) {}
}

/// An exchange that waits. To drop it drops the service's future and body, so the server
/// [gives it up](Self::give_up), which guards against a panic in them.
pub(crate) struct Suspended {
    state: ResponseState,
    task: BoxTask,
    length: Option<u64>,
    awaited: Awaited,
}

/// Runs `application` for one exchange up to its first wait. An application that is no service, or
/// has middleware around it, waits on its thread.
pub(crate) fn start(
    application: &dyn Application,
    exchange: &dyn Exchange,
    input: &mut dyn InputSource,
    suspend: &dyn Suspend,
) -> Progress {
    let mut visit = Visit { response: Response::new(exchange), suspend };
    let mut task = None;
    let mut length = None;
    let result = panic::catch(|| {
        let state = &visit.response.state;
        let mut environ = Environ::new(exchange, Input::new(&mut *input, &state.input_failed));
        let mut application = application;
        while let Some(chosen) = application.delegate(&mut environ) {
            application = chosen;
        }
        let Some(begun) = application.task(&mut environ) else {
            let body = application.call(environ, StartResponse::new(&visit.response))?;
            return visit.response.send(body).map(Pause::Over);
        };
        task = Some(begun?);
        drop(environ);
        let mut input = Input::new(input, &state.input_failed);
        visit.go_on(&mut task, &mut length, &mut input, None)
    });
    visit.end(result, task, length)
}

impl Suspended {
    /// Returns the event to wait for.
    pub(crate) const fn awaited(&self) -> Awaited {
        self.awaited
    }

    /// Goes on after the waker was called, or the awaited event.
    pub(crate) fn resume(
        self,
        exchange: &dyn Exchange,
        input: &mut dyn InputSource,
        suspend: &dyn Suspend,
    ) -> Progress {
        // The waker may have been called for something else.
        if self.awaited == Awaited::Room && !suspend.has_room() {
            return Progress::Suspended(self);
        }
        let Self { state, task, mut length, .. } = self;
        let mut visit = Visit { response: Response { exchange, state }, suspend };
        let mut task = Some(task);
        let result = panic::catch(|| {
            let mut input = Input::new(input, &visit.response.state.input_failed);
            visit.go_on(&mut task, &mut length, &mut input, suspend.waker())
        });
        visit.end(result, task, length)
    }

    /// Ends the exchange, as the client has gone or its time is up.
    pub(crate) fn give_up(self, exchange: &dyn Exchange, error: Error) -> Outcome {
        let response = Response { exchange, state: self.state };
        response.close(self.task);
        response.outcome(Err(error))
    }
}

impl fmt::Debug for Suspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suspended").field("awaited", &self.awaited).finish_non_exhaustive()
    }
}

/// One visit of an exchange.
struct Visit<'e> {
    response: Response<'e>,
    suspend: &'e dyn Suspend,
}

enum Pause {
    Over(Sent),
    Awaits(Awaited),
}

impl Visit<'_> {
    /// Polls and sends until the response is over or has to wait.
    ///
    /// The first poll of a request has no `waker`: most are ready at once, and a waker has a cost.
    fn go_on(
        &self,
        slot: &mut Option<BoxTask>,
        length: &mut Option<u64>,
        input: &mut Input<'_>,
        mut waker: Option<Waker>,
    ) -> Result<Pause> {
        let response = &self.response;
        let mut stays = false;
        loop {
            let Some(task) = slot else { return Err(Error::new("the response is over")) };
            let mut context = Context::from_waker(waker.as_ref().unwrap_or(Waker::noop()));
            match task.as_mut().poll(&mut context, input) {
                Poll::Ready(step) => {
                    if let Some(sent) = self.send(step?, slot, length)? {
                        return Ok(Pause::Over(sent));
                    }
                    if stays || self.suspend.has_room() {
                        continue;
                    }
                    if waker.is_some() || self.suspend.waker().is_some() {
                        return Ok(Pause::Awaits(Awaited::Room));
                    }
                }
                Poll::Pending => match &waker {
                    None => {
                        // It may take a descriptor: better before the client sees anything.
                        waker = self.suspend.waker();
                        if waker.is_none() {
                            (stays, waker) = (true, Some(response.exchange.waker()));
                        }
                        response.before_wait(*length)?;
                    }
                    Some(waker) => {
                        let awaited =
                            if task.wants_input() { Awaited::Input } else { Awaited::Waker };
                        response.before_wait(*length)?;
                        if !stays {
                            return Ok(Pause::Awaits(awaited));
                        }
                        wait_on_thread(response.exchange, task, input, waker)?;
                    }
                },
            }
        }
    }

    /// Sends one step. Returns the end of the response if it was the last.
    fn send(
        &self,
        step: Step,
        slot: &mut Option<BoxTask>,
        length: &mut Option<u64>,
    ) -> Result<Option<Sent>> {
        let response = &self.response;
        if let Step::Whole(_, data) | Step::Data(data) = &step
            && data.len() > LARGE
        {
            self.suspend.expect_large_output();
        }
        match step {
            Step::Whole(mut head, data) => {
                response.start_service(head.status, &mut head.headers)?;
                response.close(slot.take());
                response.send_bytes(data).map(Some)
            }
            Step::Head(mut head, known) => {
                response.start_service(head.status, &mut head.headers)?;
                *length = known;
                if response.has_body()? {
                    return Ok(None);
                }
                response.close(slot.take());
                response.send_head(known).map(Some)
            }
            Step::Switch(head) => {
                response.switch(head.status, &head.headers)?;
                Ok(None)
            }
            Step::Data(data) => response.put(data, *length).map(|()| None),
            Step::End(mut trailers) => {
                if let Some(trailers) = &mut trailers {
                    connection_fields::drop(trailers, response.exchange);
                }
                response.end_stream(*length, trailers).map(Some)
            }
        }
    }

    /// Ends a visit. The task is closed, unless it waits.
    // Each request ends so, and its result is large.
    #[inline(always)]
    fn end(
        &mut self,
        result: Result<Result<Pause>, String>,
        mut task: Option<BoxTask>,
        length: Option<u64>,
    ) -> Progress {
        let end = match result {
            Ok(Ok(Pause::Over(sent))) => Ok(sent),
            Ok(Ok(Pause::Awaits(awaited))) => match task.take() {
                Some(task) => {
                    let state = std::mem::take(&mut self.response.state);
                    return Progress::Suspended(Suspended { state, task, length, awaited });
                }
                None => Err(Error::new("no task is left to wait for")),
            },
            Ok(Err(error)) => Err(error),
            Err(message) => Err(Error::panicked(message)),
        };
        if let Some(task) = task {
            self.response.close(task);
        }
        Progress::Done(self.response.outcome(end))
    }
}
