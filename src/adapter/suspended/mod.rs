//! Requests of services that give their httpd thread back while they wait.
//!
//! | part | file |
//! | --- | --- |
//! | a request from its start to its first wait, and its visits | `mod` |
//! | the waker, and the requests that wait in this process | `cell` |
//! | the state of one request, which its waker changes | `state` |
//! | `RustAsync`, and the test at first use | `verdict` |

mod cell;
mod state;
mod verdict;

use std::cell::OnceCell;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::choice::OnOffAuto;
use super::conclude::conclude;
use super::exchange::RequestExchange;
use super::grace;
use super::input::RequestInput;
use super::variables::ExchangeContext;
use crate::gateway::run::{Awaited, Progress, Suspend, Suspended, start};
use crate::gateway::{Application, Error, ErrorKind, Outcome};
use crate::httpd::suspend::{self, Site, Visited, Waiting};
use crate::httpd::{HookStatus, Request, log};
use crate::os::Awaits;
use cell::WaitingCell;
use verdict::Permission;

pub(crate) use cell::{count, drop_all};

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
    if mode != OnOffAuto::Off && Site::of(request).is_some() {
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
    fn waker(&self) -> Option<Waker> {
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
    let mut input = match RequestInput::new(request) {
        Ok(input) => input,
        Err(status) => return HookStatus::from_raw(status),
    };
    let failed = HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR);
    let Some(site) = Site::of(request) else { return failed };
    let place = Place { request, site, mode, cell: OnceCell::new() };
    let begun = RequestExchange::begin(request, facts, |exchange| {
        match log::with_request(request, || start(application, exchange, &mut input, &place)) {
            // Its end is still to go out.
            Progress::Done(outcome) if request.has_held_output() => Err(Rest::End(outcome)),
            Progress::Done(outcome) => {
                request.stop_pacing();
                Ok(conclude(request, exchange, input.is_unread(), outcome))
            }
            Progress::Suspended(task) => Err(Rest::Task(task)),
        }
    });
    match begun {
        Ok(status) => {
            place.leave();
            status
        }
        Err((exchange, rest)) => {
            // It is suspended only if it got a waker.
            let Some((cell, is_test)) = place.cell.into_inner().flatten() else {
                return failed;
            };
            cell::look_after();
            input.allow_giving_socket();
            let kept = Kept {
                exchange,
                input,
                cell,
                is_test,
                outcome: None,
                awaited: Awaited::Waker,
                moved: Instant::now(),
                reads: 0,
                at_end: None,
            };
            let mut kept = Box::new(kept);
            match kept.settle(rest) {
                Some(status) => status,
                None => {
                    kept.at_end = Some(Box::new(at_end));
                    site.park(kept);
                    HookStatus::Ok
                }
            }
        }
    }
}

/// The first run of a request, which may be suspended.
struct Place<'r> {
    request: &'r Request<'r>,
    site: Site<'r, 'r>,
    mode: OnOffAuto,
    /// The waker, and whether the request is the test. `None` if it cannot be suspended.
    cell: OnceCell<Option<(Arc<WaitingCell>, bool)>>,
}

impl Place<'_> {
    fn cell(&self) -> Option<(Arc<WaitingCell>, bool)> {
        let permission = verdict::permission(self.mode);
        if permission == Permission::Denied {
            return None;
        }
        let is_test = permission == Permission::Test;
        let doorbell = self.site.doorbell();
        if doorbell.is_none() && is_test {
            verdict::postpone();
        }
        let cell = WaitingCell::new(doorbell?);
        // Its output need not wait either.
        self.request.pace();
        Some((cell, is_test))
    }

    /// Ends the run of a request that was not suspended.
    fn leave(&self) {
        if let Some(Some((cell, is_test))) = self.cell.get() {
            cell.end();
            if *is_test {
                verdict::postpone();
            }
        }
    }
}

impl Suspend for Place<'_> {
    fn waker(&self) -> Option<Waker> {
        self.cell.get_or_init(|| self.cell()).as_ref().map(|(cell, _)| cell.waker())
    }

    fn has_room(&self) -> bool {
        !self.request.has_unsent_output()
    }

    fn expect_large_output(&self) {
        // With a waker it can be held back.
        let _ = self.waker();
    }
}

