use super::*;

mod simulation;

/// A group with a clock of its own.
pub(in super::super) struct TestGroup {
    pub(in super::super) board: Scoreboard,
    pub(in super::super) options: GroupOptions,
    pub(in super::super) now_us: u64,
}

pub(in super::super) const SECOND: u64 = 1_000_000;

impl TestGroup {
    /// All slots dormant.
    pub(in super::super) fn new(arguments: &[&str]) -> Self {
        let options = GroupOptions::parse("g", arguments).unwrap();
        let board = Scoreboard::leaked(options.slots() as usize, 2);
        board.prepare(&options, SECOND);
        let world = Self { board, options, now_us: SECOND };
        (0..board.slots.len()).for_each(|slot| world.enter(slot));
        world
    }

    /// The same, with `min-processes` ready.
    pub(in super::super) fn serving(arguments: &[&str]) -> Self {
        let world = Self::new(arguments);
        for slot in 0..world.options.min_processes as usize {
            assert_eq!(world.activate(slot), Activation::Start);
            assert!(world.board.ready(slot, world.now_us));
        }
        world
    }

    pub(in super::super) fn locked(&self) -> LockedGroup<'_> {
        self.board.lock(&self.options, 1, |_| true)
    }

    pub(in super::super) fn enter(&self, slot: usize) {
        self.board.slots[slot].enter(100 + slot as u32, self.options.threads, self.now_us);
    }

    pub(in super::super) fn activate(&self, slot: usize) -> Activation {
        self.locked().activate(slot, self.now_us)
    }

    /// Which dormant processes would start now, one after another.
    pub(in super::super) fn activate_all(&self) -> Vec<usize> {
        let all = 0..self.board.slots.len();
        all.filter(|slot| self.activate(*slot) == Activation::Start).collect()
    }

    pub(in super::super) fn ready(&self, slot: usize) {
        assert!(self.board.ready(slot, self.now_us), "slot {slot}");
    }

    pub(in super::super) fn replace(&self, slot: usize, reason: Reason) -> bool {
        self.locked().replace(slot, reason, self.now_us)
    }

    pub(in super::super) fn may_drain(&self, slot: usize) -> bool {
        self.locked().may_drain(slot, self.now_us)
    }

    /// The process is dead: it is dead, and the next one of its slot is dormant.
    pub(in super::super) fn dies(
        &self,
        slot: usize,
        crashed: bool,
    ) -> Option<super::super::StartFailure> {
        let dead = self.board.clear_dead(slot, self.now_us);
        let failure = self.board.died(&self.options, &dead, crashed, self.now_us);
        self.enter(slot);
        failure
    }

    pub(in super::super) fn states(&self) -> Vec<ProcessState> {
        self.board.slots.iter().map(|slot| slot.state()).collect()
    }
}

const WAIT: Activation = Activation::Wait { until_us: None };

#[test]
fn as_many_start_as_there_should_be() {
    let world = TestGroup::new(&["processes=3"]);
    assert_eq!(world.activate_all(), [0, 1, 2]);
    assert_eq!(world.activate(3), WAIT);
    (0..3).for_each(|slot| world.ready(slot));
    assert_eq!(world.activate_all(), [0_usize; 0]);
}

#[test]
fn a_death_is_made_good_at_once() {
    let world = TestGroup::serving(&["processes=2"]);
    world.dies(1, true);
    assert_eq!(world.activate(2), Activation::Start);
    assert_eq!(world.activate(1), WAIT, "one is enough");
}

#[test]
fn one_that_is_not_dormant_does_not_start() {
    let world = TestGroup::new(&["processes=3"]);
    assert_eq!(world.activate(0), Activation::Start);
    assert_eq!(world.activate(0), WAIT);
    world.board.clear_dead(1, world.now_us);
    assert_eq!(world.activate(1), WAIT, "nobody there yet");
}

#[test]
fn a_replacement_is_ready_before_the_old_one_drains() {
    let world = TestGroup::serving(&[]);
    assert!(!world.replace(0, Reason::MaximumRequests));
    assert_eq!(world.states(), [ProcessState::Ready, ProcessState::Dormant]);
    assert_eq!(world.activate(1), Activation::Start);
    assert!(!world.may_drain(0), "the other one is not ready");
    world.ready(1);
    assert!(world.may_drain(0) && !world.may_drain(0));
    assert_eq!(world.states(), [ProcessState::Draining, ProcessState::Ready]);
    assert_eq!(world.board.slots[0].reason(), Some(Reason::MaximumRequests));
    assert!(!world.may_drain(1), "it does not want to");
    world.dies(0, false);
    assert_eq!(world.activate_all(), [0_usize; 0]);
}

#[test]
fn the_old_one_serves_on_while_the_new_one_fails() {
    let mut world = TestGroup::serving(&[]);
    assert!(!world.replace(0, Reason::MemoryLimit));
    for _ in 0..10 {
        assert_eq!(world.activate(1), Activation::Start);
        let failure = world.locked().start_failed(1, world.now_us);
        assert!(!world.may_drain(0));
        assert_eq!(world.dies(1, false), None, "it has counted that itself");
        let until_us = world.now_us + failure.pause_us;
        assert_eq!(world.activate(1), Activation::Wait { until_us: Some(until_us) });
        world.now_us = until_us;
    }
    assert_eq!(world.activate(1), Activation::Start);
    world.ready(1);
    assert!(world.may_drain(0));
}

