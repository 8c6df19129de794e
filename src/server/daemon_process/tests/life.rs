//! From dormant to the end, for every reason that there is.

use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::gone::{gate, gated};
use super::harness::{LONG, Runner};
use super::{Ask, Ending, TestProcess};
use crate::gateway::{Body, Environ, Error, Result, StartResponse};
use crate::os::monotonic_us;
use crate::process_group::{ProcessState, Reason, TriedSlots};
use crate::server::daemon_process::Ended;

const INT: u32 = 2;
const USR1: u32 = 10;
const TERM: u32 = 15;
const XCPU: u32 = 24;

fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("A", "b")])?;
    Ok(Body::from("hello"))
}

fn served(ended: &Ended) -> (Reason, usize) {
    match ended {
        Ended::Served { reason, abandoned } => (*reason, *abandoned),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stop_finishes_what_is_there() {
    for number in [TERM, INT] {
        let (gate, keeper) = gate();
        let (harness, runner) = TestProcess::open(&["threads=2"], gated(gate));
        let mut idle = harness.connect(0);
        assert!(!idle.get("/").close);
        let mut running = harness.connect(0);
        running.ask(&Ask::get("/gate"));
        keeper.until_called();
        // Acquired, but not sent yet: it counts too.
        let lease = harness.board.take(&TriedSlots::new(), monotonic_us()).unwrap();
        runner.signal(number);
        harness.until_state(0, ProcessState::Draining);
        assert!(harness.board.acquire(0).is_none());
        assert!(runner.is_running());
        idle.ask_counted(&Ask::get("/"));
        let answer = idle.answer();
        assert_eq!((answer.text(), answer.close), ("through", true), "{lease:?}");
        keeper.open();
        let answer = running.answer();
        assert_eq!((answer.text(), answer.close), ("through", true));
        assert_eq!(served(&runner.ended()), (Reason::ShutdownSignal, 0));
        assert!(idle.is_closed());
        assert!(harness.lines().iter().any(|(_, line)| line.contains("RUST0032")));
    }
}

#[test]
fn a_request_that_was_counted_and_never_sent_is_taken_off() {
    let (harness, runner) = TestProcess::open(&["threads=2", "connect-timeout=1"], hello);
    let holds = [(); 2].map(|()| harness.board.take(&TriedSlots::new(), monotonic_us()).unwrap());
    assert_eq!(harness.connect(0).get("/").text(), "hello");
    assert!(harness.board.slots[0].running() >= 2, "a child may still send it");
    harness.until("the load to be given back", || harness.board.slots[0].running() == 0);
    // Its release comes late, and must not affect its successor.
    harness.board.release(0, holds[0].incarnation);
    assert_eq!(harness.board.slots[0].running(), 0);
    assert_eq!(harness.connect(0).get("/").text(), "hello");
    runner.signal(TERM);
    assert_eq!(served(&runner.ended()), (Reason::ShutdownSignal, 0));
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let (gate, keeper) = gate();
    let (harness, runner) = TestProcess::open(&["threads=2", "shutdown-timeout=1"], gated(gate));
    let mut running = harness.connect(0);
    running.ask(&Ask::get("/gate"));
    keeper.until_called();
    runner.signal(TERM);
    let (reason, abandoned) = served(&runner.ended());
    assert_eq!(reason, Reason::ShutdownSignal);
    // The idle thread is counted where it had no time to end.
    assert!((1..=2).contains(&abandoned), "{abandoned}");
    harness.line_with("RUST0037");
    keeper.open();
}

/// Replaces the process of slot 0, which asks for it, and returns why it ended.
fn replaced(harness: &TestProcess, first: Runner) -> Reason {
    harness.until("its wish", || harness.board.slots[0].reason().is_some());
    assert_eq!(harness.board.slots[0].state(), ProcessState::Ready);
    let mut kept = harness.connect(0);
    assert_eq!(kept.get("/").text(), "through", "it goes on until there is another one");
    let second = harness.fork(1);
    harness.until_state(1, ProcessState::Ready);
    let (reason, abandoned) = served(&harness.clear_dead(first));
    assert_eq!(abandoned, 0);
    assert_eq!(harness.connect(1).get("/").text(), "through");
    second.signal(TERM);
    assert_eq!(served(&second.ended()), (Reason::ShutdownSignal, 0));
    reason
}

#[test]
fn replaced_for_every_reason() {
    let open = |options: &[&str]| {
        let all = [&["threads=2", "jitter=0"], options].concat();
        TestProcess::open(&all, gated(gate().0))
    };
    let (harness, runner) = open(&[]);
    runner.signal(USR1);
    assert_eq!(replaced(&harness, runner), Reason::GracefulSignal);

    let (harness, runner) = open(&["cpu-time-limit=1000"]);
    runner.signal(XCPU);
    assert_eq!(replaced(&harness, runner), Reason::CpuTimeLimit);

    let (harness, runner) = open(&["maximum-requests=5"]);
    let mut peer = harness.connect(0);
    for turn in 0..5 {
        assert!(harness.board.slots[0].reason().is_none(), "{turn}");
        assert_eq!(peer.get("/").text(), "through");
    }
    assert_eq!(replaced(&harness, runner), Reason::MaximumRequests);

    let (harness, runner) = open(&["restart-interval=1"]);
    assert_eq!(replaced(&harness, runner), Reason::RestartInterval);

    let (harness, runner) = open(&["memory-limit=1M"]);
    assert_eq!(replaced(&harness, runner), Reason::MemoryLimit);
}

#[test]
fn an_idle_process_sleeps_and_wakes() {
    let (harness, runner) = TestProcess::open(&["threads=1", "inactivity-timeout=1"], hello);
    assert_eq!(harness.connect(0).get("/").text(), "hello");
    assert_eq!(served(&harness.clear_dead(runner)), (Reason::InactivityTimeout, 0));
    let second = harness.fork(0);
    harness.until_state(0, ProcessState::Dormant);
    // Only a request for it wakes the process.
    assert!(harness.board.take(&TriedSlots::new(), monotonic_us()).is_err());
    harness.ring();
    harness.until_state(0, ProcessState::Ready);
    assert_eq!(harness.connect(0).get("/").text(), "hello");
    drop(second);
}

#[test]
fn absent_limits_never_end_a_process() {
    // Every timer works, independent of the others.
    let (gate, keeper) = gate();
    let options = ["threads=1", "queue-timeout=0", "startup-timeout=0", "request-timeout=1"];
    let (harness, runner) = TestProcess::open(&options, gated(gate));
    let mut peer = harness.connect(0);
    peer.ask(&Ask::get("/gate"));
    keeper.until_called();
    let answer = peer.answer();
    let Ending::Failed(_, 504, message) = answer.ending() else { panic!("{answer:?}") };
    assert!(message.contains("request-timeout"), "{message}");
    assert!(peer.is_closed());
    // Its only thread is stuck, so the process wants to be replaced, and is when there is another.
    harness.until("its wish", || harness.board.slots[0].reason() == Some(Reason::RequestTimeout));
    assert!(harness.board.slots[0].is_idle());
    let second = harness.fork(1);
    harness.until_state(1, ProcessState::Ready);
    assert_eq!(served(&runner.ended()), (Reason::RequestTimeout, 1));
    assert_eq!(harness.connect(1).get("/").text(), "through");
    keeper.open();
    drop(second);
}

/// Answers `/endless` for as long as the client is there, and other paths with a piece.
fn pieces<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("A", "b")])?;
    let count = if environ.path_info() == b"/endless" { usize::MAX } else { 1 };
    let pieces = std::iter::repeat_with(|| Ok(vec![b'x'; 4096].into()));
    Ok(Body::from_chunks(pieces.take(count)))
}

