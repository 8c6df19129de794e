use super::super::policy::{SECOND, TestGroup};
use super::*;
use crate::process_group::{Lease, TriedSlots};

fn load(world: &TestGroup, requests: usize) -> Vec<Lease> {
    (0..requests).map(|_| world.board.take(&TriedSlots::new(), world.now_us).unwrap()).collect()
}

fn unload(world: &TestGroup, holds: Vec<Lease>) {
    for lease in holds {
        world.board.release(lease.slot, lease.incarnation);
    }
}

/// Looks at the load ten times a second, for so long; what changed, and after how long.
fn watch(world: &mut TestGroup, long_us: u64) -> Option<(u64, Scaled)> {
    let began = world.now_us;
    while world.now_us - began < long_us {
        let scaled = world.locked().scale(world.now_us);
        if scaled != Scaled::Same {
            return Some((world.now_us - began, scaled));
        }
        world.now_us += SAMPLE_US;
    }
    None
}

const DYNAMIC: [&str; 3] = ["min-processes=1", "max-processes=3", "threads=4"];

#[test]
fn grows_when_all_threads_are_taken() {
    let mut world = TestGroup::serving(&DYNAMIC);
    let mut holds = load(&world, 4);
    let up = watch(&mut world, SECOND);
    assert_eq!(up, Some((GROW_AFTER_US, Scaled::Up { target: 2 })));
    assert_eq!(watch(&mut world, 10 * SECOND), None, "the second one is not there yet");
    assert_eq!(world.activate_all(), [1]);
    assert_eq!(watch(&mut world, 10 * SECOND), None, "it is starting");
    world.ready(1);
    assert_eq!(watch(&mut world, 10 * SECOND), None, "there are free threads");
    holds.extend(load(&world, 4));
    assert_eq!(watch(&mut world, SECOND).unwrap().1, Scaled::Up { target: 3 });
    assert_eq!(world.activate_all(), [2]);
    world.ready(2);
    holds.extend(load(&world, 4));
    assert_eq!(watch(&mut world, 10 * SECOND), None, "that is max-processes");
    unload(&world, holds);
}

#[test]
fn a_short_peak_is_none() {
    let mut world = TestGroup::serving(&DYNAMIC);
    for _ in 0..20 {
        let holds = load(&world, 4);
        assert_eq!(watch(&mut world, GROW_AFTER_US), None);
        unload(&world, holds);
        assert_eq!(watch(&mut world, SAMPLE_US), None);
    }
}

/// Makes a group of three processes without load.
fn grown() -> TestGroup {
    let mut world = TestGroup::serving(&DYNAMIC);
    for target in 2..=3 {
        let holds = load(&world, 4 * (target - 1));
        assert!(watch(&mut world, SECOND).is_some());
        let started = world.activate_all();
        assert_eq!(started, [target - 1]);
        world.ready(started[0]);
        unload(&world, holds);
    }
    world
}

#[test]
fn shrinks_after_a_long_calm_from_the_highest() {
    let mut world = grown();
    for (target, slot) in [(2, 2), (1, 1)] {
        let down = watch(&mut world, SHRINK_AFTER_US + SECOND);
        assert_eq!(down, Some((SHRINK_AFTER_US, Scaled::Down { target, slot })));
        assert!((0..slot).all(|other| !world.may_drain(other)));
        assert!(world.may_drain(slot));
        assert_eq!(world.board.slots[slot].reason(), Some(Reason::ScaleDown));
        world.dies(slot, false);
        assert_eq!(world.activate_all(), [0_usize; 0]);
    }
    assert_eq!(watch(&mut world, 10 * SHRINK_AFTER_US), None, "that is min-processes");
}

#[test]
fn a_request_now_and_then_is_calm_but_a_load_is_not() {
    let mut world = grown();
    // Two of three processes have 8 threads; half of them are free with 4 requests.
    let holds = load(&world, 5);
    assert_eq!(watch(&mut world, 3 * SHRINK_AFTER_US), None);
    unload(&world, holds);
    let holds = load(&world, 4);
    assert_eq!(
        watch(&mut world, 2 * SHRINK_AFTER_US).unwrap().1,
        Scaled::Down { target: 2, slot: 2 }
    );
    unload(&world, holds);
}

#[test]
fn a_load_in_between_begins_the_calm_anew() {
    let mut world = grown();
    assert_eq!(watch(&mut world, SHRINK_AFTER_US), None);
    let holds = load(&world, 12);
    assert_eq!(watch(&mut world, SAMPLE_US), None);
    unload(&world, holds);
    assert_eq!(watch(&mut world, SHRINK_AFTER_US), None);
    assert!(watch(&mut world, SECOND).is_some());
}

#[test]
fn it_does_not_swing() {
    // A load that just makes it grow never makes it shrink.
    for requests in [4, 8] {
        let mut world = TestGroup::serving(&DYNAMIC);
        let mut holds = Vec::new();
        while holds.len() < requests {
            holds.extend(load(&world, 4));
            assert!(watch(&mut world, SECOND).is_some());
            let started = world.activate_all();
            world.ready(started[0]);
        }
        assert_eq!(watch(&mut world, 5 * SHRINK_AFTER_US), None, "{requests}");
        unload(&world, holds);
    }
}

#[test]
fn a_fixed_size_is_fixed() {
    let mut world = TestGroup::serving(&["processes=2", "threads=1"]);
    assert_eq!(world.locked().next_scale_us(5), None);
    let holds = load(&world, 2);
    assert_eq!(watch(&mut world, 10 * SECOND), None);
    unload(&world, holds);
    assert_eq!(watch(&mut world, 2 * SHRINK_AFTER_US), None);
    assert_eq!(TestGroup::serving(&DYNAMIC).locked().next_scale_us(5), Some(5 + SAMPLE_US));
}

#[test]
fn a_group_that_sleeps_is_left_alone() {
    let mut world =
        TestGroup::serving(&["min-processes=1", "max-processes=2", "inactivity-timeout=60"]);
    world.now_us += 60 * SECOND;
    assert!(world.replace(0, Reason::InactivityTimeout));
    world.dies(0, false);
    assert_eq!(watch(&mut world, 2 * SHRINK_AFTER_US), None);
}