/// The work at the end of a request that was suspended.
type AtEnd<'r> = Box<dyn FnOnce(&Request<'r>) + 'r>;

/// A request between its visits.
struct Kept<'r> {
    exchange: RequestExchange<'r, 'r>,
    input: RequestInput<'r, 'r>,
    cell: Arc<WaitingCell>,
    /// Whether it is the test at first use.
    is_test: bool,
    /// The result of the application, while the client takes the end of its output.
    outcome: Option<Outcome>,
    awaited: Awaited,
    /// The time at which the client last sent or took something, or the wait for it began.
    moved: Instant,
    /// The reads of the body that had given something by then.
    reads: u32,
    at_end: Option<AtEnd<'r>>,
}

/// A visit, as the driver of its request.
struct Here<'k, 'r> {
    request: &'k Request<'r>,
    cell: &'k Arc<WaitingCell>,
}

impl Suspend for Here<'_, '_> {
    fn waker(&self) -> Option<Waker> {
        Some(self.cell.waker())
    }

    fn has_room(&self) -> bool {
        !self.request.has_unsent_output()
    }
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
    Waits,
    /// The waker was called, or what was waited for is there.
    Again(Rest),
    Failed(Rest, Error),
}

impl<'r> Kept<'r> {
    const fn request(&self) -> &'r Request<'r> {
        self.exchange.request()
    }

    /// Takes what is left to do. `None` if the process ends, and has taken it.
    fn rest(&mut self) -> Option<Rest> {
        self.outcome.take().map(Rest::End).or_else(|| self.cell.take().map(Rest::Task))
    }

    /// Goes on in a visit. Returns `None` if the request waits on.
    fn go_on(&mut self) -> Option<HookStatus> {
        let is_called = self.cell.state.begin();
        if std::mem::take(&mut self.is_test) {
            verdict::decide(true);
        }
        let Some(rest) = self.rest() else { return Some(HookStatus::Done) };
        self.request().show_in_scoreboard();
        if let Some(error) = self.loss(is_called) {
            return Some(self.give_up(rest, error));
        }
        if matches!(rest, Rest::Task(_)) && self.exchange.is_overdue() {
            return Some(self.give_up(rest, grace::over()));
        }
        let is_idle = match self.awaited {
            Awaited::Waker => !is_called,
            // A read tells whether something is there, or whether a filter's time is up.
            Awaited::Input => false,
            Awaited::Room => self.request().has_unsent_output(),
        };
        let rest = if is_idle { rest } else { self.resume(rest) };
        self.settle(rest)
    }

    /// Leaves the request to its waker and its client, or goes on at once if one of them has moved.
    ///
    /// Returns `None` if it waits, else what the handler returns.
    fn settle(&mut self, mut rest: Rest) -> Option<HookStatus> {
        let mut calls = 0;
        loop {
            match &rest {
                Rest::Task(task) => self.expect(task.awaited()),
                Rest::End(_) if self.request().has_held_output() => self.expect(Awaited::Room),
                Rest::End(_) => break,
            }
            calls += 1;
            rest = match self.suspend(rest, calls) {
                Settled::Waits => return None,
                Settled::Failed(rest, error) => return Some(self.give_up(rest, error)),
                Settled::Again(rest) => self.resume(rest),
            };
        }
        let Rest::End(outcome) = rest else { return None };
        Some(self.end(outcome))
    }

    /// Takes note of what the request waits for from here on.
    fn expect(&mut self, awaited: Awaited) {
        let reads = self.request().reads();
        if awaited != self.awaited || reads != self.reads {
            (self.awaited, self.reads, self.moved) = (awaited, reads, Instant::now());
        }
    }

