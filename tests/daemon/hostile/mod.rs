//! An application process that was taken over: it runs under another user, and nothing that it
//! writes may hang, mislead or end httpd. The peer here listens on the socket of a real process.

mod peer;
mod table;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use httpd_testkit::{BodyEnd, ClientErrorKind, mpm_tests, proc};
use mod_rust::internal::protocol::bridge::flags;

use self::peer::{Act, Hostile};
use self::table::{Row, Seen, body, end, flushed_head};
use crate::support::{self, Setup, Stage, child_of, setup};

/// The number of requests that go out at once.
const THREADS: usize = 6;

/// The codes that the log has for such processes.
const CODES: [&str; 9] = [
    "RUST0006", "RUST0011", "RUST0020", "RUST0021", "RUST0025", "RUST0027", "RUST0028", "AH00124",
    "RUST0005",
];

/// Makes a server whose group takes any number of requests, because the peer never ends one.
fn server(options: &str) -> Setup {
    setup(&format!("processes=1 threads=1 queue-size=1000000 {options}")).allow(&CODES)
}

/// Sends the row's request, and says what came of it.
fn see(stage: &Stage, row: &Row) -> Seen {
    let mut connection = stage.connect();
    let method = row.ask.method();
    connection.write(row.ask.head(&format!("/stage/run?name={}", row.name)));
    // The answer may come before all of it is taken.
    let _ = connection.try_write(&row.ask.body());
    let seen = match connection.try_read_response(method) {
        Err(error)
            if matches!(error.kind(), ClientErrorKind::Closed | ClientErrorKind::Truncated) =>
        {
            return Seen::Broken;
        }
        Err(error) => return Seen::Wrong(error.to_string()),
        Ok(response) => match response.end {
            BodyEnd::Truncated(_) => return Seen::Broken,
            _ if response.header("x-evil").is_some() => Seen::Wrong(format!("{response:?}")),
            _ => Seen::Status(response.status),
        },
    };
    // One request, one response.
    match connection.read_to_end().as_slice() {
        [] => seen,
        more => Seen::Wrong(format!("after {seen:?}: {}", more.escape_ascii())),
    }
}

mpm_tests! {
    /// Checks each response of the table, with the same children.
    fn no_answer_of_a_process_misleads_httpd(mpm) {
        let stage = server("socket-timeout=1")
            .mpm(mpm)
            .with(|builder| builder.children(1).threads(8).file("other.bin", "abc"))
            .start();
        let rows = table::rows(stage.root());
        let acts: BTreeMap<_, _> = rows.iter().map(|row| (row.name, row.acts.clone())).collect();
        assert_eq!(acts.len(), rows.len(), "a name twice");
        stage.app().wait_ready(1);
        let child = child_of(&stage);
        let _hostile = Hostile::new(&stage, move |name| acts[name].clone());
        // A row that waits for a time-out does not keep the others.
        let see_some = |first| {
            let some = rows.iter().skip(first).step_by(THREADS);
            let seen = some.map(|row| (row, see(&stage, row)));
            let wrong = seen.filter(|(row, seen)| *seen != row.expected);
            wrong.map(|(row, seen)| format!("{}: {seen:?}", row.name)).collect::<Vec<_>>()
        };
        let wrong: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..THREADS).map(|first| scope.spawn(move || see_some(first))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(proc::is_alive(child), "httpd's child has ended");
    }
}

/// Makes a stage with one peer that acts in this way.
fn with_peer(
    group: &str,
    act: impl Fn(&mut UnixStream) + Send + Sync + 'static,
) -> (Hostile, Stage) {
    let stage = server(group).with(|builder| builder.conf("Timeout 30").children(1)).start();
    let act = Act::Do(Arc::new(act));
    (Hostile::new(&stage, move |_| vec![act.clone()]), stage)
}

/// The answer was complete before httpd could write the rest of the body.
#[test]
fn an_answer_that_came_before_a_write_failed_counts() {
    let mut refused = table::status(413, &[]);
    // The connection is not kept, as the peer closes it.
    refused[5] |= flags::CLOSE;
    // httpd is in the midst of writing when the connection ends.
    let (_peer, stage) = with_peer("", move |peer| {
        let _ = peer.read_exact(&mut vec![0; 1_000_000]);
        let _ = peer.write_all(&refused);
    });
    for _ in 0..50 {
        let request = stage.request("POST", &support::run("0", "")).body(vec![b'b'; 3_000_000]);
        assert_eq!(request.send().status, 413);
    }
}

