//! Waits for a waker, and what goes on around them on the connection.

use httpd_testkit::{BodyEnd, Mpm, Server};

use crate::support::{begin, busy, get, start, wait_until_waiting, waiting, waits};

/// The bytes of `/late/…`.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

#[test]
fn five_hundred_wait_on_ten_threads() {
    let server = start(waits(10));
    let mut connections: Vec<_> = (0..500).map(|_| begin(&server, "/waits/wait/4000")).collect();
    wait_until_waiting(&server, 500);
    server.wait_for("all threads but that of the page", || busy(&server) == 1);
    for connection in &mut connections {
        let response = connection.read_response();
        assert_eq!((response.status, response.text()), (200, "waited 4000 ms\n"));
    }
    wait_until_waiting(&server, 0);
    let log = server.access_log();
    assert_eq!(log.lines().filter(|line| line.contains("/wait/4000 HTTP/1.1\" 200 ")).count(), 500);
}

#[test]
fn a_connection_goes_on_after_a_wait() {
    let server = start(waits(4));
    let mut connection = server.connect();
    for round in 0..20 {
        let response = connection.request("GET", &format!("/waits/wait/{round}")).send();
        assert_eq!((response.status, response.text()), (200, &*format!("waited {round} ms\n")));
        let response = connection.request("GET", "/waits/late/5/1000000").send();
        assert!(response.body == pattern(1_000_000), "{} bytes", response.body.len());
        let response = connection.request("HEAD", "/waits/late/5/1000").send();
        assert_eq!((response.status, response.body.len()), (200, 0));
        assert_eq!(response.header("content-length"), Some("1000"));
        let response = connection.request("GET", "/nothing").send();
        assert_eq!(response.status, 404);
        let response = connection.request("GET", "/waits/drip/3/5/10").send();
        assert_eq!(response.text(), "000000000011111111112222222222");
        assert_eq!(response.end, BodyEnd::Chunked);
        let response = connection.request("GET", "/waits/status/5/418").send();
        assert_eq!(response.status, 418);
        let response = connection.request("GET", "/waits/yield/200").send();
        assert_eq!(response.text(), "yielded 200 times\n");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = start(waits(4));
    let mut connection = server.connect();
    let targets = ["/waits/wait/20", "/nothing", "/waits/yield/3", "/waits/late/1/70000"];
    let all: String = targets.iter().cycle().take(32).map(|target| get(target)).collect();
    connection.write(all);
    for target in targets.iter().cycle().take(32) {
        let response = connection.read_response();
        match *target {
            "/waits/wait/20" => assert_eq!(response.text(), "waited 20 ms\n"),
            "/nothing" => assert_eq!(response.status, 404),
            "/waits/yield/3" => assert_eq!(response.text(), "yielded 3 times\n"),
            _ => assert!(response.body == pattern(70_000), "{}", response.body.len()),
        }
    }
}

#[test]
fn bytes_that_come_meanwhile_are_the_next_request() {
    let server = start(waits(4));
    let mut connection = begin(&server, "/waits/wait/1000");
    wait_until_waiting(&server, 1);
    connection.write(get("/waits/wait/7"));
    assert_eq!(waiting(&server), 1);
    assert_eq!(connection.read_response().text(), "waited 1000 ms\n");
    assert_eq!(connection.read_response().text(), "waited 7 ms\n");
}

#[test]
fn http_1_0_and_a_connection_that_closes() {
    let server = start(waits(4));
    let mut connection = server.connect();
    connection.write("GET /waits/wait/50 HTTP/1.0\r\n\r\n");
    assert!(connection.read_to_end().ends_with(b"\r\n\r\nwaited 50 ms\n"));
    let mut connection = server.connect();
    connection.write("GET /waits/drip/3/20/5 HTTP/1.0\r\n\r\n");
    assert!(connection.read_to_end().ends_with(b"\r\n\r\n000001111122222"));
    let mut connection = server.connect();
    connection.write("GET /waits/wait/50 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(connection.read_response().text(), "waited 50 ms\n");
    assert!(connection.is_closed());
}

#[test]
fn a_future_that_wakes_itself_gets_in_line() {
    let server = start(waits(2));
    let mut busy = begin(&server, "/waits/busy/2000");
    for _ in 0..5 {
        assert_eq!(server.get("/waits/yield/1").text(), "yielded 1 times\n");
    }
    assert!(busy.is_idle());
    assert_eq!(busy.read_response().text(), "busy for 2000 ms\n");
}

/// It is the first that might leave its thread, and is over before it does.
#[test]
fn a_future_that_goes_on_at_once_leaves_the_test_to_the_next() {
    let server = waits(2).start();
    for count in 1..4 {
        let target = format!("/waits/yield/{count}");
        assert_eq!(server.get(&target).text(), format!("yielded {count} times\n"));
    }
    assert_eq!(server.get("/waits/wait/100").text(), "waited 100 ms\n");
    server.wait_log("RUST0044");
}

#[test]
fn panics_after_a_wait() {
    let server = start(waits(4).allow_log("RUST0004").allow_log("RUST0018").allow_log("panicked"));
    let mut connection = server.connect();
    let response = connection.request("GET", "/waits/panic/20").send();
    assert_eq!(response.status, 500);
    let mut connection = begin(&server, "/waits/broken/20");
    let response = connection.read_response();
    assert!(response.end.is_truncated(), "{response:?}");
    assert_eq!(server.get("/waits/wait/3").text(), "waited 3 ms\n");
    wait_until_waiting(&server, 0);
}

/// Longer than Timeout, which bounds waits for the client, and not for the application.
#[test]
fn a_wait_may_be_longer_than_the_timeout() {
    let server = start(waits(4).conf("Timeout 1"));
    let mut connection = begin(&server, "/waits/wait/3500");
    assert_eq!(connection.read_response().text(), "waited 3500 ms\n");
    assert_eq!(connection.request("GET", "/waits/wait/2").send().text(), "waited 2 ms\n");
}

#[test]
fn a_client_that_leaves_ends_the_wait_at_once() {
    let server = start(waits(4).log_level("info waits_module:debug"));
    for reset in [false, true] {
        let connection = begin(&server, "/waits/wait/600000");
        wait_until_waiting(&server, 1);
        if reset {
            connection.reset();
        } else {
            drop(connection);
        }
        wait_until_waiting(&server, 0);
    }
    server.wait_log_count("RUST0003", 2);
    // That of the test at first use, and those of the clients that left.
    assert_eq!(server.error_log().matches("the future of wait was dropped").count(), 3);
    let log = server.access_log();
    assert_eq!(log.lines().filter(|line| line.contains("/wait/600000")).count(), 2, "{log}");
    // In the midst of a stream.
    let mut connection = begin(&server, "/waits/drip/100000/10/100");
    assert_eq!(connection.read_head().status, 200);
    drop(connection);
    server.wait_log("nobody takes the drip");
}

/// It sends no more, with another request sent before, and then breaks its connection.
#[test]
fn a_client_that_leaves_in_two_steps() {
    let server = start(waits(4));
    let mut connection = begin(&server, "/waits/wait/600000");
    wait_until_waiting(&server, 1);
    connection.write(get("/waits/wait/3")).close_write();
    // It may still read.
    assert!(connection.is_idle());
    assert_eq!(waiting(&server), 1);
    connection.reset();
    wait_until_waiting(&server, 0);
}

#[test]
fn slow_requests_are_logged_at_their_end() {
    let server = start(waits(4).conf("RustSlowRequests 200ms"));
    assert_eq!(server.get("/waits/wait/400").text(), "waited 400 ms\n");
    let lines = server.wait_log_count("RUST0035", 1);
    assert!(lines[0].contains("/waits/wait/400") && lines[0].contains("embedded"), "{lines:?}");
}

#[test]
fn off_waits_on_the_thread() {
    let server = waits(4).conf("RustAsync Off").start();
    let mut connection = begin(&server, "/waits/wait/1000");
    server.wait_for("its thread", || busy(&server) == 2);
    assert_eq!(waiting(&server), 0);
    assert_eq!(connection.read_response().text(), "waited 1000 ms\n");
    let server = waits(4).conf("RustAsync On").start();
    let mut connection = begin(&server, "/waits/wait/1000");
    wait_until_waiting(&server, 1);
    assert_eq!(connection.read_response().text(), "waited 1000 ms\n");
    assert!(!server.error_log().contains("RUST0044"));
}

/// Other MPMs keep the thread.
#[test]
fn prefork_and_worker_wait_on_the_thread() {
    for mpm in [Mpm::Prefork, Mpm::Worker] {
        let builder = Server::builder().module("mod_waits.so").mpm(mpm);
        let server = builder.conf("RustAppAlias /waits waits\nRustAsync On").start();
        let mut connection = server.connect();
        for target in ["/waits/wait/30", "/waits/wait/31"] {
            assert_eq!(connection.request("GET", target).send().status, 200);
        }
    }
}
