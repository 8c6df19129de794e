//! Requests that give their httpd thread back while they wait.
//!
//! | part | file |
//! | --- | --- |
//! | a request from its first run to its end, whatever it waits for | `mod` |
//! | the work of a service inside the httpd child | `task` |
//! | the waker, and the requests that wait in this process | `cell` |
//! | the thread that looks after them | `watcher` |
//! | the state of one request, which its waker changes | `state` |
//! | the turns of requests that are woken at once | `turns` |
//! | `RustAsync`, and the test at first use | `verdict` |

mod cell;
mod state;
mod task;
mod turns;
mod verdict;
mod watcher;

use std::cell::OnceCell;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::choice::OnOffAuto;
use super::exchange::RequestExchange;
use super::variables::ExchangeContext;
use crate::gateway::run::Suspend;
use crate::gateway::{Error, ErrorKind};
use crate::httpd::suspend::{Doorbell, Site, Visited, Waiting};
use crate::httpd::{HookStatus, Request, mpm};
use crate::os::Awaits;
use cell::WaitingCell;
use verdict::Permission;

pub(crate) use cell::{Lookout, count, drop_all};
pub(crate) use task::serve;

/// The work for a request that may wait without a thread.
pub(crate) trait Work<'r> {
    /// The descriptors of a request that waits, with its client's and that of its doorbell.
    const DESCRIPTORS: usize = 2;

    /// Goes on after a first run that has to wait.
    fn settle(&mut self, here: &Here<'_, 'r>) -> Turn;

    /// Goes on in a visit. `is_called` says that the waker was called.
    fn go_on(&mut self, here: &Here<'_, 'r>, is_called: bool) -> Turn;

    /// Gives up, as the client has gone or nobody can wait. Returns `false` if the process ends,
    /// and has taken the work.
    fn give_up(&mut self, here: &Here<'_, 'r>, error: Error) -> bool;

    /// Returns what the handler returns for a request whose work is over.
    fn conclude(&mut self, exchange: &RequestExchange<'r, 'r>) -> HookStatus;
}

/// The result of a first run.
pub(crate) enum First<W> {
    /// The request is over, with what the handler returns.
    Over(HookStatus),
    /// The work that is left has to wait.
    Waits(W),
}

/// The result of a visit.
pub(crate) enum Turn {
    Over,
    Waits(Wait),
    Failed(Error),
    /// The process ends, and has taken the work.
    Taken,
}

/// The events that a request waits for, and the time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wait {
    /// The states of its client's socket that bring a visit.
    pub(crate) client: Awaits,
    /// The time after which a visit comes in any case.
    pub(crate) longest: Option<Duration>,
    /// Whether the next visit is to come at once, behind other requests.
    pub(crate) is_called: bool,
    /// Whether a call of the waker is nothing to go on for: the client has to read first.
    pub(crate) is_deaf: bool,
}

/// Returns whether requests like this one may be suspended.
pub(crate) fn allows(request: &Request<'_>, mode: OnOffAuto) -> bool {
    mode != OnOffAuto::Off && Site::of(request).is_some()
}

