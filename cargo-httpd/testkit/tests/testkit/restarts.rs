//! Graceful and other restarts, and ends.

use std::time::Instant;

use httpd_testkit::{BodyEnd, Server, Signal, mpm_tests, proc};

const SIZE: usize = 64 << 20;

mpm_tests! {
    fn a_graceful_restart_finishes_what_is_being_answered(mpm) {
        let server = Server::builder()
            .mpm(mpm)
            .load("headers")
            .conf("Header set X-Generation one\nTimeout 60")
            .file("htdocs/big", vec![b'x'; SIZE])
            .file("htdocs/small", "small")
            .start();
        let old = server.children_pids();
        // The handler cannot end: the client has read no more than the head.
        let mut slow = server.connect();
        slow.write("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(slow.read_head().header("x-generation"), Some("one"));

        server.write_config(&server.config().replace("X-Generation one", "X-Generation two"));
        server.graceful();
        let new: Vec<_> =
            server.children_pids().into_iter().filter(|pid| !old.contains(pid)).collect();
        assert!(!new.is_empty(), "{old:?}");
        for _ in 0..20 {
            assert_eq!(server.get("/small").header("x-generation"), Some("two"));
        }
        let mut left = SIZE;
        while left > 0 {
            left -= slow.read_exact(left.min(1 << 20)).len();
        }
        assert!(slow.is_closed());
        server.wait_for("the end of the old generation", || {
            old.iter().all(|&pid| !proc::is_alive(pid))
        });
    }

    fn a_restart_cuts_what_is_being_answered(mpm) {
        let server = Server::builder()
            .mpm(mpm)
            .file("htdocs/big", vec![b'x'; SIZE])
            .file("htdocs/small", "small")
            .start();
        let old = server.children_pids();
        let mut slow = server.connect();
        let request = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
        slow.write(request);
        slow.read_head();
        server.restart();
        assert!(old.iter().all(|&pid| !proc::is_alive(pid)), "{old:?}");
        assert_eq!(server.get("/small").text(), "small");
        assert!(slow.read_to_end().len() < SIZE);
    }

    fn a_killed_child_truncates_its_response(mpm) {
        let server = Server::builder()
            .mpm(mpm)
            .children(1)
            .file("htdocs/big", vec![b'x'; SIZE])
            .start();
        server.wait_for("the child", || server.children_pids().len() == 1);
        let child = server.children_pids()[0];
        let mut connection = server.connect();
        connection.write("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
        // Its head is there, so the child is in the middle of the answer.
        server.wait_for("the answer", || !connection.is_idle());
        server.signal(child, Signal::KILL);
        server.wait_for("its end", || !proc::is_alive(child));
        let response = connection.read_response();
        assert!(matches!(response.end, BodyEnd::Truncated(_)), "{response:?}");
        // The parent starts another.
        assert_eq!(server.get("/").status, 404);
    }

    fn a_stop_leaves_nothing(mpm) {
        let server = Server::builder().mpm(mpm).load("cgid").start();
        let pids = server.children_pids();
        assert!(pids.len() >= 2, "{pids:?}");
        server.stop();
        server.stop();
        assert!(!proc::is_alive(server.pid()));
        assert!(pids.iter().all(|&pid| !proc::is_alive(pid)), "{pids:?}");
        assert!(server.error_log().contains("shutting down"), "{}", server.error_log());
        assert!(server.problems().is_empty());
    }

    fn a_stop_does_not_wait_for_idle_clients(mpm) {
        let builder = Server::builder().mpm(mpm).file("htdocs/a.txt", "a");
        let server = builder.conf("KeepAliveTimeout 600").start();
        let mut idle = server.connect();
        assert_eq!(idle.request("GET", "/a.txt").send().text(), "a");
        let begin = Instant::now();
        server.stop();
        assert!(begin.elapsed() < server.patience(), "{:?}", begin.elapsed());
        assert!(idle.is_closed());
        assert!(server.problems().is_empty(), "{:?}", server.problems());
    }

    fn restarts_follow_each_other(mpm) {
        let server = Server::builder().mpm(mpm).file("htdocs/a.txt", "a").start();
        for _ in 0..5 {
            server.graceful();
            assert_eq!(server.get("/a.txt").text(), "a");
        }
        server.restart();
        assert_eq!(server.get("/a.txt").text(), "a");
        assert_eq!(server.wait_log_count("resuming normal operations", 7).len(), 7);
    }
}
