//! Tests of the waker: no call is lost, and no two visits are at once.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::super::pool::{NoConnection, PoolOptions, WorkerPool};
use super::*;
use crate::gateway::Error;
use crate::server::workers::pollers::Pollers;
use crate::server::workers::suspended::MOST_SUSPENDED;

const PATIENCE: Duration = Duration::from_secs(10);

struct Jobs(WorkerPool<Self>);

impl Driver for Jobs {
    type Worker = ();
    type Connection = NoConnection;

    fn pool(&self) -> &WorkerPool<Self> {
        &self.0
    }

    fn worker(self: &Arc<Self>, _seat: usize) {}

    fn serve((): &mut (), connection: &Arc<NoConnection>, _: bool) {
        match **connection {}
    }

    fn panicked((): &mut (), _: Option<&NoConnection>, error: &Error) {
        panic!("{error}");
    }

    fn log_error(&self, message: &str) {
        panic!("{message}");
    }
}

fn jobs(threads: u32) -> Arc<Jobs> {
    let pool = WorkerPool::new(PoolOptions {
        threads,
        blocked: 0,
        pollers: Pollers::all(threads),
        connections: 0,
        stack_size: None,
    });
    let jobs = Arc::new(Jobs(pool.unwrap()));
    WorkerPool::start(&jobs).unwrap();
    jobs
}

/// A request whose visits run a closure, which returns whether the request waits again.
struct Request(Box<Work>);

type Work = dyn FnMut(&Arc<Visits<Jobs, Request>>) -> bool + Send;

impl Visited<Jobs> for Request {
    fn visit(mut self, (): &mut (), visits: &Arc<Visits<Jobs, Self>>) {
        if (self.0)(visits) {
            visits.suspend(self);
        } else {
            visits.end();
        }
    }
}

/// Begins a request that tells of each visit, and then waits again.
fn begin(jobs: &Arc<Jobs>) -> (Arc<Visits<Jobs, Request>>, Request, Receiver<bool>) {
    let (told, visited): (Sender<bool>, _) = mpsc::channel();
    let visits = Visits::new(jobs).unwrap();
    let request = Request(Box::new(move |visits| told.send(visits.is_late()).is_ok()));
    (visits, request, visited)
}

fn is_quiet(visited: &Receiver<bool>) -> bool {
    visited.recv_timeout(Duration::from_millis(50)).is_err()
}

#[test]
fn calls_before_the_wait_lead_to_one_visit() {
    let jobs = jobs(2);
    let (visits, request, visited) = begin(&jobs);
    let waker = visits.waker();
    (0..3).for_each(|_| waker.wake_by_ref());
    assert!(is_quiet(&visited), "the thread still works on it");
    visits.suspend(request);
    assert_eq!(visited.recv_timeout(PATIENCE), Ok(false));
    assert!(is_quiet(&visited));
    waker.wake_by_ref();
    assert_eq!(visited.recv_timeout(PATIENCE), Ok(false));
    drop(visited);
    waker.wake_by_ref();
    assert_eq!(jobs.0.stop(PATIENCE), 0);
    waker.wake();
}

#[test]
fn a_time_brings_a_visit_and_is_told_once() {
    let jobs = jobs(1);
    let (visits, request, visited) = begin(&jobs);
    visits.expect(Some(1000));
    visits.suspend(request);
    jobs.0.suspended.look(999);
    assert!(is_quiet(&visited));
    jobs.0.suspended.look(1000);
    assert_eq!(visited.recv_timeout(PATIENCE), Ok(true));
    jobs.0.suspended.look(2000);
    assert!(is_quiet(&visited));
    visits.waker().wake();
    assert_eq!(visited.recv_timeout(PATIENCE), Ok(false));
    drop(visited);
    visits.waker().wake();
    assert_eq!(jobs.0.stop(PATIENCE), 0);
}

/// Each visit wakes its request from other threads, several times, while it goes on.
#[test]
fn no_call_is_lost_and_no_two_visits_are_at_once() {
    const VISITS: usize = 20_000;
    let jobs = jobs(3);
    let (done, is_done) = mpsc::channel();
    let (wake, wakers) = mpsc::channel::<Waker>();
    let callers = thread::spawn(move || {
        wakers.into_iter().for_each(|waker| {
            waker.wake_by_ref();
            waker.wake();
        });
    });
    let is_visited = Arc::new(AtomicBool::new(false));
    for _ in 0..2 {
        let (done, wake) = (done.clone(), wake.clone());
        let is_visited = Arc::new(AtomicBool::new(false));
        let mut count = 0;
        let request = Request(Box::new(move |visits| {
            assert!(!is_visited.swap(true, Ordering::SeqCst), "two visits at once");
            count += 1;
            // Each visit but the last has a call that comes during it or after it.
            let goes_on = count < VISITS;
            if goes_on {
                wake.send(visits.waker()).unwrap();
            } else {
                done.send(()).unwrap();
            }
            is_visited.store(false, Ordering::SeqCst);
            goes_on
        }));
        let visits = Visits::new(&jobs).unwrap();
        visits.waker().wake();
        visits.suspend(request);
    }
    drop((wake, is_visited));
    for _ in 0..2 {
        is_done.recv_timeout(PATIENCE).expect("a call was lost");
    }
    callers.join().unwrap();
    assert_eq!(jobs.0.stop(PATIENCE), 0);
}

#[test]
fn the_number_has_a_bound_and_an_end_gives_it_back() {
    let jobs = jobs(1);
    let all: Vec<_> = (0..MOST_SUSPENDED).map(|_| begin(&jobs).0).collect();
    assert!(Visits::<Jobs, Request>::new(&jobs).is_none());
    all[0].end();
    all[0].end();
    let (_more, ..) = begin(&jobs);
    assert!(Visits::<Jobs, Request>::new(&jobs).is_none());
    drop(all);
    assert_eq!(jobs.0.suspended.count(), 1);
}

/// Visits wait in the queue of the pool, and do not count as new requests there.
#[test]
fn visits_leave_the_queue_to_new_requests() {
    let jobs = jobs(1);
    let (release, hold) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    jobs.0.submit(Box::new(move |()| {
        begun.send(()).unwrap();
        let _ = hold.recv_timeout(PATIENCE);
    }));
    has_begun.recv_timeout(PATIENCE).unwrap();
    let all: Vec<_> = (0..5).map(|_| begin(&jobs)).collect();
    let mut visited = Vec::new();
    for (visits, request, told) in all {
        visits.suspend(request);
        visits.waker().wake();
        visited.push((visits, told));
    }
    assert!(jobs.0.try_submit(Box::new(|()| {}), 1).is_some());
    assert!(jobs.0.try_submit(Box::new(|()| {}), 1).is_none());
    release.send(()).unwrap();
    for (visits, told) in visited {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(false));
        visits.end();
    }
    assert_eq!(jobs.0.stop(PATIENCE), 0);
}
