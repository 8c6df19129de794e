//! Requests of services that wait without a thread: 2,000 of them beside 4 threads, more than may
//! wait on threads.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tokio_stream::StreamExt as _;

use super::harness::Runner;
use super::peer::Answer;
use super::{Ask, Ending, Peer, TestProcess};
use crate::gateway::{Level, service};
use crate::os::monotonic_us;
use crate::process_group::{Lease, Phase, Reason, TicketLocation};
use crate::server::daemon_process::{Ended, log_here};
use crate::server::workers::size::MOST_BLOCKED;

/// More than could have a thread each.
const MANY: usize = 2000;
/// The bytes of a stream that no socket holds.
const LARGE: usize = 4 << 20;

/// The test's side of the application.
pub(super) struct Control {
    pub(super) permits: Semaphore,
    waiting: AtomicUsize,
    dropped: AtomicUsize,
    wakers: Mutex<Vec<Waker>>,
}

/// Counts a future that waits, and its end without an answer.
struct Waiting<'a>(&'a Control, bool);

impl Control {
    async fn permit(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut waiting = Waiting(self, false);
        self.permits.acquire().await.unwrap().forget();
        waiting.1 = true;
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        if !self.1 {
            self.0.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn application(control: &Arc<Control>) -> Router {
    let with = || control.clone();
    let (wait, beats, spin, wakers, log, panic) = (with(), with(), with(), with(), with(), with());
    Router::new()
        .route("/now", get(|| async { "done" }))
        .route("/whole", get(|| async { Bytes::from_static(&[b'w'; LARGE]) }))
        .route(
            "/wait",
            get(|| async move {
                wait.permit().await;
                "done"
            }),
        )
        .route(
            "/large",
            get(|| async {
                let pieces = (0..LARGE / 65_536).map(|_| Ok::<_, Infallible>(vec![b'l'; 65_536]));
                Body::from_stream(tokio_stream::iter(pieces))
            }),
        )
        .route(
            "/beats",
            get(|| async move {
                let beats = tokio_stream::iter(0..3).then(move |turn| {
                    let beats = beats.clone();
                    async move {
                        beats.permit().await;
                        Ok::<_, Infallible>(format!("{turn}\n"))
                    }
                });
                Body::from_stream(beats)
            }),
        )
        .route(
            "/count",
            post(|body: Body| async {
                let mut body = body;
                let mut bytes = 0;
                while let Some(frame) = body.frame().await {
                    bytes += frame.unwrap().data_ref().map_or(0, Bytes::len);
                }
                bytes.to_string()
            }),
        )
        .route(
            "/later",
            post(|body: Body| async move {
                spin.permit().await;
                body.collect().await.unwrap().to_bytes().len().to_string()
            }),
        )
        .route(
            "/wakers",
            get(|| async move {
                let mut turns = 0;
                poll_fn(|context| {
                    let mut kept = wakers.wakers.lock().unwrap();
                    turns += 1;
                    kept.push(context.waker().clone());
                    if turns < 3 { Poll::Pending } else { Poll::Ready(()) }
                })
                .await;
                "woken"
            }),
        )
        .route(
            "/spin",
            get(|| async {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                    tokio::spawn(tokio::task::yield_now()).await.unwrap();
                }
                "spun"
            }),
        )
        .route(
            "/log",
            get(|| async move {
                log.permit().await;
                assert!(log_here(Level::Info, "a line of a later visit"));
                "logged"
            }),
        )
        .route(
            "/panic",
            get(|| async move {
                panic.permit().await;
                if true {
                    panic!("as asked");
                }
            }),
        )
}

pub(super) fn open(options: &[&str], suspended: usize) -> (TestProcess, Runner, Arc<Control>) {
    let control = Arc::new(Control {
        permits: Semaphore::new(0),
        waiting: AtomicUsize::new(0),
        dropped: AtomicUsize::new(0),
        wakers: Mutex::default(),
    });
    let app = service(application(&control));
    let (harness, runner) = TestProcess::open_waiting(options, MOST_BLOCKED + suspended, app);
    (harness, runner, control)
}

/// Sends as many requests, each over its connection.
fn ask(harness: &TestProcess, count: usize, ask: &Ask) -> Vec<Peer> {
    let connect = |_| {
        let mut peer = harness.connect(0);
        peer.ask(ask);
        peer
    };
    (0..count).map(connect).collect()
}

pub(super) fn until_parked(harness: &TestProcess, count: usize) {
    let slot = &harness.board.slots[0];
    let what = format!("{count} requests to wait");
    harness.until(&what, || slot.parked() as usize == count && slot.running() == 0);
}

fn lease(harness: &TestProcess) -> Lease {
    let lease = harness.board.acquire(0).unwrap();
    harness.board.release(0, lease.incarnation);
    lease
}

pub(super) fn assert_done(answer: &Answer, text: &str) {
    assert_eq!((answer.text(), answer.ending()), (text, &Ending::End(Vec::new())));
}

pub(super) fn assert_ends(harness: &TestProcess, runner: Runner) {
    harness.until("the load", || harness.board.slots[0].is_idle());
    harness.until("the rows", || harness.board.used_rows(0).iter().all(|row| row.ticket() == 0));
    runner.signal(15);
    assert!(matches!(runner.ended(), Ended::Served { abandoned: 0, .. }));
}

#[test]
fn thousands_wait_beside_four_threads() {
    let (harness, runner, control) = open(&["threads=4", "listen-backlog=2000"], MANY);
    let mut peers = ask(&harness, MANY, &Ask::get("/wait"));
    until_parked(&harness, MANY);
    assert_eq!(control.waiting(), MANY);
    let snapshot = harness.board.snapshot("group", monotonic_us());
    assert_eq!(snapshot.slots[0].requests.len(), MANY);
    assert!(snapshot.slots[0].requests.iter().all(|request| request.phase == Phase::Parked));
    let ticket = peers[MANY / 2].tickets[0];
    let found = harness.board.find_ticket(&lease(&harness), ticket);
    assert!(matches!(found, TicketLocation::Worker { .. }), "{found:?}");
    // Others are served meanwhile, also on a connection whose request waited before.
    assert_done(&harness.connect(0).get("/now"), "done");
    control.permits.add_permits(MANY);
    for peer in &mut peers {
        assert_done(&peer.answer(), "done");
    }
    peers.iter_mut().for_each(|peer| assert_done(&peer.get("/now"), "done"));
    let done = 2 * MANY as u64 + 1;
    harness.until("their count", || harness.board.slots[0].requests_here() == done);
    assert_ends(&harness, runner);
}

#[test]
fn beyond_the_limit_requests_wait_on_threads() {
    let (harness, runner, control) = open(&["threads=2"], 10);
    let mut peers = ask(&harness, 30, &Ask::get("/wait"));
    peers.extend(ask(&harness, 10, &Ask::get("/beats")));
    let mut readers = ask(&harness, 10, &Ask::get("/large"));
    readers.extend(ask(&harness, 10, &Ask::get("/whole")));
    until_parked(&harness, 60);
    for _ in 0..3 {
        control.permits.add_permits(20);
    }
    peers[..30].iter_mut().for_each(|peer| assert_done(&peer.answer(), "done"));
    peers[30..].iter_mut().for_each(|peer| assert_done(&peer.answer(), "0\n1\n2\n"));
    readers.iter_mut().for_each(|peer| assert_eq!(peer.answer().body.len(), LARGE));
    assert_ends(&harness, runner);
}

#[test]
fn a_client_that_leaves_drops_the_future() {
    let (harness, runner, control) = open(&["threads=2"], MANY);
    let mut peers = ask(&harness, 100, &Ask::get("/wait"));
    let mut sender = harness.connect(0);
    sender.ask(&Ask::post("/later", Some(10)));
    until_parked(&harness, 101);
    let start = Instant::now();
    drop(peers.split_off(50));
    drop(sender);
    harness.until("their end", || control.dropped.load(Ordering::SeqCst) == 51);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    until_parked(&harness, 50);
    let lost = peers[0].tickets[0];
    control.permits.add_permits(50);
    peers.iter_mut().for_each(|peer| assert_done(&peer.answer(), "done"));
    harness.until("their count", || harness.board.slots[0].requests_here() == 101);
    assert_eq!(harness.board.snapshot("group", monotonic_us()).counts.errors, 51);
    assert_eq!(harness.board.find_ticket(&lease(&harness), lost), TicketLocation::Nowhere);
    assert_ends(&harness, runner);
}

#[test]
fn a_stream_comes_piece_by_piece() {
    let (harness, runner, control) = open(&["threads=1"], MANY);
    let mut peer = harness.connect(0);
    peer.ask(&Ask::get("/beats"));
    let mut answer = Answer::default();
    for turn in 0..3 {
        until_parked(&harness, 1);
        control.permits.add_permits(1);
        peer.read_until(&mut answer, |answer| answer.body.len() == 2 * (turn + 1));
        assert!(answer.text().ends_with(&format!("{turn}\n")));
    }
    peer.read_until(&mut answer, |_| false);
    assert_done(&answer, "0\n1\n2\n");
    assert_done(&peer.get("/now"), "done");
    assert_ends(&harness, runner);
}

#[test]
fn slow_readers_hold_no_thread() {
    // In pieces, and whole.
    for target in ["/large", "/whole"] {
        let (harness, runner, _control) = open(&["threads=2"], MANY);
        let mut peers = Vec::new();
        while peers.len() < MOST_BLOCKED + 100 {
            peers.extend(ask(&harness, 100, &Ask::get(target)));
            until_parked(&harness, peers.len());
        }
        assert_done(&harness.connect(0).get("/now"), "done");
        // Some leave without reading.
        drop(peers.split_off(300));
        until_parked(&harness, 300);
        for peer in &mut peers {
            let answer = peer.answer();
            assert_eq!((answer.body.len(), answer.ending()), (LARGE, &Ending::End(Vec::new())));
            assert_done(&peer.get("/now"), "done");
        }
        assert_ends(&harness, runner);
    }
}

#[test]
fn slow_senders_hold_no_thread() {
    let (harness, runner, control) = open(&["threads=2"], MANY);
    let count = MOST_BLOCKED + 100;
    let upload = Ask { expect: true, ..Ask::post("/count", Some(6)) };
    let mut peers = ask(&harness, count, &upload);
    until_parked(&harness, count);
    for _ in 0..2 {
        peers.iter_mut().for_each(|peer| peer.input(b"abc"));
    }
    peers.iter_mut().for_each(|peer| peer.input_end(&[]));
    for peer in &mut peers {
        let answer = peer.answer();
        assert_done(&answer, "6");
        assert_eq!(answer.continues, 1);
    }
    // A body that is there before it is wanted, and one that comes in part.
    let (mut whole, mut part) = (harness.connect(0), harness.connect(0));
    whole.ask(&Ask::post("/later", None));
    whole.input(&[b'x'; 50_000]);
    whole.input_end(&[]);
    part.ask(&Ask::post("/later", None));
    part.input(&[b'x'; 10_000]);
    harness.until("both to wait", || control.waiting() == 2);
    until_parked(&harness, 2);
    control.permits.add_permits(2);
    assert_done(&whole.answer(), "50000");
    until_parked(&harness, 1);
    part.input(&[b'x'; 10_000]);
    part.input_end(&[]);
    assert_done(&part.answer(), "20000");
    assert_done(&part.get("/now"), "done");
    assert_ends(&harness, runner);
}

#[test]
fn a_waker_may_be_called_at_any_time() {
    let (harness, runner, control) = open(&["threads=2"], MANY);
    let mut peer = harness.connect(0);
    peer.ask(&Ask::get("/wakers"));
    // The first poll is repeated with a waker.
    until_parked(&harness, 1);
    let kept = control.wakers.lock().unwrap().pop().unwrap();
    (0..3).for_each(|_| kept.wake_by_ref());
    assert_done(&peer.answer(), "woken");
    (0..3).for_each(|_| kept.wake_by_ref());
    assert_done(&peer.get("/now"), "done");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut peer = harness.connect(0);
                (0..20).for_each(|_| assert_done(&peer.get("/spin"), "spun"));
            });
        }
    });
    drop(peer);
    assert_ends(&harness, runner);
    kept.wake();
}

