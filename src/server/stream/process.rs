//! The state of a process that its worker threads share, and the state of each thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::buffer::Buffer;
use super::connection::{Due, StreamConnection};
use super::output::Output;
use super::protocol::{AnyProtocol, ThreadStates};
use super::read_ahead::SpoolBudget;
use crate::gateway::{Code, Error, Level};
use crate::os::{self, Event, monotonic_us};
use crate::protocol::params::Params;
use crate::server::site::{Fault, Refusal, Site, Timeouts};
use crate::server::workers::connections::Entry as _;
use crate::server::workers::pollers::Pollers;
use crate::server::workers::pool::{Driver, PoolOptions, Regain, WorkerPool};
use crate::server::workers::size::MOST_BLOCKED;

/// A listener, as its connections know it.
pub(super) struct ConnectionOrigin {
    pub(super) protocol: AnyProtocol,
    pub(super) name: String,
}

/// A process that serves.
pub(in crate::server) struct StreamProcess {
    pub(in crate::server) site: Arc<Site>,
    origins: Vec<ConnectionOrigin>,
    pub(in crate::server) pool: WorkerPool<Self>,
    /// From when on a process that drains closes kept connections behind their responses.
    close_kept_us: AtomicU64,
    /// Bytes of output that connections have parked.
    pub(super) parked: Arc<AtomicUsize>,
    /// The temporary files with request bodies.
    pub(super) spool: Arc<SpoolBudget>,
    /// Wakes the acceptor.
    pub(super) bell: Event,
    /// No connection is accepted because there are as many as may be.
    pub(super) full: AtomicBool,
    /// Requests whose BEGIN_REQUEST has come and whose end has not gone out, where that is counted.
    pub(in crate::server) requests: AtomicUsize,
}

impl StreamProcess {
    pub(super) fn new(site: Arc<Site>, origins: Vec<ConnectionOrigin>) -> io::Result<Self> {
        let threads = u32::try_from(site.limits.threads.max(1)).unwrap_or(u32::MAX);
        let pool = WorkerPool::new(PoolOptions {
            threads,
            blocked: MOST_BLOCKED,
            pollers: Pollers::new(threads, 1),
            connections: site.limits.connections.max(1),
            stack_size: None,
        })?;
        Ok(Self {
            origins,
            pool,
            close_kept_us: AtomicU64::new(0),
            parked: Arc::default(),
            spool: Arc::new(SpoolBudget::new(site.limits.spool)),
            bell: Event::new()?,
            full: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            site,
        })
    }

    /// Returns the protocol of the listener with this index.
    pub(super) fn protocol(&self, origin: usize) -> AnyProtocol {
        self.origins[origin].protocol
    }

    /// The most requests at once, where one connection can have several.
    pub(in crate::server) fn most_requests(&self) -> usize {
        self.site.limits.connections.max(self.site.limits.threads).max(1)
    }

    pub(in crate::server) fn is_draining(&self) -> bool {
        self.pool.is_draining()
    }

    /// Begins to drain.
    pub(super) fn drain(&self) {
        let half = super::us(self.site.timeouts.graceful) / 2;
        self.close_kept_us.store(monotonic_us().saturating_add(half), Ordering::Release);
        self.pool.drain();
    }

    /// Returns whether a kept connection is closed behind a response. While a process drains, a web
    /// server may use the connection at that moment. Therefore it is closed when it was
    /// [idle](Timeouts::drain_idle), and behind a response only in the second half of the graceful
    /// time.
    pub(in crate::server) fn closes_kept(&self) -> bool {
        self.is_draining() && monotonic_us() >= self.close_kept_us.load(Ordering::Acquire)
    }

    /// Returns how long a kept connection may be idle, in microseconds.
    pub(in crate::server) fn keep_alive_us(&self) -> u64 {
        let Timeouts { keep_alive, drain_idle, .. } = self.site.timeouts;
        super::us(if self.is_draining() { keep_alive.min(drain_idle) } else { keep_alive })
    }

    /// Expects the first byte of a connection soon, as the process drains.
    pub(in crate::server) fn expect_soon(&self, connection: &StreamConnection) {
        let at_us = monotonic_us() + super::us(self.site.timeouts.drain_first);
        if connection.due().is_none_or(|(due, due_us)| due == Due::FirstByte && due_us > at_us) {
            connection.expect(Due::FirstByte, at_us);
        }
    }

    /// A line about a peer: `fastcgi 127.0.0.1:9000: peer 127.0.0.1:4242: what`.
    pub(in crate::server) fn complain(
        &self,
        connection: &StreamConnection,
        complaint: Fault,
        level: Level,
        what: impl FnOnce() -> String,
    ) {
        self.complain_of(connection.origin(), complaint, level, || {
            format!("peer {}: {}", connection.peer_name(), what())
        });
    }

    pub(super) fn complain_of(
        &self,
        origin: usize,
        complaint: Fault,
        level: Level,
        what: impl FnOnce() -> String,
    ) {
        self.site.log.fault(complaint, level, || {
            let origin = &self.origins[origin];
            format!("{} {}: {}", origin.protocol.name(), origin.name, what())
        });
    }

    /// Closes a connection whose peer broke the protocol or asked for too much.
    pub(in crate::server) fn violated(
        &self,
        connection: &StreamConnection,
        fault: Fault,
        why: &str,
    ) {
        self.complain(connection, fault, Level::Warn, || format!("{why}; closing the connection"));
        self.cut(connection);
    }

