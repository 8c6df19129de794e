//! Requests that hold no thread of the httpd child while their process works (event MPM).

use std::time::{Duration, Instant};

use httpd_testkit::{Connection, Mpm, Signal};

use crate::support::{Setup, Stage, pid, run, setup};

/// The threads of the httpd child: fewer than the requests that wait.
const THREADS: usize = 4;
const MANY: usize = 40;
const TARGET: &str = "/stage/wait?name=wait";

/// Returns a server with one child of few threads.
pub(crate) fn few_threads(group: &str) -> Setup {
    setup(group).with(|builder| {
        let builder = builder.mpm(Mpm::Event).children(1).threads(THREADS).load("ssl");
        let builder = builder.conf("AsyncRequestWorkerFactor 1000");
        builder.file("htdocs/file.txt", b"static\n")
    })
}

/// Returns the number of requests that wait in the httpd child without a thread.
pub(crate) fn waiting(stage: &Stage) -> usize {
    let page = stage.get("/server-status?auto");
    let lines = page.text().lines().filter(|line| line.contains("]Waiting["));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

/// Waits until so many requests wait without a thread, and none has one but that for the page.
#[track_caller]
pub(crate) fn wait_until_waiting(stage: &Stage, count: usize) {
    stage.wait_for("the requests that wait", || waiting(stage) == count);
    stage.wait_for("the threads", || {
        let page = stage.get("/server-status?auto");
        page.text().lines().any(|line| line == "BusyWorkers: 1")
    });
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// Sends requests that wait in a process until their gate is open.
fn hold_many(stage: &Stage, count: usize) -> (Vec<Connection>, i32) {
    let of = stage.app().wait_ready(1)[0];
    let held = (0..count).map(|_| stage.send(TARGET)).collect();
    stage.wait_for("all to wait", || stage.gates.marks("wait").len() == count);
    wait_until_waiting(stage, count);
    (held, of)
}

fn answered(stage: &Stage, held: Vec<Connection>, of: i32) {
    stage.gates.open("wait");
    for mut connection in held {
        assert_eq!(pid(&connection.read_response()), of);
    }
}

#[test]
fn five_hundred_wait_beside_four_threads() {
    const COUNT: usize = 500;
    let stage = few_threads("threads=4 queue-size=500 socket-timeout=60").start();
    let (held, of) = hold_many(&stage, COUNT);
    assert_eq!(stage.get("/file.txt").text(), "static\n");
    answered(&stage, held, of);
    wait_until_waiting(&stage, 0);
    let log = stage.access_log();
    let target = format!("GET {TARGET} HTTP/1.1\" 200 ");
    assert_eq!(log.lines().filter(|line| line.contains(&target)).count(), COUNT);
}

#[test]
fn synchronous_applications_are_waited_for_without_a_thread() {
    let stage = few_threads("threads=8").start();
    let held: Vec<_> = (0..8).map(|_| stage.send(&run("held", "here,gate"))).collect();
    stage.wait_for("all threads", || stage.gates.marks("held").len() == 8);
    wait_until_waiting(&stage, 8);
    let queued: Vec<_> = (0..8).map(|_| stage.send(&run("queued", ""))).collect();
    wait_until_waiting(&stage, 16);
    stage.gates.open("held");
    for mut connection in held.into_iter().chain(queued) {
        pid(&connection.read_response());
    }
}

#[test]
fn a_killed_process_loses_them_and_they_do_not_run_again() {
    let stage = few_threads("threads=2").allow(&["RUST0031", "RUST0020"]).start();
    let (held, of) = hold_many(&stage, 100);
    stage.kill(of);
    for mut connection in held {
        assert_eq!(connection.read_response().status, 502);
    }
    assert_ne!(stage.pid_of_answer(), of);
    assert_eq!(stage.gates.marks("wait").len(), 100, "each ran once");
}

/// A process that is stopped takes no connection. What waits in its line goes to the next one.
#[test]
fn a_killed_process_that_took_nothing_loses_none() {
    let stage = few_threads("threads=2").allow(&["RUST0031"]).start();
    let of = stage.app().wait_ready(1)[0];
    stage.signal(of, Signal::STOP);
    let mut held: Vec<_> = (0..MANY).map(|_| stage.send("/stage/nap")).collect();
    wait_until_waiting(&stage, MANY);
    stage.kill(of);
    for connection in &mut held {
        assert_ne!(pid(&connection.read_response()), of);
    }
    assert!(stage.lines("RUST0022") + stage.lines("took nothing of the request") > 0);
}

/// A body that went with its request goes to the next process as well.
#[test]
fn a_killed_process_that_took_nothing_loses_no_body() {
    let stage = few_threads("threads=2").allow(&["RUST0031"]).start();
    let of = stage.app().wait_ready(1)[0];
    stage.signal(of, Signal::STOP);
    let target = run("body", "head,echo");
    let held: Vec<_> = (0..8)
        .map(|number: usize| {
            // Several buckets of httpd's, and little enough to come at once.
            let body: Vec<u8> = (0..12_000).map(|at| (at * 31 / 7 + number) as u8).collect();
            let head = format!(
                "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let mut connection = stage.connect();
            connection.write([head.as_bytes(), &body].concat());
            (connection, body)
        })
        .collect();
    wait_until_waiting(&stage, held.len());
    stage.kill(of);
    for (mut connection, body) in held {
        let response = connection.read_response();
        assert_eq!(response.status, 200);
        assert!(response.body == body);
    }
}

#[test]
fn clients_that_leave_drop_their_futures() {
    let stage = few_threads("threads=2").start();
    let (mut held, of) = hold_many(&stage, MANY);
    held.drain(..MANY / 2).for_each(Connection::reset);
    stage.wait_for("their drop", || stage.gates.gone("wait").len() == MANY / 2);
    stage.wait_for("the others", || stage.figure("app", "Parked") == MANY as u64 / 2);
    stage.wait_log("RUST0003");
    wait_until_waiting(&stage, MANY / 2);
    answered(&stage, held, of);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let stage = few_threads("threads=2").start();
    let mut connection = stage.connect();
    let targets = ["/stage/nap?20", "/file.txt", "/stage/nap?1", "/nothing"];
    connection.write(targets.iter().cycle().take(24).map(|target| get(target)).collect::<String>());
    for target in targets.iter().cycle().take(24) {
        let response = connection.read_response();
        match *target {
            "/file.txt" => assert_eq!(response.text(), "static\n"),
            "/nothing" => assert_eq!(response.status, 404),
            _ => {
                pid(&response);
            }
        }
    }
}

#[test]
fn a_stream_holds_no_thread_between_its_pieces() {
    let stage = few_threads("threads=2").start();
    let mut held: Vec<_> = (0..MANY).map(|_| stage.send("/stage/service?name=late")).collect();
    for connection in &mut held {
        assert_eq!(connection.read_head().status, 200);
    }
    wait_until_waiting(&stage, MANY);
    stage.gates.open("late");
    for connection in &mut held {
        assert_eq!(connection.read_chunk().map(|chunk| chunk.len()), Some(1000));
        assert_eq!(connection.read_chunk(), None);
    }
}

#[test]
fn a_connection_goes_on() {
    let stage = few_threads("threads=2").start();
    stage.gates.open("late");
    let mut connection = stage.connect();
    for _ in 0..3 {
        pid(&connection.request("GET", "/stage/nap").send());
        let stream = connection.request("GET", "/stage/service?name=late").send();
        assert_eq!(stream.body.len(), 1000);
        let big = connection.request("GET", &run("big", "head,write:3000000")).send();
        assert_eq!(big.body.len(), 3_000_000);
        let upload = connection.request("POST", &run("up", "readall")).body(vec![b'b'; 3_000_000]);
        pid(&upload.send());
        assert_eq!(connection.request("GET", "/nothing").send().status, 404);
    }
}

#[test]
fn slow_uploads_hold_no_thread() {
    const PIECES: usize = 6;
    let stage = few_threads("threads=20").start();
    let target = run("up", "readall");
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut uploads: Vec<_> = (0..20).map(|_| stage.connect()).collect();
    for upload in &mut uploads {
        upload.write(&head);
    }
    for _ in 0..PIECES {
        for upload in &mut uploads {
            upload.write("a\r\n0123456789\r\n");
        }
        wait_until_waiting(&stage, 20);
    }
    for upload in &mut uploads {
        upload.write("0\r\n\r\n");
        pid(&upload.read_response());
    }
}

#[test]
fn a_client_that_sends_no_more_in_its_upload_is_answered() {
    let stage = few_threads("threads=2").allow(&["RUST0006", "RUST0007"]).start();
    // A client that leaves before there is a process to read its body has left.
    stage.app().wait_ready(1);
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\n", run("up", "readall"));
    for body in
        ["Content-Length: 10\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
    {
        let mut connection = stage.connect();
        connection.write(format!("{head}{body}"));
        wait_until_waiting(&stage, 1);
        connection.close_write();
        assert_eq!(connection.read_response().status, 400, "{body}");
        wait_until_waiting(&stage, 0);
    }
}

#[test]
fn a_sender_that_stops_fails_after_the_timeout() {
    let stage = few_threads("threads=2")
        .with(|builder| builder.conf("Timeout 2"))
        .allow(&["RUST0006", "RUST0007", "RUST0013"])
        .start();
    let mut connection = stage.connect();
    let target = run("up", "readall");
    connection
        .write(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"));
    wait_until_waiting(&stage, 1);
    assert_eq!(connection.read_response().status, 408);
}

/// Responses whose clients do not read hold no thread, and go on where the clients do.
#[test]
fn readers_that_stop_hold_no_thread() {
    const SIZE: usize = 30_000_000;
    for steps in [format!("head,write:{SIZE}"), format!("head:{SIZE},write:{SIZE},flush")] {
        let stage = few_threads("threads=8").start();
        let mut readers: Vec<_> = (0..8).map(|_| stage.send(&run("big", &steps))).collect();
        wait_until_waiting(&stage, 8);
        let mut last = readers.pop().expect("a reader");
        drop(readers);
        let mut came = 0;
        last.set_timeout(Duration::from_secs(60));
        let response = last.read_response_with("GET", |bytes| came += bytes.len());
        assert!(response.end.is_complete() && came == SIZE, "{steps}: {came}");
        last.write(get("/stage/nap"));
        pid(&last.read_response());
        wait_until_waiting(&stage, 0);
    }
}

#[test]
fn a_reader_that_stops_loses_its_connection_after_the_timeout() {
    let stage = few_threads("threads=2")
        .with(|builder| builder.conf("Timeout 1").log_level("info stage_module:debug"))
        .start();
    let mut reader = stage.send(&run("big", "head,write:30000000"));
    wait_until_waiting(&stage, 1);
    stage.wait_log("RUST0003");
    wait_until_waiting(&stage, 0);
    let mut came = 0;
    let response = reader.read_response_with("GET", |bytes| came += bytes.len());
    assert!(response.end.is_truncated() && came < 30_000_000, "{came}");
}

#[test]
fn times_that_are_up_end_them() {
    for (options, code, status) in [
        ("threads=2 socket-timeout=1", "RUST0024", 504),
        ("threads=1 queue-timeout=1", "RUST0023", 504),
        ("threads=2 request-timeout=1", "RUST0027", 504),
    ] {
        let stage = few_threads(options)
            .allow(&[code, "RUST0032", "RUST0031", "RUST0020", "RUST002"])
            .start();
        if options.contains("queue") {
            stage.hold("held");
        }
        let began = Instant::now();
        let target = if options.contains("queue") { run("second", "") } else { TARGET.into() };
        let mut connection = stage.send(&target);
        assert_eq!(connection.read_response().status, status, "{options}");
        let took = began.elapsed();
        assert!(took > Duration::from_millis(900) && took < Duration::from_secs(15), "{took:?}");
        stage.gates.open("held");
        stage.gates.open("wait");
    }
}

#[test]
fn slow_requests_are_logged_at_their_end() {
    let stage =
        few_threads("threads=2").with(|builder| builder.conf("RustSlowRequests 200ms")).start();
    pid(&stage.get("/stage/nap?400"));
    let line = stage.wait_log("RUST0035");
    assert!(line.contains("/stage/nap?400") && line.contains("process group app, daemon process"));
    assert_eq!(stage.lines("RUST0035"), 1);
}

#[test]
fn a_graceful_restart_lets_them_finish() {
    let stage = few_threads("threads=2").start();
    let (held, of) = hold_many(&stage, MANY);
    stage.graceful();
    let new = stage.app().wait_ready(1);
    assert_ne!(new, [of]);
    assert_eq!(stage.pid_of_answer(), new[0]);
    stage.gates.open("wait");
    for mut connection in held {
        assert_eq!(pid(&connection.read_response()), of);
    }
    stage.wait_gone(&[of]);
}

#[test]
fn a_stop_ends_them() {
    let stage = few_threads("threads=2 shutdown-timeout=1")
        .allow(&["RUST0020", "RUST0031", "RUST0037"])
        .start();
    let (held, of) = hold_many(&stage, MANY);
    let began = Instant::now();
    stage.stop();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    for mut connection in held {
        connection.read_to_end();
    }
    stage.wait_gone(&[of]);
}

#[test]
fn through_tls() {
    let stage = few_threads("threads=20").with(|builder| builder.tls(true)).start();
    stage.app().wait_ready(1);
    let url = |path: &str| stage.tls_url(path);
    let (nap, big) = (url("/stage/nap?300"), url(&run("big", "head,write:3000000")));
    let output = stage.curl(&[&nap, &nap, &nap]);
    assert_eq!(output.text().len() % 3, 0, "{}", output.text());
    let output = stage.curl(&["-o", "/dev/null", "-w", "%{http_code} %{size_download}", &big]);
    assert!(output.text().contains("200 3000000"), "{}", output.text());
    let up = url(&run("up", "readall"));
    let output = stage.curl(&["--limit-rate", "20K", "--data-binary", &"x".repeat(30_000), &up]);
    output.text().trim().parse::<i32>().expect("a process id");
    // Leaves in the wait.
    let output = stage.curl(&["--max-time", "0.5", &url(TARGET)]);
    assert_eq!(output.exit, Some(28));
    stage.wait_for("its drop", || stage.gates.gone("wait").len() == 1);
    wait_until_waiting(&stage, 0);
}

#[test]
fn off_holds_the_thread() {
    let stage = few_threads("threads=2").with(|builder| builder.conf("RustAsync Off")).start();
    let mut held = stage.send(TARGET);
    stage.wait_mark("wait");
    let page = stage.get("/server-status?auto");
    assert!(page.text().lines().any(|line| line == "BusyWorkers: 2"), "{}", page.text());
    assert_eq!(waiting(&stage), 0);
    stage.gates.open("wait");
    pid(&held.read_response());
}
