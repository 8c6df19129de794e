use super::*;
use crate::process_group::Reason;

mod stress;

fn ready(board: Scoreboard, index: usize, pid: u32, threads: u32) {
    let slot = &board.slots[index];
    slot.enter(pid, threads, 1);
    assert!(
        slot.advance(ProcessState::Dormant, ProcessState::Starting, 2) && board.ready(index, 3)
    );
}

fn take(board: Scoreboard) -> Lease {
    board.take(&TriedSlots::new(), 10).unwrap()
}

#[test]
fn chooses_the_least_busy() {
    let board = Scoreboard::leaked(3, 2);
    assert_eq!(board.choose(&TriedSlots::new(), 10), ProcessChoice::NoneReady);
    ready(board, 0, 10, 2);
    ready(board, 2, 12, 2);
    let first = take(board);
    let second = take(board);
    assert_ne!(first.slot, second.slot);
    assert_eq!(board.release(first.slot, first.incarnation), Some(0));
    assert_eq!(take(board), first);
    assert_eq!(first.pid as usize, 10 + first.slot);
    assert!(board.slots[2].drain(Reason::ScaleDown, 5));
    for _ in 0..9 {
        assert!(matches!(
            board.choose(&TriedSlots::new(), 10),
            ProcessChoice::Process { index: 0, .. }
        ));
    }
}

#[test]
fn equally_busy_processes_alternate() {
    let board = Scoreboard::leaked(4, 1);
    for index in 0..4 {
        ready(board, index, 10, 1);
    }
    let mut chosen = [0; 4];
    for _ in 0..40 {
        let lease = take(board);
        chosen[lease.slot] += 1;
        board.release(lease.slot, lease.incarnation);
    }
    assert_eq!(chosen, [10; 4]);
}

#[test]
fn leaves_out_what_was_tried() {
    let board = Scoreboard::leaked(3, 1);
    (0..3).for_each(|index| ready(board, index, 10, 5));
    let mut tried = TriedSlots::new();
    for left in (0..3).rev() {
        let ProcessChoice::Process { index, .. } = board.choose(&tried, 10) else {
            panic!("{left} left")
        };
        assert!(!tried.has(index));
        tried.add(index);
    }
    assert_eq!(board.choose(&tried, 10), ProcessChoice::NoneReady);
    for slot in [0, 63, 64, 1023] {
        let mut tried = TriedSlots::new();
        tried.add(slot);
        assert_eq!((0..1024).filter(|other| tried.has(*other)).collect::<Vec<_>>(), [slot]);
    }
}

#[test]
fn full_when_threads_and_line_are() {
    let board = Scoreboard::leaked(3, 1);
    board.prepare(&GroupOptions::parse("g", &["queue-size=3"]).unwrap(), 1);
    ready(board, 0, 10, 2);
    ready(board, 1, 11, 2);
    let holds: Vec<Lease> = (0..7).map(|_| take(board)).collect();
    assert_eq!(board.take(&TriedSlots::new(), 10), Err(ProcessChoice::Full));
    board.release(holds[6].slot, holds[6].incarnation);
    let lease = take(board);
    assert!(board.slots[lease.slot].park(lease.incarnation));
    take(board);
    assert_eq!(
        board.choose(&TriedSlots::new(), 10),
        ProcessChoice::Full,
        "a parked one wants no thread"
    );
    // The threads of one that drains are not counted, nor are its requests.
    assert!(board.slots[0].drain(Reason::RestartInterval, 5));
    assert!(matches!(
        board.choose(&TriedSlots::new(), 10),
        ProcessChoice::Process { index: 1, .. }
    ));
}

#[test]
fn without_a_line_a_request_needs_a_thread() {
    let board = Scoreboard::leaked(1, 1);
    board.prepare(&GroupOptions::parse("g", &["queue-size=0"]).unwrap(), 1);
    ready(board, 0, 10, 1);
    let lease = take(board);
    assert_eq!(board.choose(&TriedSlots::new(), 10), ProcessChoice::Full);
    board.release(lease.slot, lease.incarnation);
    take(board);
}

#[test]
fn open_only_while_no_process_is_ready() {
    let board = Scoreboard::leaked(2, 1);
    board.prepare(&GroupOptions::new("g").unwrap(), 1);
    assert_eq!(board.choose(&TriedSlots::new(), 99), ProcessChoice::NoneReady);
    board.group.not_before_us.store(100, SeqCst);
    board.group.open.store(1, SeqCst);
    for now_us in [99, 100, 5000] {
        assert_eq!(board.choose(&TriedSlots::new(), now_us), ProcessChoice::Open { until_us: 100 });
    }
    let slot = &board.slots[0];
    slot.enter(1, 1, 1);
    assert!(slot.advance(ProcessState::Dormant, ProcessState::Starting, 2) && slot.become_ready(3));
    assert!(matches!(board.choose(&TriedSlots::new(), 50), ProcessChoice::Process { .. }));
}

