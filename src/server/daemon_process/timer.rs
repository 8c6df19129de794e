//! The first thread of a process that serves: accepts connections, keeps time, and ends it.

mod connections;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::daemon::{Ended, broken};
use super::process::DaemonProcess;
use super::watch::{Watch, WatchEvents};
use crate::gateway::{Code, ErrorKind, ending};
use crate::os::{self, monotonic_us};
use crate::process_group::{
    CUT_GRACE_US, Drain, DrainAction, MEASURE_US, ProcessScore, ProcessState, ProcessUsage, Reason,
    Scaled, Unsent, WorkerScore, earliest, overdue_text,
};
use crate::protocol::bridge::{FrameLimits, Timing, put_failed};
use crate::server::workers::pollers::Ticks;

/// The interval at which a process at rest looks at its load.
const REST_US: u64 = 60_000_000;

/// The timer of a process.
pub(super) struct Timer {
    process: Arc<DaemonProcess>,
    watch: Watch,
    listener: OwnedFd,
    peers: Vec<u32>,
    /// Connections by the time they were accepted, until they have had time for a HELLO.
    half_open: VecDeque<(u64, u64)>,
    /// When to accept again, if not now.
    accept_us: Option<u64>,
    /// When the log was told that nothing can be accepted.
    told_us: Option<u64>,
    lifeline_over: bool,
    /// The stop that a signal or a command asked for.
    asked: Option<Reason>,
    told: bool,
    drain: Option<Drain>,
    measured_us: u64,
    unsent: Unsent,
    scale_us: Option<u64>,
    ticks: Ticks,
}

impl Timer {
    pub(super) fn new(
        process: Arc<DaemonProcess>,
        watch: Watch,
        listener: OwnedFd,
        peers: Vec<u32>,
    ) -> io::Result<Self> {
        os::set_nonblocking(&listener)?;
        watch.add_listener(&listener)?;
        watch.add_bell(&process.bell)?;
        watch.add_ticker(process.pool.ticker())?;
        Ok(Self {
            process,
            watch,
            listener,
            peers,
            half_open: VecDeque::new(),
            accept_us: None,
            told_us: None,
            lifeline_over: false,
            asked: None,
            told: false,
            drain: None,
            measured_us: 0,
            unsent: Unsent::default(),
            scale_us: None,
            ticks: Ticks::default(),
        })
    }

    /// Serves until there is no more to do.
    pub(super) fn run(mut self) -> Ended {
        self.watch.ring_doorbell();
        loop {
            let now_us = monotonic_us();
            let facts = self.look(now_us);
            if let Some((reason, gave_up)) = self.is_done(now_us) {
                return self.end(reason, gave_up);
            }
            let next_us = self.next_us(now_us, &facts);
            match self.wait_until(next_us) {
                Ok(found) => self.happened(&found),
                Err(error) => return broken("wait for what happens")(error),
            }
        }
    }

    /// Waits for something to happen, and for requests to be looked out for meanwhile.
    fn wait_until(&mut self, until_us: Option<u64>) -> io::Result<WatchEvents> {
        loop {
            let now_us = monotonic_us();
            let left = until_us.map(|us| us.saturating_sub(now_us));
            let left = left.map(Duration::from_micros);
            let pool = &self.process.pool;
            let found = pool.wait(&mut self.ticks, left, |timeout| self.watch.wait(timeout))?;
            let is_time = until_us.is_some_and(|us| monotonic_us() >= us);
            if is_time || found.is_something() {
                return Ok(found);
            }
        }
    }

