//! The pool itself: threads, permits, pollers and queued jobs of one process.
//!
//! A driver keeps a [`WorkerPool`] in the struct that its threads share, and implements [`Driver`]
//! for that struct. Two styles of driver use the same threads and permits:
//!
//! - A driver of connections adds each socket to [`WorkerPool::connections`] and calls
//!   [`WorkerPool::watch`]. One thread per readable connection claims it and calls
//!   [`Driver::serve`].
//! - A driver of jobs has no connections (`type Connection = NoConnection`). It calls
//!   [`WorkerPool::submit`], and a thread runs the job with its [`Driver::Worker`]. Such a driver
//!   sets `PoolOptions::pollers` to [`Pollers::all`], so that nothing has to call
//!   [`WorkerPool::wait`]. [`WorkerPool::try_submit`] bounds the queue, and
//!   [`WorkerPool::withdraw`] takes a job out of it.
//!
//! A request that has to wait gives its thread back, if its application is a service
//! ([`Visits`](super::visits::Visits)), and a job goes on with it later. Any other calls
//! [`WorkerPool::without_permit`] or [`WorkerPool::wait_for_client`]: another thread works
//! meanwhile. So the permits bound how much is worked on at once, and `blocked` bounds the threads
//! beyond them.
//!
//! A connection that stays claimed needs no event: a job that calls [`Driver::serve`] goes on with
//! it.
//!
//! The first thread of a process accepts and keeps time. It waits through [`WorkerPool::wait`],
//! which adds pollers while all of them are busy. At the end it calls [`WorkerPool::drain`] and
//! [`WorkerPool::stop`].

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::connections::{Claims, ConnectionTable, Entry};
use super::permits::Permits;
use super::pollers::{Pollers, TICK_US, Ticks};
use super::size::{MOST_BLOCKED, PoolSize};
use super::suspended::SuspendedRequests;
use crate::gateway::{Code, Error, panic};
use crate::os::{Epoll, Event, Ready, Trigger};

/// The tokens of events that wake threads; no connection has them.
const STOP: u64 = u64::MAX;
const JOBS: u64 = u64::MAX - 1;

/// A driver whose requests run on a pool.
pub(crate) trait Driver: Send + Sync + Sized + 'static {
    /// The state that a thread keeps from one request to the next.
    type Worker;
    /// A connection that the threads read.
    type Connection: Entry + AsFd + Send + Sync;

    /// Returns the pool of this driver.
    fn pool(&self) -> &WorkerPool<Self>;

    /// Makes the state of the calling thread. No other running thread has the same `seat`.
    fn worker(self: &Arc<Self>, seat: usize) -> Self::Worker;

    /// Works on a connection that the calling thread has claimed, until it released or removed the
    /// connection. After the peer has `hung_up` no other event tells of the end.
    fn serve(worker: &mut Self::Worker, connection: &Arc<Self::Connection>, hung_up: bool);

    /// Writes to a connection that has an event, before a thread claims it to read: any thread may.
    fn write_on(&self, _connection: &Arc<Self::Connection>) {}

    /// Cleans up after a panic outside of the application, and logs it. It ends the connection, not
    /// the thread.
    fn panicked(worker: &mut Self::Worker, connection: Option<&Self::Connection>, error: &Error);

    /// Logs an error that belongs to no request.
    fn log_error(&self, message: &str);
}

/// The connection of a driver that only submits jobs: there is none.
#[cfg_attr(not(feature = "http-server"), allow(dead_code, reason = "its requests are jobs"))]
#[derive(Debug)]
pub(crate) enum NoConnection {}

/// A task for a thread of the pool.
pub(crate) type Job<D> = Box<dyn FnOnce(&mut <D as Driver>::Worker) + Send>;

/// Jobs without a thread, by the order in which they came.
struct Jobs<D: Driver> {
    queue: BTreeMap<u64, (Job<D>, bool)>,
    next: u64,
    /// Jobs of the queue that go on with requests which waited.
    visits: usize,
    /// Jobs that threads have.
    running: usize,
}

impl<D: Driver> Default for Jobs<D> {
    fn default() -> Self {
        Self { queue: BTreeMap::new(), next: 0, visits: 0, running: 0 }
    }
}

/// The dimensions of a [`WorkerPool`].
#[derive(Debug)]
pub(crate) struct PoolOptions {
    /// The number of requests that are worked on at once.
    pub(crate) threads: u32,
    /// The number of requests that may wait beside them, each with a thread of its own. Requests
    /// beyond keep their permits while they wait.
    pub(crate) blocked: usize,
    /// The threads that wait for events at once.
    pub(crate) pollers: Pollers,
    /// The most connections.
    pub(crate) connections: usize,
    /// The stack of a thread, in bytes.
    pub(crate) stack_size: Option<u64>,
}

