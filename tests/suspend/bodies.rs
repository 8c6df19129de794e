//! Request bodies and streams without a thread, and the filters around them.

use std::time::Duration;

use httpd_testkit::{Server, mpm_tests};

use crate::support::{begin, busy, get, start, wait_until_waiting, waits};

#[test]
fn bodies_before_a_wait() {
    let server = start(waits(4));
    let mut connection = server.connect();
    for size in [0, 1, 10_000, 3_000_000] {
        let body = vec![b'b'; size];
        let response = connection.request("POST", "/waits/length/20").body(body.clone()).send();
        assert_eq!(response.text(), format!("{size} bytes\n"));
        let chunks = body.chunks(7001).map(<[u8]>::to_vec);
        let response = connection.request("POST", "/waits/length/20").chunks(chunks).send();
        assert_eq!(response.text(), format!("{size} bytes\n"), "in chunks");
    }
    let mut connection = server.connect();
    connection.write(
        "POST /waits/length/20 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
         Content-Length: 5\r\n\r\n",
    );
    assert_eq!(connection.read_head().status, 100);
    connection.write("12345");
    assert_eq!(connection.read_response().text(), "5 bytes\n");
}

#[test]
fn forty_slow_uploads_on_four_threads() {
    const PIECES: usize = 6;
    let server = start(waits(4));
    let head = "POST /waits/length/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut uploads: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for upload in &mut uploads {
        upload.write(head);
    }
    for _ in 0..PIECES {
        for upload in &mut uploads {
            upload.write("a\r\n0123456789\r\n");
        }
        wait_until_waiting(&server, 40);
        server.wait_for("the threads", || busy(&server) == 1);
    }
    for upload in &mut uploads {
        upload.write("0\r\n\r\n");
        assert_eq!(upload.read_response().text(), format!("{} bytes\n", 10 * PIECES));
    }
    wait_until_waiting(&server, 0);
}

#[test]
fn a_body_goes_back_while_it_comes() {
    let server = start(waits(2));
    let mut connection = server.connect();
    connection
        .write("POST /waits/duplex HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in 0..50 {
        let piece = format!("{piece:04}");
        connection.write(format!("4\r\n{piece}\r\n"));
        if piece == "0000" {
            assert_eq!(connection.read_head().status, 200);
        }
        assert_eq!(connection.read_chunk().as_deref(), Some(piece.as_bytes()));
    }
    connection.write("0\r\n\r\n".to_owned() + &get("/waits/wait/4"));
    assert_eq!(connection.read_chunk(), None);
    assert_eq!(connection.read_response().text(), "waited 4 ms\n");
}

#[test]
fn a_sender_that_stops_fails_after_the_timeout() {
    let server = start(waits(4).conf("Timeout 2"));
    let mut connection = server.connect();
    connection.write("POST /waits/length/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345");
    wait_until_waiting(&server, 1);
    // The application was told, and says what it makes of it.
    assert_eq!(connection.read_response().status, 400);
    let server =
        start(waits(4).load("reqtimeout").conf("RequestReadTimeout body=2").allow_log("RUST00"));
    let mut connection = server.connect();
    connection.write("POST /waits/length/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345");
    assert_eq!(connection.read_response().status, 400);
    // It bounds the body, and not what comes after it.
    let response = server.request("POST", "/waits/length/4000").body("12345").send();
    assert_eq!(response.text(), "5 bytes\n");
}