    fn slot(&self) -> &'static ProcessScore {
        self.process.slot()
    }

    fn happened(&mut self, found: &WatchEvents) {
        let now_us = monotonic_us();
        if found.lifeline_over {
            self.lifeline_over = true;
            self.watch.forget_lifeline();
            self.drain(Reason::GenerationOver, now_us);
        }
        if found.end {
            self.drain(Reason::ShutdownSignal, now_us);
        }
        if found.replace || self.process.drain_asked.swap(false, Ordering::AcqRel) {
            let reason =
                if found.replace { Reason::GracefulSignal } else { Reason::ControlCommand };
            self.asked.get_or_insert(reason);
        }
        if found.retire {
            ending::begin();
        }
        if found.cpu_time {
            self.asked.get_or_insert(Reason::CpuTimeLimit);
        }
        if found.listener {
            self.accept(now_us);
        }
    }

    /// Takes no more requests from now on, whether or not there is a replacement.
    fn drain(&mut self, reason: Reason, now_us: u64) {
        self.slot().drain(reason, now_us);
        match &mut self.drain {
            Some(drain) => drain.also(&self.process.options, reason, now_us),
            None => self.drains(reason, now_us),
        }
    }

    /// The slot is in the state Draining.
    fn drains(&mut self, reason: Reason, now_us: u64) {
        self.drain = Some(Drain::new(&self.process.options, reason, now_us));
        ending::begin();
        self.process.pool.drain();
        self.watch.ring_doorbell();
        self.tell(reason, "takes no more requests");
    }

    /// Looks at every limit, and acts on those that are reached.
    fn look(&mut self, now_us: u64) -> ProcessUsage {
        self.look_at_connections(now_us);
        let cut = self.cut_overdue(now_us);
        let slot = self.slot();
        if now_us >= self.measured_us + MEASURE_US {
            self.measured_us = now_us;
            slot.measure(os::resident_bytes().unwrap_or_default(), os::cpu_us());
            self.take_off_unsent(now_us);
        }
        let recycle = &self.process.recycle;
        let facts = ProcessUsage {
            now_us,
            requests: slot.requests_here(),
            last_request_us: self.process.board.last_request_us(),
            busy: !slot.is_idle(),
            // Those that are overdue have been cut: what became of them is known.
            oldest_us: self.process.options.request_timeout.and_then(|_| {
                let started = self.process.rows().iter().filter_map(WorkerScore::started_us);
                started.filter(|&started_us| !recycle.is_overdue(started_us, now_us)).min()
            }),
            resident: slot.resident(),
            cpu_us: slot.cpu_us(),
            asked: self.asked.or(cut),
        };
        if self.drain.is_none() {
            self.replace(&facts);
        }
        facts
    }

    /// Takes requests off the load that httpd children have left there when they were killed.
    fn take_off_unsent(&mut self, now_us: u64) {
        let rests = !self.process.rows().iter().any(WorkerScore::is_working);
        let longest_us = self.process.options.connect_timeout.as_micros() as u64;
        let count = self.unsent.look(rests, self.slot().running(), now_us, longest_us);
        for _ in 0..count {
            self.slot().release(self.process.incarnation);
        }
        if count > 0 {
            self.process.less_load();
        }
    }

    /// Asks for a replacement if there is a reason, and drains when there is one.
    fn replace(&mut self, facts: &ProcessUsage) {
        let ProcessUsage { now_us, .. } = *facts;
        let slot = self.slot();
        let process = self.process.clone();
        let pid = std::process::id();
        let reason = process.recycle.check(facts);
        let mut draining = false;
        if let Some(reason) = reason {
            let group = process.board.lock(&process.options, pid, os::exists);
            let asks = slot.reason().is_none();
            draining = group.replace(process.slot, reason, now_us);
            drop(group);
            if asks && slot.reason().is_some() && !draining {
                self.tell(reason, "is to be replaced");
                self.watch.ring_doorbell();
            }
        } else if slot.reason().is_some() {
            let group = process.board.lock(&process.options, pid, os::exists);
            draining = group.may_drain(process.slot, now_us);
        }
        if draining {
            self.drains(slot.reason().or(reason).unwrap_or(Reason::ScaleDown), now_us);
            return;
        }
        let is_fixed = process.options.min_processes == process.options.max_processes;
        if !is_fixed && self.scale_us.is_none_or(|us| now_us >= us) {
            let group = process.board.lock(&process.options, pid, os::exists);
            self.scale_us = group.next_scale_us(now_us);
            let scaled = group.scale(now_us);
            drop(group);
            if scaled != Scaled::Same {
                self.watch.ring_doorbell();
            }
        }
    }

    fn tell(&mut self, reason: Reason, what: &str) {
        if std::mem::replace(&mut self.told, true) && self.drain.is_none() {
            return;
        }
        self.process.log(
            Code::DaemonRecycled.level(),
            &Code::DaemonRecycled.line(format_args!(
                "process group {}, process {}: {what}: {}",
                self.process.options.name,
                std::process::id(),
                reason.word()
            )),
        );
    }

    /// Whether it may end, why, and whether that leaves requests behind.
    fn is_done(&self, now_us: u64) -> Option<(Reason, bool)> {
        let drain = self.drain.as_ref()?;
        // When all children have gone, nobody takes back any more what a dead one has left.
        let idle = self.slot().is_idle()
            || (self.lifeline_over
                && self.process.pool.connections.count() == 0
                && self.process.rows().iter().all(|row| row.ticket() == 0));
        match drain.check(idle, now_us) {
            DrainAction::Exit => Some((drain.reason(), false)),
            DrainAction::GiveUp => Some((drain.reason(), true)),
            DrainAction::Wait { .. } => None,
        }
    }

    fn next_us(&self, now_us: u64, facts: &ProcessUsage) -> Option<u64> {
        let drain = self.drain.as_ref().map(|drain| match drain.check(false, now_us) {
            DrainAction::Wait { until_us } => until_us,
            DrainAction::Exit | DrainAction::GiveUp => now_us,
        });
        let recycle = self.process.recycle.next_us(facts);
        let scale = if self.drain.is_some() { None } else { self.scale_us };
        // Figures of a process at rest need no refreshing. Its load may hold what nobody will send.
        let pause_us = if facts.busy { MEASURE_US } else { REST_US };
        let measure = Some(self.measured_us + pause_us);
        let connections = self.next_of_connections_us();
        earliest([connections, drain, recycle, scale, measure, self.next_cut_us()])
    }

    fn end(self, reason: Reason, gave_up: bool) -> Ended {
        if gave_up {
            self.process.log(
                Code::DrainAbandoned.level(),
                &Code::DrainAbandoned.line(format_args!(
                    "process group {}, process {}: gave up waiting for {} requests: {}",
                    self.process.options.name,
                    std::process::id(),
                    self.slot().running() + self.slot().parked(),
                    reason.word()
                )),
            );
        }
        // A thread at rest ends at once; one that is stuck is not waited for any longer.
        let patience = if gave_up { Duration::from_millis(100) } else { Duration::from_secs(1) };
        Ended::Served { reason, abandoned: self.process.pool.stop(patience) }
    }
}

