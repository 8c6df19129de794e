use super::super::policy::{Activation, SECOND, TestGroup};
use super::*;
use crate::process_group::{ProcessChoice, Reason, TriedSlots};

/// Fails a start after a second. Returns the result, and the time until which no start follows.
fn fails(fixture: &mut TestGroup, slot: usize) -> StartFailure {
    assert_eq!(fixture.activate(slot), Activation::Start);
    fixture.now_us += SECOND;
    let failure = fixture.locked().start_failed(slot, fixture.now_us);
    assert_eq!(fixture.dies(slot, false), None);
    failure
}

#[test]
fn the_pause_doubles_up_to_a_minute() {
    let mut fixture = TestGroup::new(&["crash-backoff=2"]);
    for (in_row, seconds) in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 60), (7, 60)] {
        let failure = fails(&mut fixture, 0);
        assert_eq!((failure.in_row, failure.pause_us), (in_row, seconds * SECOND));
        let until_us = fixture.now_us + failure.pause_us;
        for slot in 0..2 {
            assert_eq!(fixture.activate(slot), Activation::Wait { until_us: Some(until_us) });
        }
        // The same holds during the next start, so that no request waits for another failure.
        for now_us in [until_us - 1, until_us, until_us + SECOND / 2] {
            let choice = fixture.board.choose(&TriedSlots::new(), now_us);
            assert_eq!(choice, ProcessChoice::Open { until_us });
        }
        fixture.now_us = until_us;
    }
}

#[test]
fn pauses_do_not_overflow() {
    assert_eq!((pause(SECOND, 0), pause(SECOND, 1)), (0, SECOND));
    for in_row in [7, 20, 63, 64, 65, u32::MAX] {
        assert_eq!(pause(SECOND, in_row), LONGEST_PAUSE_US, "{in_row}");
    }
}

#[test]
fn a_process_that_becomes_ready_ends_the_pause() {
    let mut fixture = TestGroup::new(&[]);
    fails(&mut fixture, 0);
    fixture.now_us += SECOND;
    assert_eq!(fixture.activate(0), Activation::Start);
    fixture.ready(0);
    assert_eq!((fixture.board.group.not_before_us(), fixture.board.group.is_open()), (0, false));
    // It dies under a request: the next may start at once, and no request is refused.
    let lease = fixture.board.acquire(0).unwrap();
    assert_eq!((lease.slot, fixture.dies(0, true)), (0, None));
    assert_eq!(fixture.activate(1), Activation::Start);
}

#[test]
fn an_old_failure_does_not_delay_the_start_after_a_crash() {
    for (later_us, is_open) in [(SECOND / 2, true), (60 * SECOND, false)] {
        let mut fixture = TestGroup::serving(&["processes=1"]);
        assert!(!fixture.replace(0, Reason::MemoryLimit));
        fails(&mut fixture, 1);
        fixture.now_us += later_us;
        let lease = fixture.board.take(&TriedSlots::new(), fixture.now_us).unwrap();
        assert_eq!((lease.slot, fixture.dies(0, true)), (0, None));
        assert_eq!(fixture.board.group.is_open(), is_open, "{later_us}");
    }
}

#[test]
fn failures_are_in_a_row_until_one_has_settled() {
    let mut fixture = TestGroup::new(&[]);
    assert_eq!(fails(&mut fixture, 0).in_row, 1);
    fixture.now_us += SECOND;
    assert_eq!(fails(&mut fixture, 0).in_row, 2);
    fixture.now_us += 2 * SECOND;
    assert_eq!(fixture.activate(0), Activation::Start);
    fixture.ready(0);
    assert!(!fixture.locked().replace(0, Reason::MemoryLimit, fixture.now_us));
    fixture.now_us += SETTLED_US - 2 * SECOND;
    assert_eq!(fails(&mut fixture, 1).in_row, 3, "it has not been ready for long");
    assert_eq!(fixture.board.failures_in_row(fixture.now_us), 3);
    // It was ready before that failure, so it does not show that starts succeed.
    fixture.now_us += 4 * SECOND + SETTLED_US;
    assert_eq!(fixture.board.failures_in_row(fixture.now_us), 3);
    assert_eq!(fixture.activate(1), Activation::Start);
    fixture.ready(1);
    fixture.now_us += SETTLED_US;
    assert_eq!(fixture.board.failures_in_row(fixture.now_us), 0);
    assert!(fixture.may_drain(0));
    fixture.dies(0, false);
    fixture.board.slots[1].ask(Reason::MemoryLimit, fixture.now_us);
    assert_eq!(fails(&mut fixture, 0).in_row, 1);
}

