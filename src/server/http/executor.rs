//! The threads that run applications: so many at work at once, however many wait.

use std::collections::VecDeque;
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
    /// How many may work at once.
    permits: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Threads in a job that does not wait.
    working: usize,
    /// Threads without a job.
    idle: usize,
    threads: usize,
    stopping: bool,
}

impl Executor {
    /// `turns` threads, started as they are needed.
    pub(super) fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
            permits: permits.max(1),
        })
    }

    /// Has `job` run as soon as it is its turn. Jobs must not panic.
    ///
    /// # Errors
    ///
    /// There is no thread, and none can be started.
    pub(super) fn run(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut state = self.state();
        state.queue.push_back(Box::new(job));
        match self.wake(&mut state) {
            Err(error) if state.threads == 0 => {
                state.queue.pop_back();
                Err(error)
            }
            // Those that there are come to it.
            _ => Ok(()),
        }
    }

    /// For a job that waits: its turn is somebody else's meanwhile.
    pub(super) fn waiting<T>(self: &Arc<Self>, wait: impl FnOnce() -> T) -> T {
        let mut state = self.state();
        state.working -= 1;
        // Without another thread those that wait for a turn wait for this one.
        let _ = self.wake(&mut state);
        drop(state);
        let waited = wait();
        // At once, though others may have the turns: it may hold what they need.
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
                && let Some(job) = state.queue.pop_front()
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
        let executor = Executor::new(2);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (done, is_done) = mpsc::channel();
        for _ in 0..500 {
            let (now, most, done) = (now.clone(), most.clone(), done.clone());
            let job = move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                done.send(()).unwrap();
            };
            executor.run(job).unwrap();
        }
        for _ in 0..500 {
            is_done.recv_timeout(PATIENCE).unwrap();
        }
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert!(executor.stop(Instant::now() + PATIENCE));
    }

    #[test]
    fn who_waits_keeps_nobody_from_working() {
        let executor = Executor::new(1);
        let (done, is_done) = mpsc::channel();
        let mut holds = Vec::new();
        for _ in 0..50 {
            let (release, hold) = mpsc::channel::<()>();
            holds.push(release);
            let (own, done) = (executor.clone(), done.clone());
            let job = move || {
                let released = own.waiting(|| hold.recv_timeout(PATIENCE));
                done.send(released.is_ok()).unwrap();
            };
            executor.run(job).unwrap();
        }
        let (answer, answered) = mpsc::channel();
        executor.run(move || answer.send(()).unwrap()).unwrap();
        answered.recv_timeout(PATIENCE).expect("one turn, fifty that wait");
        for release in holds {
            release.send(()).unwrap();
        }
        for _ in 0..50 {
            assert!(is_done.recv_timeout(PATIENCE).unwrap());
        }
        assert!(executor.stop(Instant::now() + PATIENCE));
    }
}