    fn suspend(&mut self, rest: Rest, calls: u32) -> Settled {
        let (request, cell) = (self.request(), &self.cell);
        let is_called = cell.state.take_call();
        let is_done = matches!(rest, Rest::End(_));
        if is_called && calls < MOST_IN_A_ROW && !is_done {
            return Settled::Again(rest);
        }
        self.exchange.answer_others(|| cell.waker());
        if request.has_unsent_output() {
            if suspend::allows_unsent_output() {
                request.send_unsent();
            } else {
                request.send_all();
            }
        }
        if request.is_aborted() {
            return Settled::Failed(rest, gone("while it was answered"));
        }
        let is_full = request.has_unsent_output();
        if self.awaited == Awaited::Room && !is_full {
            return Settled::Again(rest);
        }
        let awaits = Awaits {
            input: self.awaited == Awaited::Input,
            room: is_full,
            departure: self.exchange.watches_client(),
        };
        if cell.bell.arm(awaits).is_err() {
            let message = "the application has to wait, and its client cannot be watched";
            return Settled::Failed(rest, Error::of(ErrorKind::Resources, message));
        }
        // The MPM would close the connection after its Timeout.
        let timeout = request.server().timeout();
        let longest = (timeout / 2).min(if awaits.input { LOOK_FOR_INPUT } else { timeout });
        let task = match rest {
            Rest::Task(task) => Some(task),
            Rest::End(outcome) => {
                self.outcome = Some(outcome);
                None
            }
        };
        let grace = self.exchange.grace().filter(|_| task.is_some());
        cell.keep(task, longest, grace);
        if (is_called && !is_done) || self.is_test {
            cell.state.queue();
            cell.bell.ring();
            return Settled::Waits;
        }
        while !cell.state.suspend() {
            if let Some(task) = cell.take() {
                return Settled::Again(Rest::Task(task));
            }
        }
        Settled::Waits
    }

    fn resume(&mut self, rest: Rest) -> Rest {
        let Rest::Task(task) = rest else { return rest };
        let Self { exchange, input, cell, .. } = self;
        let request = exchange.request();
        let _entered = exchange.enter();
        let here = Here { request, cell };
        let progress = log::with_request(request, || task.resume(exchange, input, &here));
        if input.gave_socket() {
            // The new owner sees the end of the client's input.
            exchange.watch_no_more();
        }
        match progress {
            Progress::Done(outcome) => Rest::End(outcome),
            Progress::Suspended(task) => Rest::Task(task),
        }
    }

    /// Ends the request, as its client has gone or its time is up.
    fn give_up(&mut self, rest: Rest, error: Error) -> HookStatus {
        self.request().drop_held_output();
        let outcome = match rest {
            Rest::End(_) => Outcome::Broken(error),
            Rest::Task(task) => {
                let _entered = self.exchange.enter();
                log::with_request(self.request(), || task.give_up(&self.exchange, error))
            }
        };
        self.end(outcome)
    }

    fn end(&mut self, outcome: Outcome) -> HookStatus {
        self.cell.end();
        let request = self.request();
        request.stop_pacing();
        let status = {
            let _entered = self.exchange.enter();
            conclude(request, &self.exchange, self.input.is_unread(), outcome)
        };
        if let Some(at_end) = self.at_end.take() {
            at_end(request);
        }
        status
    }

    /// Returns why the request does not go on: its client has gone, or has not moved for too long.
    fn loss(&mut self, is_called: bool) -> Option<Error> {
        let request = self.request();
        if request.is_aborted() || (!is_called && self.exchange.finds_client_gone()) {
            return Some(gone("while the application waited"));
        }
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

impl Waiting for Kept<'_> {
    fn visit<'w>(mut self: Box<Self>) -> Visited<'w>
    where
        Self: 'w,
    {
        match self.go_on() {
            Some(status) => Visited::Over(status),
            None => Visited::Waits(self),
        }
    }

    fn abandon(mut self: Box<Self>) -> HookStatus {
        self.cell.state.begin();
        if std::mem::take(&mut self.is_test) {
            verdict::decide(false);
        }
        match self.rest() {
            Some(rest) => self.give_up(rest, gone("or httpd closed its connection")),
            None => HookStatus::Done,
        }
    }
}

impl Drop for Kept<'_> {
    /// Drops what waits, if the connection has ended without another visit.
    fn drop(&mut self) {
        if let Some(rest) = self.rest() {
            if self.is_test {
                verdict::postpone();
            }
            self.at_end = None;
            let _ = self.give_up(rest, gone("or httpd closed its connection"));
        }
    }
}

fn gone(when: &str) -> Error {
    Error::of(ErrorKind::ClientGone, format!("the client left {when}"))
}
