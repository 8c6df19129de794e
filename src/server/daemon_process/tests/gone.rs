//! Clients and httpd children that leave.

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::peer::Answer;
use super::{Ask, Ending, TestProcess};
use crate::gateway::{Body, Environ, Error, ErrorKind, Result, StartResponse, app_fn};
use crate::process_group::TicketLocation;
use crate::protocol::bridge::put_hello;

/// An application that reports its call, and waits for a signal.
pub(super) struct Gate {
    called: SyncSender<()>,
    word: Mutex<Receiver<()>>,
    pub(super) calls: AtomicU32,
}

/// The test's side of a [`Gate`].
pub(super) struct Keeper {
    called: Receiver<()>,
    word: SyncSender<()>,
}

pub(super) fn gate() -> (Arc<Gate>, Keeper) {
    let ((called, is_called), (word, has_word)) = (sync_channel(1000), sync_channel(1000));
    let gate = Gate { called, word: Mutex::new(has_word), calls: AtomicU32::new(0) };
    (Arc::new(gate), Keeper { called: is_called, word })
}

impl Gate {
    pub(super) fn pass(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.called.send(()).unwrap();
        // The test may be over.
        let _ = self.word.lock().unwrap().recv();
    }
}

impl Keeper {
    pub(super) fn until_called(&self) {
        self.called.recv_timeout(super::harness::LONG).expect("the application was not called");
    }

    pub(super) fn open(&self) {
        self.word.send(()).unwrap();
    }
}

/// Makes an application whose `/gate` waits at the gate; all other paths answer at once.
pub(super) fn gated(gate: Arc<Gate>) -> impl crate::gateway::Application {
    app_fn(move |environ: Environ<'_>, start_response: StartResponse<'_>| {
        if environ.path_info() == b"/gate" {
            gate.pass();
        }
        start_response.start(200, [("A", "b")])?;
        Ok(Body::from("through"))
    })
}

#[test]
fn a_client_that_left_while_waiting_is_not_served() {
    let (gate, keeper) = gate();
    let (harness, _runner) = TestProcess::open(&["threads=1"], gated(gate.clone()));
    let mut first = harness.connect(0);
    first.ask(&Ask::get("/gate"));
    keeper.until_called();
    for _ in 0..5 {
        let mut queued = harness.connect(0);
        // The time is long enough ago that the process checks for its client.
        let sent_us = crate::os::monotonic_us() - 2_000_000;
        queued.ask(&Ask { sent_us, ..Ask::get("/gate") });
    }
    assert_eq!(harness.board.slots[0].running(), 6);
    keeper.open();
    assert_eq!(first.answer().text(), "through");
    harness.until("the load", || harness.board.slots[0].is_idle());
    assert_eq!(gate.calls.load(Ordering::SeqCst), 1);
    assert_eq!(harness.board.slots[0].requests_here(), 1);
}

#[test]
fn a_client_that_left_during_the_call_is_noticed_at_the_end() {
    let (gate, keeper) = gate();
    let (harness, _runner) = TestProcess::open(&["threads=1"], gated(gate));
    let mut peer = harness.connect(0);
    peer.ask(&Ask::get("/gate"));
    keeper.until_called();
    let ticket = peer.tickets[0];
    let lease = harness.board.take(&crate::process_group::TriedSlots::new(), 0).unwrap();
    assert!(matches!(harness.board.find_ticket(&lease, ticket), TicketLocation::Worker { .. }));
    drop(peer);
    keeper.open();
    harness.until("the load", || harness.board.slots[0].running() == 1);
    // Its last frame could not be written: who asks must not take it for one that never ran.
    assert_eq!(harness.board.find_ticket(&lease, ticket), TicketLocation::Lost);
    harness.board.release(lease.slot, lease.incarnation);
    assert_eq!(harness.connect(0).get("/").text(), "through");
}

#[test]
fn an_unread_stream_ends() {
    let (sender, ended) = sync_channel(1);
    let app = app_fn(move |_: Environ<'_>, start_response: StartResponse<'_>| {
        let mut writer = start_response.start(200, [("A", "b")])?;
        loop {
            if let Err(error) = writer.write_all(&[b'x'; 10_000]).and_then(|()| writer.flush()) {
                let error = Error::from(error);
                sender.send(error.kind()).unwrap();
                return Err(error);
            }
        }
    });
    let (harness, _runner) = TestProcess::open(&["threads=1"], app);
    for _ in 0..3 {
        let mut peer = harness.connect(0);
        peer.ask(&Ask::get("/"));
        let mut answer = Answer::default();
        peer.read_until(&mut answer, |answer| answer.body.len() > 50_000);
        drop(peer);
        assert_eq!(ended.recv_timeout(super::harness::LONG).unwrap(), ErrorKind::ClientGone);
    }
    harness.until("the load", || harness.board.slots[0].is_idle());
    assert_eq!(harness.board.snapshot("harness", 0).counts.errors, 3);
}

#[test]
fn a_client_leaves_within_its_body() {
    let app = app_fn(|mut environ: Environ<'_>, start_response: StartResponse<'_>| {
        let read = environ.input().read_all(1000)?;
        start_response.start(200, [("A", "b")])?;
        Ok(Body::from(read))
    });
    let (harness, _runner) = TestProcess::open(&["threads=1"], app);
    for _ in 0..3 {
        let mut peer = harness.connect(0);
        peer.ask(&Ask::post("/", Some(100)));
        peer.input(b"not all of it");
        drop(peer);
    }
    harness.until("the load", || harness.board.slots[0].is_idle());
    let mut peer = harness.connect(0);
    peer.ask(&Ask::post("/", Some(3)));
    peer.input(b"all");
    peer.input_end(&[]);
    assert_eq!(peer.answer().text(), "all");
}

#[test]
fn a_part_of_a_request_comes_off_the_load() {
    let (harness, _runner) = TestProcess::open(&["threads=1"], hello);
    let mut whole = Vec::new();
    Ask::get("/").encode(&mut whole, 1, 0);
    for kept in [false, true] {
        for length in [1, 4, 5, 8, 20, whole.len() - 1] {
            let mut peer = harness.connect(0);
            if kept {
                assert_eq!(peer.get("/").text(), "hello");
            }
            harness.board.acquire(0).unwrap();
            let mut out = Vec::new();
            if !kept {
                put_hello(&mut out, &super::harness::GROUP_TOKEN);
            }
            out.extend_from_slice(&whole[..length]);
            peer.write(&out);
            drop(peer);
            harness.until("the load", || harness.board.slots[0].is_idle());
        }
    }
    // A connection at rest that is closed has nothing on the load.
    let mut peer = harness.connect(0);
    assert_eq!(peer.get("/").text(), "hello");
    harness.board.acquire(0).unwrap();
    drop(peer);
    assert_eq!(harness.connect(0).get("/").ending(), &Ending::End(Vec::new()));
    harness.until("the load", || harness.board.slots[0].running() == 1);
}

fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("A", "b")])?;
    Ok(Body::from("hello"))
}
