//! Many requests that are woken at the same moment, on kept connections.

use crate::support::{begin, get, start, wait_until_waiting, waits};

/// Returns how many of `count` kept connections are closed when all their requests end at once.
fn herd(count: usize, threads: usize) -> usize {
    let server = start(waits(threads).conf("ListenBacklog 4096\nKeepAliveTimeout 60\nTimeout 60"));
    let ms = 1500 + 3 * count;
    let begun = std::time::Instant::now();
    let mut all: Vec<_> = (0..count)
        .map(|_| {
            let left = ms.saturating_sub(begun.elapsed().as_millis() as usize).max(1);
            begin(&server, &format!("/waits/wait/{left}"))
        })
        .collect();
    wait_until_waiting(&server, count);
    for connection in &mut all {
        assert_eq!(connection.read_response().status, 200);
    }
    let mut closed = 0;
    for connection in &mut all {
        let sent = connection.try_write(get("/waits/wait/1").as_bytes());
        let answer = sent.and_then(|()| connection.try_read_response("GET"));
        closed += usize::from(answer.is_err());
    }
    closed
}

#[test]
#[ignore = "takes thousands of descriptors"]
fn a_herd() {
    for (count, threads) in [(500, 10), (2000, 10), (2000, 50)] {
        let closed = herd(count, threads);
        println!("{count} on {threads} threads: {closed} closed");
        // Without turns it is nearly all of them.
        assert!(closed < count / 2, "{closed} of {count} on {threads} threads");
    }
}