#[test]
fn a_later_visit_logs_and_fails_like_the_first() {
    let (harness, runner, control) = open(&["threads=2"], MANY);
    let (mut log, mut panic) = (harness.connect(0), harness.connect(0));
    log.ask(&Ask::get("/log"));
    panic.ask(&Ask::get("/panic"));
    until_parked(&harness, 2);
    control.permits.add_permits(2);
    let answer = log.answer();
    assert_done(&answer, "logged");
    assert_eq!(answer.logs, [(Level::Info, "a line of a later visit".to_owned())]);
    let answer = panic.answer();
    assert!(matches!(answer.ending(), Ending::Failed(_, 500, _)), "{:?}", answer.ending());
    assert_done(&panic.get("/now"), "done");
    assert_ends(&harness, runner);
}

#[test]
fn a_request_timeout_ends_what_waits() {
    let (harness, runner, control) = open(&["threads=1", "request-timeout=1"], MANY);
    let mut peers = ask(&harness, 20, &Ask::get("/wait"));
    for peer in &mut peers {
        assert!(matches!(peer.answer().ending(), Ending::Failed(_, 504, _)));
    }
    harness.until("their drop", || control.dropped.load(Ordering::SeqCst) == 20);
    harness.until("the load", || harness.board.slots[0].is_idle());
    assert_done(&harness.connect(0).get("/now"), "done");
    assert!(harness.board.slots[0].reason().is_none(), "the process stays");
    assert_ends(&harness, runner);
}

