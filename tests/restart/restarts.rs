//! Graceful restarts, restarts and stops while a load runs.

use httpd_testkit::{BodyEnd, Mpm, Server, Signal, mpm_tests, proc};

use crate::load::{Fate, Load, Tally};
use crate::targets::{CLIENTS, Gateway, TARGETS};

fn server(mpm: Mpm) -> httpd_testkit::Builder {
    Gateway::Embedded.server(mpm)
}

/// Checks that the access log counts as many answered requests as the clients do.
fn hold_against_log(server: &Server, tally: &Tally) {
    for target in TARGETS {
        let line = format!("\"{} {} HTTP/1.1\" 200 ", target.method, target.path);
        let answered = tally.answered(target.path);
        let mut logged = 0;
        server.wait_for("the access log", || {
            logged = server.access_log().matches(&line).count() as u64;
            logged >= answered
        });
        assert_eq!(logged, answered, "{} {}\n{tally}", target.method, target.path);
    }
}

fn graceful_restarts_lose_nothing(gateway: Gateway, mpm: Mpm) {
    let server = gateway.server(mpm).start();
    let tally = Load::run(&server, TARGETS, CLIENTS, |load| {
        for _ in 0..20 {
            load.wait_for_answers(40);
            server.graceful();
        }
        load.wait_for_answers(50);
    });
    println!("{gateway}, {mpm}:\n{tally}");
    for fate in [Fate::Refused, Fate::Cut, Fate::Wrong, Fate::Hung] {
        assert_eq!(tally.count(fate), 0, "{fate:?} with {gateway}, {mpm}\n{tally}");
    }
    assert!(tally.count(Fate::Answered) >= 20 * 40);
    hold_against_log(&server, &tally);
    assert_eq!(proc::threads(server.pid()).unwrap(), 1);
}

fn restarts_break_visibly(gateway: Gateway, mpm: Mpm) {
    let server = gateway.server(mpm).start();
    let tally = Load::run(&server, TARGETS, CLIENTS, |load| {
        for _ in 0..5 {
            load.wait_for_answers(40);
            // This kills the children in any state.
            server.restart();
        }
        load.wait_for_answers(100);
    });
    println!("{mpm}:\n{tally}");
    for fate in [Fate::Wrong, Fate::Hung] {
        assert_eq!(tally.count(fate), 0, "{fate:?} with {mpm}\n{tally}");
    }
    assert_eq!(server.get("/hello").text(), "Hello, world\n");
    // Each child ended on request, in any state. A loaded machine may take longer than the 3 s after
    // which httpd asks again, but not the 9 s after which it kills.
    let log = server.error_log();
    assert!(!log.contains("still did not exit, sending a SIGKILL"), "{log}");
}

fn stop_answers_what_it_has_begun(gateway: Gateway, mpm: Mpm) {
    let server = gateway.server(mpm).start();
    let tally = Load::run(&server, TARGETS, CLIENTS, |load| {
        load.wait_for_answers(100);
        server.signal(server.pid(), Signal::WINCH);
        server.wait_for("the end", || !proc::is_alive(server.pid()));
    });
    println!("{mpm}:\n{tally}");
    // New connections are refused, but running requests complete.
    for fate in [Fate::Cut, Fate::Wrong, Fate::Hung] {
        assert_eq!(tally.count(fate), 0, "{fate:?} with {mpm}\n{tally}");
    }
    let children = server.children_pids();
    assert!(children.is_empty(), "{children:?}");
}

mpm_tests! {
    fn twenty_graceful_restarts_lose_nothing(mpm) {
        graceful_restarts_lose_nothing(Gateway::Embedded, mpm);
    }

    fn twenty_graceful_restarts_of_process_groups_lose_nothing(mpm) {
        graceful_restarts_lose_nothing(Gateway::Daemon, mpm);
    }

    fn five_restarts_break_requests_visibly(mpm) {
        restarts_break_visibly(Gateway::Embedded, mpm);
    }

    fn five_restarts_of_process_groups_break_requests_visibly(mpm) {
        restarts_break_visibly(Gateway::Daemon, mpm);
    }

    fn a_graceful_stop_answers_what_it_has_begun(mpm) {
        stop_answers_what_it_has_begun(Gateway::Embedded, mpm);
    }

    fn a_graceful_stop_of_process_groups_answers_what_it_has_begun(mpm) {
        stop_answers_what_it_has_begun(Gateway::Daemon, mpm);
    }

    fn the_end_of_a_process_cuts_its_answers_visibly(mpm) {
        let server = server(mpm).children(1).allow_log("exit signal Killed").start();
        let endless = "/probe/stream?chunks=inf&size=1000&ms=10";
        let known = "/probe/bytes/9000000000";
        let chunked_upload = "POST /probe/echo HTTP/1.1\r\nHost: x\r\n\
                              Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        for end in ["kill", "restart"] {
            for request in [
                format!("GET {known} HTTP/1.1\r\nHost: x\r\n\r\n"),
                chunked_upload.to_owned(),
                // Without chunks and without a length nothing but a reset tells that it is cut.
                format!("GET {endless} HTTP/1.0\r\n\r\n"),
            ] {
                if end == "restart" && !request.contains("HTTP/1.0") {
                    continue;
                }
                server.wait_for("the child", || server.children_pids().len() == 1);
                let child = server.children_pids()[0];
                let mut connection = server.connect();
                connection.write(&request);
                server.wait_for("the answer", || !connection.is_idle());
                if end == "kill" {
                    server.signal(child, Signal::KILL);
                    server.wait_for("its end", || !proc::is_alive(child));
                } else {
                    server.restart();
                }
                // A reset may take even the head with it.
                if let Ok(response) = connection.try_read_response("GET") {
                    assert!(response.end.is_truncated(), "{end} {request}: {:?}", response.end);
                }
                assert_eq!(server.get("/hello").text(), "Hello, world\n");
            }
        }
        // And what is whole is whole over HTTP/1.0 too.
        for (path, length) in [
            ("/probe/stream?chunks=5&size=1000", 5000),
            ("/probe/stream?chunks=50&size=100000", 5_000_000),
        ] {
            let mut connection = server.connect();
            connection.write(format!("GET {path} HTTP/1.0\r\n\r\n"));
            let response = connection.read_response();
            assert_eq!(response.end, BodyEnd::Close, "{path}: {response:?}");
            assert_eq!(response.body.len(), length);
        }
    }
}
