//! The threads that run applications, and the queue of the requests that wait for one.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// More threads than this are never started, at work or waiting.
const MOST: usize = 1024;

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs on threads of its own. A job that waits gives its turn to another.
pub(super) struct Executor {
    state: Mutex<State>,
    work: Condvar,
    ended: Condvar,
    /// Threads that may work at once.
    permits: usize,
    /// Jobs that may wait for a thread.
    queue_size: usize,
}

/// A job that waits for a thread or has one. Dropping the ticket takes a waiting job away.
pub(super) struct Ticket {
    executor: Arc<Executor>,
    number: u64,
}

/// The reason for which a job is not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// As many jobs wait as may wait.
    QueueIsFull,
    /// There is no thread, and none can be started.
    NoThread(io::Error),
}

impl Ticket {
    /// Takes the job away, unless it has a thread already; returns whether it did.
    pub(super) fn cancel(&self) -> bool {
        // What the job holds is dropped without the lock.
        let job = self.executor.state().queue.remove(&self.number);
        job.is_some()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancel();
    }
}

#[derive(Default)]
struct State {
    /// Jobs without a thread, by the order in which they came.
    queue: BTreeMap<u64, Job>,
    next: u64,
    /// Threads in a job that does not wait.
    working: usize,
    /// Threads without a job.
    idle: usize,
    threads: usize,
    stopping: bool,
}

impl Executor {
    /// Starts up to `permits` threads as they are needed. So many jobs may wait for one.
    pub(super) fn new(permits: usize, queue_size: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
            permits: permits.max(1),
            queue_size,
        })
    }

    /// Has `job` run as soon as there is a thread for it. Jobs must not panic.
    ///
    /// # Errors
    ///
    /// The queue is full, or there is no thread.
    pub(super) fn run(
        self: &Arc<Self>,
        job: impl FnOnce() + Send + 'static,
    ) -> Result<Ticket, Refusal> {
        let mut state = self.state();
        // Jobs that a free thread is about to take do not wait.
        let free = self.permits.saturating_sub(state.working);
        if state.queue.len() >= self.queue_size.saturating_add(free) {
            return Err(Refusal::QueueIsFull);
        }
        let number = state.next;
        state.next += 1;
        state.queue.insert(number, Box::new(job));
        match self.wake(&mut state) {
            Err(error) if state.threads == 0 => {
                let job = state.queue.remove(&number);
                drop(state);
                drop(job);
                Err(Refusal::NoThread(error))
            }
            // The threads that there are come to it.
            _ => Ok(Ticket { executor: self.clone(), number }),
        }
    }

    /// Returns how many jobs may wait for a thread.
    pub(super) const fn queue_size(&self) -> usize {
        self.queue_size
    }

    /// For a job that waits: its turn is somebody else's meanwhile.
    pub(super) fn waiting<T>(self: &Arc<Self>, wait: impl FnOnce() -> T) -> T {
        let mut state = self.state();
        state.working -= 1;
        // Without another thread those that wait for a turn wait for this one.
        let _ = self.wake(&mut state);
        drop(state);
        let waited = wait();
        // At once, though others may have the permits: it may hold what they need.
        self.state().working += 1;
        waited
    }

    /// Ends the threads when they are through, and waits for that until `deadline` at most; whether
    /// all have ended.
    pub(super) fn stop(&self, deadline: Instant) -> bool {
        let mut state = self.state();
        state.stopping = true;
        self.work.notify_all();
        while state.threads > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.ended.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    fn wake(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let wanted = state.queue.len().min(self.permits.saturating_sub(state.working));
        if wanted == 0 {
            return Ok(());
        }
        // One that was called and has not come yet counts as idle still.
        if state.idle >= wanted {
            self.work.notify_one();
        } else if state.threads < MOST {
            let executor = self.clone();
            thread::Builder::new()
                .name("mod_rust-http".to_owned())
                .spawn(move || executor.work())?;
            state.threads += 1;
            state.idle += 1;
        }
        Ok(())
    }

    fn work(&self) {
        let mut state = self.state();
        state.idle -= 1;
        loop {
            if state.working < self.permits
                && let Some((_, job)) = state.queue.pop_first()
            {
                state.working += 1;
                drop(state);
                job();
                state = self.state();
                state.working -= 1;
                continue;
            }
            if state.stopping || state.idle >= self.permits {
                state.threads -= 1;
                self.ended.notify_all();
                return;
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn no_more_work_at_once_than_turns() {
        let executor = Executor::new(2, 1000);
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
    fn who_waits_keeps_nobody_from_working() {
        let executor = Executor::new(1, 1000);
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
        answered.recv_timeout(PATIENCE).expect("one turn, fifty that wait");
        for release in holds {
            release.send(()).unwrap();
        }
        for _ in 0..50 {
            assert!(is_done.recv_timeout(PATIENCE).unwrap());
        }
        assert!(executor.stop(Instant::now() + PATIENCE));
    }

    #[test]
    fn the_queue_has_a_bound_and_forgets_who_left() {
        let executor = Executor::new(1, 2);
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
        assert!(matches!(job("third"), Err(Refusal::QueueIsFull)));
        assert!(first.cancel() && !first.cancel());
        let _third = job("third").ok().unwrap();
        release.send(()).unwrap();
        assert_eq!(has_run.recv_timeout(PATIENCE), Ok("second"));
        assert_eq!(has_run.recv_timeout(PATIENCE), Ok("third"));
        assert!(executor.stop(Instant::now() + PATIENCE));
    }
}