#[test]
fn a_stop_waits_for_what_waits() {
    let (harness, runner, control) = open(&["threads=2"], MANY);
    let mut peers = ask(&harness, 50, &Ask::get("/wait"));
    until_parked(&harness, 50);
    runner.signal(15);
    harness.line_with("RUST0032");
    assert!(runner.is_running());
    control.permits.add_permits(50);
    for peer in &mut peers {
        let answer = peer.answer();
        assert_done(&answer, "done");
        assert!(answer.close);
    }
    assert!(matches!(runner.ended(), Ended::Served { abandoned: 0, .. }));
}

#[test]
fn what_waits_when_a_process_dies_is_noted_lost() {
    let (harness, runner, control) = open(&["threads=2", "shutdown-timeout=1"], MANY);
    let peers = ask(&harness, 50, &Ask::get("/wait"));
    until_parked(&harness, 50);
    let (lease, tickets) = (lease(&harness), peers.iter().map(|peer| peer.tickets[0]));
    let tickets: Vec<_> = tickets.collect();
    runner.signal(15);
    let Ended::Served { reason, .. } = runner.ended() else { panic!() };
    assert_eq!(reason, Reason::ShutdownSignal);
    assert!(harness.line_with("RUST0037").contains("50 requests"));
    // Does what the parent does for a process that was killed.
    let dead = harness.board.clear_dead(0, monotonic_us());
    assert_eq!(dead.lost_requests, 50);
    for ticket in tickets {
        assert_eq!(harness.board.find_ticket(&lease, ticket), TicketLocation::Lost);
    }
    drop(control);
}
