//! The work of a service inside the httpd child.

use std::time::{Duration, Instant};

use super::{First, Here, Turn, Wait, Work, gone, run};
use crate::adapter::choice::OnOffAuto;
use crate::adapter::conclude::conclude;
use crate::adapter::exchange::RequestExchange;
use crate::adapter::input::RequestInput;
use crate::adapter::variables::ExchangeContext;
use crate::gateway::run::{Awaited, Progress, Suspend, Suspended, start};
use crate::gateway::{Application, Error, Outcome};
use crate::httpd::suspend;
use crate::httpd::{HookStatus, Request, log};
use crate::os::Awaits;

/// The calls of the waker in a row that a visit goes on for. After that the request gets in line
/// behind others.
const MOST_IN_A_ROW: u32 = 32;

/// The longest time between two looks at the body of a request: other modules bound it too
/// (RequestReadTimeout).
const LOOK_FOR_INPUT: Duration = Duration::from_secs(5);

/// Runs `application` for a request inside the httpd child: to its end, or to its first wait if the
/// request can be suspended, which is then parked. `at_end` is called at the end of one that was.
pub(crate) fn serve<'r>(
    request: &Request<'r>,
    application: &dyn Application,
    facts: ExchangeContext<'r>,
    mode: OnOffAuto,
    at_end: impl FnOnce(&Request<'r>) + 'r,
) -> HookStatus {
    if super::allows(request, mode) {
        // The state between visits borrows the request.
        return run_or_suspend(request.kept(), application, facts, mode, at_end);
    }
    let mut input = match RequestInput::new(request) {
        Ok(input) => input,
        Err(status) => return HookStatus::from_raw(status),
    };
    RequestExchange::with(request, facts, |exchange| {
        let progress =
            log::with_request(request, || start(application, exchange, &mut input, &OnThread));
        let outcome = match progress {
            Progress::Done(outcome) => outcome,
            Progress::Suspended(task) => {
                task.give_up(exchange, Error::new("this request cannot be suspended"))
            }
        };
        conclude(request, exchange, input.is_unread(), outcome)
    })
}

/// The exchange of a request that waits on its thread.
struct OnThread;

impl Suspend for OnThread {
    fn waker(&self) -> Option<std::task::Waker> {
        None
    }
}

fn run_or_suspend<'r>(
    request: &'r Request<'r>,
    application: &dyn Application,
    facts: ExchangeContext<'r>,
    mode: OnOffAuto,
    at_end: impl FnOnce(&Request<'r>) + 'r,
) -> HookStatus {
    run(request, facts, mode, at_end, |exchange, place| {
        let mut input = match RequestInput::new(request) {
            Ok(input) => input,
            Err(status) => return First::Over(HookStatus::from_raw(status)),
        };
        let rest =
            match log::with_request(request, || start(application, exchange, &mut input, place)) {
                // Its end is still to go out.
                Progress::Done(outcome) if request.has_held_output() => {
                    exchange.set_whole();
                    Rest::End(outcome)
                }
                Progress::Done(outcome) => {
                    request.stop_pacing();
                    return First::Over(conclude(request, exchange, input.is_unread(), outcome));
                }
                Progress::Suspended(task) => Rest::Task(task),
            };
        input.allow_giving_socket();
        First::Waits(TaskWork {
            input,
            rest: Some(rest),
            awaited: Awaited::Waker,
            moved: Instant::now(),
            reads: 0,
        })
    })
}

/// The work of a service for one request.
struct TaskWork<'r> {
    input: RequestInput<'r, 'r>,
    /// The rest of the work. The application's part is in the request's cell between two visits.
    rest: Option<Rest>,
    awaited: Awaited,
    /// The time at which the client last sent or took something, or the wait for it began.
    moved: Instant,
    /// The reads of the body that had given something by then.
    reads: u32,
}

/// The rest of the work for a request.
enum Rest {
    /// The application goes on.
    Task(Suspended),
    /// The application is done, and the client has not taken all that it sent.
    End(Outcome),
}

/// The state of a request at the end of a visit.
enum Settled {
    Waits(Wait),
    /// The waker was called, or what was waited for is there.
    Again(Rest),
    Failed(Rest, Error),
}