/// A thread is stuck if its request does not end soon after its time.
#[test]
fn a_request_that_ends_once_it_is_cut_replaces_nothing() {
    let options = ["threads=1", "request-timeout=1"];
    let (harness, runner) = TestProcess::open(&options, pieces);
    let mut peer = harness.connect(0);
    peer.ask(&Ask::get("/endless"));
    harness.until("its start", || !harness.board.slots[0].is_idle());
    harness.until("its end", || harness.board.slots[0].is_idle());
    assert_eq!(harness.connect(0).get("/").text().len(), 4096);
    assert!(harness.board.slots[0].reason().is_none(), "the process stays");
    drop(peer);
    runner.signal(TERM);
    assert_eq!(served(&runner.ended()), (Reason::ShutdownSignal, 0));
}

#[test]
fn too_late_for_a_thread() {
    let (harness, _runner) = TestProcess::open(&["threads=1", "queue-timeout=2"], hello);
    let mut peer = harness.connect(0);
    peer.ask(&Ask { sent_us: monotonic_us() - 3_000_000, ..Ask::get("/") });
    let answer = peer.answer();
    let Ending::Failed(_, 504, message) = answer.ending() else { panic!("{answer:?}") };
    assert!(message.contains("queue-timeout"), "{message}");
    peer.ask(&Ask { sent_us: monotonic_us() - 1_000_000, ..Ask::get("/") });
    assert_eq!(peer.answer().text(), "hello");
}