#[test]
fn a_roll_goes_one_by_one() {
    let mut world = TestGroup::serving(&["processes=3"]);
    world.now_us += 1;
    assert_eq!(world.locked().roll(Reason::ControlCommand, world.now_us), 3);
    assert_eq!(world.locked().roll(Reason::ControlCommand, world.now_us), 0, "asked already");
    for old in 0..3 {
        let started = world.activate_all();
        assert_eq!(started.len(), 1, "{:?}", world.states());
        assert!((0..4).all(|slot| !world.may_drain(slot)));
        world.ready(started[0]);
        let drained: Vec<usize> = (0..4).filter(|slot| world.may_drain(*slot)).collect();
        assert_eq!(drained, [old]);
        assert_eq!(world.activate_all(), [0_usize; 0], "while one is draining");
        world.dies(old, false);
    }
    assert_eq!(world.activate_all(), [0_usize; 0]);
    assert!(world.board.slots.iter().all(|slot| slot.reason().is_none()));
}

#[test]
fn a_roll_below_the_most_also_goes_one_by_one() {
    // There are more dormant slots than the one for a replacement.
    let world = TestGroup::serving(&["min-processes=2", "max-processes=6"]);
    assert_eq!(world.locked().roll(Reason::ControlCommand, world.now_us), 2);
    for old in 0..2 {
        let started = world.activate_all();
        assert_eq!(started.len(), 1, "{:?}", world.states());
        world.ready(started[0]);
        assert!(world.may_drain(old));
        assert_eq!(world.activate_all(), [0_usize; 0], "while one is draining");
        world.dies(old, false);
    }
    assert_eq!(world.activate_all(), [0_usize; 0]);
}

#[test]
fn who_asked_first_goes_first() {
    let mut world = TestGroup::serving(&["processes=3"]);
    for slot in [2, 0, 1] {
        world.now_us += 1;
        assert!(!world.replace(slot, Reason::RestartInterval));
    }
    let started = world.activate_all();
    world.ready(started[0]);
    assert!(!world.may_drain(0) && !world.may_drain(1) && world.may_drain(2));
}

#[test]
fn a_crash_during_a_roll_is_made_good_first() {
    let world = TestGroup::serving(&["processes=2"]);
    assert!(!world.replace(0, Reason::MaximumRequests));
    assert_eq!(world.activate(2), Activation::Start);
    world.dies(1, true);
    // The one that is starting makes the dead one good now, and slot 0 has to wait for another.
    assert_eq!(world.activate(1), WAIT);
    world.ready(2);
    assert!(!world.may_drain(0));
    assert_eq!(world.activate(1), Activation::Start);
    world.ready(1);
    assert!(world.may_drain(0));
}

#[test]
fn only_one_that_serves_is_replaced() {
    let world = TestGroup::new(&[]);
    assert!(!world.replace(0, Reason::GracefulSignal));
    assert_eq!(world.board.slots[0].reason(), None);
    assert_eq!(world.activate(0), Activation::Start);
    assert!(!world.replace(0, Reason::GracefulSignal));
    assert_eq!(world.board.slots[0].reason(), None);
}

#[test]
fn an_idle_group_sleeps_until_somebody_wants_it() {
    let mut world = TestGroup::serving(&["processes=2", "inactivity-timeout=60"]);
    let board = world.board;
    world.now_us += 60 * SECOND;
    assert!(world.replace(0, Reason::InactivityTimeout), "without a replacement");
    assert_eq!(board.wanted(), 0);
    let lease = board.acquire(1).unwrap();
    assert!(!world.replace(1, Reason::InactivityTimeout), "it has a request");
    board.release(1, lease.incarnation);
    assert!(world.replace(1, Reason::InactivityTimeout));
    (0..2).for_each(|slot| assert_eq!(world.dies(slot, false), None));
    assert_eq!(world.activate_all(), [0_usize; 0]);
    world.now_us += SECOND;
    assert_eq!(
        board.choose(&crate::process_group::TriedSlots::new(), world.now_us),
        crate::process_group::ProcessChoice::NoneReady
    );
    assert_eq!(board.wanted(), 2);
    assert_eq!(world.activate_all(), [0, 1]);
}

#[test]
fn a_request_that_slips_in_wakes_the_group() {
    let mut world = TestGroup::serving(&["processes=2", "inactivity-timeout=60"]);
    world.now_us += 60 * SECOND;
    assert!(world.replace(0, Reason::InactivityTimeout));
    world.now_us += 1;
    world.board.slots[1].record(&crate::process_group::Finished::default(), world.now_us);
    assert_eq!(world.board.wanted(), 2);
    world.dies(0, false);
    assert_eq!(world.activate_all(), [0]);
}