/// Worker threads with everything that they share.
pub(crate) struct WorkerPool<D: Driver> {
    /// The connections that the threads read.
    pub(crate) connections: ConnectionTable<D::Connection>,
    epoll: Epoll,
    size: PoolSize,
    permits: Permits,
    pollers: Pollers,
    stack_size: Option<u64>,
    /// Wakes the timer to tick.
    ticker: Event,
    jobs: Mutex<Jobs<D>>,
    jobs_wait: Event,
    draining: AtomicBool,
    stopping: AtomicBool,
    stop: Event,
    /// Threads that wait for slow readers.
    pub(crate) readers: SlowReaders,
    /// Requests that wait without a thread.
    pub(crate) suspended: SuspendedRequests,
    /// The number of permits.
    threads: usize,
    /// The number of seats: the most threads.
    seats: usize,
    free_seats: Mutex<Vec<usize>>,
    thread_ended: Condvar,
}

/// The threads that wait for slow readers, because their responses have parked as much as they may.
#[derive(Debug, Default)]
pub(crate) struct SlowReaders(AtomicUsize);

#[cfg_attr(
    not(any(feature = "fastcgi", feature = "http-server", feature = "scgi", feature = "uwsgi")),
    allow(dead_code, reason = "daemon processes leave slow readers to httpd")
)]
impl SlowReaders {
    /// The threads that may wait so. Beyond that number a response is given up whose reader takes
    /// nothing for [`STALL`](Self::STALL), so that other requests get a thread.
    const MOST: usize = MOST_BLOCKED / 2;
    const STALL: Duration = Duration::from_secs(2);
    /// Not many more may wait.
    const MANY: usize = MOST_BLOCKED - MOST_BLOCKED / 8;
    /// The same while [`MANY`](Self::MANY) wait; and the time between checks of the number.
    pub(crate) const SHORT_STALL: Duration = Duration::from_millis(250);

    /// Counts the calling thread while `wait` runs.
    pub(crate) fn count<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::Relaxed);
        let waited = wait();
        self.0.fetch_sub(1, Ordering::Relaxed);
        waited
    }

    /// Returns the reason for which a response is given up whose reader has taken nothing for
    /// `time`.
    pub(crate) fn too_many(&self, time: Duration) -> Option<String> {
        let (count, most) = (self.0.load(Ordering::Relaxed), Self::MOST);
        let stall = if count > Self::MANY { Self::SHORT_STALL } else { Self::STALL };
        let text = || format!("{count} threads wait for slow readers; allowed are {most}");
        (count > most && time >= stall).then(text)
    }
}

/// The way in which a request that has waited gets its permit back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regain {
    /// It waits for a free one.
    InTurn,
    /// At once: it may hold what the requests need that have the permits.
    AtOnce,
}

impl<D: Driver> WorkerPool<D> {
    /// Makes a pool without threads.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no descriptors left.
    pub(crate) fn new(options: PoolOptions) -> io::Result<Self> {
        let (epoll, stop, jobs_wait) = (Epoll::new()?, Event::new()?, Event::new()?);
        epoll.add(&stop, STOP, Trigger::Level)?;
        epoll.add(&jobs_wait, JOBS, Trigger::Edge)?;
        let threads = options.threads as usize;
        let seats = threads.saturating_add(options.blocked);
        Ok(Self {
            connections: ConnectionTable::new(options.connections),
            epoll,
            size: PoolSize::new(threads, options.blocked),
            permits: Permits::new(options.threads),
            pollers: options.pollers,
            stack_size: options.stack_size,
            ticker: Event::new()?,
            jobs: Mutex::new(Jobs::default()),
            jobs_wait,
            draining: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            stop,
            readers: SlowReaders::default(),
            suspended: SuspendedRequests::default(),
            threads,
            seats,
            free_seats: Mutex::new((0..seats).rev().collect()),
            thread_ended: Condvar::new(),
        })
    }

    /// Starts as many threads as may work at once.
    ///
    /// # Errors
    ///
    /// Returns an error if not one of them can be started.
    pub(crate) fn start(driver: &Arc<D>) -> io::Result<()> {
        let pool = driver.pool();
        while pool.start_thread(driver) {}
        match pool.size.count() {
            0 => Err(io::Error::other("no worker thread can be started")),
            _ => Ok(()),
        }
    }

    /// Reports events of a connection to the threads, edge-triggered.
    pub(crate) fn watch(&self, connection: &D::Connection) -> io::Result<()> {
        self.epoll.add(connection, connection.token(), Trigger::Edge)
    }