#[test]
fn a_factory_that_fails_and_then_does_not() {
    let harness = TestProcess::new(&["crash-backoff=1"], 0, vec![Arc::new(hello)]);
    let failing = harness.fork_with(0, Box::new(|| Err("the database is away".to_owned())));
    let before_us = monotonic_us();
    let Ended::NotBuilt(why) = harness.clear_dead(failing) else { panic!() };
    assert_eq!(why, "the database is away");
    let line = harness.line_with("RUST0033");
    assert!(line.contains("the database is away") && line.contains("harness"), "{line}");
    // Requests are refused at once, and the next start has to wait.
    let refused = harness.board.take(&TriedSlots::new(), monotonic_us()).unwrap_err();
    assert!(matches!(refused, crate::process_group::ProcessChoice::Open { .. }), "{refused:?}");
    let second = harness.fork(0);
    harness.until_state(0, ProcessState::Ready);
    assert!(harness.board.slots[0].ready_us() - before_us >= 1_000_000, "it did not wait");
    assert_eq!(harness.connect(0).get("/").text(), "hello");
    drop(second);
}

#[test]
fn a_factory_that_panics() {
    crate::gateway::panic::install_hook(|_| {});
    let harness = TestProcess::new(&[], 0, vec![Arc::new(hello)]);
    let failing = harness.fork_with(0, Box::new(|| panic!("no factory")));
    let Ended::NotBuilt(why) = harness.clear_dead(failing) else { panic!() };
    assert!(why.contains("no factory"), "{why}");
}

#[test]
fn the_old_one_serves_while_the_new_one_cannot_be_built() {
    let (harness, first) = TestProcess::open(&["crash-backoff=1"], hello);
    first.signal(USR1);
    harness.until("its wish", || harness.board.slots[0].reason().is_some());
    for _ in 0..2 {
        let failing = harness.fork_with(1, Box::new(|| Err("broken code".to_owned())));
        assert!(matches!(harness.clear_dead(failing), Ended::NotBuilt(_)));
        assert_eq!(harness.connect(0).get("/").text(), "hello");
    }
    let second = harness.fork(1);
    assert_eq!(served(&first.ended()), (Reason::GracefulSignal, 0));
    assert_eq!(harness.connect(1).get("/").text(), "hello");
    drop(second);
}

#[test]
fn a_factory_that_hangs() {
    let harness = TestProcess::new(&["startup-timeout=1"], 0, vec![Arc::new(hello)]);
    let (go_on, waits) = sync_channel::<()>(1);
    let waits = Mutex::new(waits);
    let hanging = harness.fork_with(
        0,
        Box::new(move || {
            let _ = waits.lock().unwrap().recv();
            Err("never mind".to_owned())
        }),
    );
    assert_eq!(harness.until_abandoned(), Reason::StartupTimeout);
    assert_eq!(harness.board.slots[0].state(), ProcessState::Failed);
    harness.line_with("startup-timeout");
    go_on.send(()).unwrap();
    assert!(matches!(hanging.ended(), Ended::NotBuilt(_)));
}

#[test]
fn a_stop_while_it_builds() {
    let mut harness = TestProcess::new(&[], 0, vec![Arc::new(hello)]);
    let (go_on, waits) = sync_channel::<()>(1);
    let waits = Mutex::new(waits);
    let building = harness.fork_with(
        0,
        Box::new(move || {
            let _ = waits.lock().unwrap().recv();
            Err("never mind".to_owned())
        }),
    );
    harness.until_state(0, ProcessState::Starting);
    harness.cut_lifeline();
    assert_eq!(harness.until_abandoned(), Reason::GenerationOver);
    go_on.send(()).unwrap();
    assert!(matches!(building.ended(), Ended::Unused(Reason::GenerationOver)));
}

