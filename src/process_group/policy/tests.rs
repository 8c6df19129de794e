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
        let fixture = Self { board, options, now_us: SECOND };
        (0..board.slots.len()).for_each(|slot| fixture.enter(slot));
        fixture
    }

    /// The same, with `min-processes` ready.
    pub(in super::super) fn serving(arguments: &[&str]) -> Self {
        let fixture = Self::new(arguments);
        for slot in 0..fixture.options.min_processes as usize {
            assert_eq!(fixture.activate(slot), Activation::Start);
            assert!(fixture.board.ready(slot, fixture.now_us));
        }
        fixture
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
fn all_missing_processes_start() {
    let fixture = TestGroup::new(&["processes=3"]);
    assert_eq!(fixture.activate_all(), [0, 1, 2]);
    assert_eq!(fixture.activate(3), WAIT);
    (0..3).for_each(|slot| fixture.ready(slot));
    assert_eq!(fixture.activate_all(), [0_usize; 0]);
}

#[test]
fn a_death_is_made_good_at_once() {
    let fixture = TestGroup::serving(&["processes=2"]);
    fixture.dies(1, true);
    assert_eq!(fixture.activate(2), Activation::Start);
    assert_eq!(fixture.activate(1), WAIT, "one is enough");
}

#[test]
fn one_that_is_not_dormant_does_not_start() {
    let fixture = TestGroup::new(&["processes=3"]);
    assert_eq!(fixture.activate(0), Activation::Start);
    assert_eq!(fixture.activate(0), WAIT);
    fixture.board.clear_dead(1, fixture.now_us);
    assert_eq!(fixture.activate(1), WAIT, "nobody there yet");
}

#[test]
fn a_replacement_is_ready_before_the_old_one_drains() {
    let fixture = TestGroup::serving(&[]);
    assert!(!fixture.replace(0, Reason::MaximumRequests));
    assert_eq!(fixture.states(), [ProcessState::Ready, ProcessState::Dormant]);
    assert_eq!(fixture.activate(1), Activation::Start);
    assert!(!fixture.may_drain(0), "the other one is not ready");
    fixture.ready(1);
    assert!(fixture.may_drain(0) && !fixture.may_drain(0));
    assert_eq!(fixture.states(), [ProcessState::Draining, ProcessState::Ready]);
    assert_eq!(fixture.board.slots[0].reason(), Some(Reason::MaximumRequests));
    assert!(!fixture.may_drain(1), "it does not want to");
    fixture.dies(0, false);
    assert_eq!(fixture.activate_all(), [0_usize; 0]);
}

#[test]
fn the_old_one_serves_on_while_the_new_one_fails() {
    let mut fixture = TestGroup::serving(&[]);
    assert!(!fixture.replace(0, Reason::MemoryLimit));
    for _ in 0..10 {
        assert_eq!(fixture.activate(1), Activation::Start);
        let failure = fixture.locked().start_failed(1, fixture.now_us);
        assert!(!fixture.may_drain(0));
        assert_eq!(fixture.dies(1, false), None, "it has counted that itself");
        let until_us = fixture.now_us + failure.pause_us;
        assert_eq!(fixture.activate(1), Activation::Wait { until_us: Some(until_us) });
        fixture.now_us = until_us;
    }
    assert_eq!(fixture.activate(1), Activation::Start);
    fixture.ready(1);
    assert!(fixture.may_drain(0));
}

#[test]
fn a_roll_goes_one_by_one() {
    let mut fixture = TestGroup::serving(&["processes=3"]);
    fixture.now_us += 1;
    assert_eq!(fixture.locked().roll(Reason::ControlCommand, fixture.now_us), 3);
    assert_eq!(fixture.locked().roll(Reason::ControlCommand, fixture.now_us), 0, "asked already");
    for old in 0..3 {
        let started = fixture.activate_all();
        assert_eq!(started.len(), 1, "{:?}", fixture.states());
        assert!((0..4).all(|slot| !fixture.may_drain(slot)));
        fixture.ready(started[0]);
        let drained: Vec<usize> = (0..4).filter(|slot| fixture.may_drain(*slot)).collect();
        assert_eq!(drained, [old]);
        assert_eq!(fixture.activate_all(), [0_usize; 0], "while one is draining");
        fixture.dies(old, false);
    }
    assert_eq!(fixture.activate_all(), [0_usize; 0]);
    assert!(fixture.board.slots.iter().all(|slot| slot.reason().is_none()));
}

#[test]
fn a_roll_below_the_most_also_goes_one_by_one() {
    // There are more dormant slots than the one for a replacement.
    let fixture = TestGroup::serving(&["min-processes=2", "max-processes=6"]);
    assert_eq!(fixture.locked().roll(Reason::ControlCommand, fixture.now_us), 2);
    for old in 0..2 {
        let started = fixture.activate_all();
        assert_eq!(started.len(), 1, "{:?}", fixture.states());
        fixture.ready(started[0]);
        assert!(fixture.may_drain(old));
        assert_eq!(fixture.activate_all(), [0_usize; 0], "while one is draining");
        fixture.dies(old, false);
    }
    assert_eq!(fixture.activate_all(), [0_usize; 0]);
}

#[test]
fn the_first_request_is_granted_first() {
    let mut fixture = TestGroup::serving(&["processes=3"]);
    for slot in [2, 0, 1] {
        fixture.now_us += 1;
        assert!(!fixture.replace(slot, Reason::RestartInterval));
    }
    let started = fixture.activate_all();
    fixture.ready(started[0]);
    assert!(!fixture.may_drain(0) && !fixture.may_drain(1) && fixture.may_drain(2));
}

#[test]
fn a_crash_during_a_roll_is_made_good_first() {
    let fixture = TestGroup::serving(&["processes=2"]);
    assert!(!fixture.replace(0, Reason::MaximumRequests));
    assert_eq!(fixture.activate(2), Activation::Start);
    fixture.dies(1, true);
    // The one that is starting makes the dead one good now, and slot 0 has to wait for another.
    assert_eq!(fixture.activate(1), WAIT);
    fixture.ready(2);
    assert!(!fixture.may_drain(0));
    assert_eq!(fixture.activate(1), Activation::Start);
    fixture.ready(1);
    assert!(fixture.may_drain(0));
}

#[test]
fn only_one_that_serves_is_replaced() {
    let fixture = TestGroup::new(&[]);
    assert!(!fixture.replace(0, Reason::GracefulSignal));
    assert_eq!(fixture.board.slots[0].reason(), None);
    assert_eq!(fixture.activate(0), Activation::Start);
    assert!(!fixture.replace(0, Reason::GracefulSignal));
    assert_eq!(fixture.board.slots[0].reason(), None);
}

#[test]
fn an_idle_group_sleeps_until_a_request() {
    let mut fixture = TestGroup::serving(&["processes=2", "inactivity-timeout=60"]);
    let board = fixture.board;
    fixture.now_us += 60 * SECOND;
    assert!(fixture.replace(0, Reason::InactivityTimeout), "without a replacement");
    assert_eq!(board.wanted(), 0);
    let lease = board.acquire(1).unwrap();
    assert!(!fixture.replace(1, Reason::InactivityTimeout), "it has a request");
    board.release(1, lease.incarnation);
    assert!(fixture.replace(1, Reason::InactivityTimeout));
    (0..2).for_each(|slot| assert_eq!(fixture.dies(slot, false), None));
    assert_eq!(fixture.activate_all(), [0_usize; 0]);
    fixture.now_us += SECOND;
    assert_eq!(
        board.choose(&crate::process_group::TriedSlots::new(), fixture.now_us),
        crate::process_group::ProcessChoice::NoneReady
    );
    assert_eq!(board.wanted(), 2);
    assert_eq!(fixture.activate_all(), [0, 1]);
}

#[test]
fn a_request_that_slips_in_wakes_the_group() {
    let mut fixture = TestGroup::serving(&["processes=2", "inactivity-timeout=60"]);
    fixture.now_us += 60 * SECOND;
    assert!(fixture.replace(0, Reason::InactivityTimeout));
    fixture.now_us += 1;
    fixture.board.slots[1].record(&crate::process_group::Finished::default(), fixture.now_us);
    assert_eq!(fixture.board.wanted(), 2);
    fixture.dies(0, false);
    assert_eq!(fixture.activate_all(), [0]);
}
