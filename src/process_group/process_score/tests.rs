use super::*;
use crate::process_group::Scoreboard;

fn serving() -> ProcessScore {
    let slot = ProcessScore::default();
    slot.enter(42, 15, 100);
    assert!(
        slot.advance(ProcessState::Dormant, ProcessState::Starting, 110) && slot.become_ready(120)
    );
    slot
}

#[test]
fn a_life() {
    let slot = ProcessScore::default();
    assert_eq!((slot.state(), slot.pid(), slot.incarnation()), (ProcessState::Empty, 0, 0));
    assert_eq!(slot.acquire(), None);
    slot.enter(42, 15, 100);
    assert_eq!((slot.state(), slot.pid(), slot.threads()), (ProcessState::Dormant, 42, 15));
    assert!(!slot.become_ready(1), "not before it starts");
    assert!(slot.advance(ProcessState::Dormant, ProcessState::Starting, 110));
    assert!(!slot.advance(ProcessState::Dormant, ProcessState::Starting, 111));
    assert_eq!(slot.acquire(), None);
    assert!(slot.become_ready(120));
    assert_eq!((slot.ready_us(), slot.since_us()), (120, 120));
    let held = slot.acquire().unwrap();
    assert_eq!((held, slot.running()), (0, 1));
    assert!(slot.drain(Reason::GracefulSignal, 130) && !slot.drain(Reason::ScaleDown, 131));
    assert_eq!(slot.reason(), Some(Reason::GracefulSignal));
    assert_eq!((slot.acquire(), slot.running()), (None, 1));
    assert!(!slot.is_idle());
    assert_eq!(slot.release(held), Some(0));
    assert!(slot.is_idle());
    slot.vacate(140);
    assert_eq!((slot.state(), slot.incarnation(), slot.reason()), (ProcessState::Empty, 1, None));
    assert_eq!((slot.ready_us(), slot.deaths(), slot.pid()), (0, 1, 0));
    assert_eq!(slot.release(held), None, "of the process before");
}

#[test]
fn only_a_ready_process_is_acquired() {
    for state in [
        ProcessState::Empty,
        ProcessState::Dormant,
        ProcessState::Starting,
        ProcessState::Draining,
        ProcessState::Failed,
    ] {
        let slot = serving();
        assert!(slot.advance(ProcessState::Ready, state, 1));
        assert_eq!((slot.acquire(), slot.running()), (None, 0), "{state:?}");
    }
}

fn next_life(slot: &ProcessScore) {
    slot.enter(43, 15, 2);
    assert!(slot.advance(ProcessState::Dormant, ProcessState::Starting, 3) && slot.become_ready(4));
}

#[test]
fn an_addition_to_the_process_before_does_not_hold_the_next() {
    // The child adds itself; the process dies, is dead, and the next is ready before it looks.
    let slot = serving();
    let held = slot.acquire_while(|| {
        slot.vacate(1);
        next_life(&slot);
    });
    assert_eq!((held, slot.running(), slot.incarnation()), (None, 0, 1));
}

#[test]
fn a_process_that_drains_meanwhile_sees_the_child_and_the_child_sees_it() {
    let slot = serving();
    let held = slot.acquire_while(|| {
        assert!(slot.drain(Reason::ScaleDown, 1));
        assert!(!slot.is_idle(), "it would exit under the request");
    });
    assert_eq!(held, None);
    assert!(slot.is_idle());
}

#[test]
fn a_child_that_comes_during_the_burial_gets_nothing() {
    let slot = serving();
    slot.vacate_while(1, || assert_eq!(slot.acquire(), None));
    assert_eq!((slot.running(), slot.incarnation()), (0, 1));
}

#[test]
fn a_process_that_a_child_finds_dead_gets_no_requests() {
    let slot = serving();
    assert!(!slot.found_dead(1, 130), "another one");
    assert!(slot.found_dead(0, 140) && !slot.found_dead(0, 150));
    assert_eq!((slot.state(), slot.acquire()), (ProcessState::Failed, None));
}

