//! Real threads as children and as processes that come and go.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

use super::*;

const SLOTS: usize = 3;
const LIVES: usize = 2_500;
const CHILDREN: usize = 4;

/// The work of the processes, by slot and incarnation.
struct Lives {
    /// It has seen Draining and no load, and is gone.
    exited: Vec<Vec<AtomicBool>>,
    /// It was killed.
    killed: Vec<Vec<AtomicBool>>,
}

impl Lives {
    fn new() -> Self {
        let all = || {
            let of_slot = || (0..=LIVES).map(|_| AtomicBool::new(false)).collect::<Vec<_>>();
            (0..SLOTS).map(|_| of_slot()).collect::<Vec<_>>()
        };
        Self { exited: all(), killed: all() }
    }
}

/// Runs one slot's processes in succession; each `kills`th is killed under its requests.
fn process(board: Scoreboard, index: usize, lives: &Lives, kills: usize) {
    let slot = &board.slots[index];
    for life in 0..LIVES {
        assert_eq!(slot.incarnation() as usize, life);
        slot.enter(1 + index as u32, 4, 1);
        assert!(
            slot.advance(ProcessState::Dormant, ProcessState::Starting, 2) && board.ready(index, 3)
        );
        for _ in 0..life % 50 {
            std::hint::spin_loop();
        }
        if life.is_multiple_of(5) {
            thread::yield_now();
        }
        if kills > 0 && life.is_multiple_of(kills) {
            lives.killed[index][life].store(true, SeqCst);
            board.clear_dead(index, 4);
            continue;
        }
        assert!(slot.drain(Reason::MaximumRequests, 5));
        while !slot.is_idle() {
            assert!(slot.running() <= CHILDREN as u32 + 1, "below none: {}", slot.running());
            thread::yield_now();
        }
        lives.exited[index][life].store(true, SeqCst);
        board.clear_dead(index, 6);
    }
}

fn run(kills: usize) -> u64 {
    let board = Scoreboard::leaked(SLOTS, 1);
    board.prepare(&GroupOptions::new("g").unwrap(), 1);
    let lives = Lives::new();
    let (running, held) = (AtomicU64::new(SLOTS as u64), AtomicU64::new(0));
    thread::scope(|scope| {
        let (lives, running, held) = (&lives, &running, &held);
        for index in 0..SLOTS {
            scope.spawn(move || {
                // Counted down on a panic too, or the children would never end.
                let _down = Down(running);
                process(board, index, lives, kills);
            });
        }
        for child in 0..CHILDREN {
            scope.spawn(move || {
                let mut turn = child;
                while running.load(SeqCst) > 0 {
                    turn += 1;
                    let Ok(lease) = board.take(&TriedSlots::new(), 10) else { continue };
                    held.fetch_add(1, Relaxed);
                    let life = lease.incarnation as usize;
                    let exited = &lives.exited[lease.slot][life];
                    // It has this request, so it does not exit until it has released it.
                    for _ in 0..turn % 40 {
                        assert!(!exited.load(SeqCst), "a request for a process that is gone");
                    }
                    if turn.is_multiple_of(3) {
                        thread::yield_now();
                    }
                    assert!(!exited.load(SeqCst), "gone under its request");
                    let released = board.release(lease.slot, lease.incarnation);
                    let killed = lives.killed[lease.slot][life].load(SeqCst);
                    assert!(released.is_some() || killed, "the load was less than the holds");
                    assert!(released.is_none_or(|left| left <= CHILDREN as u32));
                }
            });
        }
    });
    for slot in board.slots {
        assert_eq!((slot.running(), slot.parked()), (0, 0), "all is given back");
        assert_eq!(slot.incarnation() as usize, LIVES);
    }
    held.into_inner()
}

struct Down<'a>(&'a AtomicU64);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn no_lease_outlives_its_process() {
    assert!(run(0) > 100, "the children hardly met a process");
}

#[test]
fn burials_do_no_harm() {
    assert!(run(2) > 100, "the children hardly met a process");
}

#[test]
fn a_ticket_is_found_whenever_its_process_dies() {
    // The process fills the row before it calls the application, and dies while the child looks.
    // The child must find the ticket in one of the two.
    let board = Scoreboard::leaked(1, 4);
    let ready_now = AtomicU64::new(0);
    const TURNS: u64 = 20_000;
    thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 1..=TURNS {
                let ticket = board.group.ticket();
                assert_eq!(ticket, turn);
                board.rows_of(0)[(turn % 4) as usize].begin(ticket, 1, &[b"GET /"]);
                ready_now.store(ticket, SeqCst);
                if turn.is_multiple_of(7) {
                    thread::yield_now();
                }
                board.clear_dead(0, 2);
            }
        });
        let mut looked = 0_u64;
        loop {
            let ticket = ready_now.load(SeqCst);
            if ticket == 0 {
                continue;
            }
            let lease = Lease { slot: 0, incarnation: 0, pid: 1 };
            assert!(board.find_ticket(&lease, ticket).may_have_started(), "{ticket}");
            looked += 1;
            if ticket == TURNS {
                break;
            }
        }
        assert!(looked > 0);
    });
}

#[test]
fn tickets_are_all_different() {
    let board = Scoreboard::leaked(1, 1);
    let mut all: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..5_000).map(|_| board.group.ticket()).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable();
    assert_eq!(all, (1..=20_000).collect::<Vec<_>>());
}
