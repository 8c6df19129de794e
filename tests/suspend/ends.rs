//! Restarts and stops of httpd with requests that wait.

use httpd_testkit::Signal;

use crate::support::{begin, count_of, start, wait_until_waiting, waits};

#[test]
fn a_graceful_restart_waits_for_those_that_wait() {
    let server = start(waits(10));
    let old = server.children_pids();
    let mut connections: Vec<_> = (0..200).map(|_| begin(&server, "/waits/wait/4000")).collect();
    wait_until_waiting(&server, 200);
    server.graceful();
    server.wait_for("a new child", || server.children_pids().iter().any(|pid| !old.contains(pid)));
    assert_eq!(server.get("/waits/wait/2").text(), "waited 2 ms\n");
    for connection in &mut connections {
        assert_eq!(connection.read_response().text(), "waited 4000 ms\n");
    }
    drop(connections);
    server.wait_for("the end of the old child", || {
        server.children_pids().iter().all(|pid| !old.contains(pid))
    });
}

#[test]
fn a_graceful_stop_waits_for_those_that_wait() {
    let server = start(waits(10));
    let mut connections: Vec<_> = (0..50).map(|_| begin(&server, "/waits/wait/3000")).collect();
    wait_until_waiting(&server, 50);
    server.signal(server.pid(), Signal::WINCH);
    for connection in &mut connections {
        assert_eq!(connection.read_response().text(), "waited 3000 ms\n");
    }
}

#[test]
fn a_stop_and_a_restart_drop_those_that_wait() {
    for signal in [Signal::TERM, Signal::HUP] {
        let server = start(waits(10));
        let connections: Vec<_> = (0..50).map(|_| begin(&server, "/waits/wait/600000")).collect();
        // Its connection is kept: a thread that closes one when the signal comes may crash httpd, which
        // looks at the sockets of its threads then (event.c, close_worker_sockets).
        let mut page = server.connect();
        server.wait_for("the requests that wait", || {
            count_of(&page.request("GET", "/server-status?auto").send()) == 50
        });
        server.signal(server.pid(), signal);
        for mut connection in connections {
            assert!(connection.try_read_response("GET").is_err());
        }
        // Those that waited, and the test at first use.
        server.wait_for("the futures' end", || {
            server.error_log().matches("the future of wait was dropped").count() == 51
        });
    }
}
