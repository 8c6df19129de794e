//! Tests many connections at once: idle connections, waiting requests, and processes that alternate
//! under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::gone::{gate, gated};
use super::harness::Runner;
use super::{Ask, Ending, Peer, TestProcess};
use crate::gateway::{Body, Environ, Result, StartResponse, app_fn};
use crate::os::monotonic_us;
use crate::process_group::{Lease, ProcessState, Reason, TicketLocation, TriedSlots};
use crate::server::daemon_process::Ended;

fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("A", "b")])?;
    Ok(Body::from("hello"))
}

#[test]
fn idle_connections_hold_no_thread() {
    let (harness, _runner) = TestProcess::open(&["threads=2", "listen-backlog=100"], hello);
    let mut peers: Vec<Peer> = (0..2000)
        .map(|_| {
            let mut peer = harness.connect(0);
            assert_eq!(peer.get("/").text(), "hello");
            peer
        })
        .collect();
    for peer in peers.iter_mut().rev() {
        assert_eq!(peer.get("/").text(), "hello");
    }
    harness.until("the load", || harness.board.slots[0].is_idle());
    assert_eq!(harness.board.slots[0].requests_here(), 4000);
}

#[test]
fn a_request_may_wait_for_its_thread_for_longer_than_a_greeting() {
    let (gate, keeper) = gate();
    let (harness, _runner) = TestProcess::open(&["threads=1"], gated(gate));
    let (mut running, mut waiting) = (harness.connect(0), harness.connect(0));
    running.ask(&Ask::get("/gate"));
    keeper.until_called();
    waiting.ask(&Ask::get("/"));
    let silent = harness.connect_raw(0);
    harness.line_with("HELLO");
    keeper.open();
    assert_eq!((running.answer().text(), waiting.answer().text()), ("through", "through"));
    drop(silent);
}

/// Two processes whose slots are refilled as fast as they are asked to go, and children that lose
/// nothing by it.
#[test]
fn processes_take_turns_under_load() {
    const ROLLS: usize = 30;
    let apps: Vec<Arc<dyn crate::gateway::Application>> = vec![Arc::new(hello)];
    let harness = TestProcess::new(&["threads=2", "crash-backoff=100ms"], 0, apps);
    let mut runners: Vec<Option<Runner>> = (0..2).map(|slot| Some(harness.fork(slot))).collect();
    harness.until("a process", || {
        harness.board.slots.iter().any(|s| s.state() == ProcessState::Ready)
    });
    let stop = AtomicBool::new(false);
    let (done, again) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let children: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut kept: Vec<(Lease, Peer)> = Vec::new();
                    while !stop.load(Ordering::Acquire) {
                        again.fetch_add(request(&harness, &mut kept), Ordering::Relaxed);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for _ in 0..ROLLS {
            let serving = (0..2)
                .find(|&slot| {
                    harness.board.slots[slot].state() == ProcessState::Ready
                        && harness.board.slots[slot].reason().is_none()
                })
                .expect("one that serves");
            let before = done.load(Ordering::Relaxed);
            harness.until("some requests", || done.load(Ordering::Relaxed) > before + 50);
            let leaving = runners[serving].take().unwrap();
            leaving.signal(10);
            let Ended::Served { reason, abandoned } = harness.clear_dead(leaving) else { panic!() };
            assert_eq!((reason, abandoned), (Reason::GracefulSignal, 0));
            runners[serving] = Some(harness.fork(serving));
        }
        stop.store(true, Ordering::Release);
        for child in children {
            child.join().expect("a child lost a request");
        }
    });
    assert!(done.load(Ordering::Relaxed) > 50 * ROLLS as u64);
    assert!(harness.lines().iter().all(|(_, line)| !line.contains("RUST0037")));
}

/// Sends one request to any process. Returns the number of its repetitions.
fn request(harness: &TestProcess, kept: &mut Vec<(Lease, Peer)>) -> u64 {
    for turn in 0.. {
        let lease =
            harness.board.take(&TriedSlots::new(), monotonic_us()).expect("one is always ready");
        let same = |(known, _): &(Lease, Peer)| {
            (known.slot, known.incarnation) == (lease.slot, lease.incarnation)
        };
        kept.retain(|(known, _)| {
            harness.board.slots[known.slot].incarnation() == known.incarnation
        });
        let at = kept.iter().position(same).unwrap_or_else(|| {
            kept.push((lease, harness.connect(lease.slot)));
            kept.len() - 1
        });
        let (_, mut peer) = kept.swap_remove(at);
        peer.ask_counted(&Ask::get("/"));
        let answer = peer.answer();
        match answer.ending() {
            Ending::End(_) => {
                assert_eq!(answer.text(), "hello");
                if !answer.close {
                    kept.push((lease, peer));
                }
                return turn;
            }
            Ending::Closed => {
                let ticket = *peer.tickets.last().unwrap();
                assert_eq!(harness.board.find_ticket(&lease, ticket), TicketLocation::Nowhere);
            }
            other => panic!("{other:?}"),
        }
    }
    unreachable!("it is sent until it is answered")
}

