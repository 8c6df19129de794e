use super::super::policy::{SECOND, TestGroup};
use crate::process_group::{Finished, Phase, ProcessState, Reason};

#[test]
fn shows_a_group() {
    let mut fixture = TestGroup::serving(&["processes=1", "threads=2", "queue-size=9"]);
    let board = fixture.board;
    let lease = board.acquire(0).unwrap();
    board.acquire(0).unwrap();
    assert!(board.slots[0].park(lease.incarnation));
    board.rows_of(0)[1].begin(77, fixture.now_us, &[b"GET", b"shop", b"/\xff\"a"]);
    fixture.now_us += SECOND;
    board.rows_of(0)[1].head_sent(fixture.now_us);
    let done = Finished { status: 204, total_us: 1500, bytes_in: 3, ..Finished::default() };
    board.slots[0].record(&done, fixture.now_us);
    board.slots[0].measure(1 << 20, 4000);
    board.slots[0].ask(Reason::MemoryLimit, fixture.now_us);
    board.group.refused(true);
    let snapshot = board.snapshot("shop", fixture.now_us);
    assert_eq!((snapshot.target, snapshot.ready, snapshot.threads), (1, 1, 2));
    assert_eq!((snapshot.running, snapshot.parked, snapshot.queue_size), (1, 1, 9));
    assert_eq!((snapshot.refused_full, snapshot.refused_open), (1, 0));
    assert_eq!((snapshot.counts.requests, snapshot.counts.statuses), (1, [0, 1, 0, 0, 0]));
    let slot = &snapshot.slots[0];
    assert_eq!(
        (slot.state, slot.pid, slot.reason),
        (ProcessState::Ready, Some(100), Some(Reason::MemoryLimit))
    );
    assert_eq!((slot.resident, slot.cpu_us, slot.requests_here), (1 << 20, 4000, 1));
    assert_eq!(slot.counts, snapshot.counts);
    let [request] = &slot.requests[..] else { panic!("{:?}", slot.requests) };
    assert_eq!((request.row, request.ticket, request.phase), (1, 77, Phase::Body));
    assert_eq!(snapshot.slots[1].state, ProcessState::Dormant);
}

#[test]
fn json_is_what_it_was() {
    let mut fixture = TestGroup::serving(&["processes=1", "threads=2"]);
    let board = fixture.board;
    let started_us = fixture.now_us;
    fixture.now_us += 5 * SECOND;
    board.rows_of(0)[0].begin(9, fixture.now_us - SECOND, &[b"GET", b"a\nb", b"/\xff"]);
    board.slots[1].set_last_exit(11);
    let json = board.snapshot("a\"b", fixture.now_us).to_json();
    assert_eq!(started_us, SECOND);
    let none = r#"{"sum_us":0,"p50_us":null,"p95_us":null,"p99_us":null}"#;
    let counts = format!(
        r#"{{"requests":0,"errors":0,"statuses":{{"1xx":0,"2xx":0,"3xx":0,"4xx":0,"5xx":0}},"bytes_in":0,"bytes_out":0,"queue":{none},"application":{none},"total":{none}}}"#
    );
    let request = r#"{"row":0,"ticket":9,"phase":"application","age_us":1000000,"head_after_us":null,"text":"GET a\nb /\\xff"}"#;
    let slot = |state: &str, ready: &str, exit: &str, working_on: &str, index: u32| {
        format!(
            r#"{{"slot":{index},"state":"{state}","pid":{},"incarnation":0,"state_age_us":5000000,"age_us":5000000,"ready_age_us":{ready},"reason":null,"threads":2,"running":0,"parked":0,"requests":0,"resident":0,"cpu_us":0,"deaths":0,"last_exit":{exit},"counts":{counts},"working_on":[{working_on}]}}"#,
            100 + index
        )
    };
    let expected = format!(
        r#"{{"name":"a\"b","age_us":5000000,"target":1,"ready":1,"threads":2,"running":0,"parked":0,"queue_size":100,"refused_full":0,"refused_open":0,"failures":0,"open_for_us":null,"counts":{counts},"processes":[{},{}]}}"#,
        slot("ready", "5000000", "null", request, 0),
        slot("dormant", "null", "11", "", 1)
    );
    assert_eq!(json, expected);
}

#[test]
fn an_empty_scoreboard_has_a_snapshot() {
    let snapshot = crate::process_group::Scoreboard::leaked(2, 2).snapshot("g", 0);
    assert_eq!((snapshot.ready, snapshot.slots.len()), (0, 2));
    assert!(snapshot.slots.iter().all(|slot| slot.pid.is_none() && slot.requests.is_empty()));
    assert!(snapshot.to_json().starts_with(r#"{"name":"g","age_us":0,"target":0,"#));
}
