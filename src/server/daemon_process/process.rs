//! The part that all threads of a daemon process share.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::connection::ChildConnection;
use super::current_request::CurrentRequest;
use super::daemon::{Applications, LogFn};
use super::place::Places;
use super::variables::ProcessVariables;
use super::worker::DaemonWorker;
use crate::gateway::{Code, Error, Level};
use crate::os::{self, Event, monotonic_us};
use crate::process_group::{
    Finished, GroupOptions, Phase, ProcessScore, Recycle, Scoreboard, WorkerScore,
};
use crate::protocol::bridge::{FrameLimits, RefusalReason, TOKEN, put_refused};
use crate::server::workers::pollers::Pollers;
use crate::server::workers::pool::{Driver, PoolOptions, Regain, WorkerPool};
use crate::server::workers::size::MOST_BLOCKED;

/// The most connections that a process keeps. There are no more httpd children's threads.
pub(super) const MOST_CONNECTIONS: usize = 20_000;

/// Lines about refused peers, in a minute at most.
const REFUSALS: u64 = 10;

/// A daemon process that serves.
pub(super) struct DaemonProcess {
    pub(super) options: GroupOptions,
    pub(super) board: Scoreboard,
    pub(super) slot: usize,
    pub(super) incarnation: u32,
    pub(super) token: [u8; TOKEN],
    pub(super) controllers: Vec<u32>,
    pub(super) applications: Arc<dyn Applications>,
    pub(super) pool: WorkerPool<Self>,
    pub(super) places: Arc<Places>,
    pub(super) variables: Arc<ProcessVariables>,
    /// For frames of this process's: a head may have `header-buffer-size`.
    pub(super) limits: FrameLimits,
    /// The limits after which it is replaced.
    pub(super) recycle: Recycle,
    /// Wakes the timer.
    pub(super) bell: Event,
    /// CONTROL asked for what SIGUSR1 does.
    pub(super) drain_asked: AtomicBool,
    /// The timer was told that `maximum-requests` are done.
    enough: AtomicBool,
    log: Arc<LogFn>,
    refusals: AtomicU64,
    refusals_since_us: AtomicU64,
}

/// The parts that a process is made of, beside those that it makes itself.
pub(super) struct ProcessParts {
    pub(super) options: GroupOptions,
    pub(super) board: Scoreboard,
    pub(super) slot: usize,
    pub(super) incarnation: u32,
    pub(super) token: [u8; TOKEN],
    pub(super) controllers: Vec<u32>,
    pub(super) applications: Arc<dyn Applications>,
    pub(super) log: Arc<LogFn>,
    pub(super) recycle: Recycle,
}

impl DaemonProcess {
    pub(super) fn new(parts: ProcessParts) -> io::Result<Self> {
        let ProcessParts { options, board, slot, incarnation, token, controllers, .. } = parts;
        let rows = board.rows_of(slot);
        let threads = options.workers();
        // A thread needs a row of the scoreboard. The others are for requests without a thread.
        let blocked = rows.len().saturating_sub(threads as usize).min(MOST_BLOCKED);
        let places = Places::new(&board.slots[slot], rows, threads as usize + blocked);
        let pool = WorkerPool::new(PoolOptions {
            threads,
            blocked,
            pollers: Pollers::new(threads, options.max_processes),
            connections: MOST_CONNECTIONS,
            stack_size: options.stack_size,
        })?;
        let head = u32::try_from(options.header_buffer_size).unwrap_or(u32::MAX);
        Ok(Self {
            board,
            slot,
            incarnation,
            token,
            controllers,
            applications: parts.applications,
            pool,
            places,
            variables: Arc::new(ProcessVariables::new(&options)),
            limits: FrameLimits { head, ..FrameLimits::default() },
            recycle: parts.recycle,
            bell: Event::new()?,
            drain_asked: AtomicBool::new(false),
            enough: AtomicBool::new(false),
            log: parts.log,
            refusals: AtomicU64::new(0),
            refusals_since_us: AtomicU64::new(0),
            options,
        })
    }

