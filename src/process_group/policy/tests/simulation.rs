//! A group under random events: what must lease after each of them.

use super::*;
use crate::process_group::{Drain, DrainAction, Lease, Scaled, TriedSlots};

/// A small generator (xorshift), so that a failure can be repeated by its seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

struct Simulation {
    fixture: TestGroup,
    chance: Chance,
    holds: Vec<Lease>,
    drains: Vec<Option<Drain>>,
    started: u32,
    replaced: u32,
}

impl Simulation {
    fn new(arguments: &[&str], seed: u64) -> Self {
        let fixture = TestGroup::new(arguments);
        let drains = vec![None; fixture.board.slots.len()];
        Self { fixture, chance: Chance(seed), holds: vec![], drains, started: 0, replaced: 0 }
    }

    /// Does the work of each process's timer thread.
    fn tick(&mut self, factories_fail: bool) {
        let fixture = &self.fixture;
        let (board, now_us) = (fixture.board, fixture.now_us);
        for slot in 0..board.slots.len() {
            match board.slots[slot].state() {
                ProcessState::Dormant => {
                    let before = board.census();
                    if fixture.activate(slot) == Activation::Start {
                        self.started += 1;
                        assert!(now_us >= board.group.not_before_us(), "within the pause");
                        let surplus = before.ready + before.starting >= board.wanted();
                        assert!(!surplus || before.asking > 0, "no request needs it");
                    }
                }
                ProcessState::Starting if self.chance.below(3) == 0 => {
                    if factories_fail {
                        fixture.locked().start_failed(slot, now_us);
                        fixture.dies(slot, false);
                    } else {
                        fixture.ready(slot);
                    }
                }
                ProcessState::Ready => {
                    let serving = board.census().ready;
                    if fixture.may_drain(slot) {
                        self.replaced += 1;
                        assert!(serving > board.wanted(), "fewer than wanted would be left");
                        let reason = board.slots[slot].reason().unwrap();
                        self.drains[slot] = Some(Drain::new(&fixture.options, reason, now_us));
                    }
                    fixture.locked().scale(now_us);
                }
                ProcessState::Draining => {
                    let drain = self.drains[slot].unwrap();
                    let idle = board.slots[slot].is_idle();
                    if !matches!(drain.check(idle, now_us), DrainAction::Wait { .. }) {
                        fixture.dies(slot, false);
                    }
                }
                _ => {}
            }
        }
    }

    fn event(&mut self) {
        let fixture = &self.fixture;
        let board = fixture.board;
        let slot = self.chance.below(board.slots.len() as u64) as usize;
        match self.chance.below(100) {
            0..40 => self.holds.extend(board.take(&TriedSlots::new(), fixture.now_us)),
            40..80 if !self.holds.is_empty() => {
                let index = self.chance.below(self.holds.len() as u64) as usize;
                let lease = self.holds.swap_remove(index);
                board.release(lease.slot, lease.incarnation);
            }
            80 => {
                fixture.dies(slot, true);
            }
            81..84 => {
                let reason = Reason::ALL[self.chance.below(3) as usize];
                if reason != Reason::InactivityTimeout {
                    fixture.locked().replace(slot, reason, fixture.now_us);
                    if board.slots[slot].state() == ProcessState::Draining {
                        self.drains[slot] =
                            Some(Drain::new(&fixture.options, reason, fixture.now_us));
                    }
                }
            }
            84 => {
                fixture.locked().roll(Reason::ControlCommand, fixture.now_us);
            }
            _ => {}
        }
        self.fixture.now_us += self.chance.below(SECOND / 2);
    }

    fn check(&self) {
        let (board, options) = (self.fixture.board, &self.fixture.options);
        let census = board.census();
        let alive = census.ready + census.starting + census.draining;
        assert!(alive <= options.max_processes + 1, "{census:?}");
        let target = board.group.target();
        assert!((options.min_processes..=options.max_processes).contains(&target), "{target}");
        for slot in board.slots {
            assert!(slot.running() as usize <= self.holds.len(), "{slot:?}");
        }
    }
}

#[test]
fn random_events_break_no_rule() {
    for seed in 1..=60 {
        for arguments in [
            &["processes=1", "threads=2"][..],
            &["processes=3", "threads=2"],
            &["min-processes=1", "max-processes=4", "threads=2"],
        ] {
            let mut simulation = Simulation::new(arguments, seed * 0x9e37_79b9);
            for step in 0..1_500 {
                simulation.event();
                // There are times at which no factory succeeds.
                simulation.tick(step % 500 < 60);
                simulation.check();
            }
            assert!(
                simulation.started > 5 && simulation.replaced > 0,
                "seed {seed}, {arguments:?}: {} {}",
                simulation.started,
                simulation.replaced
            );
            // Left alone, the group comes to rest with what it wants, and nothing else.
            for lease in simulation.holds.drain(..) {
                simulation.fixture.board.release(lease.slot, lease.incarnation);
            }
            for _ in 0..2_000 {
                simulation.fixture.now_us += SECOND / 2;
                simulation.tick(false);
            }
            let census = simulation.fixture.board.census();
            let least = simulation.fixture.options.min_processes;
            assert_eq!((census.ready, census.starting), (least, 0), "seed {seed}: {census:?}");
            assert_eq!((census.asking, census.draining), (0, 0), "seed {seed}: {census:?}");
            assert_eq!(simulation.fixture.locked().scale(simulation.fixture.now_us), Scaled::Same);
        }
    }
}
