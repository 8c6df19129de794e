//! What all threads of a daemon process share.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::connection::{Connection, Connections};
use super::daemon::{Applications, LogFn};
use super::desk::Desk;
use super::variables::Facts;
use super::worker;
use crate::gateway::Level;
use crate::os::{self, Epoll, Event, Trigger, monotonic_us};
use crate::process_group::{
    Finished, GroupOptions, Phase, ProcessScore, Recycle, Scoreboard, WorkerScore,
};
use crate::protocol::bridge::{Limits, Reason as Refusal, TOKEN, put_refused};
use crate::server::workers::permits::Permits;
use crate::server::workers::pollers::Pollers;
use crate::server::workers::size::PoolSize;

/// The token of the event that wakes the worker threads; no connection has it.
pub(super) const STOP: u64 = u64::MAX;

/// The most connections that a process keeps. There are no more httpd children's threads.
pub(super) const MOST_CONNECTIONS: usize = 20_000;

/// Lines about refused peers, in a minute at most.
const REFUSALS: u64 = 10;

/// A daemon process that serves.
pub(super) struct Process {
    pub(super) options: GroupOptions,
    pub(super) board: Scoreboard,
    pub(super) slot: usize,
    pub(super) incarnation: u32,
    pub(super) token: [u8; TOKEN],
    pub(super) controllers: Vec<u32>,
    pub(super) applications: Arc<dyn Applications>,
    pub(super) epoll: Epoll,
    pub(super) connections: Connections,
    pub(super) permits: Permits,
    pub(super) pollers: Pollers,
    /// One a row.
    pub(super) desks: Box<[Arc<Desk>]>,
    pub(super) facts: Facts,
    /// For frames of this process's: a head may have `header-buffer-size`.
    pub(super) limits: Limits,
    /// When it is to be replaced.
    pub(super) recycle: Recycle,
    /// Wakes the timer.
    pub(super) bell: Event,
    /// Wakes the timer to look out for requests.
    pub(super) ticker: Event,
    /// CONTROL asked for what SIGUSR1 does.
    pub(super) drain_asked: AtomicBool,
    /// The timer was told that `maximum-requests` are done.
    enough: AtomicBool,
    log: Arc<LogFn>,
    on_worker_thread: fn(),
    draining: AtomicBool,
    stopping: AtomicBool,
    stop: Event,
    pub(super) pool_size: PoolSize,
    free_rows: Mutex<Vec<usize>>,
    thread_ended: Condvar,
    refusals: AtomicU64,
    refusals_since_us: AtomicU64,
}

/// What a process is made of, beside what it makes itself.
pub(super) struct Parts {
    pub(super) options: GroupOptions,
    pub(super) board: Scoreboard,
    pub(super) slot: usize,
    pub(super) incarnation: u32,
    pub(super) token: [u8; TOKEN],
    pub(super) controllers: Vec<u32>,
    pub(super) applications: Arc<dyn Applications>,
    pub(super) log: Arc<LogFn>,
    pub(super) on_worker_thread: fn(),
    pub(super) recycle: Recycle,
}

impl Process {
    pub(super) fn new(parts: Parts) -> io::Result<Self> {
        let Parts { options, board, slot, incarnation, token, controllers, .. } = parts;
        let (epoll, stop) = (Epoll::new()?, Event::new()?);
        epoll.add(&stop, STOP, Trigger::Level)?;
        let rows = board.rows_of(slot).len();
        let threads = options.workers() as usize;
        let head = u32::try_from(options.header_buffer_size).unwrap_or(u32::MAX);
        Ok(Self {
            board,
            slot,
            incarnation,
            token,
            controllers,
            applications: parts.applications,
            epoll,
            connections: Connections::new(MOST_CONNECTIONS, options.send_buffer_size.is_some()),
            permits: Permits::new(options.workers()),
            pollers: Pollers::new(options.workers(), options.max_processes),
            desks: (0..rows).map(|_| Arc::default()).collect(),
            facts: Facts::new(&options),
            limits: Limits { head, ..Limits::default() },
            recycle: parts.recycle,
            bell: Event::new()?,
            ticker: Event::new()?,
            drain_asked: AtomicBool::new(false),
            enough: AtomicBool::new(false),
            log: parts.log,
            on_worker_thread: parts.on_worker_thread,
            draining: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            stop,
            pool_size: PoolSize::new(threads, rows.saturating_sub(threads)),
            free_rows: Mutex::new((0..rows).rev().collect()),
            thread_ended: Condvar::new(),
            refusals: AtomicU64::new(0),
            refusals_since_us: AtomicU64::new(0),
            options,
        })
    }

