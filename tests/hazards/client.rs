//! Hazards 34 and 35: clients that leave, that read slowly, and that send slowly.

use std::time::{Duration, Instant};

use httpd_testkit::{Mpm, Server, mpm_tests, proc};

use crate::support::{HELLO, child, quirks, send, stock};

/// The longest time for which the body may stay open after its client has gone.
const SOON: Duration = Duration::from_secs(15);

/// The log line for a client that has gone: once for each request.
const GONE: &str = "RUST0003";

/// Waits until the log has `count` lines with `needle`. Fails well before the minute for which the
/// application would continue.
#[track_caller]
fn soon(server: &Server, since: Instant, needle: &str, count: usize) {
    let lines = server.wait_log_count(needle, count);
    let took = since.elapsed();
    assert!(took < SOON, "{took:?} until {needle}");
    assert_eq!(lines.len(), count, "{lines:?}");
}

mpm_tests! {
    fn h34_the_application_ends_soon_after_its_client(mpm) {
        let server = quirks().mpm(mpm).start();
        let mut count = 0;
        for (path, reads) in [
            ("/quirks/endless?ms=10", true),
            ("/quirks/endless", true),
            ("/probe/stream?chunks=inf&ms=20", true),
            ("/probe/bytes/9223372036854775807", true),
            ("/probe/events?ms=60000", true),
            ("/probe/events", true),
            ("/probe/wait?ms=60000", false),
        ] {
            for reset in [true, false] {
                let mut connection =
                    send(&server, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
                if reads {
                    assert_eq!(connection.read_head().status, 200);
                    connection.read_exact(5);
                } else {
                    // It waits, and nothing comes that could be waited for here.
                    assert!(connection.is_idle());
                }
                let begin = Instant::now();
                if reset {
                    connection.reset();
                } else {
                    drop(connection);
                }
                count += 1;
                soon(&server, begin, GONE, count);
            }
        }
        // The body was closed each time, and the log has a line of it at level debug, no more.
        let log = server.error_log();
        assert_eq!(log.matches("an endless body was closed").count(), 4);
        for line in log.lines().filter(|line| line.contains(GONE)) {
            assert!(line.contains(":debug]"), "{line}");
        }
        assert_eq!(server.get("/hello").text(), HELLO);
    }

    fn h34_a_client_that_leaves_in_its_upload(mpm) {
        let server = stock().mpm(mpm).start();
        for (count, path) in ["/probe/discard", "/probe/echo", "/probe/duplex", "/probe/early"]
            .into_iter()
            .enumerate()
        {
            let mut connection = send(
                &server,
                format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"),
            );
            if path != "/probe/early" {
                connection.write("x".repeat(1000));
            }
            connection.reset();
            // Gone, or cut off where the end came before the reset.
            server.wait_log_count("[rust:", count + 1);
        }
        assert_eq!(server.get("/hello").text(), HELLO);
    }
}

#[test]
fn h34_through_tls_and_http_2() {
    let server = quirks().mpm(Mpm::Event).tls(true).http2(true).start();
    let mut count = 0;
    for path in ["/quirks/endless?ms=10", "/probe/events?ms=50", "/probe/wait?ms=60000"] {
        for args in [
            ["--http1.1", &server.tls_url(path)],
            ["--http2", &server.tls_url(path)],
            ["--http2-prior-knowledge", &server.url(path)],
        ] {
            // curl leaves when its time is up, in the midst of the answer.
            let output = server.curl(&[&args[..], &["--max-time", "0.3"]].concat());
            let begin = Instant::now();
            assert_eq!(output.exit, Some(28), "{path}: {output:?}");
            count += 1;
            soon(&server, begin, GONE, count);
        }
    }
}

/// Descriptors, threads and memory of a process.
fn size(pid: i32) -> (usize, usize, u64) {
    let fds = proc::fds(pid).expect("the child's descriptors");
    (fds.len(), proc::threads(pid).unwrap(), proc::anon_kib(pid).unwrap())
}

#[test]
fn h34_two_thousand_clients_that_leave_cost_nothing() {
    let server = quirks().children(1).log_level("info").start();
    let pid = child(&server);
    let leave = |count: usize| {
        for path in [
            "/probe/stream?chunks=inf",
            "/probe/events?ms=20",
            "/probe/wait?ms=5",
            "/probe/bytes/99999999",
        ]
        .into_iter()
        .cycle()
        .take(count)
        {
            let mut connection = send(&server, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            connection.read_exact(5);
            connection.reset();
        }
        // All of them have ended once all threads serve again.
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(server.get("/probe/sleep?ms=50").status, 200));
            }
        });
    };
    leave(400);
    let before = size(pid);
    leave(2000);
    server.wait_for("as few descriptors as before", || size(pid).0 <= before.0);
    let after = size(pid);
    assert_eq!(after.1, before.1, "threads: {before:?}, {after:?}");
    assert!(after.2 < before.2 + 2048, "memory in KiB: {before:?}, {after:?}");
}

#[test]
fn h35_slow_readers_take_no_memory() {
    const READERS: usize = 60;
    let server = stock().children(1).threads(8).conf("Timeout 60").start();
    let pid = child(&server);
    server.get("/probe/bytes/10000000");
    let before = proc::anon_kib(pid).unwrap();
    let mut readers: Vec<_> = (0..READERS)
        .map(|_| {
            send(
                &server,
                "GET /probe/bytes/20000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            )
        })
        .collect();
    // One request for each thread is served, and only its head is read.
    let mut begun = 0;
    server.wait_for("the readers that are served", || {
        begun = readers.iter().filter(|reader| !reader.is_idle()).count();
        begun >= 8
    });
    assert_eq!(begun, 8, "each holds a thread");
    let grown = proc::anon_kib(pid).unwrap().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB for {READERS} readers that do not read");
    // They come to their end, whole.
    readers.truncate(24);
    std::thread::scope(|scope| {
        for mut reader in readers {
            scope.spawn(move || {
                let mut came = 0;
                reader.set_timeout(Duration::from_secs(60));
                let response = reader.read_response_with("GET", |bytes| came += bytes.len());
                assert!(response.end.is_complete() && came == 20_000_000, "{came}: {response:?}");
            });
        }
    });
    let grown = proc::anon_kib(pid).unwrap().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB when all have read");
}

#[test]
fn h35_slow_senders_take_no_memory() {
    const SENDERS: usize = 24;
    let server = stock().children(1).threads(8).conf("Timeout 60").start();
    let pid = child(&server);
    server.request("POST", "/probe/discard").body("x".repeat(100_000)).send();
    let before = proc::anon_kib(pid).unwrap();
    let length = 200_000;
    let head = format!(
        "POST /probe/discard HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    let mut senders: Vec<_> = (0..SENDERS).map(|_| send(&server, &head)).collect();
    // Each client gets one piece at a time.
    for _ in 0..100 {
        for sender in &mut senders {
            sender.write("x".repeat(length / 100));
        }
    }
    for sender in &mut senders {
        let response = sender.read_response();
        assert!(response.text().contains("\"length\": 200000,"), "{response:?}");
    }
    let grown = proc::anon_kib(pid).unwrap().saturating_sub(before);
    assert!(grown < 4 * 1024, "{grown} KiB for {SENDERS} slow senders");
}
