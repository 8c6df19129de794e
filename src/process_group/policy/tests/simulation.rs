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
    world: TestGroup,
    chance: Chance,
    holds: Vec<Lease>,
    drains: Vec<Option<Drain>>,
    started: u32,
    replaced: u32,
}

impl Simulation {
    fn new(arguments: &[&str], seed: u64) -> Self {
        let world = TestGroup::new(arguments);
        let drains = vec![None; world.board.slots.len()];
        Self { world, chance: Chance(seed), holds: vec![], drains, started: 0, replaced: 0 }
    }

    /// Does the work of each process's timer thread.
    fn tick(&mut self, factories_fail: bool) {
        let world = &self.world;
        let (board, now_us) = (world.board, world.now_us);
        for slot in 0..board.slots.len() {
            match board.slots[slot].state() {
                ProcessState::Dormant => {
                    let before = board.census();
                    if world.activate(slot) == Activation::Start {
                        self.started += 1;
                        assert!(now_us >= board.group.not_before_us(), "within the pause");
                        let surplus = before.ready + before.starting >= board.wanted();
                        assert!(!surplus || before.asking > 0, "nobody needs it");
                    }
                }
                ProcessState::Starting if self.chance.below(3) == 0 => {
                    if factories_fail {
                        world.locked().start_failed(slot, now_us);
                        world.dies(slot, false);
                    } else {
                        world.ready(slot);
                    }
                }
                ProcessState::Ready => {
                    let serving = board.census().ready;
                    if world.may_drain(slot) {
                        self.replaced += 1;
                        assert!(serving > board.wanted(), "fewer than wanted would be left");
                        let reason = board.slots[slot].reason().unwrap();
                        self.drains[slot] = Some(Drain::new(&world.options, reason, now_us));
                    }
                    world.locked().scale(now_us);
                }
                ProcessState::Draining => {
                    let drain = self.drains[slot].unwrap();
                    let idle = board.slots[slot].is_idle();
                    if !matches!(drain.check(idle, now_us), DrainAction::Wait { .. }) {
                        world.dies(slot, false);
                    }
                }
                _ => {}
            }
        }
    }

    fn event(&mut self) {
        let world = &self.world;
        let board = world.board;
        let slot = self.chance.below(board.slots.len() as u64) as usize;
        match self.chance.below(100) {
            0..40 => self.holds.extend(board.take(&TriedSlots::new(), world.now_us)),
            40..80 if !self.holds.is_empty() => {
                let index = self.chance.below(self.holds.len() as u64) as usize;
                let lease = self.holds.swap_remove(index);
                board.release(lease.slot, lease.incarnation);
            }
            80 => {
                world.dies(slot, true);
            }
            81..84 => {
                let reason = Reason::ALL[self.chance.below(3) as usize];
                if reason != Reason::InactivityTimeout {
                    world.locked().replace(slot, reason, world.now_us);
                    if board.slots[slot].state() == ProcessState::Draining {
                        self.drains[slot] = Some(Drain::new(&world.options, reason, world.now_us));
                    }
                }
            }
            84 => {
                world.locked().roll(Reason::ControlCommand, world.now_us);
            }
            _ => {}
        }
        self.world.now_us += self.chance.below(SECOND / 2);
    }

    fn check(&self) {
        let (board, options) = (self.world.board, &self.world.options);
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
                simulation.world.board.release(lease.slot, lease.incarnation);
            }
            for _ in 0..2_000 {
                simulation.world.now_us += SECOND / 2;
                simulation.tick(false);
            }
            let census = simulation.world.board.census();
            let least = simulation.world.options.min_processes;
            assert_eq!((census.ready, census.starting), (least, 0), "seed {seed}: {census:?}");
            assert_eq!((census.asking, census.draining), (0, 0), "seed {seed}: {census:?}");
            assert_eq!(simulation.world.locked().scale(simulation.world.now_us), Scaled::Same);
        }
    }
}