    pub(super) const fn slot(&self) -> &'static ProcessScore {
        &self.board.slots[self.slot]
    }

    pub(super) fn rows(&self) -> &'static [WorkerScore] {
        self.board.rows_of(self.slot)
    }

    /// A line that belongs to no request.
    pub(super) fn log(&self, level: Level, message: &str) {
        (self.log)(level, message);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(super) fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
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

    /// Gives the turn of the calling thread away while its request waits.
    pub(super) fn park(self: &Arc<Self>, desk: &Desk, row: &WorkerScore) {
        if let Some(job) = desk.job().as_mut().filter(|job| job.cut_us.is_none()) {
            self.slot().park(self.incarnation);
            job.parked = true;
        }
        row.set_phase(Phase::Parked);
        self.permits.give();
        self.pool_size.waits();
        self.start_thread();
        self.pollers.relieve();
    }

    /// Takes a turn again for a request that has waited.
    pub(super) fn unpark(&self, desk: &Desk, row: &WorkerScore, phase: Phase) {
        self.wants_thread(desk);
        self.permits.take();
        self.pool_size.goes_on();
        row.set_phase(phase);
    }

    fn wants_thread(&self, desk: &Desk) {
        if let Some(job) = desk.job().as_mut().filter(|job| job.cut_us.is_none()) {
            self.slot().unpark(self.incarnation);
            job.parked = false;
        }
    }

    /// Waits for a client that is slow to send or to take: meanwhile another request has the turn.
    ///
    /// What runs goes on at once when the client has: it may be in the midst of anything.
    pub(super) fn wait_for_client<T>(
        self: &Arc<Self>,
        desk: &Desk,
        row: &WorkerScore,
        phase: Phase,
        wait: impl FnOnce() -> T,
    ) -> T {
        // Without a row for another thread nobody would have the turn.
        if !self.pool_size.has_spare() {
            return wait();
        }
        self.park(desk, row);
        let waited = wait();
        self.wants_thread(desk);
        self.permits.take_at_once();
        self.pool_size.goes_on();
        row.set_phase(phase);
        waited
    }

    /// Starts as many threads as the group has.
    ///
    /// # Errors
    ///
    /// When not one of them can be started.
    pub(super) fn start_threads(self: &Arc<Self>) -> io::Result<()> {
        while self.start_thread() {}
        match self.pool_size.count() {
            0 => Err(io::Error::other("no worker thread can be started")),
            _ => Ok(()),
        }
    }

    /// Starts another thread if fewer than there are turns can take requests.
    fn start_thread(self: &Arc<Self>) -> bool {
        if self.pool_size.joins().is_none() {
            return false;
        }
        let row = self.lock_rows().pop();
        let started = row.is_some_and(|row| {
            let process = self.clone();
            let mut builder = thread::Builder::new().name(format!("mod_rust-{row}"));
            if let Some(bytes) = self.options.stack_size {
                builder = builder.stack_size(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
            let started = builder.spawn(move || {
                (process.on_worker_thread)();
                worker::work(&process, row);
                process.thread_ends(row);
            });
            if started.is_err() {
                self.lock_rows().push(row);
            }
            started.is_ok()
        });
        if !started {
            self.pool_size.leaves();
        }
        started
    }

    /// Whether the calling thread, which has nothing to do now, has to end.
    pub(super) fn is_one_too_many(&self) -> bool {
        let ends = self.pool_size.is_one_too_many();
        if ends {
            // It might have been the one to look for requests next.
            self.pollers.relieve();
        }
        ends
    }

    fn thread_ends(&self, row: usize) {
        self.lock_rows().push(row);
        self.thread_ended.notify_all();
    }

    fn lock_rows(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.free_rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all threads, and waits for them as long as said: how many have not ended.
    pub(super) fn stop(&self, patience: Duration) -> usize {
        self.stopping.store(true, Ordering::Release);
        self.stop.ring();
        self.pollers.end();
        let all = self.desks.len();
        let rows = self.lock_rows();
        let (rows, _) = self
            .thread_ended
            .wait_timeout_while(rows, patience, |rows| rows.len() < all)
            .unwrap_or_else(PoisonError::into_inner);
        all - rows.len()
    }

    /// Does not talk to a peer, and says so once.
    pub(super) fn refuse(&self, connection: &Connection, reason: Refusal, why: &str) {
        let mut frame = Vec::new();
        put_refused(&mut frame, reason, why.as_bytes(), &Limits::default());
        // He may have gone.
        let _ = os::send(connection.as_fd(), &frame);
        self.log_refusal(connection.peer(), why);
    }

    /// Tells a peer that this is not the process that it wants. That is nobody's fault.
    pub(super) fn turn_away(&self, connection: &Connection) {
        let mut frame = Vec::new();
        let why = b"the process that the request was for has died";
        put_refused(&mut frame, Refusal::Draining, why, &Limits::default());
        let _ = os::send(connection.as_fd(), &frame);
    }

    pub(super) fn log_refusal(&self, peer: os::Peer, why: &str) {
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
            Level::Warn,
            &format!("RUST0036: process group {}: refused {peer}: {why}{more}", self.options.name),
        );
    }
}