/// Makes an application: `/hold` keeps a lock while it reads its body, `/lock` wants it, `/large`
/// answers with more than a socket holds. The rest is `hello`.
fn test_application() -> impl crate::gateway::Application {
    let lock = std::sync::Mutex::new(());
    app_fn(move |mut environ: Environ<'_>, start_response: StartResponse<'_>| {
        let (mut held, mut length) = (None, 5);
        match environ.path_info() {
            b"/hold" => {
                held = Some(lock.lock().unwrap());
                length = environ.input().read_all(1 << 20)?.len();
            }
            b"/lock" => drop(lock.lock().unwrap()),
            b"/send" => length = environ.input().read_all(1 << 20)?.len(),
            b"/large" => length = 4 << 20,
            _ => {}
        }
        drop(held);
        start_response.start(200, [("A", "b")])?;
        Ok(Body::from(vec![b'e'; length]))
    })
}

#[test]
fn slow_clients_hold_no_permit() {
    const SLOW: usize = 20;
    let (harness, runner) = TestProcess::open_waiting(&["threads=2"], 2 * SLOW, test_application());
    let slot = &harness.board.slots[0];
    let mut senders: Vec<Peer> = (0..SLOW).map(|_| harness.connect(0)).collect();
    let mut readers: Vec<Peer> = (0..SLOW).map(|_| harness.connect(0)).collect();
    senders.iter_mut().for_each(|peer| peer.ask(&Ask::post("/send", Some(3))));
    readers.iter_mut().for_each(|peer| peer.ask(&Ask::get("/large")));
    harness.until("all to wait", || slot.parked() == 2 * SLOW as u32 && slot.running() == 0);
    assert_eq!(harness.connect(0).get("/").text(), "eeeee");
    for _ in 0..3 {
        senders.iter_mut().for_each(|peer| peer.input(b"x"));
    }
    senders.iter_mut().for_each(|peer| peer.input_end(&[]));
    senders.iter_mut().for_each(|peer| assert_eq!(peer.answer().text(), "eee"));
    readers.iter_mut().for_each(|peer| assert_eq!(peer.answer().body.len(), 4 << 20));
    harness.until("the load", || slot.is_idle());
    runner.signal(15);
    assert!(matches!(runner.ended(), Ended::Served { abandoned: 0, .. }));
}

#[test]
fn a_request_continues_after_its_client_without_a_permit() {
    let (harness, _runner) = TestProcess::open_waiting(&["threads=1"], 1, test_application());
    let slot = &harness.board.slots[0];
    let (mut holder, mut other) = (harness.connect(0), harness.connect(0));
    holder.ask(&Ask::post("/hold", Some(3)));
    harness.until("the holder to wait", || slot.parked() == 1);
    other.ask(&Ask::get("/lock"));
    harness.until("the other to have the turn", || {
        harness.board.rows_of(0).iter().all(|r| r.ticket() != 0)
    });
    holder.input(b"abc");
    holder.input_end(&[]);
    assert_eq!((holder.answer().text(), other.answer().text()), ("eee", "eeeee"));
    harness.until("the load", || slot.is_idle());
}

#[test]
fn more_slow_clients_than_rows_are_served_one_after_the_other() {
    let (harness, _runner) = TestProcess::open_waiting(&["threads=2"], 3, test_application());
    let mut senders: Vec<Peer> = (0..20).map(|_| harness.connect(0)).collect();
    senders.iter_mut().for_each(|peer| peer.ask(&Ask::post("/send", Some(3))));
    harness
        .until("all that can to wait", || harness.board.rows_of(0).iter().all(|r| r.ticket() != 0));
    for sender in &mut senders {
        sender.input(b"abc");
        sender.input_end(&[]);
    }
    senders.iter_mut().for_each(|peer| assert_eq!(peer.answer().text(), "eee"));
    harness.until("the load", || harness.board.slots[0].is_idle());
}

