//! Processes that have no thread or descriptor left for a request that waits: it gets a 503 whose
//! log line says why, and a later one is served again. `/quirks/limit` sets their limits.

use httpd_testkit::{Connection, Mpm, Server};

use super::embedded;

fn limited(mpm: Mpm) -> Server {
    embedded(mpm)
        .module("mod_quirks.so")
        .conf("RustAppAlias /quirks quirks")
        .allow_log("RUST0018")
        .start()
}

fn assert_told(server: &Server) {
    let line = server.wait_log("RUST0018");
    assert!(line.contains("answering 503") && !line.contains(".rs:"), "{line}");
}

/// The runtime is started with the first request to a service.
#[test]
fn a_runtime_without_threads() {
    let server = limited(Mpm::Event);
    assert_eq!(server.get("/quirks/limit?nproc=1").status, 200);
    assert_eq!(server.get("/api/wait/1").status, 503);
    assert_told(&server);
    assert_eq!(server.get("/quirks/limit").status, 200);
    assert_eq!(server.get("/api/wait/1").status, 200);
}

/// A thread's first request to a service makes a descriptor to wait with.
#[test]
fn a_wait_without_descriptors() {
    for mpm in [Mpm::Event, Mpm::Worker] {
        let server = limited(mpm);
        // Both are accepted while there are descriptors; httpd closes one after a 503.
        let (mut first, mut second) = (server.connect(), server.connect());
        let get = |connection: &mut Connection, target: &str| {
            connection.request("GET", target).send().status
        };
        assert_eq!(
            (get(&mut first, "/quirks/limit"), get(&mut second, "/quirks/limit")),
            (200, 200)
        );
        // Another thread has all that it needs, the runtime too, and is kept from other requests.
        let mut other = server.connect();
        other.write("GET /api/slow/1000 HTTP/1.1\r\nHost: x\r\n\r\n").read_head();
        assert_eq!(get(&mut first, "/quirks/limit?nofile=3"), 200);
        assert_eq!(get(&mut first, "/api/wait/100"), 503);
        assert_told(&server);
        assert_eq!(get(&mut second, "/quirks/limit"), 200);
        assert_eq!(get(&mut second, "/api/wait/1"), 200);
    }
}