/// Requests that take too long.
impl Timer {
    /// Answers overdue requests in their applications' place. Returns why the process has to be
    /// replaced: one of them has not ended since. A future that is polled just now ends at once.
    fn cut_overdue(&self, now_us: u64) -> Option<Reason> {
        self.process.options.request_timeout?;
        let mut stuck = false;
        self.process.places.each(|current| {
            let mut slot = current.job();
            let Some(job) = slot.as_mut() else { return };
            if let Some(cut_us) = job.cut_us {
                stuck |= now_us >= cut_us + CUT_GRACE_US;
                return;
            }
            if job.switched
                || !job.can_be_cut()
                || !self.process.recycle.is_overdue(job.started_us, now_us)
            {
                return;
            }
            let took_us = now_us.saturating_sub(job.started_us);
            let why = overdue_text(&format!("{} s", took_us / 1_000_000), "request-timeout");
            let mut frame = Vec::new();
            let timing = Timing { application_us: took_us, ..Timing::default() };
            let (kind, limits) = (ErrorKind::RequestTimeout, FrameLimits::default());
            let status = kind.status().as_u16();
            put_failed(&mut frame, kind, status, why.as_bytes(), true, &timing, &limits);
            job.cut(&frame, now_us);
            let (slot, incarnation) = (self.slot(), self.process.incarnation);
            if job.parked {
                slot.release_parked(incarnation);
            } else {
                slot.release(incarnation);
            }
        });
        stuck.then_some(Reason::RequestTimeout)
    }

    /// Returns the time of the next look at requests that were cut.
    fn next_cut_us(&self) -> Option<u64> {
        self.process.options.request_timeout?;
        let mut cut = None;
        self.process.places.each(|current| {
            let cut_us = current.job().as_ref().and_then(|job| job.cut_us);
            cut = earliest([cut, cut_us]);
        });
        let next = cut.map(|cut_us| cut_us + CUT_GRACE_US);
        next.filter(|_| self.drain.is_none() && self.slot().reason().is_none())
    }
}

/// Whether a slot that was starting serves now.
pub(super) fn becomes_ready(process: &DaemonProcess) -> bool {
    process.board.ready(process.slot, monotonic_us())
        && process.slot().state() == ProcessState::Ready
}
