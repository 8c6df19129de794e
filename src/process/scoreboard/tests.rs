use super::*;
use crate::process::Reason;

fn ready(board: Board, index: usize, pid: u32, threads: u32) {
    let slot = &board.slots[index];
    slot.enter(pid, threads, 1);
    assert!(slot.advance(State::Dormant, State::Starting, 2) && slot.become_ready(3));
}

#[test]
fn chooses_the_least_busy() {
    let board = Board::leaked(3, 2);
    assert_eq!(board.choose(&Tried::new(), 10), Choice::NoneReady);
    ready(board, 0, 10, 2);
    ready(board, 2, 12, 2);
    let first = board.take(&Tried::new(), 10).unwrap();
    let second = board.take(&Tried::new(), 10).unwrap();
    assert_ne!(first.slot, second.slot);
    assert_eq!(board.release(first.slot, first.incarnation), Some(0));
    assert_eq!(board.take(&Tried::new(), 10).unwrap(), first);
    assert!(board.slots[2].drain(Reason::ScaleDown, 5));
    for _ in 0..9 {
        assert!(matches!(board.choose(&Tried::new(), 10), Choice::Slot { index: 0, .. }));
    }
}