/// The application is told of a body that is cut off, whether its client reads the answer or not.
#[test]
fn a_client_that_sends_no_more_in_its_upload_is_answered() {
    let server = start(waits(4));
    let head = "POST /waits/length/1 HTTP/1.1\r\nHost: x\r\n";
    for body in
        ["Content-Length: 10\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
    {
        let mut connection = server.connect();
        connection.write(format!("{head}{body}"));
        wait_until_waiting(&server, 1);
        connection.close_write();
        assert_eq!(connection.read_response().status, 400, "{body}");
        wait_until_waiting(&server, 0);
    }
}

mpm_tests! {
    /// The application takes its time for the answer. Its client waits for that.
    fn a_client_that_sends_no_more_in_its_upload_is_waited_for(mpm) {
        let builder = Server::builder().module("mod_waits.so").mpm(mpm);
        let server = builder.conf("RustAppAlias /waits waits\nRustAsync On").start();
        let mut connection = server.connect();
        let head = "POST /waits/length/500 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345";
        connection.write(head).close_write();
        assert_eq!(connection.read_response().status, 400);
    }
}

#[test]
fn a_client_that_leaves_in_its_upload() {
    let server = start(waits(4));
    let head = "POST /waits/length/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345";
    for reset in [false, true] {
        let mut connection = server.connect();
        connection.write(head);
        wait_until_waiting(&server, 1);
        if reset {
            connection.reset();
        } else {
            drop(connection);
        }
        wait_until_waiting(&server, 0);
    }
}

#[test]
fn a_stream_is_whole_whatever_filters_do() {
    let server = start(
        waits(4)
            .load("deflate")
            .load("filter")
            .load("substitute")
            .conf("<Location /waits>\nSetOutputFilter DEFLATE\n</Location>"),
    );
    let target = server.url("/waits/drip/30/10/5000");
    let output = server.curl(&["--compressed", &target]);
    let expected: String = (0..30).map(|piece| (piece % 10).to_string().repeat(5000)).collect();
    assert!(output.text() == expected, "{} bytes", output.text().len());
}

#[test]
fn through_tls() {
    let server = start(waits(4).tls(true));
    let url = |path: &str| server.tls_url(path);
    let (wait, late, drip) =
        (url("/waits/wait/300"), url("/waits/late/20/3000000"), url("/waits/drip/20/10/100"));
    // All on one connection.
    let output = server.curl(&["-v", &wait, &wait, &drip, &wait]);
    let text = output.text();
    assert_eq!(text.matches("waited 300 ms\n").count(), 3, "{text}");
    assert!(text.contains(&"7".repeat(100)), "{text}");
    let output = server.curl(&["-o", "/dev/null", "-w", "%{http_code} %{size_download}", &late]);
    assert!(output.text().contains("200 3000000"), "{}", output.text());
    let length = url("/waits/length/100");
    let output = server.curl(&["--data-binary", &"x".repeat(100_000), &length]);
    assert!(output.text().contains("100000 bytes"), "{}", output.text());
    // Leaves in the wait.
    let endless = url("/waits/wait/600000");
    let output = server.curl(&["--max-time", "0.5", &endless]);
    assert_eq!(output.exit, Some(28));
    wait_until_waiting(&server, 0);
}

/// Output for clients that do not read holds no thread: small pieces, large ones, and whole bodies.
#[test]
fn readers_that_stop() {
    for target in [
        "/waits/flood/20000/10000",
        "/waits/flood/40/5000000",
        "/waits/drip/20000/0/10000",
        "/waits/late/10/200000000",
        "/waits/late/0/200000000",
    ] {
        let server = start(waits(3).conf("Timeout 60"));
        let mut readers: Vec<_> = (0..8).map(|_| begin(&server, target)).collect();
        wait_until_waiting(&server, 8);
        server.wait_for("the threads", || busy(&server) == 1);
        assert_eq!(server.get("/waits/wait/3").text(), "waited 3 ms\n");
        let mut last = readers.pop().expect("a reader");
        drop(readers);
        let mut came = 0;
        last.set_timeout(Duration::from_secs(60));
        let response = last.read_response_with("GET", |bytes| came += bytes.len());
        assert!(response.end.is_complete() && came == 200_000_000, "{target}: {came}");
        wait_until_waiting(&server, 0);
        // The connection goes on.
        let response = last.request("GET", "/waits/wait/2").send();
        assert_eq!(response.text(), "waited 2 ms\n");
    }
}

/// The test at first use is over soon, although its request's client reads nothing.
#[test]
fn a_reader_that_stops_does_not_keep_the_test_at_first_use() {
    let server = waits(3).conf("Timeout 600").start();
    let mut reader = begin(&server, "/waits/flood/20000/10000");
    server.wait_log("RUST0044");
    let mut came = 0;
    reader.set_timeout(Duration::from_secs(60));
    let response = reader.read_response_with("GET", |bytes| came += bytes.len());
    assert!(response.end.is_complete() && came == 200_000_000, "{came}");
}

/// The wakers of services whose clients do not read keep nobody else from going on.
#[test]
fn readers_that_stop_hold_no_turn() {
    let server = start(waits(4).conf("Timeout 600"));
    let readers: Vec<_> = (0..12).map(|_| begin(&server, "/waits/restless/10000")).collect();
    wait_until_waiting(&server, 12);
    server.wait_for("the threads", || busy(&server) == 1);
    for _ in 0..100 {
        assert_eq!(server.get("/waits/wait/3").text(), "waited 3 ms\n");
    }
    drop(readers);
    wait_until_waiting(&server, 0);
}

#[test]
fn a_reader_that_stops_loses_its_connection_after_the_timeout() {
    let server = start(waits(3).conf("Timeout 1").log_level("info waits_module:debug"));
    for target in ["/waits/flood/20000/10000", "/waits/late/0/200000000"] {
        let mut reader = begin(&server, target);
        wait_until_waiting(&server, 1);
        wait_until_waiting(&server, 0);
        let mut came = 0;
        let response = reader.read_response_with("GET", |bytes| came += bytes.len());
        assert!(response.end.is_truncated() && came < 200_000_000, "{target}: {came}");
    }
    server.wait_log_count("RUST0003", 2);
}

/// A whole body is whole for the filters.
#[test]
fn ranges_of_a_large_body() {
    let server = start(waits(3));
    let request = server.request("GET", "/waits/late/5/40000").header("Range", "bytes=251-500");
    let response = request.send();
    assert_eq!((response.status, response.body.len()), (206, 250));
    assert!(response.body.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
}
