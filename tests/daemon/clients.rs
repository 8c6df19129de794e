//! Clients that leave, and answers that come before the request is whole.

use httpd_testkit::{Mpm, mpm_tests, proc};

use crate::support::{child_of, pid, run, setup};

#[test]
fn a_client_that_leaves_the_queue_is_not_served() {
    let stage = setup("threads=1").start();
    let (mut held, _) = stage.hold("held");
    let queued = stage.send(&run("queued", "here"));
    stage.wait_for("a request in the queue", || stage.running() == 2);
    queued.reset();
    stage.wait_access_log("name=queued");
    stage.gates.open("held");
    pid(&held.read_response());
    stage.wait_for("rest", || stage.running() == 0);
    stage.pid_of_answer();
    assert!(stage.gates.marks("queued").is_empty(), "no client waits for it");
}

#[test]
fn a_client_that_leaves_a_running_request() {
    let stage = setup("threads=2").start();
    let (held, of) = stage.hold("held");
    held.reset();
    stage.wait_access_log("name=held");
    stage.wait_log("RUST0003");
    // The application cannot be stopped: its thread is busy until it is done.
    assert_eq!(stage.pid_of_answer(), of);
    stage.gates.open("held");
    stage.wait_for("rest", || stage.running() == 0);
    assert_eq!(stage.pid_of_answer(), of);
}

#[test]
fn a_client_that_leaves_a_stream() {
    let stage = setup("threads=2").probe("threads=2").start();
    let of = stage.group("probe").wait_ready(1);
    for target in ["/probe/stream?chunks=inf&ms=5", "/probe/bytes/999999999", "/probe/events?ms=5"]
    {
        let mut stream = stage.send(target);
        stream.read_exact(100);
        stream.reset();
        stage.wait_for("rest", || {
            stage.figure("probe", "Running") == 0 && stage.figure("probe", "Parked") == 0
        });
    }
    assert_eq!(stage.group("probe").wait_ready(1), of);
}

#[test]
fn memory_of_lost_clients_is_returned() {
    const CLIENTS: usize = 8;
    let stage = setup("threads=2")
        .probe("threads=8 response-buffer-size=8M")
        .with(|builder| builder.mpm(Mpm::Event).children(1).threads(16))
        .start();
    let child = child_of(&stage);
    let mib = || proc::anon_kib(child).expect("its memory") / 1024;
    let before = mib();
    for _ in 0..2 {
        let streams: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut stream = stage.send("/probe/bytes/999999999");
                stream.read_exact(100);
                stream
            })
            .collect();
        stage.wait_for("8 MiB for each", || mib() > before + 7 * CLIENTS as u64);
        streams.into_iter().for_each(httpd_testkit::Connection::reset);
        // The tops of malloc's arenas may stay: 17 to 24 MiB have been seen.
        stage.wait_for("it to be given back", || mib() < before + 32);
    }
}

#[test]
fn an_early_answer_leaves_the_process_fit() {
    let stage = setup("threads=2").probe("threads=2").start();
    let of = stage.group("probe").wait_ready(1);
    for (path, status) in [("/probe/early", 403), ("/probe/unread", 200)] {
        for size in [1, 5_000, 300_000] {
            for _ in 0..5 {
                // The answer is there whether or not httpd takes the rest of the body.
                let mut connection = stage.connect();
                connection.write(format!(
                    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                    2 * size
                ));
                connection.write(vec![b'e'; size]);
                let head = connection.read_head();
                assert_eq!(head.status, status, "{path}");
                drop(connection);
            }
        }
    }
    stage.wait_for("rest", || stage.figure("probe", "Running") == 0);
    assert_eq!(stage.group("probe").wait_ready(1), of);
}

mpm_tests! {
    /// The application makes an answer of the read that failed, and takes its time. So much of it
    /// is left that the client has to read before the end.
    fn a_client_that_sends_no_more_in_its_upload_is_waited_for(mpm) {
        const SIZE: usize = 20_000_000;
        let stage = setup("threads=2").mpm(mpm).start();
        let steps = format!("cut,pause:500,head:{SIZE},write:{SIZE}");
        let target = format!("/stage/run?name=up&steps={steps}");
        for body in
            ["Content-Length: 10\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
        {
            let mut connection = stage.connect();
            connection.write(format!("POST {target} HTTP/1.1\r\nHost: x\r\n{body}")).close_write();
            let response = connection.read_response();
            assert_eq!((response.status, response.body.len()), (200, SIZE), "{body}");
            assert!(response.end.is_complete(), "{body}: {response:?}");
        }
    }
}
