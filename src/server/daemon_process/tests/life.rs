//! From dormant to the end, for every reason that there is.

use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::gone::{gate, gated};
use super::harness::{LONG, Lodger};
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
        let (house, lodger) = TestProcess::open(&["threads=2"], gated(gate));
        let mut idle = house.connect(0);
        assert!(!idle.get("/").close);
        let mut running = house.connect(0);
        running.ask(&Ask::get("/gate"));
        keeper.until_called();
        // Acquired, but not sent yet: it counts too.
        let lease = house.board.take(&TriedSlots::new(), monotonic_us()).unwrap();
        lodger.signal(number);
        house.until_state(0, ProcessState::Draining);
        assert!(house.board.acquire(0).is_none());
        assert!(lodger.is_running());
        idle.ask_counted(&Ask::get("/"));
        let answer = idle.answer();
        assert_eq!((answer.text(), answer.close), ("through", true), "{lease:?}");
        keeper.open();
        let answer = running.answer();
        assert_eq!((answer.text(), answer.close), ("through", true));
        assert_eq!(served(&lodger.ended()), (Reason::ShutdownSignal, 0));
        assert!(idle.is_closed());
        assert!(house.lines().iter().any(|(_, line)| line.contains("RUST0032")));
    }
}

#[test]
fn a_request_that_was_counted_and_never_sent_is_taken_off() {
    let (house, lodger) = TestProcess::open(&["threads=2", "connect-timeout=1"], hello);
    let holds = [(); 2].map(|()| house.board.take(&TriedSlots::new(), monotonic_us()).unwrap());
    assert_eq!(house.connect(0).get("/").text(), "hello");
    assert!(house.board.slots[0].running() >= 2, "a child may still send it");
    house.until("the load to be given back", || house.board.slots[0].running() == 0);
    // Its release comes late, and must not affect its successor.
    house.board.release(0, holds[0].incarnation);
    assert_eq!(house.board.slots[0].running(), 0);
    assert_eq!(house.connect(0).get("/").text(), "hello");
    lodger.signal(TERM);
    assert_eq!(served(&lodger.ended()), (Reason::ShutdownSignal, 0));
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let (gate, keeper) = gate();
    let (house, lodger) = TestProcess::open(&["threads=2", "shutdown-timeout=1"], gated(gate));
    let mut running = house.connect(0);
    running.ask(&Ask::get("/gate"));
    keeper.until_called();
    lodger.signal(TERM);
    assert_eq!(served(&lodger.ended()), (Reason::ShutdownSignal, 1));
    house.line_with("RUST0037");
    keeper.open();
}

/// Replaces the process of slot 0, which asks for it, and returns why it ended.
fn replaced(house: &TestProcess, first: Lodger) -> Reason {
    house.until("its wish", || house.board.slots[0].reason().is_some());
    assert_eq!(house.board.slots[0].state(), ProcessState::Ready);
    let mut kept = house.connect(0);
    assert_eq!(kept.get("/").text(), "through", "it goes on until there is another one");
    let second = house.fork(1);
    house.until_state(1, ProcessState::Ready);
    let (reason, abandoned) = served(&house.clear_dead(first));
    assert_eq!(abandoned, 0);
    assert_eq!(house.connect(1).get("/").text(), "through");
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
    let (house, lodger) = open(&[]);
    lodger.signal(USR1);
    assert_eq!(replaced(&house, lodger), Reason::GracefulSignal);

    let (house, lodger) = open(&["cpu-time-limit=1000"]);
    lodger.signal(XCPU);
    assert_eq!(replaced(&house, lodger), Reason::CpuTimeLimit);

    let (house, lodger) = open(&["maximum-requests=5"]);
    let mut peer = house.connect(0);
    for turn in 0..5 {
        assert!(house.board.slots[0].reason().is_none(), "{turn}");
        assert_eq!(peer.get("/").text(), "through");
    }
    assert_eq!(replaced(&house, lodger), Reason::MaximumRequests);

    let (house, lodger) = open(&["restart-interval=1"]);
    assert_eq!(replaced(&house, lodger), Reason::RestartInterval);

    let (house, lodger) = open(&["memory-limit=1M"]);
    assert_eq!(replaced(&house, lodger), Reason::MemoryLimit);
}