    /// Reports input of a connection, room to write, or both. A state that holds already is
    /// reported at once. Without it threads wake for nothing, or a time-out finds the connection.
    pub(crate) fn watch_for(&self, connection: &D::Connection, input: bool, room: bool) {
        let _ = self.epoll.watch(connection, connection.token(), input, room);
    }

    /// Stops reporting a connection that the calling thread reads by itself. Without it other
    /// threads wake for nothing.
    pub(crate) fn mute(&self, connection: &D::Connection) {
        let _ = self.epoll.mute(connection, connection.token());
    }

    /// Reports a connection again.
    pub(crate) fn unmute(&self, connection: &D::Connection) {
        let _ = self.epoll.unmute(connection, connection.token());
    }

    /// Queues a job for the next thread. Returns its number.
    pub(crate) fn submit(&self, job: Job<D>) -> u64 {
        self.queue(job, false)
    }

    /// Works like [`submit`](Self::submit), for a request that was accepted before: it does not count
    /// as one that waits for its thread.
    pub(in crate::server) fn submit_visit(&self, job: Job<D>) {
        self.queue(job, true);
    }

    fn queue(&self, job: Job<D>, is_visit: bool) -> u64 {
        let mut jobs = self.lock_jobs();
        let number = jobs.next;
        jobs.next += 1;
        jobs.visits += usize::from(is_visit);
        jobs.queue.insert(number, (job, is_visit));
        drop(jobs);
        self.jobs_wait.ring();
        number
    }

    /// Works like [`submit`](Self::submit), unless `most` jobs wait that no permit is free for.
    #[cfg_attr(not(feature = "http-server"), allow(dead_code, reason = "its requests are jobs"))]
    pub(crate) fn try_submit(&self, job: Job<D>, most: usize) -> Option<u64> {
        let queued = {
            let jobs = self.lock_jobs();
            let working = jobs.running.saturating_sub(self.size.waiting());
            jobs.queue.len() - jobs.visits
                < most.saturating_add(self.threads.saturating_sub(working))
        };
        queued.then(|| self.submit(job))
    }

    /// Takes a job out of the queue, whose client has left. Returns whether no thread had it yet.
    #[cfg_attr(not(feature = "http-server"), allow(dead_code, reason = "its requests are jobs"))]
    pub(crate) fn withdraw(&self, number: u64) -> bool {
        // The job's values are dropped without the lock.
        let job = self.lock_jobs().queue.remove(&number);
        job.is_some()
    }

    /// Works on a connection that is claimed.
    fn serve(worker: &mut D::Worker, connection: &Arc<D::Connection>, hung_up: bool) {
        Self::catch(worker, Some(&**connection), |worker| D::serve(worker, connection, hung_up));
    }

    /// Runs `work`. A panic ends the connection that it is about, not the thread.
    pub(crate) fn catch(
        worker: &mut D::Worker,
        connection: Option<&D::Connection>,
        work: impl FnOnce(&mut D::Worker),
    ) {
        if let Err(error) = panic::catch(|| work(&mut *worker)) {
            D::panicked(worker, connection, &Error::panicked(error));
        }
    }

    /// Returns whether one more request may wait while another thread has its permit.
    pub(crate) fn has_spare(&self) -> bool {
        self.size.has_spare()
    }

    /// Gives the permit of the calling thread away while `wait` runs.
    pub(crate) fn without_permit<T>(
        driver: &Arc<D>,
        regain: Regain,
        wait: impl FnOnce() -> T,
    ) -> T {
        let pool = driver.pool();
        pool.permits.give();
        pool.size.waits();
        pool.start_thread(driver);
        pool.pollers.relieve();
        let waited = wait();
        match regain {
            Regain::InTurn => pool.permits.take(),
            Regain::AtOnce => pool.permits.take_at_once(),
        }
        pool.size.goes_on();
        waited
    }

    /// Waits for a client that is slow to send or to receive. Another thread works meanwhile, if
    /// there may be one. The request goes on at once: it may be in the midst of anything.
    pub(crate) fn wait_for_client<T>(driver: &Arc<D>, wait: impl FnOnce() -> T) -> T {
        if driver.pool().has_spare() {
            Self::without_permit(driver, Regain::AtOnce, wait)
        } else {
            wait()
        }
    }

    /// Waits as `wait` does, for a millisecond at most while the pollers have to be watched, and
    /// adds pollers where all are busy. The first thread of a process waits so for everything.
    pub(crate) fn wait<T>(
        &self,
        ticks: &mut Ticks,
        timeout: Option<Duration>,
        wait: impl FnOnce(Option<Duration>) -> T,
    ) -> T {
        if !self.pollers.is_ticking() {
            return wait(timeout);
        }
        let tick = Duration::from_micros(TICK_US);
        let waited = wait(Some(timeout.map_or(tick, |timeout| timeout.min(tick))));
        self.pollers.tick(ticks);
        waited
    }