#[test]
fn simultaneous_failures_count_once() {
    let mut fixture = TestGroup::new(&["processes=3"]);
    assert_eq!(fixture.activate_all(), [0, 1, 2]);
    fixture.now_us += SECOND;
    let first = fixture.locked().start_failed(0, fixture.now_us);
    assert_eq!((first.in_row, first.first_of_wave), (1, true));
    let not_before = fixture.board.group.not_before_us();
    fixture.now_us += 10;
    let second = fixture.locked().start_failed(1, fixture.now_us);
    assert_eq!((second.in_row, second.first_of_wave), (1, false));
    let third = fixture.dies(2, true).unwrap();
    assert_eq!((third.in_row, third.first_of_wave), (1, false));
    assert_eq!(fixture.board.group.not_before_us(), not_before, "no longer a pause");
    fixture.now_us = not_before;
    fixture.dies(0, false);
    fixture.dies(1, false);
    assert_eq!(fails(&mut fixture, 0).in_row, 2);
}

#[test]
fn early_deaths_are_failures() {
    use ProcessState::{Dormant, Draining, Empty, Failed, Ready, Starting};
    let dead = |state, ready_us: Option<u64>, load, requests| DeadProcess {
        pid: 7,
        state,
        ready_us,
        lost_requests: 0,
        load,
        requests,
        since_us: 60 * SECOND - 1,
    };
    let now_us = 60 * SECOND;
    let lately = Some(now_us - SETTLED_US + 1);
    let long_ago = Some(now_us - SETTLED_US);
    for (dead, crashed, counts) in [
        (dead(Starting, None, 0, 0), true, true),
        (dead(Starting, None, 0, 0), false, true),
        (dead(Ready, lately, 0, 0), true, true),
        (dead(Ready, lately, 0, 0), false, false),
        (dead(Ready, long_ago, 0, 0), true, false),
        (dead(Ready, lately, 1, 0), true, false),
        (dead(Ready, lately, 0, 1), true, false),
        (dead(Draining, lately, 0, 0), true, false),
        (dead(Failed, None, 0, 0), true, false),
        (dead(Dormant, None, 0, 0), true, true),
        (dead(Dormant, None, 0, 0), false, false),
        (DeadProcess { since_us: 59 * SECOND, ..dead(Dormant, None, 0, 0) }, true, false),
        (DeadProcess { pid: 0, ..dead(Empty, None, 0, 0) }, true, true),
        (DeadProcess { pid: 0, ..dead(Empty, None, 0, 0) }, false, true),
    ] {
        let fixture = TestGroup::new(&[]);
        let failure = fixture.board.died(&fixture.options, &dead, crashed, now_us);
        assert_eq!(failure.is_some(), counts, "{dead:?}, crashed: {crashed}");
        assert_eq!(fixture.board.group.failures(), u32::from(counts));
    }
}

#[test]
fn processes_that_die_before_they_say_anything_are_paused_too() {
    let mut fixture = TestGroup::new(&[]);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        fixture.board.clear_dead(0, fixture.now_us);
        fixture.now_us += SECOND / 10;
        // Forked again at once, it dies while its privileges are dropped.
        let dead = fixture.board.clear_dead(0, fixture.now_us);
        pauses.push(
            fixture.board.died(&fixture.options, &dead, false, fixture.now_us).unwrap().pause_us
                / SECOND,
        );
    }
    assert_eq!(pauses, [1, 2, 4, 8]);
}

#[test]
fn a_first_death_without_a_request_is_forgiven() {
    let mut fixture = TestGroup::serving(&[]);
    for (slot, pause) in [(0, 0), (1, 1), (0, 2), (1, 4)] {
        fixture.now_us += SECOND;
        let failure = fixture.dies(slot, true).unwrap();
        assert_eq!(failure.pause_us, pause * SECOND);
        let open = matches!(
            fixture.board.choose(&TriedSlots::new(), fixture.now_us),
            ProcessChoice::Open { .. }
        );
        assert_eq!(open, pause > 0);
        fixture.now_us += failure.pause_us;
        assert_eq!(fixture.activate(1 - slot), Activation::Start);
        fixture.ready(1 - slot);
    }
}
