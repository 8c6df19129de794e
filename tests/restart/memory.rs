//! Memory of the children after many requests: what a request leaves behind would show.

use std::time::Duration;

use httpd_testkit::{Mpm, Server, mpm_tests, proc};

use crate::many;

/// Returns the private memory of all children together, in KiB.
fn memory(server: &Server) -> u64 {
    server.children_pids().into_iter().map(|pid| proc::anon_kib(pid).unwrap()).sum()
}

mpm_tests! {
    fn a_hundred_thousand_requests_leave_nothing(mpm) {
        let server = Server::builder()
            .mpm(mpm)
            .module("mod_rust.so")
            .conf(many::CONF)
            .children(if mpm == Mpm::Prefork { 4 } else { 1 })
            // With every thread busy, event would close connections that are kept alive.
            .threads(16)
            .log_level("warn")
            .file(many::BODY, "b".repeat(2000))
            .patience(Duration::from_secs(60))
            .start();
        // The cost of a request does not depend on the MPM, so one of them gets all requests.
        let requests = if mpm == Mpm::Event { 100_000 } else { 25_000 };
        many::send(&server, requests / 5, 4);
        let (before, children) = (memory(&server), server.children_pids());
        many::send(&server, requests, 4);
        let after = memory(&server);
        println!("{mpm}: {before} KiB before, {after} KiB after");
        assert_eq!(server.children_pids(), children, "a child has been replaced");
        // Four bytes a request would be as much on event.
        assert!(after < before + 400 * children.len() as u64, "{before} KiB, {after} KiB");
    }
}