impl<'r> Work<'r> for TaskWork<'r> {
    fn settle(&mut self, here: &Here<'_, 'r>) -> Turn {
        match self.rest.take() {
            Some(rest) => self.wait(here, rest),
            None => Turn::Taken,
        }
    }

    fn go_on(&mut self, here: &Here<'_, 'r>, is_called: bool) -> Turn {
        let Some(rest) = self.take(here) else { return Turn::Taken };
        if let Some(error) = self.loss(here) {
            self.rest = Some(rest);
            return Turn::Failed(error);
        }
        let is_idle = match self.awaited {
            Awaited::Waker => !is_called,
            // A read tells whether something is there, or whether a filter's time is up.
            Awaited::Input => false,
            Awaited::Room => !here.has_room(),
        };
        let rest = if is_idle { rest } else { self.resume(here, rest) };
        self.wait(here, rest)
    }

    fn give_up(&mut self, here: &Here<'_, 'r>, error: Error) -> bool {
        let Some(rest) = self.take(here) else { return false };
        let exchange = here.exchange;
        let outcome = match rest {
            Rest::End(_) => Outcome::Broken(error),
            Rest::Task(task) => {
                let _entered = exchange.enter();
                log::with_request(exchange.request(), || task.give_up(exchange, error))
            }
        };
        self.rest = Some(Rest::End(outcome));
        true
    }

    fn conclude(&mut self, exchange: &RequestExchange<'r, 'r>) -> HookStatus {
        match self.rest.take() {
            Some(Rest::End(outcome)) => {
                conclude(exchange.request(), exchange, self.input.is_unread(), outcome)
            }
            _ => HookStatus::Done,
        }
    }
}

impl<'r> TaskWork<'r> {
    /// Takes what is left to do. `None` if the process ends, and has taken it.
    fn take(&mut self, here: &Here<'_, 'r>) -> Option<Rest> {
        self.rest.take().or_else(|| here.cell.take().map(Rest::Task))
    }

    /// Goes on until the request has to wait, or is over.
    fn wait(&mut self, here: &Here<'_, 'r>, mut rest: Rest) -> Turn {
        let mut calls = 0;
        loop {
            match &rest {
                Rest::Task(task) => self.expect(here, task.awaited()),
                Rest::End(_) if here.exchange.request().has_held_output() => {
                    self.expect(here, Awaited::Room);
                }
                Rest::End(_) => {
                    self.rest = Some(rest);
                    return Turn::Over;
                }
            }
            calls += 1;
            rest = match self.suspend(here, rest, calls) {
                Settled::Waits(wait) => return Turn::Waits(wait),
                Settled::Failed(rest, error) => {
                    self.rest = Some(rest);
                    return Turn::Failed(error);
                }
                Settled::Again(rest) => self.resume(here, rest),
            };
        }
    }

    /// Takes note of what the request waits for from here on.
    fn expect(&mut self, here: &Here<'_, 'r>, awaited: Awaited) {
        let reads = here.exchange.request().reads();
        if awaited != self.awaited || reads != self.reads {
            (self.awaited, self.reads, self.moved) = (awaited, reads, Instant::now());
        }
    }

    fn suspend(&mut self, here: &Here<'_, 'r>, rest: Rest, calls: u32) -> Settled {
        let Here { exchange, cell } = *here;
        let request = exchange.request();
        let is_called = cell.state.take_call();
        let is_done = matches!(rest, Rest::End(_));
        if is_called && calls < MOST_IN_A_ROW && !is_done {
            return Settled::Again(rest);
        }
        exchange.answer_others(|| cell.waker());
        suspend::send_before_wait(request);
        if request.is_aborted() {
            return Settled::Failed(rest, gone("while it was answered"));
        }
        let is_full = request.has_unsent_output();
        if self.awaited == Awaited::Room && !is_full {
            return Settled::Again(rest);
        }
        let input = self.awaited == Awaited::Input;
        let client = Awaits { input, room: is_full, departure: false };
        match rest {
            Rest::Task(task) => cell.put(task),
            rest => self.rest = Some(rest),
        }
        let longest = input.then_some(LOOK_FOR_INPUT);
        // The application is polled again once there is room, called or not.
        let is_deaf = self.awaited == Awaited::Room;
        let is_called = is_called && !is_done && !is_deaf;
        Settled::Waits(Wait { client, longest, is_called, is_deaf })
    }

    fn resume(&mut self, here: &Here<'_, 'r>, rest: Rest) -> Rest {
        let Rest::Task(task) = rest else { return rest };
        let exchange = here.exchange;
        let _entered = exchange.enter();
        let go_on = || task.resume(exchange, &mut self.input, here);
        let progress = log::with_request(exchange.request(), go_on);
        if self.input.gave_socket() {
            // The new owner sees the end of the client's input.
            exchange.watch_no_more();
        }
        match progress {
            Progress::Done(outcome) => {
                exchange.set_whole();
                Rest::End(outcome)
            }
            Progress::Suspended(task) => Rest::Task(task),
        }
    }

    /// Returns why the request does not go on: its client has not moved for too long.
    fn loss(&mut self, here: &Here<'_, 'r>) -> Option<Error> {
        let request = here.exchange.request();
        let was_full = request.has_unsent_output();
        if was_full {
            request.send_unsent();
        }
        let is_full = request.has_unsent_output();
        let is_switched = request.has_switched_protocols();
        let awaits_input = self.awaited == Awaited::Input && !is_switched;
        if was_full && !is_full {
            self.moved = Instant::now();
        }
        if (!is_full && !awaits_input) || self.moved.elapsed() < request.server().timeout() {
            return None;
        }
        if !is_full {
            // The application is told.
            self.input.expire();
            return None;
        }
        Some(gone("or read nothing for too long"))
    }
}
