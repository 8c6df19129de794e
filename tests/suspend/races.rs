//! Events that come at the same moment as a time-out, and slow clients of TLS.

use std::thread;
use std::time::{Duration, Instant};

use httpd_testkit::{Connection, Server};

use crate::support::{begin, busy, start, wait_until_waiting, waits};

/// Sleeps until a moment after `begun`: the moment is what the test is about.
fn sleep_until(begun: Instant, ms: u64) {
    let moment = begun + Duration::from_millis(ms);
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// Checks that nothing comes behind an answer, and that the connection goes on if it is open.
fn has_one_answer(mut connection: Connection, server: &Server) {
    if connection.is_idle() {
        let response = connection.request("GET", "/waits/wait/1").send();
        assert_eq!(response.text(), "waited 1 ms\n");
    } else {
        assert!(connection.is_closed(), "a second answer");
        assert_eq!(server.get("/waits/wait/1").status, 200);
    }
}

/// Futures that are ready around the time of the looks for what waits too long.
#[test]
fn waits_that_end_with_the_timeout() {
    let server = start(waits(4).conf("Timeout 1"));
    for moment in [250, 500, 1000, 2000] {
        let waits = (0..60).map(|step| moment - 60 + 2 * step);
        let mut all: Vec<_> =
            waits.map(|ms| (ms, begin(&server, &format!("/waits/wait/{ms}")))).collect();
        for (ms, connection) in &mut all {
            assert_eq!(connection.read_response().text(), format!("waited {ms} ms\n"));
        }
        all.into_iter().for_each(|(_, connection)| has_one_answer(connection, &server));
    }
    wait_until_waiting(&server, 0);
}

/// The last piece of a body comes around the time at which the client is given up.
#[test]
fn uploads_that_end_with_the_timeout() {
    let server = start(waits(4).conf("Timeout 1"));
    let head = "POST /waits/length/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345";
    let mut all: Vec<_> = (0..80).map(|_| server.connect()).collect();
    let begun = Instant::now();
    all.iter_mut().for_each(|connection| {
        connection.write(head);
    });
    for (step, connection) in (0..).zip(&mut all) {
        sleep_until(begun, 300 + 20 * step);
        // Its connection may be closed.
        let _ = connection.try_write(b"67890");
    }
    let (mut whole, mut late) = (0, 0);
    for mut connection in all {
        match connection.try_read_response("POST") {
            Ok(response) if response.status == 200 => {
                assert_eq!(response.text(), "10 bytes\n");
                whole += 1;
                has_one_answer(connection, &server);
            }
            Ok(response) => {
                assert_eq!(response.status, 400, "{response:?}");
                late += 1;
            }
            // A reset has taken the answer along: what was sent came after the end.
            Err(_) => late += 1,
        }
    }
    assert!(whole > 0 && late > 0, "{whole} were in time, and {late} too late");
    wait_until_waiting(&server, 0);
}

/// Readers that go on around the time at which they are given up.
#[test]
fn readers_that_go_on_with_the_timeout() {
    const SIZE: usize = 20_000_000;
    let server = start(waits(4).conf("Timeout 1"));
    let begun = Instant::now();
    let readers: Vec<_> = (0..20)
        .map(|step| {
            let mut connection = begin(&server, &format!("/waits/late/5/{SIZE}"));
            thread::spawn(move || {
                sleep_until(begun, 800 + 20 * step);
                // One that was given up may be reset before it has read anything.
                let Ok(response) = connection.try_read_response("GET") else { return };
                let came = response.body.len();
                assert_eq!(response.end.is_complete(), came == SIZE, "{came} bytes");
            })
        })
        .collect();
    readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    wait_until_waiting(&server, 0);
}

/// Slow clients of TLS hold no thread, in neither direction.
#[test]
fn slow_clients_of_tls() {
    let server = start(waits(3).tls(true).conf("Timeout 20"));
    let (late, length) =
        (server.tls_url("/waits/late/5/12000000"), server.tls_url("/waits/length/5"));
    let body = "u".repeat(100_000);
    server.write_file("htdocs/body", &body);
    let file = format!("@{}", server.root().join("htdocs/body").display());
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .flat_map(|_| {
                [
                    scope.spawn(|| {
                        let written = "%{http_code} %{size_download}";
                        let args =
                            ["-so", "/dev/null", "--limit-rate", "1500K", "-w", written, &late];
                        assert!(server.curl(&args).text().ends_with("200 12000000"));
                    }),
                    scope.spawn(|| {
                        let args = ["-s", "--limit-rate", "12K", "--data-binary", &file, &length];
                        assert!(server.curl(&args).text().ends_with("100000 bytes\n"));
                    }),
                ]
            })
            .collect();
        wait_until_waiting(&server, 8);
        // Each of them has a thread at times: there is one for others.
        server.wait_for("the threads", || busy(&server) == 1);
        for _ in 0..20 {
            assert_eq!(server.get("/waits/wait/3").text(), "waited 3 ms\n");
        }
        clients.into_iter().for_each(|client| client.join().expect("an answer"));
    });
    wait_until_waiting(&server, 0);
}
