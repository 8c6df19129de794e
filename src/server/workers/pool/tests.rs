//! Tests of the worker pool, with a driver that only runs jobs.

use super::*;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(10);

/// A driver of jobs.
struct JobDriver {
    pool: WorkerPool<Self>,
    panics: AtomicUsize,
}

impl Driver for JobDriver {
    type Worker = Arc<Self>;
    type Connection = NoConnection;

    fn pool(&self) -> &WorkerPool<Self> {
        &self.pool
    }

    fn worker(self: &Arc<Self>, seat: usize) -> Arc<Self> {
        assert!(seat < self.pool.seats);
        self.clone()
    }

    fn serve(_: &mut Arc<Self>, connection: &Arc<NoConnection>, _: bool) {
        match **connection {}
    }

    fn panicked(worker: &mut Arc<Self>, _: Option<&NoConnection>, _: &Error) {
        worker.panics.fetch_add(1, Ordering::SeqCst);
    }

    fn log_error(&self, message: &str) {
        panic!("{message}");
    }
}

fn jobs(threads: u32, blocked: usize) -> Arc<JobDriver> {
    let options = PoolOptions {
        threads,
        blocked,
        pollers: Pollers::all(threads),
        connections: 0,
        stack_size: None,
    };
    let pool = WorkerPool::new(options).unwrap();
    let jobs = Arc::new(JobDriver { pool, panics: AtomicUsize::new(0) });
    WorkerPool::start(&jobs).unwrap();
    jobs
}

#[test]
fn jobs_run_on_as_many_threads_as_there_are_permits() {
    let jobs = jobs(2, 4);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (done, is_done) = mpsc::channel();
    for _ in 0..500 {
        let (now, most, done) = (now.clone(), most.clone(), done.clone());
        jobs.pool.submit(Box::new(move |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            done.send(()).unwrap();
        }));
    }
    for _ in 0..500 {
        is_done.recv_timeout(PATIENCE).unwrap();
    }
    assert!(most.load(Ordering::SeqCst) <= 2);
    assert_eq!(jobs.pool.stop(PATIENCE), 0);
}

#[test]
fn a_waiting_job_keeps_no_other_from_working() {
    let jobs = jobs(1, 50);
    let (done, is_done) = mpsc::channel();
    let mut holds = Vec::new();
    for _ in 0..50 {
        let (release, hold) = mpsc::channel::<()>();
        holds.push(release);
        let done = done.clone();
        jobs.pool.submit(Box::new(move |driver: &mut Arc<JobDriver>| {
            let released = WorkerPool::wait_for_client(driver, || hold.recv_timeout(PATIENCE));
            done.send(released.is_ok()).unwrap();
        }));
    }
    let (answer, answered) = mpsc::channel();
    jobs.pool.submit(Box::new(move |_| answer.send(()).unwrap()));
    answered.recv_timeout(PATIENCE).expect("one permit, fifty jobs that wait");
    for release in holds {
        release.send(()).unwrap();
    }
    for _ in 0..50 {
        assert!(is_done.recv_timeout(PATIENCE).unwrap());
    }
    assert_eq!(jobs.pool.stop(PATIENCE), 0);
}

#[test]
fn a_panic_ends_the_job_and_not_the_thread() {
    let jobs = jobs(1, 0);
    jobs.pool.submit(Box::new(|_| panic!("a fault")));
    let (answer, answered) = mpsc::channel();
    jobs.pool.submit(Box::new(move |_| answer.send(()).unwrap()));
    answered.recv_timeout(PATIENCE).expect("the thread lives");
    assert_eq!(jobs.panics.load(Ordering::SeqCst), 1);
    assert_eq!(jobs.pool.stop(PATIENCE), 0);
}

#[test]
fn without_a_spare_thread_the_permit_is_kept() {
    let jobs = jobs(1, 0);
    let (answer, answered) = mpsc::channel();
    jobs.pool.submit(Box::new(move |driver: &mut Arc<JobDriver>| {
        assert!(!driver.pool.has_spare());
        answer.send(WorkerPool::wait_for_client(driver, || 7)).unwrap();
    }));
    assert_eq!(answered.recv_timeout(PATIENCE), Ok(7));
    assert_eq!(jobs.pool.stop(PATIENCE), 0);
}

#[test]
fn the_queue_has_a_bound_and_jobs_leave_it() {
    let jobs = jobs(1, 0);
    let (release, hold) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    jobs.pool.submit(Box::new(move |_| {
        started.send(()).unwrap();
        hold.recv_timeout(PATIENCE).unwrap();
    }));
    has_started.recv_timeout(PATIENCE).unwrap();
    let (answer, answered) = mpsc::channel();
    let job = |number: u32| {
        let answer = answer.clone();
        Box::new(move |_: &mut Arc<JobDriver>| answer.send(number).unwrap())
    };
    let first = jobs.pool.try_submit(job(1), 2).expect("the first that waits");
    jobs.pool.try_submit(job(2), 2).expect("the second");
    assert!(jobs.pool.try_submit(job(3), 2).is_none(), "the queue is full");
    assert!(jobs.pool.withdraw(first) && !jobs.pool.withdraw(first));
    jobs.pool.try_submit(job(4), 2).expect("there is room again");
    release.send(()).unwrap();
    let next = || answered.recv_timeout(PATIENCE);
    assert_eq!((next(), next()), (Ok(2), Ok(4)));
    assert_eq!(jobs.pool.stop(PATIENCE), 0);
}