#[test]
fn finds_tickets_in_rows() {
    let board = Scoreboard::leaked(2, 3);
    ready(board, 0, 10, 3);
    ready(board, 1, 11, 3);
    let lease = board.acquire(1).unwrap();
    let ticket = board.group.ticket();
    assert_eq!(board.find_ticket(&lease, ticket), TicketLocation::Nowhere);
    assert!(!TicketLocation::Nowhere.may_have_started());
    let row = &board.rows_of(1)[2];
    row.begin(ticket, 70, &[b"GET"]);
    assert_eq!(board.find_ticket(&lease, ticket), TicketLocation::Worker { started_us: 70 });
    board.note_lost(ticket);
    row.end();
    assert_eq!(board.find_ticket(&lease, ticket), TicketLocation::Lost);
    assert_eq!(board.find_ticket(&lease, board.group.ticket()), TicketLocation::Nowhere);
}

#[test]
fn finds_tickets_of_the_dead() {
    let board = Scoreboard::leaked(2, 3);
    ready(board, 0, 10, 3);
    let lease = board.acquire(0).unwrap();
    let (started, waiting) = (board.group.ticket(), board.group.ticket());
    board.rows_of(0)[1].begin(started, 70, &[b"GET"]);
    let dead = board.clear_dead(0, 80);
    assert_eq!((dead.pid, dead.state, dead.ready_us), (10, ProcessState::Ready, Some(3)));
    assert_eq!((dead.lost_requests, dead.load, dead.requests), (1, 1, 0));
    ready(board, 0, 12, 3);
    assert_eq!(board.find_ticket(&lease, started), TicketLocation::Lost);
    assert_eq!(board.find_ticket(&lease, waiting), TicketLocation::Nowhere);
    assert_eq!(board.release(lease.slot, lease.incarnation), None);
    assert!(board.rows_of(0).iter().all(|row| row.ticket() == 0));
}

#[test]
fn a_burial_tells_a_failed_start_from_a_death() {
    let board = Scoreboard::leaked(2, 1);
    ready(board, 0, 10, 1);
    assert!(board.slots[0].found_dead(0, 4));
    assert_eq!(
        (board.clear_dead(0, 5).state, board.slots[0].state()),
        (ProcessState::Ready, ProcessState::Empty)
    );
    board.slots[1].enter(11, 1, 1);
    assert!(board.slots[1].advance(ProcessState::Dormant, ProcessState::Failed, 2));
    assert_eq!(board.clear_dead(1, 5).state, ProcessState::Failed);
}

#[test]
fn a_ticket_that_fell_out_of_the_ring_counts_as_started() {
    let board = Scoreboard::leaked(1, 1);
    ready(board, 0, 10, 1);
    let lease = board.acquire(0).unwrap();
    let tickets: Vec<u64> = (0..1030).map(|_| board.group.ticket()).collect();
    tickets.iter().for_each(|ticket| board.note_lost(*ticket));
    for (index, ticket) in tickets.iter().enumerate() {
        let expected = if index < 6 { TicketLocation::Forgotten } else { TicketLocation::Lost };
        assert_eq!(board.find_ticket(&lease, *ticket), expected, "{index}");
        assert!(expected.may_have_started());
    }
    assert_eq!(board.find_ticket(&lease, board.group.ticket()), TicketLocation::Nowhere);
}

#[test]
fn a_burial_frees_the_lock() {
    let board = Scoreboard::leaked(1, 1);
    ready(board, 0, 10, 1);
    let options = GroupOptions::new("g").unwrap();
    let locked = board.lock(&options, 10, |_| true);
    board.clear_dead(0, 5);
    assert_eq!(board.group.lock.owner(), None);
    drop(locked);
    drop(board.lock(&options, 11, |_| panic!("no process holds it")));
}

#[test]
fn rows_are_shared_out() {
    let board = Scoreboard::leaked(3, 4);
    assert_eq!((board.rows.len(), board.rows_per_slot), (12, 4));
    for index in 0..3 {
        assert!(std::ptr::eq(&board.rows_of(index)[0], &board.rows[4 * index]));
        assert_eq!(board.rows_of(index).len(), 4);
    }
}

#[test]
fn mapped_memory_fits() {
    // The mapping holds arrays of these: their size is a multiple of their alignment.
    assert_eq!(align_of::<ProcessScore>(), 64);
    assert_eq!(align_of::<WorkerScore>(), 64);
    assert_eq!(align_of::<GroupScore>(), 64);
    assert_eq!(size_of::<WorkerScore>(), 192);
    assert!(size_of::<ProcessScore>() < 4096, "{}", size_of::<ProcessScore>());
}