#[test]
fn dormant_ones_go_when_they_are_not_needed() {
    let (mut harness, first) = TestProcess::open(&[], hello);
    for (number, reason) in [(TERM, Reason::ShutdownSignal), (USR1, Reason::GracefulSignal)] {
        let dormant = harness.fork(1);
        harness.until_state(1, ProcessState::Dormant);
        dormant.signal(number);
        let Ended::Unused(found) = harness.clear_dead(dormant) else { panic!() };
        assert_eq!(found, reason);
    }
    let dormant = harness.fork(1);
    harness.until_state(1, ProcessState::Dormant);
    harness.cut_lifeline();
    assert!(matches!(dormant.ended(), Ended::Unused(Reason::GenerationOver)));
    assert_eq!(served(&first.ended()), (Reason::GenerationOver, 0));
}

#[test]
fn the_lifeline_ends_it_for_every_count() {
    let (gate, keeper) = gate();
    let (mut harness, runner) =
        TestProcess::open(&["threads=2", "shutdown-timeout=60"], gated(gate.clone()));
    let mut running = harness.connect(0);
    running.ask(&Ask::get("/gate"));
    keeper.until_called();
    // A child that was killed between counting its request and sending it.
    harness.board.acquire(0).unwrap();
    harness.cut_lifeline();
    harness.until_state(0, ProcessState::Draining);
    assert!(runner.is_running());
    keeper.open();
    assert_eq!(running.answer().text(), "through");
    drop(running);
    assert_eq!(served(&runner.ended()), (Reason::GenerationOver, 0));
    assert_eq!(gate.calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_dead_process_is_replaced_by_the_dormant_one() {
    let (harness, first) = TestProcess::open(&["threads=1"], hello);
    let second = harness.fork(1);
    harness.until_state(1, ProcessState::Dormant);
    // To the scoreboard, one that was killed.
    harness.board.clear_dead(0, monotonic_us());
    harness.ring();
    harness.until_state(1, ProcessState::Ready);
    assert_eq!(harness.connect(1).get("/").text(), "hello");
    drop((first, second));
}

#[test]
fn more_processes_under_load() {
    let (gate, keeper) = gate();
    let options = ["min-processes=1", "max-processes=2", "threads=1"];
    let (harness, first) = TestProcess::open(&options, gated(gate));
    let second = harness.fork(1);
    harness.until_state(1, ProcessState::Dormant);
    let mut busy = harness.connect(0);
    busy.ask(&Ask::get("/gate"));
    keeper.until_called();
    harness.until_state(1, ProcessState::Ready);
    assert_eq!(harness.connect(1).get("/").text(), "through");
    keeper.open();
    assert_eq!(busy.answer().text(), "through");
    drop((first, second));
}

#[test]
fn an_error_of_find_is_the_requests() {
    struct None;
    impl crate::server::daemon_process::Applications for None {
        fn find(
            &self,
            _: u32,
            _: crate::protocol::bridge::Pairs<'_>,
        ) -> Result<Arc<dyn crate::gateway::Application>> {
            Err(Error::new("not today"))
        }
    }
    let harness = TestProcess::new(&[], 0, Vec::new());
    let _runner = harness.fork_with(0, Box::new(|| Ok(Arc::new(None) as _)));
    harness.until_state(0, ProcessState::Ready);
    let answer = harness.connect(0).get("/");
    assert!(matches!(answer.ending(), Ending::Failed(_, 500, text) if text == "not today"));
}

impl TestProcess {
    fn ring(&self) {
        self.doorbell.ring();
    }

    fn until_abandoned(&self) -> Reason {
        let (reason, changed) = &*self.abandoned;
        let reason = reason.lock().unwrap();
        let (reason, _) = changed
            .wait_timeout_while(reason, LONG + Duration::from_secs(1), |reason| reason.is_none())
            .unwrap();
        reason.expect("it was not given up")
    }
}