    pub(super) const fn slot(&self) -> &'static ProcessScore {
        &self.board.slots[self.slot]
    }

    pub(super) fn rows(&self) -> &'static [WorkerScore] {
        self.board.used_rows(self.slot)
    }

    /// A line that belongs to no request.
    pub(super) fn log(&self, level: Level, message: &str) {
        (self.log)(level, message);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.pool.is_draining()
    }

    /// Counts a request that is done.
    pub(super) fn record(&self, finished: &Finished, now_us: u64) {
        let slot = self.slot();
        slot.record(finished, now_us);
        if self.recycle.has_done_enough(slot.requests_here())
            && !self.enough.swap(true, Ordering::AcqRel)
        {
            self.bell.ring();
        }
    }

    /// A request is off the load: whoever waits for the last one looks again.
    pub(super) fn less_load(&self) {
        if self.is_draining() {
            self.bell.ring();
        }
    }

    /// Waits for the application of a request: meanwhile another request has the permit.
    pub(super) fn park<T>(
        self: &Arc<Self>,
        current: &CurrentRequest,
        row: &WorkerScore,
        phase: Phase,
        wait: impl FnOnce() -> T,
    ) -> T {
        self.without_permit(current, row, (Regain::InTurn, phase), wait)
    }

    /// Waits for a client that is slow to send or to receive: meanwhile another request has the
    /// permit.
    pub(super) fn wait_for_client<T>(
        self: &Arc<Self>,
        current: &CurrentRequest,
        row: &WorkerScore,
        phase: Phase,
        wait: impl FnOnce() -> T,
    ) -> T {
        // Without a row for another thread no thread would have the permit.
        if !self.pool.has_spare() {
            return wait();
        }
        self.without_permit(current, row, (Regain::AtOnce, phase), wait)
    }

    /// Waits, and shows the request as parked meanwhile, on the scoreboard and to the timer.
    fn without_permit<T>(
        self: &Arc<Self>,
        current: &CurrentRequest,
        row: &WorkerScore,
        (regain, phase): (Regain, Phase),
        wait: impl FnOnce() -> T,
    ) -> T {
        self.waits(current, row);
        let waited = WorkerPool::without_permit(self, regain, || {
            let waited = wait();
            self.wants_thread(current);
            waited
        });
        row.set_phase(phase);
        waited
    }

    /// Notes that a request waits from now on, on its thread or without, on the scoreboard and for
    /// the timer.
    pub(super) fn waits(&self, current: &CurrentRequest, row: &WorkerScore) {
        if let Some(job) = current.job().as_mut().filter(|job| job.cut_us.is_none()) {
            self.slot().park(self.incarnation);
            job.parked = true;
        }
        row.set_phase(Phase::Parked);
    }

    /// Notes that a thread goes on with a request that waited.
    pub(super) fn goes_on(&self, current: &CurrentRequest, row: &WorkerScore, phase: Phase) {
        self.wants_thread(current);
        row.set_phase(phase);
    }

    fn wants_thread(&self, current: &CurrentRequest) {
        if let Some(job) = current.job().as_mut().filter(|job| job.cut_us.is_none()) {
            self.slot().unpark(self.incarnation);
            job.parked = false;
        }
    }

    /// Does not talk to a peer, and says so once.
    pub(super) fn refuse(&self, connection: &ChildConnection, reason: RefusalReason, why: &str) {
        let mut frame = Vec::new();
        put_refused(&mut frame, reason, why.as_bytes(), &FrameLimits::default());
        // He may have gone.
        let _ = os::send(connection.as_fd(), &frame);
        self.log_refusal(connection.peer(), why);
    }

    /// Tells a peer that this is not the process that it wants. That is nobody's fault.
    pub(super) fn turn_away(&self, connection: &ChildConnection) {
        let mut frame = Vec::new();
        let why = b"the process that the request was for has died";
        put_refused(&mut frame, RefusalReason::Draining, why, &FrameLimits::default());
        let _ = os::send(connection.as_fd(), &frame);
    }

    pub(super) fn log_refusal(&self, peer: os::PeerCredentials, why: &str) {
        let now_us = monotonic_us();
        if now_us.saturating_sub(self.refusals_since_us.load(Ordering::Relaxed)) > 60_000_000 {
            self.refusals_since_us.store(now_us, Ordering::Relaxed);
            self.refusals.store(0, Ordering::Relaxed);
        }
        let count = self.refusals.fetch_add(1, Ordering::Relaxed);
        let more = match count {
            0..REFUSALS => "",
            REFUSALS => "; no more of these lines within a minute",
            _ => return,
        };
        self.log(
            Code::PeerRefused.level(),
            &Code::PeerRefused.line(format_args!(
                "process group {}: refused {peer}: {why}{more}",
                self.options.name
            )),
        );
    }
}

impl Driver for DaemonProcess {
    type Worker = DaemonWorker;
    type Connection = ChildConnection;

    fn pool(&self) -> &WorkerPool<Self> {
        &self.pool
    }

    fn worker(self: &Arc<Self>, _seat: usize) -> DaemonWorker {
        DaemonWorker::new(self)
    }

    fn serve(worker: &mut DaemonWorker, connection: &Arc<ChildConnection>, hung_up: bool) {
        worker.serve(connection, hung_up);
    }

    fn panicked(worker: &mut DaemonWorker, connection: Option<&ChildConnection>, error: &Error) {
        worker.panicked(connection, error);
    }

    fn log_error(&self, message: &str) {
        self.log(Level::Error, message);
    }
}