    /// Returns the event that ends a [`wait`](Self::wait) when the pollers have to be watched.
    pub(crate) const fn ticker(&self) -> &Event {
        &self.ticker
    }

    /// Returns whether no thread waits for events: what comes now is queued.
    pub(crate) fn is_busy(&self) -> bool {
        self.pollers.is_empty()
    }

    /// Notes that the process takes no more work.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Returns whether the process takes no more work.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Ends all threads when no request is suspended, and waits for that and for them for `patience`
    /// at most. Returns how many have not ended.
    pub(crate) fn stop(&self, patience: Duration) -> usize {
        let begun = Instant::now();
        self.suspended.wait_until_empty(patience);
        let patience = patience.saturating_sub(begun.elapsed());
        self.stopping.store(true, Ordering::Release);
        self.stop.ring();
        self.pollers.end();
        let (free, _) = self
            .thread_ended
            .wait_timeout_while(self.lock_seats(), patience, |free| free.len() < self.seats)
            .unwrap_or_else(PoisonError::into_inner);
        self.seats - free.len()
    }

    /// Starts another thread if fewer than there are permits can take requests.
    fn start_thread(&self, driver: &Arc<D>) -> bool {
        if self.size.joins().is_none() {
            return false;
        }
        let seat = self.lock_seats().pop();
        let started = seat.is_some_and(|seat| {
            let own = driver.clone();
            let mut builder = thread::Builder::new().name(format!("mod_rust-{seat}"));
            if let Some(bytes) = self.stack_size {
                builder = builder.stack_size(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
            let started = builder.spawn(move || {
                own.pool().work(&own, seat);
                own.pool().lock_seats().push(seat);
                own.pool().thread_ended.notify_all();
            });
            if started.is_err() {
                self.lock_seats().push(seat);
            }
            started.is_ok()
        });
        if !started {
            self.size.leaves();
        }
        started
    }

    /// Lives the life of a thread.
    fn work(&self, driver: &Arc<D>, seat: usize) {
        let mut worker = driver.worker(seat);
        // One event at a time: the next one may be another thread's.
        let mut ready = Ready::with_capacity(1);
        loop {
            if !self.pollers.enter(self.size.patience()) {
                if self.is_one_too_many() {
                    return;
                }
                continue;
            }
            let waited = self.epoll.wait(&mut ready, self.size.patience());
            if self.pollers.leave() {
                self.ticker.ring();
            }
            if let Err(error) = waited {
                driver.log_error(
                    &Code::WorkerPanicked
                        .line(format_args!("a worker thread cannot wait for requests: {error}")),
                );
                break;
            }
            if self.stopping.load(Ordering::Acquire) {
                break;
            }
            match ready.found().next() {
                Some((STOP, _)) | None => {}
                Some((JOBS, _)) => self.run_job(&mut worker),
                Some((token, hung_up)) => {
                    if let Some(connection) = self.connections.get(token) {
                        driver.write_on(&connection);
                        if connection.claim() {
                            self.permits.take();
                            Self::serve(&mut worker, &connection, hung_up);
                            self.permits.give();
                        }
                    }
                }
            }
            if self.is_one_too_many() {
                return;
            }
        }
        self.size.leaves();
    }

    fn run_job(&self, worker: &mut D::Worker) {
        self.permits.take();
        let job = {
            let mut jobs = self.lock_jobs();
            let job = jobs.queue.pop_first().map(|(_, job)| job);
            jobs.visits -= usize::from(matches!(job, Some((_, true))));
            jobs.running += usize::from(job.is_some());
            if !jobs.queue.is_empty() {
                // One event may stand for several jobs: another thread comes for the rest.
                self.jobs_wait.ring();
            }
            job
        };
        if let Some((job, _)) = job {
            Self::catch(worker, None, job);
            self.lock_jobs().running -= 1;
        }
        self.permits.give();
    }

    /// Returns whether the calling thread, which has nothing to do, has to end.
    fn is_one_too_many(&self) -> bool {
        let ends = self.size.is_one_too_many();
        if ends {
            // It might have been the one to wait for events next.
            self.pollers.relieve();
        }
        ends
    }

    fn lock_jobs(&self) -> MutexGuard<'_, Jobs<D>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_seats(&self) -> MutexGuard<'_, Vec<usize>> {
        self.free_seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Driver> std::fmt::Debug for WorkerPool<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("size", &self.size).finish_non_exhaustive()
    }
}

impl AsFd for NoConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}

impl Entry for NoConnection {
    fn token(&self) -> u64 {
        match *self {}
    }

    fn claims(&self) -> &Claims {
        match *self {}
    }
}

#[cfg(test)]
mod tests;
