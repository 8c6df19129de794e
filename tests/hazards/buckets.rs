//! Hazard 17: what goes through httpd's filters. Tiny writes, huge bodies, and filters that change
//! or slow down what passes.

use std::time::{Duration, Instant};

use httpd_testkit::{BodyEnd, Mpm, Server, mpm_tests, proc};

use crate::support::{child, probe_at, quirks, stock, writes};

/// Requests `path` once, so that lasting allocations are made, and returns the child.
fn warm(server: &Server, path: &str) -> i32 {
    assert_eq!(server.get(path).status, 200);
    child(server)
}

mpm_tests! {
    fn h17_tiny_writes_are_gathered(mpm) {
        const COUNT: u64 = 100_000;
        let server = quirks().mpm(mpm).children(1).start();
        let pid = warm(&server, "/quirks/tiny?n=1000");
        let (memory, calls) = (proc::anon_kib(pid).unwrap(), writes(pid));
        for _ in 0..5 {
            let response = server.get(&format!("/quirks/tiny?n={COUNT}"));
            assert_eq!(response.end, BodyEnd::Chunked);
            assert!(
                response.body.len() as u64 == COUNT && response.body.iter().all(|&b| b == b'x')
            );
        }
        let calls = (writes(pid) - calls) / 5;
        // The access log's line, and the body in pieces of 8 KiB at the least.
        assert!(calls <= 2 + COUNT / 8192, "{calls} writes for {COUNT} bytes");
        let growth = proc::anon_kib(pid).unwrap().saturating_sub(memory);
        assert!(growth < 2048, "{growth} KiB more memory for {COUNT} tiny writes");
    }
}

#[test]
fn h17_flushed_chunks_go_out_one_by_one_in_constant_memory() {
    const COUNT: u64 = 100_000;
    let server = stock().children(1).start();
    let pid = warm(&server, "/probe/stream?chunks=1000&size=1");
    let (memory, calls) = (proc::anon_kib(pid).unwrap(), writes(pid));
    let response = server.get(&format!("/probe/stream?chunks={COUNT}&size=1"));
    assert_eq!((response.end, response.body.len() as u64), (BodyEnd::Chunked, COUNT));
    // One call a chunk, as it was asked for, and none more for its framing.
    let calls = writes(pid) - calls;
    assert!((COUNT..COUNT + 10).contains(&calls), "{calls} writes for {COUNT} chunks");
    let growth = proc::anon_kib(pid).unwrap().saturating_sub(memory);
    assert!(growth < 2048, "{growth} KiB more memory");
}

/// Reads `path` to its end and returns by how much the child's memory grew meanwhile, at most.
fn growth(server: &Server, path: &str, length: u64) -> u64 {
    let pid = child(server);
    let before = proc::anon_kib(pid).unwrap();
    let (mut came, mut most, mut wrong) = (0_u64, before, 0_u64);
    let mut connection = server.connect();
    connection.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let response = connection.read_response_with("GET", |bytes| {
        // A sample a block is enough, and reading all of it would take this test's time.
        wrong += u64::from(u64::from(bytes[0]) != came % 251 && path.contains("bytes"));
        let whole = came >> 26;
        came += bytes.len() as u64;
        if came >> 26 > whole {
            most = most.max(proc::anon_kib(pid).unwrap());
        }
    });
    assert!(response.end.is_complete(), "{path}: {response:?}");
    assert_eq!((came, wrong), (length, 0), "{path}");
    most.max(proc::anon_kib(pid).unwrap()) - before
}

mpm_tests! {
    fn h17_a_gigabyte_streams_through_in_constant_memory(mpm) {
        let server = stock().mpm(mpm).children(1).start();
        warm(&server, "/probe/bytes/10000000");
        // The MPMs differ in who writes and not in how much: the whole gigabyte on one of them.
        let chunks = if mpm == Mpm::Event { 1024 } else { 128 };
        let (path, length) = (format!("/probe/bytes/{}", chunks << 20), chunks << 20);
        let grown = growth(&server, &path, length);
        assert!(grown < 2048, "{grown} KiB more memory for {chunks} MiB of known length");
        // Without a length and flushed chunk by chunk.
        let chunks = chunks / 4;
        let path = format!("/probe/stream?chunks={chunks}&size=1048576");
        let grown = growth(&server, &path, chunks << 20);
        assert!(grown < 4096, "{grown} KiB more memory for {chunks} MiB in chunks");
    }
}

#[test]
fn h17_a_large_upload_is_echoed_in_constant_memory() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 4096;
    let server = stock().children(1).start();
    let pid = child(&server);
    let pieces = |count| std::iter::repeat_n(vec![b'u'; PIECE], count);
    server.request("POST", "/probe/echo").chunks(pieces(64)).send();
    let before = proc::anon_kib(pid).unwrap();
    let mut came = 0;
    let request = server.request("POST", "/probe/echo").chunks(pieces(PIECES));
    let response = request.send_with(|bytes| came += bytes.len());
    assert_eq!((response.end, came), (BodyEnd::Chunked, PIECE * PIECES));
    let grown = proc::anon_kib(pid).unwrap().saturating_sub(before);
    assert!(grown < 2048, "{grown} KiB more memory for an echo of 256 MiB");
}

#[test]
fn h17_filters_work() {
    let server = stock()
        .load("filter")
        .load("deflate")
        .load("substitute")
        .load("ratelimit")
        .load("env")
        .conf(&probe_at("/squeezed", "SetOutputFilter DEFLATE"))
        .conf(&probe_at("/changed", "SetOutputFilter SUBSTITUTE\nSubstitute s/xxx/yy/"))
        .conf(&probe_at("/slow", "SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 200"))
        .conf("SubstituteMaxLineLength 2M")
        .start();
    let bytes: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8).collect();
    for (path, whole) in
        [("/bytes/300000", bytes), ("/stream?chunks=300&size=1000", vec![b'x'; 300_000])]
    {
        let output = server.curl(&["--compressed", &server.url(&format!("/squeezed{path}"))]);
        assert_eq!(output.exit, Some(0), "{output:?}");
        assert!(output.stdout == whole, "{path}: {} bytes inflated", output.stdout.len());
        let raw =
            server.request("GET", &format!("/squeezed{path}")).header("Accept-Encoding", "gzip");
        let raw = raw.send();
        assert_eq!(raw.header("content-encoding"), Some("gzip"), "{raw:?}");
        assert!(raw.end.is_complete() && raw.body.len() < whole.len() / 10, "{raw:?}");
    }
    // mod_ratelimit waits a fifth of a second after each flush as well.
    for path in ["/bytes/200000", "/stream?chunks=4&size=50000"] {
        let begin = Instant::now();
        let slow = server.get(&format!("/slow{path}"));
        assert!(slow.end.is_complete() && slow.body.len() == 200_000, "{path}: {slow:?}");
        // 195 KiB at 200 KiB a second, of which the first fifth of a second's is free.
        assert!(begin.elapsed() > Duration::from_millis(500), "{path}: {:?}", begin.elapsed());
    }
    let changed = server.get("/changed/stream?chunks=100&size=300");
    assert!(changed.end.is_complete(), "{changed:?}");
    assert_eq!(changed.body, vec![b'y'; 20_000], "{} bytes", changed.body.len());
    let changed = server.get("/changed/status/200");
    assert_eq!(changed.text(), "200 OK\n");
}
