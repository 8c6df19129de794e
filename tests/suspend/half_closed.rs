//! Clients that have shut down their sending side: RustServeHalfClosed.

use httpd_testkit::{Builder, Mpm, mpm_tests};

use crate::support::{begin, start, wait_until_waiting, waits};
use crate::upgrades::builder;

/// The probe in both modes.
fn probes(mpm: Mpm) -> Builder {
    builder(mpm, 4).conf("RustDaemonProcess app\nRustAppAlias /group probe process-group=app")
}

mpm_tests! {
    fn on_serves_them(mpm) {
        let server = probes(mpm).conf("RustServeHalfClosed On").start();
        for mode in ["/probe", "/group"] {
            let mut connection = begin(&server, &format!("{mode}/wait?ms=1200"));
            connection.close_write();
            assert_eq!(connection.read_response().text(), "waited 1200 ms\n", "{mode}");
            assert!(connection.is_closed());
            let mut connection = begin(&server, &format!("{mode}/events?ms=200"));
            connection.close_write();
            assert_eq!(connection.read_head().status, 200);
            for _ in 0..6 {
                assert!(connection.read_chunk().is_some(), "{mode}");
            }
            drop(connection);
            let mut connection = begin(&server, &format!("{mode}/stream?chunks=8&size=9&ms=150"));
            connection.close_write();
            assert!(connection.read_response().end.is_complete(), "{mode}");
        }
    }

    fn off_takes_them_for_gone(mpm) {
        let server = probes(mpm).start();
        for mode in ["/probe", "/group"] {
            let mut connection = begin(&server, &format!("{mode}/wait?ms=60000"));
            connection.close_write();
            assert!(connection.is_closed(), "{mode}");
        }
    }
}

/// A client that has broken its connection has gone in any case.
#[test]
fn on_notices_the_end_of_a_connection() {
    let server = start(waits(4).conf("RustServeHalfClosed On"));
    let mut connection = begin(&server, "/waits/wait/600000");
    wait_until_waiting(&server, 1);
    connection.close_write();
    assert!(connection.is_idle());
    connection.reset();
    wait_until_waiting(&server, 0);
    // Also on a thread.
    let server = waits(4).conf("RustServeHalfClosed On\nRustAsync Off").start();
    let mut connection = begin(&server, "/waits/wait/600000");
    server.wait_for("its thread", || crate::support::busy(&server) == 2);
    connection.close_write();
    connection.reset();
    server.wait_for("its end", || crate::support::busy(&server) == 1);
}
