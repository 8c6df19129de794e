use super::super::policy::{SECOND, TestGroup};
use super::*;
use crate::process_group::{Lease, TriedSlots};

fn load(fixture: &TestGroup, requests: usize) -> Vec<Lease> {
    (0..requests).map(|_| fixture.board.take(&TriedSlots::new(), fixture.now_us).unwrap()).collect()
}

fn unload(fixture: &TestGroup, holds: Vec<Lease>) {
    for lease in holds {
        fixture.board.release(lease.slot, lease.incarnation);
    }
}

/// Looks at the load ten times a second, for so long; what changed, and after how long.
fn watch(fixture: &mut TestGroup, long_us: u64) -> Option<(u64, Scaled)> {
    let began = fixture.now_us;
    while fixture.now_us - began < long_us {
        let scaled = fixture.locked().scale(fixture.now_us);
        if scaled != Scaled::Same {
            return Some((fixture.now_us - began, scaled));
        }
        fixture.now_us += SAMPLE_US;
    }
    None
}

const DYNAMIC: [&str; 3] = ["min-processes=1", "max-processes=3", "threads=4"];

#[test]
fn grows_when_all_threads_are_taken() {
    let mut fixture = TestGroup::serving(&DYNAMIC);
    let mut holds = load(&fixture, 4);
    let up = watch(&mut fixture, SECOND);
    assert_eq!(up, Some((GROW_AFTER_US, Scaled::Up { target: 2 })));
    assert_eq!(watch(&mut fixture, 10 * SECOND), None, "the second one is not there yet");
    assert_eq!(fixture.activate_all(), [1]);
    assert_eq!(watch(&mut fixture, 10 * SECOND), None, "it is starting");
    fixture.ready(1);
    assert_eq!(watch(&mut fixture, 10 * SECOND), None, "there are free threads");
    holds.extend(load(&fixture, 4));
    assert_eq!(watch(&mut fixture, SECOND).unwrap().1, Scaled::Up { target: 3 });
    assert_eq!(fixture.activate_all(), [2]);
    fixture.ready(2);
    holds.extend(load(&fixture, 4));
    assert_eq!(watch(&mut fixture, 10 * SECOND), None, "that is max-processes");
    unload(&fixture, holds);
}

#[test]
fn a_short_peak_is_none() {
    let mut fixture = TestGroup::serving(&DYNAMIC);
    for _ in 0..20 {
        let holds = load(&fixture, 4);
        assert_eq!(watch(&mut fixture, GROW_AFTER_US), None);
        unload(&fixture, holds);
        assert_eq!(watch(&mut fixture, SAMPLE_US), None);
    }
}

/// Makes a group of three processes without load.
fn grown() -> TestGroup {
    let mut fixture = TestGroup::serving(&DYNAMIC);
    for target in 2..=3 {
        let holds = load(&fixture, 4 * (target - 1));
        assert!(watch(&mut fixture, SECOND).is_some());
        let started = fixture.activate_all();
        assert_eq!(started, [target - 1]);
        fixture.ready(started[0]);
        unload(&fixture, holds);
    }
    fixture
}

#[test]
fn shrinks_after_a_long_calm_from_the_highest() {
    let mut fixture = grown();
    for (target, slot) in [(2, 2), (1, 1)] {
        let down = watch(&mut fixture, SHRINK_AFTER_US + SECOND);
        assert_eq!(down, Some((SHRINK_AFTER_US, Scaled::Down { target, slot })));
        assert!((0..slot).all(|other| !fixture.may_drain(other)));
        assert!(fixture.may_drain(slot));
        assert_eq!(fixture.board.slots[slot].reason(), Some(Reason::ScaleDown));
        fixture.dies(slot, false);
        assert_eq!(fixture.activate_all(), [0_usize; 0]);
    }
    assert_eq!(watch(&mut fixture, 10 * SHRINK_AFTER_US), None, "that is min-processes");
}

#[test]
fn a_request_now_and_then_is_calm_but_a_load_is_not() {
    let mut fixture = grown();
    // Two of three processes have 8 threads; half of them are free with 4 requests.
    let holds = load(&fixture, 5);
    assert_eq!(watch(&mut fixture, 3 * SHRINK_AFTER_US), None);
    unload(&fixture, holds);
    let holds = load(&fixture, 4);
    assert_eq!(
        watch(&mut fixture, 2 * SHRINK_AFTER_US).unwrap().1,
        Scaled::Down { target: 2, slot: 2 }
    );
    unload(&fixture, holds);
}

#[test]
fn a_load_in_between_begins_the_calm_anew() {
    let mut fixture = grown();
    assert_eq!(watch(&mut fixture, SHRINK_AFTER_US), None);
    let holds = load(&fixture, 12);
    assert_eq!(watch(&mut fixture, SAMPLE_US), None);
    unload(&fixture, holds);
    assert_eq!(watch(&mut fixture, SHRINK_AFTER_US), None);
    assert!(watch(&mut fixture, SECOND).is_some());
}

#[test]
fn it_does_not_swing() {
    // A load that just makes it grow never makes it shrink.
    for requests in [4, 8] {
        let mut fixture = TestGroup::serving(&DYNAMIC);
        let mut holds = Vec::new();
        while holds.len() < requests {
            holds.extend(load(&fixture, 4));
            assert!(watch(&mut fixture, SECOND).is_some());
            let started = fixture.activate_all();
            fixture.ready(started[0]);
        }
        assert_eq!(watch(&mut fixture, 5 * SHRINK_AFTER_US), None, "{requests}");
        unload(&fixture, holds);
    }
}

#[test]
fn a_fixed_size_is_fixed() {
    let mut fixture = TestGroup::serving(&["processes=2", "threads=1"]);
    assert_eq!(fixture.locked().next_scale_us(5), None);
    let holds = load(&fixture, 2);
    assert_eq!(watch(&mut fixture, 10 * SECOND), None);
    unload(&fixture, holds);
    assert_eq!(watch(&mut fixture, 2 * SHRINK_AFTER_US), None);
    assert_eq!(TestGroup::serving(&DYNAMIC).locked().next_scale_us(5), Some(5 + SAMPLE_US));
}

#[test]
fn a_group_that_sleeps_is_left_alone() {
    let mut fixture =
        TestGroup::serving(&["min-processes=1", "max-processes=2", "inactivity-timeout=60"]);
    fixture.now_us += 60 * SECOND;
    assert!(fixture.replace(0, Reason::InactivityTimeout));
    fixture.dies(0, false);
    assert_eq!(watch(&mut fixture, 2 * SHRINK_AFTER_US), None);
}