#[test]
fn asleep_when_nobody_comes_and_awake_again() {
    let (house, lodger) = TestProcess::open(&["threads=1", "inactivity-timeout=1"], hello);
    assert_eq!(house.connect(0).get("/").text(), "hello");
    assert_eq!(served(&house.clear_dead(lodger)), (Reason::InactivityTimeout, 0));
    let second = house.fork(0);
    house.until_state(0, ProcessState::Dormant);
    // Only a request for it wakes the process.
    assert!(house.board.take(&TriedSlots::new(), monotonic_us()).is_err());
    house.ring();
    house.until_state(0, ProcessState::Ready);
    assert_eq!(house.connect(0).get("/").text(), "hello");
    drop(second);
}

#[test]
fn no_limit_at_all_is_no_trap() {
    // Every timer works, independent of the others.
    let (gate, keeper) = gate();
    let options = ["threads=1", "queue-timeout=0", "startup-timeout=0", "request-timeout=1"];
    let (house, lodger) = TestProcess::open(&options, gated(gate));
    let mut peer = house.connect(0);
    peer.ask(&Ask::get("/gate"));
    keeper.until_called();
    let answer = peer.answer();
    let Ending::Failed(_, 504, message) = answer.ending() else { panic!("{answer:?}") };
    assert!(message.contains("request-timeout"), "{message}");
    assert!(peer.is_closed());
    // Its only thread is stuck, so the process wants to be replaced, and is when there is another.
    house.until("its wish", || house.board.slots[0].reason() == Some(Reason::RequestTimeout));
    assert!(house.board.slots[0].is_idle());
    let second = house.fork(1);
    house.until_state(1, ProcessState::Ready);
    assert_eq!(served(&lodger.ended()), (Reason::RequestTimeout, 1));
    assert_eq!(house.connect(1).get("/").text(), "through");
    keeper.open();
    drop(second);
}

#[test]
fn too_late_for_a_thread() {
    let (house, _lodger) = TestProcess::open(&["threads=1", "queue-timeout=2"], hello);
    let mut peer = house.connect(0);
    peer.ask(&Ask { sent_us: monotonic_us() - 3_000_000, ..Ask::get("/") });
    let answer = peer.answer();
    let Ending::Failed(_, 504, message) = answer.ending() else { panic!("{answer:?}") };
    assert!(message.contains("queue-timeout"), "{message}");
    peer.ask(&Ask { sent_us: monotonic_us() - 1_000_000, ..Ask::get("/") });
    assert_eq!(peer.answer().text(), "hello");
}

#[test]
fn a_factory_that_fails_and_then_does_not() {
    let house = TestProcess::new(&["crash-backoff=1"], 0, vec![Arc::new(hello)]);
    let failing = house.fork_with(0, Box::new(|| Err("the database is away".to_owned())));
    let before_us = monotonic_us();
    let Ended::NotBuilt(why) = house.clear_dead(failing) else { panic!() };
    assert_eq!(why, "the database is away");
    let line = house.line_with("RUST0033");
    assert!(line.contains("the database is away") && line.contains("house"), "{line}");
    // Requests are refused at once, and the next start has to wait.
    let refused = house.board.take(&TriedSlots::new(), monotonic_us()).unwrap_err();
    assert!(matches!(refused, crate::process_group::ProcessChoice::Open { .. }), "{refused:?}");
    let second = house.fork(0);
    house.until_state(0, ProcessState::Ready);
    assert!(house.board.slots[0].ready_us() - before_us >= 1_000_000, "it did not wait");
    assert_eq!(house.connect(0).get("/").text(), "hello");
    drop(second);
}

#[test]
fn a_factory_that_panics() {
    crate::gateway::panic::install_hook();
    let house = TestProcess::new(&[], 0, vec![Arc::new(hello)]);
    let failing = house.fork_with(0, Box::new(|| panic!("no factory")));
    let Ended::NotBuilt(why) = house.clear_dead(failing) else { panic!() };
    assert!(why.contains("no factory"), "{why}");
}

#[test]
fn the_old_one_serves_while_the_new_one_cannot_be_built() {
    let (house, first) = TestProcess::open(&["crash-backoff=1"], hello);
    first.signal(USR1);
    house.until("its wish", || house.board.slots[0].reason().is_some());
    for _ in 0..2 {
        let failing = house.fork_with(1, Box::new(|| Err("broken code".to_owned())));
        assert!(matches!(house.clear_dead(failing), Ended::NotBuilt(_)));
        assert_eq!(house.connect(0).get("/").text(), "hello");
    }
    let second = house.fork(1);
    assert_eq!(served(&first.ended()), (Reason::GracefulSignal, 0));
    assert_eq!(house.connect(1).get("/").text(), "hello");
    drop(second);
}