    /// Closes a connection whose unfinished head has no room beside all others.
    pub(in crate::server) fn crowded(&self, connection: &StreamConnection) {
        self.violated(connection, Fault::HeadsFull, &self.site.heads.text());
    }

    /// Has a thread work on a connection, which stays claimed until then.
    pub(in crate::server) fn resume(&self, connection: &Arc<StreamConnection>) {
        self.submit(connection, |worker, connection| worker.serve(connection, true));
    }

    /// Has a thread do something for a connection. Requests that it begins are refused if it came too
    /// late for them.
    pub(in crate::server) fn submit(
        &self,
        connection: &Arc<StreamConnection>,
        job: impl FnOnce(&mut StreamWorker, &Arc<StreamConnection>) + Send + 'static,
    ) {
        let connection = Arc::clone(connection);
        let queued_us = monotonic_us();
        self.pool.submit(Box::new(move |worker: &mut StreamWorker| {
            let longest_us = super::us(worker.process.site.timeouts.queue);
            let is_late = monotonic_us().saturating_sub(queued_us) >= longest_us;
            worker.is_late = is_late;
            WorkerPool::<Self>::catch(worker, Some(&connection), |worker| job(worker, &connection));
            worker.is_late = false;
        }));
    }

    /// The connection is of no more use. It is closed when nobody has it any more.
    pub(in crate::server) fn forget(&self, connection: &StreamConnection) {
        if !self.pool.connections.remove(connection.token()) {
            return;
        }
        if connection.is_held.load(Ordering::Acquire) {
            os::shutdown(connection);
        }
        if self.full.load(Ordering::Acquire)
            || (self.is_draining() && self.pool.connections.count() == 0)
        {
            self.bell.ring();
        }
    }

    /// Works like [`forget`](Self::forget); whoever reads from it or writes to it finds it broken.
    pub(in crate::server) fn cut(&self, connection: &StreamConnection) {
        os::shutdown(connection);
        // A request that waits for another thread to read for it hears of nothing else: no event of
        // a removed connection reaches a thread.
        connection.protocol().cut(self, connection);
        connection.notice();
        self.forget(connection);
    }

    /// Waits for the application of a request: meanwhile another request has the permit.
    pub(in crate::server) fn park<T>(self: &Arc<Self>, wait: impl FnOnce() -> T) -> T {
        WorkerPool::without_permit(self, Regain::InTurn, wait)
    }

    /// Works like [`WorkerPool::wait_for_client`].
    pub(in crate::server) fn wait_for_client<T>(self: &Arc<Self>, wait: impl FnOnce() -> T) -> T {
        WorkerPool::wait_for_client(self, wait)
    }
}

impl Driver for StreamProcess {
    type Worker = StreamWorker;
    type Connection = StreamConnection;

    fn pool(&self) -> &WorkerPool<Self> {
        &self.pool
    }

    fn worker(self: &Arc<Self>, _seat: usize) -> StreamWorker {
        StreamWorker::new(self)
    }

    fn serve(worker: &mut StreamWorker, connection: &Arc<StreamConnection>, hung_up: bool) {
        connection.queued_us.store(0, Ordering::Relaxed);
        worker.serve(connection, hung_up);
    }

    fn write_on(&self, connection: &Arc<StreamConnection>) {
        self.send_parked(connection);
        connection.notice();
    }

    fn panicked(worker: &mut StreamWorker, connection: Option<&StreamConnection>, error: &Error) {
        worker.panicked(connection, error);
    }

    fn log_error(&self, message: &str) {
        self.site.log.line(Level::Error, message);
    }
}

/// The state that a worker thread keeps from one request to the next.
pub(in crate::server) struct StreamWorker {
    pub(in crate::server) process: Arc<StreamProcess>,
    pub(in crate::server) buffer: Buffer,
    pub(in crate::server) output: Output,
    /// The destination of raw bytes that come while a response is written.
    pub(in crate::server) ahead: Vec<u8>,
    pub(in crate::server) params: Params,
    /// The reason for which requests are refused, and not run.
    pub(super) refuses: Option<Refusal>,
    /// The thread came too late for the bytes that wait in the process.
    pub(in crate::server) is_late: bool,
    /// The state that protocols keep for this thread.
    pub(in crate::server) states: ThreadStates,
}

impl StreamWorker {
    pub(super) fn new(process: &Arc<StreamProcess>) -> Self {
        Self {
            process: process.clone(),
            buffer: Buffer::new(),
            output: Output::new(),
            ahead: Vec::new(),
            params: Params::new(),
            refuses: None,
            is_late: false,
            states: ThreadStates::default(),
        }
    }

    /// Returns the reason for which requests are refused now, if they are.
    pub(in crate::server) fn refusal(&self) -> Option<Refusal> {
        self.refuses.or(self.is_late.then_some(Refusal::QueueTimeout))
    }

    /// Ends a connection that a panic outside of the application has broken off.
    pub(super) fn panicked(&mut self, connection: Option<&StreamConnection>, error: &Error) {
        let line = Code::WorkerPanicked.line(format_args!("a worker thread {error}"));
        self.process.site.log.line(Level::Error, &line);
        if let Some(connection) = connection {
            self.process.cut(connection);
        }
        self.buffer.clear();
        self.output.clear();
    }

    /// Works on a connection that the calling thread has claimed, as [`Protocol::serve`].
    ///
    /// [`Protocol::serve`]: super::Protocol::serve
    pub(super) fn serve(&mut self, connection: &Arc<StreamConnection>, hung_up: bool) {
        connection.protocol().serve(self, connection, hung_up);
    }
}
