//! The HTTP server's use of the worker pool: applications run as jobs, and a bounded queue holds
//! the requests that wait for a thread.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::gateway::{Code, Error, Level, park_thread, thread_waker};
use crate::os::monotonic_us;
use crate::server::site::Log;
use crate::server::workers::pollers::Pollers;
use crate::server::workers::pool::{Driver, NoConnection, PoolOptions, SlowReaders, WorkerPool};
use crate::server::workers::size::MOST_BLOCKED;

/// Runs jobs on a pool.
pub(super) struct Executor {
    pool: WorkerPool<Self>,
    /// Jobs that may wait for a thread.
    queue_size: usize,
    log: Arc<Log>,
}

/// A job that waits for a thread or has one. Dropping the ticket takes a waiting job away.
pub(super) struct Ticket {
    executor: Arc<Executor>,
    number: u64,
}

/// The queue is full: as many jobs wait as may wait.
#[derive(Debug)]
pub(super) struct QueueIsFull;

impl Ticket {
    /// Takes the job away, unless it has a thread already; returns whether it did.
    pub(super) fn cancel(&self) -> bool {
        self.executor.pool.withdraw(self.number)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Executor {
    /// Starts `permits` threads. So many jobs may wait for one.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no threads or descriptors left.
    pub(super) fn new(permits: usize, queue_size: usize, log: Arc<Log>) -> io::Result<Arc<Self>> {
        let threads = u32::try_from(permits.max(1)).unwrap_or(u32::MAX);
        let pool = WorkerPool::new(PoolOptions {
            threads,
            blocked: MOST_BLOCKED,
            pollers: Pollers::all(threads),
            connections: 0,
            stack_size: None,
        })?;
        let executor = Arc::new(Self { pool, queue_size, log });
        WorkerPool::start(&executor)?;
        Ok(executor)
    }

    /// Has `job` run as soon as there is a thread for it. Jobs must not panic.
    ///
    /// # Errors
    ///
    /// The queue is full.
    pub(super) fn run(
        self: &Arc<Self>,
        job: impl FnOnce() + Send + 'static,
    ) -> Result<Ticket, QueueIsFull> {
        let job = Box::new(move |(): &mut ()| job());
        let number = self.pool.try_submit(job, self.queue_size).ok_or(QueueIsFull)?;
        Ok(Ticket { executor: self.clone(), number })
    }

    /// Wakes suspended requests whose time is up.
    pub(super) fn look(&self) {
        self.pool.suspended.look(monotonic_us());
    }

    /// Returns the threads that wait for slow readers.
    pub(super) const fn readers(&self) -> &SlowReaders {
        &self.pool.readers
    }

    /// Logs that a response was given up.
    pub(super) fn log_unread(&self, text: &str) {
        let line = Code::SendTimeout.line(format_args!("http: {text}; breaking the response off"));
        self.log.line(Code::SendTimeout.level(), &line);
    }

    /// Gives the permit of a job that waits to another one meanwhile.
    pub(super) fn waiting<T>(self: &Arc<Self>, wait: impl FnOnce() -> T) -> T {
        WorkerPool::wait_for_client(self, wait)
    }

    /// Ends the threads when their jobs have ended, and waits for that until `deadline` at most.
    /// Returns whether all have ended.
    pub(super) fn stop(&self, deadline: Instant) -> bool {
        self.pool.stop(deadline.saturating_duration_since(Instant::now())) == 0
    }
}

impl Driver for Executor {
    type Worker = ();
    type Connection = NoConnection;

    fn pool(&self) -> &WorkerPool<Self> {
        &self.pool
    }

    fn worker(self: &Arc<Self>, _seat: usize) {}

    fn serve((): &mut (), connection: &Arc<NoConnection>, _hung_up: bool) {
        match **connection {}
    }

    /// Jobs catch the panics of applications, and log them.
    fn panicked((): &mut (), _: Option<&NoConnection>, _: &Error) {}

    fn log_error(&self, message: &str) {
        self.log.line(Level::Error, message);
    }
}

/// Polls until there is something, which may be at once; `None` when `deadline` comes first. The
/// thread gives its permit back while it waits.
pub(super) fn until<T>(
    executor: &Arc<Executor>,
    deadline: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let waker = thread_waker();
    let mut context = Context::from_waker(&waker);
    if let Poll::Ready(value) = poll(&mut context) {
        return Some(value);
    }
    let found = executor.waiting(|| {
        loop {
            if !park_thread(deadline) {
                return None;
            }
            if let Poll::Ready(value) = poll(&mut context) {
                return Some(value);
            }
        }
    });
    // A call may have been meant for the application's future, which has the same waker.
    waker.wake_by_ref();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn executor(permits: usize, queue_size: usize) -> Arc<Executor> {
        Executor::new(permits, queue_size, Arc::new(Log::to_stderr(Level::Error))).unwrap()
    }

    #[test]
    fn no_more_jobs_run_at_once_than_there_are_permits() {
        let executor = executor(2, 1000);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (done, is_done) = mpsc::channel();
        let mut tickets = Vec::new();
        for _ in 0..500 {
            let (now, most, done) = (now.clone(), most.clone(), done.clone());
            let job = move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                done.send(()).unwrap();
            };
            tickets.push(executor.run(job).ok().unwrap());
        }
        for _ in 0..500 {
            is_done.recv_timeout(PATIENCE).unwrap();
        }
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert!(executor.stop(Instant::now() + PATIENCE));
    }

    #[test]
    fn a_waiting_job_keeps_no_other_from_working() {
        let executor = executor(1, 1000);
        let (done, is_done) = mpsc::channel();
        let mut holds = Vec::new();
        let mut tickets = Vec::new();
        for _ in 0..50 {
            let (release, hold) = mpsc::channel::<()>();
            holds.push(release);
            let (own, done) = (executor.clone(), done.clone());
            let job = move || {
                let released = own.waiting(|| hold.recv_timeout(PATIENCE));
                done.send(released.is_ok()).unwrap();
            };
            tickets.push(executor.run(job).ok().unwrap());
        }
        let (answer, answered) = mpsc::channel();
        let _ticket = executor.run(move || answer.send(()).unwrap()).ok().unwrap();
        answered.recv_timeout(PATIENCE).expect("one permit, fifty that wait");
        for release in holds {
            release.send(()).unwrap();
        }
        for _ in 0..50 {
            assert!(is_done.recv_timeout(PATIENCE).unwrap());
        }
        assert!(executor.stop(Instant::now() + PATIENCE));
    }

    #[test]
    fn the_queue_has_a_bound_and_jobs_leave_it() {
        let executor = executor(1, 2);
        let (release, hold) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let holding = move || {
            begun.send(()).unwrap();
            let _ = hold.recv_timeout(PATIENCE);
        };
        let _held = executor.run(holding).ok().unwrap();
        has_begun.recv_timeout(PATIENCE).unwrap();
        let (ran, has_run) = mpsc::channel();
        let job = |name: &'static str| {
            let ran = ran.clone();
            executor.run(move || ran.send(name).unwrap())
        };
        let (first, _second) = (job("first").ok().unwrap(), job("second").ok().unwrap());
        assert!(matches!(job("third"), Err(QueueIsFull)));
        assert!(first.cancel() && !first.cancel());
        let _third = job("third").ok().unwrap();
        release.send(()).unwrap();
        assert_eq!(has_run.recv_timeout(PATIENCE), Ok("second"));
        assert_eq!(has_run.recv_timeout(PATIENCE), Ok("third"));
        assert!(executor.stop(Instant::now() + PATIENCE));
    }
}