#[test]
fn a_factory_that_hangs() {
    let house = TestProcess::new(&["startup-timeout=1"], 0, vec![Arc::new(hello)]);
    let (go_on, waits) = sync_channel::<()>(1);
    let waits = Mutex::new(waits);
    let hanging = house.fork_with(
        0,
        Box::new(move || {
            let _ = waits.lock().unwrap().recv();
            Err("never mind".to_owned())
        }),
    );
    assert_eq!(house.until_abandoned(), Reason::StartupTimeout);
    assert_eq!(house.board.slots[0].state(), ProcessState::Failed);
    house.line_with("startup-timeout");
    go_on.send(()).unwrap();
    assert!(matches!(hanging.ended(), Ended::NotBuilt(_)));
}

#[test]
fn a_stop_while_it_builds() {
    let mut house = TestProcess::new(&[], 0, vec![Arc::new(hello)]);
    let (go_on, waits) = sync_channel::<()>(1);
    let waits = Mutex::new(waits);
    let building = house.fork_with(
        0,
        Box::new(move || {
            let _ = waits.lock().unwrap().recv();
            Err("never mind".to_owned())
        }),
    );
    house.until_state(0, ProcessState::Starting);
    house.cut_lifeline();
    assert_eq!(house.until_abandoned(), Reason::GenerationOver);
    go_on.send(()).unwrap();
    assert!(matches!(building.ended(), Ended::Unused(Reason::GenerationOver)));
}

#[test]
fn dormant_ones_go_when_they_are_not_needed() {
    let (mut house, first) = TestProcess::open(&[], hello);
    for (number, reason) in [(TERM, Reason::ShutdownSignal), (USR1, Reason::GracefulSignal)] {
        let dormant = house.fork(1);
        house.until_state(1, ProcessState::Dormant);
        dormant.signal(number);
        let Ended::Unused(found) = house.clear_dead(dormant) else { panic!() };
        assert_eq!(found, reason);
    }
    let dormant = house.fork(1);
    house.until_state(1, ProcessState::Dormant);
    house.cut_lifeline();
    assert!(matches!(dormant.ended(), Ended::Unused(Reason::GenerationOver)));
    assert_eq!(served(&first.ended()), (Reason::GenerationOver, 0));
}

#[test]
fn the_lifeline_ends_it_whatever_is_counted() {
    let (gate, keeper) = gate();
    let (mut house, lodger) =
        TestProcess::open(&["threads=2", "shutdown-timeout=60"], gated(gate.clone()));
    let mut running = house.connect(0);
    running.ask(&Ask::get("/gate"));
    keeper.until_called();
    // A child that was killed between counting its request and sending it.
    house.board.acquire(0).unwrap();
    house.cut_lifeline();
    house.until_state(0, ProcessState::Draining);
    assert!(lodger.is_running());
    keeper.open();
    assert_eq!(running.answer().text(), "through");
    drop(running);
    assert_eq!(served(&lodger.ended()), (Reason::GenerationOver, 0));
    assert_eq!(gate.calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_dead_process_is_replaced_by_the_dormant_one() {
    let (house, first) = TestProcess::open(&["threads=1"], hello);
    let second = house.fork(1);
    house.until_state(1, ProcessState::Dormant);
    // To the scoreboard, one that was killed.
    house.board.clear_dead(0, monotonic_us());
    house.ring();
    house.until_state(1, ProcessState::Ready);
    assert_eq!(house.connect(1).get("/").text(), "hello");
    drop((first, second));
}

#[test]
fn more_processes_under_load() {
    let (gate, keeper) = gate();
    let options = ["min-processes=1", "max-processes=2", "threads=1"];
    let (house, first) = TestProcess::open(&options, gated(gate));
    let second = house.fork(1);
    house.until_state(1, ProcessState::Dormant);
    let mut busy = house.connect(0);
    busy.ask(&Ask::get("/gate"));
    keeper.until_called();
    house.until_state(1, ProcessState::Ready);
    assert_eq!(house.connect(1).get("/").text(), "through");
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
    let house = TestProcess::new(&[], 0, Vec::new());
    let _lodger = house.fork_with(0, Box::new(|| Ok(Arc::new(None) as _)));
    house.until_state(0, ProcessState::Ready);
    let answer = house.connect(0).get("/");
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
