//! What all threads of a process share.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Protocol;
use super::complaints::{Complaint, Complaints};
use super::connection::Connection;
use super::worker::{self, Worker};
use crate::gateway::Level;
use crate::os::{self, Epoll, Event, Trigger};
use crate::server::site::Site;
use crate::server::workers::connections::{Entry as _, Table};
use crate::server::workers::permits::Permits;
use crate::server::workers::pollers::Pollers;
use crate::server::workers::size::PoolSize;

/// The tokens of events that wake worker threads; no connection has them.
pub(super) const STOP: u64 = u64::MAX;
pub(super) const ERRANDS: u64 = u64::MAX - 1;

/// How many requests may wait beside those that are worked on, each with a thread of its own. Those
/// beyond keep their turns while they wait.
const WAITING: usize = 512;

/// Something for a worker thread to do that no event tells of.
pub(in crate::server) type Errand = Box<dyn FnOnce(&mut Worker) + Send>;

/// Where a connection came from.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) protocol: Protocol,
    pub(super) name: String,
}

/// A process that serves.
pub(in crate::server) struct Process {
    pub(in crate::server) site: Arc<Site>,
    origins: Vec<Origin>,
    pub(in crate::server) epoll: Epoll,
    pub(super) connections: Table<Connection>,
    pub(super) permits: Permits,
    pub(super) pollers: Pollers,
    /// Wakes the acceptor.
    pub(super) bell: Event,
    /// Wakes the acceptor to look out for requests.
    pub(super) ticker: Event,
    stop: Event,
    errand_waits: Event,
    errands: Mutex<VecDeque<Errand>>,
    complaints: Complaints,
    /// No connection is accepted because there are as many as may be.
    pub(super) full: AtomicBool,
    draining: AtomicBool,
    stopping: AtomicBool,
    /// Requests whose BEGIN_REQUEST has come and whose end has not gone out, where that is counted.
    pub(in crate::server) requests: AtomicUsize,
    pub(super) pool_size: PoolSize,
    alive: Mutex<usize>,
    thread_ended: Condvar,
}

impl Process {
    pub(super) fn new(site: Arc<Site>, origins: Vec<Origin>) -> io::Result<Self> {
        let (epoll, stop, errand_waits) = (Epoll::new()?, Event::new()?, Event::new()?);
        epoll.add(&stop, STOP, Trigger::Level)?;
        epoll.add(&errand_waits, ERRANDS, Trigger::Edge)?;
        let threads = u32::try_from(site.limits.threads.max(1)).unwrap_or(u32::MAX);
        Ok(Self {
            origins,
            epoll,
            connections: Table::new(site.limits.connections.max(1)),
            permits: Permits::new(threads),
            pollers: Pollers::new(threads, 1),
            bell: Event::new()?,
            ticker: Event::new()?,
            stop,
            errand_waits,
            errands: Mutex::default(),
            complaints: Complaints::default(),
            full: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            pool_size: PoolSize::new(site.limits.threads.max(1), WAITING),
            alive: Mutex::new(0),
            thread_ended: Condvar::new(),
            site,
        })
    }

    pub(in crate::server) fn protocol(&self, connection: &Connection) -> Protocol {
        self.origins[connection.origin()].protocol
    }

    /// How many requests may be there at once, where one connection can have several.
    #[cfg(feature = "fastcgi")]
    pub(in crate::server) fn most_requests(&self) -> usize {
        self.site.limits.connections.max(self.site.limits.threads).max(1)
    }

    pub(in crate::server) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(super) fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// A line about a peer: `fastcgi 127.0.0.1:9000: peer 127.0.0.1:4242: what`.
    pub(in crate::server) fn complain(
        &self,
        connection: &Connection,
        complaint: Complaint,
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
        complaint: Complaint,
        level: Level,
        what: impl FnOnce() -> String,
    ) {
        self.complaints.log(&self.site.log, complaint, level, || {
            let origin = &self.origins[origin];
            format!("{} {}: {}", origin.protocol.name(), origin.name, what())
        });
    }

    /// Has a worker thread do something.
    pub(in crate::server) fn send_on(&self, errand: Errand) {
        self.lock_errands().push_back(errand);
        self.errand_waits.ring();
    }

    /// The next errand. If it is not the only one, another thread is called for the others.
    pub(super) fn next_errand(&self) -> Option<Errand> {
        let mut errands = self.lock_errands();
        let errand = errands.pop_front();
        if !errands.is_empty() {
            self.errand_waits.ring();
        }
        errand
    }

    fn lock_errands(&self) -> MutexGuard<'_, VecDeque<Errand>> {
        self.errands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is of no more use. It is closed when nobody has it any more.
    pub(in crate::server) fn forget(&self, connection: &Connection) {
        if !self.connections.remove(connection.token()) {
            return;
        }
        if self.full.load(Ordering::Acquire)
            || (self.is_draining() && self.connections.count() == 0)
        {
            self.bell.ring();
        }
    }

    /// As [`forget`](Self::forget); whoever reads from it or writes to it finds it broken.
    pub(in crate::server) fn cut(&self, connection: &Connection) {
        os::shutdown(connection);
        // Who waits for another thread to read for it hears of nothing else: events of a connection
        // that is forgotten are nobody's.
        #[cfg(feature = "fastcgi")]
        self.requests.fetch_sub(connection.traffic.break_off(), Ordering::Relaxed);
        self.forget(connection);
    }

    /// Gives the turn of the calling thread away while its request waits for its application.
    pub(in crate::server) fn park<T>(self: &Arc<Self>, wait: impl FnOnce() -> T) -> T {
        self.give_turn();
        let waited = wait();
        self.permits.take();
        self.pool_size.goes_on();
        waited
    }

    /// Waits for a client that is slow to send or to take: meanwhile another request has the turn.
    ///
    /// What runs goes on at once when the client has: it may be in the midst of anything.
    pub(in crate::server) fn wait_for_client<T>(self: &Arc<Self>, wait: impl FnOnce() -> T) -> T {
        if !self.pool_size.has_spare() {
            return wait();
        }
        self.give_turn();
        let waited = wait();
        self.permits.take_at_once();
        self.pool_size.goes_on();
        waited
    }

    fn give_turn(self: &Arc<Self>) {
        self.permits.give();
        self.pool_size.waits();
        self.start_thread();
        self.pollers.relieve();
    }

    /// Starts as many threads as there are turns.
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
        let Some(before) = self.pool_size.joins() else { return false };
        *self.lock_alive() += 1;
        let process = self.clone();
        let started = thread::Builder::new().name(format!("mod_rust-{before}")).spawn(move || {
            worker::work(&process);
            process.thread_ends();
        });
        if started.is_err() {
            self.pool_size.leaves();
            *self.lock_alive() -= 1;
        }
        started.is_ok()
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

    fn thread_ends(&self) {
        *self.lock_alive() -= 1;
        self.thread_ended.notify_all();
    }

    fn lock_alive(&self) -> MutexGuard<'_, usize> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all threads, and waits for them as long as said: how many have not ended.
    pub(super) fn stop(&self, patience: Duration) -> usize {
        self.stopping.store(true, Ordering::Release);
        self.stop.ring();
        self.pollers.end();
        let (alive, _) = self
            .thread_ended
            .wait_timeout_while(self.lock_alive(), patience, |alive| *alive > 0)
            .unwrap_or_else(PoisonError::into_inner);
        *alive
    }
}
