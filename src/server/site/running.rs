//! The requests that run, where their time is bounded (`--request-timeout`).
//!
//! A thread that runs a request cannot be interrupted. The timer, which is the process's first
//! thread, answers in the application's place, and has a process replaced whose thread stays
//! behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;

use super::environ::SiteEnviron;
use super::head::FinalHead;
use super::mounts::NOBODY;
use super::process_info::Mode;
use super::sink::{BreakOutcome, Breaker, OwnAnswer, Sink};
use super::{Site, page};
use crate::gateway::{Error, ErrorKind};
use crate::os::monotonic_us;
use crate::process_group::{CUT_GRACE_US, earliest, overdue_text};
use crate::protocol::head::write_header;
use crate::protocol::params::Params;

/// The requests that run.
pub(crate) struct RunningRequests {
    limit_us: u64,
    requests: Arc<Mutex<Requests>>,
}

#[derive(Default)]
struct Requests {
    running: BTreeMap<u64, Arc<RunningRequest>>,
    next: u64,
}

/// A request that runs.
struct RunningRequest {
    started_us: u64,
    /// The same in microseconds since 1970.
    start_us: u64,
    params: Params,
    mode: Mode,
    breaker: Arc<dyn Breaker>,
    waker: Mutex<Waker>,
    state: Mutex<RunState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunState {
    Running,
    /// The application has returned.
    Over,
    /// It was broken off at that time.
    Cut(u64, BreakOutcome),
}

impl RunningRequests {
    /// Bounds the time of each request.
    #[must_use]
    pub(crate) fn new(limit: Duration) -> Self {
        let limit_us = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX >> 4);
        Self { limit_us, requests: Arc::default() }
    }

    /// Bounds the time of a request that began at `started_us`. `None` if its web server does that.
    pub(super) fn begin(
        &self,
        environ: &SiteEnviron<'_>,
        sink: &dyn Sink,
        started_us: u64,
    ) -> Option<RunningGuard> {
        let request = Arc::new(RunningRequest {
            breaker: sink.breaker()?,
            started_us,
            start_us: environ.start_us(),
            params: environ.params().clone(),
            mode: environ.mode(),
            waker: Mutex::new(sink.waker()),
            state: Mutex::new(RunState::Running),
        });
        let mut requests = self.lock();
        let number = requests.next;
        requests.next += 1;
        requests.running.insert(number, request.clone());
        drop(requests);
        Some(RunningGuard { all: Arc::clone(&self.requests), number, request })
    }

    /// Answers the requests that have taken too long. Returns whether one has not ended since.
    #[must_use]
    pub(crate) fn cut_overdue(&self, site: &Site) -> bool {
        let now_us = monotonic_us();
        let is_overdue = |one: &&Arc<RunningRequest>| now_us >= one.started_us + self.limit_us;
        let overdue: Vec<_> = self.lock().running.values().filter(is_overdue).cloned().collect();
        let mut is_stuck = false;
        for request in overdue {
            match *request.state() {
                RunState::Cut(cut_us, _) => {
                    is_stuck |= now_us >= cut_us + CUT_GRACE_US;
                    continue;
                }
                RunState::Over => continue,
                RunState::Running => {}
            }
            request.cut(site, now_us);
        }
        is_stuck
    }

    /// Returns the time of the next [look](Self::cut_overdue) at the latest: a request that begins
    /// from now on gets all of its time.
    #[must_use]
    pub(crate) fn next_us(&self) -> Option<u64> {
        let now_us = monotonic_us();
        let requests = self.lock();
        let ends = requests.running.values().filter_map(|request| match *request.state() {
            RunState::Cut(cut_us, _) => {
                Some(cut_us + CUT_GRACE_US).filter(|&end_us| end_us > now_us)
            }
            RunState::Running | RunState::Over => Some(request.started_us + self.limit_us),
        });
        earliest([ends.min(), Some(now_us + self.limit_us)])
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        lock(&self.requests)
    }
}

fn lock(requests: &Mutex<Requests>) -> MutexGuard<'_, Requests> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunningRequest {
    fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        waker.wake();
    }

    fn state(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self, site: &Site, now_us: u64) {
        let mut state = self.state();
        if *state != RunState::Running {
            return;
        }
        let (path, base) = SiteEnviron::locate(&self.params, &site.facts, self.mode);
        let mounted = site.mounts.find(&path[base..]).unwrap_or(NOBODY);
        let environ = SiteEnviron::new(&self.params, &site.facts, self.mode, (path, base), mounted)
            .begun_at(self.start_us);
        let took = Duration::from_millis(now_us.saturating_sub(self.started_us) / 1000);
        let text = overdue_text(&format!("{took:?}"), "--request-timeout");
        let error = Error::of(ErrorKind::RequestTimeout, text);
        let (status, name) = (error.status(), environ.application());
        let line = error.line(name, &format!("answering {}", status.as_u16()));
        let mut fields = Vec::new();
        write_header(&mut fields, b"Content-Type", page::CONTENT_TYPE);
        let page = Bytes::from(page::page(status));
        let length = page.len() as u64;
        let is_head = environ.get(b"REQUEST_METHOD") == Some(b"HEAD");
        let outcome = self.breaker.break_off(&OwnAnswer {
            head: FinalHead {
                status: Some(status),
                reason: b"",
                fields: &fields,
                length: Some(length),
            },
            body: if is_head { Bytes::new() } else { page },
            line: &line,
        });
        if outcome == BreakOutcome::Whole {
            *state = RunState::Over;
            return;
        }
        *state = RunState::Cut(now_us, outcome);
        drop(state);
        self.wake();
        let line = match outcome {
            BreakOutcome::Answered { .. } => line,
            _ => error.line(name, "breaking the response off"),
        };
        if outcome != (BreakOutcome::Answered { logged: true }) && site.log.logs(error.level()) {
            site.log.of_request(error.level(), &line, &environ);
        }
        // The thread knows what has gone out of a broken response, and logs that at its end.
        if let (Some(access), BreakOutcome::Answered { .. }) = (&site.access, outcome) {
            let bytes = if is_head { 0 } else { length };
            access.put(&environ, (Some(status), bytes));
        }
    }
}

impl std::fmt::Debug for RunningRequests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningRequests").field("limit_us", &self.limit_us).finish_non_exhaustive()
    }
}

/// A request that a thread runs, or that waits without one. Dropping it ends the bound of its time.
pub(super) struct RunningGuard {
    all: Arc<Mutex<Requests>>,
    number: u64,
    request: Arc<RunningRequest>,
}

impl RunningGuard {
    /// Has `waker` called when the timer breaks the request off, which waits from now on.
    pub(super) fn wake_by(&self, waker: Waker) {
        *self.request.waker.lock().unwrap_or_else(PoisonError::into_inner) = waker;
        if let RunState::Cut(..) = *self.request.state() {
            self.request.wake();
        }
    }

    /// Notes that the application has returned. Returns how the timer broke the request off, if it
    /// did.
    pub(super) fn end(self) -> Option<BreakOutcome> {
        self.over()
    }

    fn over(&self) -> Option<BreakOutcome> {
        let mut state = self.request.state();
        match *state {
            RunState::Cut(_, outcome) => Some(outcome),
            RunState::Running | RunState::Over => {
                *state = RunState::Over;
                None
            }
        }
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        let _ = self.over();
        lock(&self.all).running.remove(&self.number);
    }
}