#[cfg(feature = "tower")]
mod services {
    use std::convert::Infallible;
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http::{Request, Response};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::gateway::service::{RequestBody, service};

    /// `/wait` waits for a permit, anything else answers at once.
    #[derive(Clone)]
    struct Waiting {
        permits: Arc<Semaphore>,
        waiting: Arc<AtomicU64>,
    }

    impl tower_service::Service<Request<RequestBody>> for Waiting {
        type Response = Response<String>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
            let this = self.clone();
            Box::pin(async move {
                if request.uri().path().ends_with("/wait") {
                    this.waiting.fetch_add(1, Ordering::SeqCst);
                    let permit = this.permits.acquire().await.unwrap();
                    permit.forget();
                    this.waiting.fetch_sub(1, Ordering::SeqCst);
                }
                Ok(Response::new("done".to_owned()))
            })
        }
    }

    #[test]
    fn waiting_requests_hold_no_permit() {
        const WAITING: usize = 200;
        let app = Waiting { permits: Arc::new(Semaphore::new(0)), waiting: Arc::default() };
        let (permits, waiting) = (app.permits.clone(), app.waiting.clone());
        let (harness, runner) = TestProcess::open_waiting(&["threads=2"], WAITING, service(app));
        let mut peers: Vec<Peer> = (0..WAITING).map(|_| harness.connect(0)).collect();
        for peer in &mut peers {
            peer.ask(&Ask::get("/wait"));
        }
        harness.until("all to wait", || waiting.load(Ordering::SeqCst) == WAITING as u64);
        harness.until("no load", || harness.board.slots[0].running() == 0);
        assert_eq!(harness.board.slots[0].parked(), WAITING as u32);
        // Others are served meanwhile.
        assert_eq!(harness.connect(0).get("/now").text(), "done");
        // One that leaves is noticed.
        drop(peers.pop());
        harness.until("its end", || harness.board.slots[0].parked() == WAITING as u32 - 1);
        permits.add_permits(WAITING);
        for peer in &mut peers {
            let answer = peer.answer();
            assert_eq!((answer.text(), answer.ending()), ("done", &Ending::End(Vec::new())));
        }
        harness.until("the load", || harness.board.slots[0].is_idle());
        runner.signal(15);
        assert!(matches!(runner.ended(), Ended::Served { abandoned: 0, .. }));
    }

    #[test]
    fn work_is_limited_to_the_permits() {
        let app = Waiting { permits: Arc::new(Semaphore::new(0)), waiting: Arc::default() };
        let (permits, waiting) = (app.permits.clone(), app.waiting.clone());
        let (now, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let inner = service(app);
        let counted = app_fn({
            let (now, most) = (now.clone(), most.clone());
            move |environ: Environ<'_>, start_response: StartResponse<'_>| {
                if environ.path_info() == b"/wait" {
                    return crate::gateway::Application::call(&inner, environ, start_response);
                }
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                start_response.start(200, [("A", "b")])?;
                Ok(Body::from("worked"))
            }
        });
        let (harness, _runner) = TestProcess::open_waiting(&["threads=2"], 20, counted);
        let mut waiters: Vec<Peer> = (0..20).map(|_| harness.connect(0)).collect();
        waiters.iter_mut().for_each(|peer| peer.ask(&Ask::get("/wait")));
        harness.until("all to wait", || waiting.load(Ordering::SeqCst) == 20);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut peer = harness.connect(0);
                    for _ in 0..100 {
                        assert_eq!(peer.get("/work").text(), "worked");
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
        permits.add_permits(20);
        waiters.iter_mut().for_each(|peer| assert_eq!(peer.answer().text(), "done"));
    }

    #[test]
    fn a_waiting_request_that_takes_too_long_replaces_no_process() {
        let app = Waiting { permits: Arc::new(Semaphore::new(0)), waiting: Arc::default() };
        let (harness, _runner) =
            TestProcess::open_waiting(&["threads=1", "request-timeout=1"], 4, service(app));
        let mut peer = harness.connect(0);
        peer.ask(&Ask::get("/wait"));
        assert!(matches!(peer.answer().ending(), Ending::Failed(_, 504, _)));
        harness.until("the load", || harness.board.slots[0].is_idle());
        harness.until("the row", || harness.board.rows.iter().all(|row| row.ticket() == 0));
        assert_eq!(harness.connect(0).get("/now").text(), "done");
        assert!(harness.board.slots[0].reason().is_none());
    }
}
