//! Requests without a body, one after another, and what a process does at its end.

use super::{Ask, Ending, TestProcess};
use crate::gateway::{Body, Environ, Result, StartResponse};
use crate::server::daemon_process::Ended;

fn hello<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let text = format!("Hello, {}\n", environ.path_info().escape_ascii());
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from(text))
}

#[test]
fn hello_on_a_kept_connection() {
    let (mut harness, runner) = TestProcess::open(&["threads=2"], hello);
    let mut peer = harness.connect(0);
    for _ in 0..100 {
        let answer = peer.get("/a");
        assert_eq!((answer.status, answer.length, answer.text()), (200, Some(10), "Hello, /a\n"));
        assert_eq!(answer.headers, [("Content-Type".to_owned(), "text/plain".to_owned())]);
        assert_eq!((answer.ending(), answer.close), (&Ending::End(Vec::new()), false));
        assert!(answer.timing.application_us < 5_000_000 && answer.timing.queue_us < 5_000_000);
    }
    harness.until("the load", || harness.board.slots[0].is_idle());
    assert_eq!(harness.board.slots[0].requests_here(), 100);
    drop(peer);
    harness.cut_lifeline();
    let ended = runner.ended();
    assert!(matches!(ended, Ended::Served { abandoned: 0, .. }), "{ended:?}");
}

#[test]
fn pipelined_requests_come_in_order() {
    let (harness, _runner) = TestProcess::open(&["threads=3"], hello);
    let mut peer = harness.connect(0);
    for _ in 0..20 {
        let mut out = Vec::new();
        for target in ["/a", "/b", "/c", "/d"] {
            peer.put(&mut out, &Ask::get(target));
        }
        // In pieces that end anywhere.
        for piece in out.chunks(97) {
            peer.write(piece);
        }
        for target in ["/a", "/b", "/c", "/d"] {
            assert_eq!(peer.answer().text(), format!("Hello, {target}\n"));
        }
    }
    harness.until("the load", || harness.board.slots[0].is_idle());
}