/// Bodies in pieces of a byte, for a client that does not read: httpd keeps what the option says,
/// and stops taking more.
#[test]
fn tiny_pieces_for_a_client_that_does_not_read() {
    const PIECES: usize = 16_000_000;
    let (sender, receiver) = mpsc::channel();
    let (_peer, stage) = with_peer("response-buffer-size=256K", move |peer| {
        peer.set_write_timeout(Some(Duration::from_secs(2))).expect("a time-out");
        let frames = body(b"x", 0).repeat(10_000);
        let written = peer
            .write_all(&flushed_head())
            .and_then(|()| (0..PIECES / 10_000).try_for_each(|_| peer.write_all(&frames)));
        let _ = sender.send(written.map_err(|error| error.kind()));
    });
    let child = child_of(&stage);
    let before = proc::anon_kib(child).expect("its memory");
    let mut client = stage.send(&support::run("0", ""));
    client.read_head();
    let written = receiver.recv().expect("the peer is through");
    let grown = proc::anon_kib(child).expect("its memory") - before;
    assert_eq!(written, Err(ErrorKind::WouldBlock), "httpd takes no more than it may keep");
    assert!(grown < 8 * 1024, "{grown} KiB");
    client.reset();
}

/// A client that takes nothing is given up, also while the process goes on sending.
#[test]
fn a_process_that_trickles_does_not_keep_a_client_that_is_stuck() {
    let (_peer, stage) = with_peer("response-socket-timeout=1", |peer| {
        let large = vec![b'x'; 200_000];
        let mut piece = [flushed_head(), body(&large, 0).repeat(40)].concat();
        // Until httpd closes the connection.
        while peer.write_all(&piece).is_ok() {
            piece = body(b"x", 0);
            thread::sleep(Duration::from_millis(20));
        }
    });
    let mut client = stage.send(&support::run("0", ""));
    client.read_head();
    let line = stage.wait_log("took nothing of the response for 1 s");
    assert!(line.contains("RUST0003"), "{line}");
    client.reset();
}

/// An empty BODY with FLUSH asks for a flush, and costs httpd nothing to keep.
#[test]
fn flushes_for_a_client_that_does_not_read() {
    const FLUSHES: usize = 500_000;
    let (sender, receiver) = mpsc::channel();
    let (_peer, stage) = with_peer("", move |peer| {
        // First more than the sockets take.
        let large = body(&[b'x'; 64 * 1024], 0).repeat(64);
        let flushes = body(b"", 1).repeat(10_000);
        let written = peer
            .write_all(&[flushed_head(), large].concat())
            .and_then(|()| (0..FLUSHES / 10_000).try_for_each(|_| peer.write_all(&flushes)));
        let _ = sender.send(written.map_err(|error| error.kind()));
        let _ = peer.write_all(&end());
    });
    let child = child_of(&stage);
    let before = proc::anon_kib(child).expect("its memory");
    let mut client = stage.send(&support::run("0", ""));
    client.read_head();
    assert_eq!(receiver.recv().expect("the peer is through"), Ok(()));
    let grown = proc::anon_kib(child).expect("its memory").saturating_sub(before);
    assert!(grown < 12 * 1024, "{grown} KiB");
    while client.read_chunk().is_some() {}
}

/// A process that writes log lines without end does not keep the thread of a client that has left.
#[test]
fn a_flood_of_log_lines_ends_with_its_client() {
    let (sender, receiver) = mpsc::channel();
    let (_peer, stage) = with_peer("", move |peer| {
        // Level trace: httpd need not write them.
        let lines = table::log(5, "a line").repeat(100);
        let _ = sender.send(());
        // Until httpd closes the connection.
        while peer.write_all(&lines).is_ok() {}
    });
    let client = stage.send(&support::run("0", ""));
    receiver.recv().expect("the peer has begun");
    client.reset();
    stage.wait_log("RUST0003");
}