#[test]
fn a_late_report_of_death_does_not_affect_the_successor() {
    let slot = serving();
    let found = slot.found_dead_while(0, 9, || {
        slot.vacate(1);
        next_life(&slot);
    });
    assert_eq!((found, slot.state()), (false, ProcessState::Ready));
}

#[test]
fn never_less_than_none() {
    let slot = serving();
    assert_eq!(slot.release(0), None);
    assert!(!slot.park(0) && !slot.unpark(0) && !slot.release_parked(0));
    assert_eq!((slot.running(), slot.parked(), slot.incarnation()), (0, 0, 0));
}

#[test]
fn a_parked_request_keeps_its_process() {
    let slot = serving();
    let held = slot.acquire().unwrap();
    assert!(slot.park(held) && !slot.park(held));
    assert_eq!((slot.running(), slot.parked(), slot.is_idle()), (0, 1, false));
    assert!(slot.unpark(held) && !slot.unpark(held));
    assert_eq!((slot.running(), slot.parked()), (1, 0));
    assert!(slot.park(held) && slot.release_parked(held) && slot.is_idle());
    assert!(!slot.park(held + 1), "of another process");
}

#[test]
fn a_vacated_slot_has_no_load() {
    let slot = serving();
    for _ in 0..5 {
        slot.acquire().unwrap();
    }
    assert!(slot.park(0));
    slot.vacate(1);
    assert_eq!((slot.running(), slot.parked(), slot.incarnation()), (0, 0, 1));
    assert!(!slot.unpark(0) && !slot.release_parked(0));
}

#[test]
fn incarnations_come_round() {
    let slot = ProcessScore::default();
    slot.load.store(u64::MAX, SeqCst);
    slot.vacate(1);
    assert_eq!((slot.running(), slot.parked(), slot.incarnation()), (0, 0, 0));
}

#[test]
fn the_first_reason_to_be_replaced_stays() {
    let slot = serving();
    assert_eq!(slot.asked_us(), None);
    assert!(slot.ask(Reason::MemoryLimit, 200) && !slot.ask(Reason::RestartInterval, 300));
    assert_eq!((slot.reason(), slot.asked_us()), (Some(Reason::MemoryLimit), Some(200)));
}

#[test]
fn counts_what_is_done() {
    let slot = serving();
    slot.record(&Finished { status: 200, bytes_out: 13, total_us: 40, ..Default::default() }, 500);
    slot.record(&Finished { status: 503, error: true, ignored: true, ..Default::default() }, 900);
    slot.record(&Finished { status: 0, error: true, ..Default::default() }, 700);
    slot.record(&Finished { status: 999, ..Default::default() }, 600);
    let counters = &slot.counters;
    assert_eq!((slot.requests_here(), counters.requests.load(Relaxed)), (4, 4));
    assert_eq!(counters.errors.load(Relaxed), 2);
    let statuses: Vec<u64> = counters.statuses.iter().map(|count| count.load(Relaxed)).collect();
    assert_eq!(statuses, [0, 1, 0, 0, 1]);
    assert_eq!((counters.bytes_out.load(Relaxed), counters.total_us.load(Relaxed)), (13, 40));
    assert_eq!(counters.total.snapshot().count(), 4);
    assert_eq!(slot.last_request_us(), 700, "not the one that is ignored");
    slot.vacate(1000);
    assert_eq!((slot.requests_here(), counters.requests.load(Relaxed)), (0, 4));
}

#[test]
fn tells_how_the_last_one_ended() {
    let slot = serving();
    assert_eq!(slot.last_exit(), None);
    slot.set_last_exit(0);
    assert_eq!(slot.last_exit(), Some(0));
    slot.set_last_exit(9);
    assert_eq!(slot.last_exit(), Some(9));
}

#[test]
fn all_zero_is_empty() {
    // The mapped memory at first: each field of a new slot is 0, and says nothing.
    let board = Scoreboard::leaked(2, 1);
    for slot in board.slots {
        assert_eq!((slot.state(), slot.pid(), slot.reason()), (ProcessState::Empty, 0, None));
        assert_eq!((slot.last_exit(), slot.is_idle()), (None, true));
    }
}