/// Runs `first` for a request that may be suspended. If it returns the work that is left, the
/// request is parked. `at_end` is called at the end of one that was.
pub(crate) fn run<'r, W: Work<'r> + 'r>(
    request: &'r Request<'r>,
    facts: ExchangeContext<'r>,
    mode: OnOffAuto,
    at_end: impl FnOnce(&Request<'r>) + 'r,
    first: impl FnOnce(&RequestExchange<'r, 'r>, &Place<'r>) -> First<W>,
) -> HookStatus {
    let failed = HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR);
    let Some(site) = Site::of(request) else { return failed };
    let descriptors = W::DESCRIPTORS;
    let place = Place { request, site, mode, descriptors, cell: OnceCell::new() };
    let first = |exchange: &RequestExchange<'r, 'r>| match first(exchange, &place) {
        First::Over(status) => Ok(status),
        First::Waits(work) => Err(work),
    };
    match RequestExchange::begin(request, facts, first) {
        Ok(status) => {
            place.leave();
            status
        }
        Err((exchange, work)) => {
            // It is suspended only if it got a waker.
            let Some((cell, is_test)) = place.cell.into_inner().flatten() else {
                return failed;
            };
            watcher::start(count, cell::look_at_all);
            let kept = Kept {
                exchange,
                cell,
                is_test,
                at_end: None,
                is_over: false,
                awaits_input: false,
                work,
            };
            let mut kept = Box::new(kept);
            let turn = kept.work.settle(&Here { exchange: &kept.exchange, cell: &kept.cell });
            match kept.settle(turn) {
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
pub(crate) struct Place<'r> {
    request: &'r Request<'r>,
    site: Site<'r, 'r>,
    mode: OnOffAuto,
    descriptors: usize,
    /// The waker, and whether the request is a test. `None` if it cannot be suspended.
    cell: OnceCell<Option<(Arc<WaitingCell>, bool)>>,
}

impl Place<'_> {
    /// Returns whether the request can be suspended. From then on its output does not wait.
    pub(crate) fn can_wait(&self) -> bool {
        self.cell.get_or_init(|| self.cell()).is_some()
    }

    fn cell(&self) -> Option<(Arc<WaitingCell>, bool)> {
        // A child that ends without connections stops its listener, and then serves what is in its
        // queue: nobody would bring this request back (event.c, listener_thread). Another request
        // that waits keeps the listener.
        if mpm::is_stopping() && count() == 0 {
            return None;
        }
        let permission = verdict::permission(self.mode);
        if permission == Permission::Denied {
            return None;
        }
        let is_test = permission == Permission::Test;
        let doorbell = self.site.doorbell(self.descriptors);
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
struct Kept<'r, W: Work<'r>> {
    exchange: RequestExchange<'r, 'r>,
    cell: Arc<WaitingCell>,
    /// Whether it is a test at first use.
    is_test: bool,
    at_end: Option<AtEnd<'r>>,
    is_over: bool,
    /// The request body is waited for.
    awaits_input: bool,
    work: W,
}

/// A visit, as the driver of its request.
pub(crate) struct Here<'k, 'r> {
    exchange: &'k RequestExchange<'r, 'r>,
    cell: &'k Arc<WaitingCell>,
}

impl<'k, 'r> Here<'k, 'r> {
    pub(crate) const fn exchange(&self) -> &'k RequestExchange<'r, 'r> {
        self.exchange
    }

    pub(crate) fn doorbell(&self) -> &'k Arc<Doorbell> {
        &self.cell.bell
    }

    /// Has another thread look out while the request waits. A visit comes when it sees something.
    pub(crate) fn look_out(&self, lookout: Option<Lookout>) {
        self.cell.look_out(lookout);
    }
}

impl Suspend for Here<'_, '_> {
    fn waker(&self) -> Option<Waker> {
        Some(self.cell.waker())
    }

    fn has_room(&self) -> bool {
        !self.exchange.request().has_unsent_output()
    }
}

impl<'r, W: Work<'r>> Kept<'r, W> {
    const fn request(&self) -> &'r Request<'r> {
        self.exchange.request()
    }

    /// Goes on in a visit. Returns `None` if the request waits on.
    fn go_on(&mut self) -> Option<HookStatus> {
        let is_called = self.cell.begin();
        if std::mem::take(&mut self.is_test) {
            verdict::decide(true);
        }
        let request = self.request();
        request.show_in_scoreboard();
        // The read of a body finds its end by itself, and the application is told of that.
        let looks = !is_called && !self.awaits_input;
        let turn = if request.is_aborted() || (looks && self.exchange.finds_client_gone()) {
            Turn::Failed(gone("while the application waited"))
        } else if let Err(error) = self.exchange.check_grace() {
            Turn::Failed(error)
        } else {
            self.work.go_on(&Here { exchange: &self.exchange, cell: &self.cell }, is_called)
        };
        self.settle(turn)
    }

    /// Leaves the request to its waker and its client, or goes on at once if one of them has moved.
    ///
    /// Returns `None` if it waits, else what the handler returns.
    fn settle(&mut self, mut turn: Turn) -> Option<HookStatus> {
        loop {
            let wait = match turn {
                Turn::Over => return Some(self.end()),
                Turn::Waits(wait) => wait,
                Turn::Failed(error) => return Some(self.give_up(error)),
                Turn::Taken => return Some(self.taken()),
            };
            let cell = &self.cell;
            let client = Awaits { departure: self.exchange.watches_client(), ..wait.client };
            self.awaits_input = client.input;
            if let Err(error) = cell.bell.arm(client) {
                turn = Turn::Failed(unwatched(&error));
                continue;
            }
            // The MPM would close the connection after its Timeout: a visit may be late.
            let most = self.request().server().timeout() / 4;
            let longest = wait.longest.map_or(most, |longest| longest.min(most));
            cell.wait(longest, self.exchange.grace());
            if wait.is_called || self.is_test {
                cell.state.queue();
                cell.ring();
                return None;
            }
            if wait.is_deaf {
                cell.state.suspend_until_read();
                return None;
            }
            if cell.state.suspend() {
                return None;
            }
            turn = self.work.go_on(&Here { exchange: &self.exchange, cell }, true);
        }
    }

    /// Ends the request, as its client has gone or it cannot wait.
    fn give_up(&mut self, error: Error) -> HookStatus {
        self.request().drop_held_output();
        let here = Here { exchange: &self.exchange, cell: &self.cell };
        if self.work.give_up(&here, error) { self.end() } else { self.taken() }
    }

    fn taken(&mut self) -> HookStatus {
        self.is_over = true;
        HookStatus::Done
    }

    fn end(&mut self) -> HookStatus {
        self.is_over = true;
        if std::mem::take(&mut self.is_test) {
            // It went on at once.
            verdict::postpone();
        }
        self.cell.end();
        let request = self.request();
        request.stop_pacing();
        let status = {
            let _entered = self.exchange.enter();
            self.work.conclude(&self.exchange)
        };
        if let Some(at_end) = self.at_end.take() {
            at_end(request);
        }
        status
    }
}

impl<'r, W: Work<'r>> Waiting for Kept<'r, W> {
    fn visit<'w>(mut self: Box<Self>) -> Visited<'w>
    where
        Self: 'w,
    {
        turns::begin_visit(&*self.cell);
        match self.go_on() {
            Some(status) => Visited::Over { status, then: turns::end_visit },
            None => {
                turns::end_visit();
                turns::end(&*self.cell);
                Visited::Waits(self)
            }
        }
    }

    fn abandon(mut self: Box<Self>) -> HookStatus {
        self.cell.begin();
        if std::mem::take(&mut self.is_test) {
            verdict::decide(false);
        }
        self.give_up(gone("or httpd closed its connection"))
    }
}

impl<'r, W: Work<'r>> Drop for Kept<'r, W> {
    /// Drops what waits, if the connection has ended without another visit.
    fn drop(&mut self) {
        if self.is_over || cell::is_over() {
            return;
        }
        self.at_end = None;
        self.give_up(gone("or httpd closed its connection"));
    }
}

/// Returns the error of a request that has to wait, and cannot be watched.
pub(crate) fn unwatched(error: &io::Error) -> Error {
    // The MPM closes the sockets of its threads when it stops (event.c, close_worker_sockets).
    let closed = [rustix::io::Errno::BADF, rustix::io::Errno::NOENT];
    if closed.iter().any(|closed| error.raw_os_error() == Some(closed.raw_os_error())) {
        return gone("or httpd closed its connection");
    }
    let message = format!("the request has to wait, and cannot be watched: {error}");
    Error::of(ErrorKind::Resources, message)
}

fn gone(when: &str) -> Error {
    Error::of(ErrorKind::ClientGone, format!("the client left {when}"))
}
