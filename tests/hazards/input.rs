//! Hazards 24 to 26: chunked and limited request bodies, 100 Continue, unread bodies.

use std::time::Duration;

use httpd_testkit::{Builder, Mpm, mpm_tests};

use crate::support::{HELLO, quirks, send, stock};

const POST: &str = "POST /probe/discard HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Returns the start of a chunked POST to `path`.
fn chunked(path: &str) -> String {
    POST.replace("/probe/discard", path)
}

mpm_tests! {
    fn h24_chunked_bodies_in_every_form(mpm) {
        let server = quirks().mpm(mpm).start();
        for (body, length) in [
            ("0\r\n\r\n", 0),
            ("5\r\nhello\r\n0\r\n\r\n", 5),
            ("005\r\nhello\r\n000\r\n\r\n", 5),
            ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", 20),
            ("5;name=value\r\nhello\r\n0;last\r\n\r\n", 5),
            ("5;name=\"a b\"\r\nhello\r\n0\r\n\r\n", 5),
            ("5\r\nhello\r\n0\r\nX-Trailer: yes\r\nX-Other: no\r\n\r\n", 5),
        ] {
            // With what comes after it at once behind it.
            let mut connection =
                send(&server, format!("{POST}{body}GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
            let response = connection.read_response();
            let expected = format!("\"length\": {length},");
            assert!(
                response.status == 200 && response.text().contains(&expected),
                "{body:?}: {response:?}"
            );
            assert_eq!(connection.read_response().text(), HELLO, "{body:?}");
        }
        let mut connection = send(&server, chunked("/quirks/trailers"));
        connection.write("5\r\nhello\r\n0\r\nX-Trailer: yes\r\nx-other: a, b\r\n\r\n");
        assert_eq!(connection.read_response().text(), "5\nx-trailer: yes\nx-other: a, b\n");
        // A trailer does not become a header.
        let mut connection = send(&server, chunked("/quirks/header?name=x-trailer"));
        connection.write("0\r\nX-Trailer: yes\r\n\r\n");
        assert_eq!(connection.read_response().text(), "None\n");
    }

    fn h24_a_malformed_chunk_is_a_400(mpm) {
        let server = stock().mpm(mpm).start();
        for body in [
            "x\r\n",
            "5\r\nhelloworld\r\n0\r\n\r\n",
            "-1\r\n",
            "5 \x01\r\nhello\r\n0\r\n\r\n",
            "\r\n\r\n",
        ] {
            let mut connection = send(&server, format!("{POST}{body}"));
            let response = connection.close_write().read_response();
            assert_eq!(response.status, 400, "{body:?}: {response:?}");
            assert!(connection.is_closed(), "{body:?}");
        }
    }

    fn h24_a_malformed_chunk_in_mid_answer_breaks_it(mpm) {
        let server = stock().mpm(mpm).start();
        for path in ["/probe/duplex", "/probe/echo"] {
            for bad in ["x\r\n", "5\r\nhelloworld\r\n", "-1\r\n"] {
                let mut connection = send(&server, chunked(path));
                let size = 100_000;
                connection.write(format!("{size:x}\r\n{}\r\n", "b".repeat(size)));
                let head = connection.read_head();
                assert_eq!(head.status, 200, "{path}");
                connection.write(bad).close_write();
                let rest = connection.read_to_end();
                assert!(
                    !rest.ends_with(b"\r\n0\r\n\r\n"),
                    "{path} {bad:?}: the answer looks whole"
                );
            }
        }
        // The same where the client closes in the middle.
        for path in ["/probe/duplex", "/probe/echo"] {
            let mut connection = send(&server, chunked(path));
            connection.write(format!("{:x}\r\n{}\r\n", 100_000, "b".repeat(100_000)));
            assert_eq!(connection.read_head().status, 200);
            connection.close_write();
            let rest = connection.read_to_end();
            assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "{path}: the answer looks whole");
        }
    }
}

#[test]
fn h24_limit_request_body_is_a_413() {
    let server = quirks().conf("LimitRequestBody 1000").start();
    for path in ["/probe/discard", "/probe/echo", "/probe/duplex", "/quirks/trailers"] {
        let fits = server.request("POST", path).body("b".repeat(1000)).send();
        assert_eq!(fits.status, 200, "{path}: {fits:?}");
        let sized = server.request("POST", path).body("b".repeat(1001)).send();
        assert_eq!(sized.status, 413, "{path}: {sized:?}");
        let chunks = server.request("POST", path).chunks(vec![vec![b'b'; 1001]]).send();
        assert_eq!(chunks.status, 413, "{path}: {chunks:?}");
        // A part of the answer may be out already: then it is broken off.
        let chunks = server.request("POST", path).chunks(vec![vec![b'b'; 600]; 10]).send();
        assert!(chunks.status == 413 || chunks.end.is_truncated(), "{path}: {chunks:?}");
    }
}

mpm_tests! {
    fn h24_h35_a_client_that_stops_sending_is_a_408(mpm) {
        let by_timeout = |builder: Builder| builder.conf("Timeout 1");
        let by_reqtimeout = |builder: Builder| {
            builder.load("reqtimeout").conf("RequestReadTimeout header=20 body=1")
        };
        let servers =
            [by_timeout(stock().mpm(mpm)).start(), by_reqtimeout(stock().mpm(mpm)).start()];
        let heads = [
            POST.to_owned() + "5\r\nhel",
            POST.replace("Transfer-Encoding: chunked", "Content-Length: 9") + "hello",
        ];
        // All at once, as each waits for a second.
        let mut waiting: Vec<_> = servers
            .iter()
            .flat_map(|server| heads.iter().map(move |head| send(server, head)))
            .collect();
        for connection in &mut waiting {
            let response = connection.read_response();
            assert_eq!(response.status, 408, "{response:?}");
            assert!(connection.is_closed());
        }
    }

    fn h25_a_hundred_continue_is_sent_when_the_body_is_wanted(mpm) {
        let server = stock().mpm(mpm).start();
        let expect = |path: &str| {
            send(
                &server,
                format!(
                    "POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
                     Content-Length: 5\r\n\r\n"
                ),
            )
        };
        // Wanted: exactly one, and nothing else before it.
        for path in ["/probe/discard", "/probe/echo", "/probe/early"] {
            let mut connection = expect(path);
            assert_eq!(connection.read_head().status, 100, "{path}");
            connection.write("hello");
            let response = connection.read_response();
            assert!(
                response.interim.is_empty() && [200, 403].contains(&response.status),
                "{path}: {response:?}"
            );
        }
        // The body is not wanted: no 100 is sent. The connection closes, because the next bytes are
        // ambiguous.
        for (path, status) in [("/probe/unread", 200), ("/probe/status/401", 401), ("/hello", 200)]
        {
            let mut connection = expect(path);
            let response = connection.read_response();
            assert!(response.interim.is_empty(), "{path}: {response:?}");
            assert_eq!(response.status, status, "{path}");
            assert!(connection.is_closed(), "{path}: {response:?}");
        }
        let mut connection = send(
            &server,
            "POST /probe/discard HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\
             Content-Length: 5\r\n\r\nhello",
        );
        assert_eq!(connection.read_response().status, 417);
    }

    fn h26_an_unread_body_is_never_a_request(mpm) {
        let server = stock().mpm(mpm).start();
        let evil = "GET /probe/log?text=smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        let body = evil.repeat((1 << 20) / evil.len());
        for path in [
            "/probe/unread",
            "/hello",
            "/probe/early",
            "/probe/status/404",
            "/missing",
            "/probe/internal?to=/hello",
        ] {
            for framing in ["sized", "chunked"] {
                let mut connection = server.connect();
                let request = connection.request("POST", path);
                let response = if framing == "sized" {
                    request.body(body.clone()).send()
                } else {
                    request.chunks(body.as_bytes().chunks(70_000).map(<[u8]>::to_vec)).send()
                };
                assert!(response.end.is_complete(), "{path} {framing}: {response:?}");
                // The next request is answered, or the connection is closed: nothing in between.
                let sent = connection.try_write(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
                if sent.is_ok()
                    && let Ok(next) = connection.try_read_response("GET")
                {
                    assert_eq!(next.text(), HELLO, "{path} {framing}");
                }
            }
        }
        assert!(!server.error_log().contains("smuggled"), "{}", server.error_log());
        assert!(!server.access_log().contains("smuggled"), "{}", server.access_log());
    }
}

#[test]
fn h25_the_answer_does_not_wait_for_the_body_that_is_not_read() {
    let server = stock().start();
    // The body never comes, and the answer is there all the same.
    let mut connection =
        send(&server, "POST /probe/unread HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    connection.set_timeout(Duration::from_secs(30));
    assert_eq!(connection.read_response().status, 200);
}

#[test]
fn h24_uploads_through_tls_and_http_2() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join("h24-upload");
    std::fs::write(&file, &body).unwrap();
    let at = format!("@{}", file.display());
    let server = stock().mpm(Mpm::Event).tls(true).http2(true).start();
    for args in [
        vec!["--http1.1", &server.tls_url("/probe/echo")],
        vec!["--http1.1", "-H", "Transfer-Encoding: chunked", &server.tls_url("/probe/echo")],
        vec!["--http2", &server.tls_url("/probe/echo")],
        vec!["--http2-prior-knowledge", &server.url("/probe/echo")],
    ] {
        let output = server.curl(&[&args[..], &["--data-binary", &at]].concat());
        assert_eq!((output.exit, output.status), (Some(0), Some(200)), "{args:?}: {output:?}");
        assert!(output.stdout == body, "{args:?}: {} bytes came back", output.stdout.len());
    }
    // An early refusal in the middle of an upload.
    let output = server.curl(&["--http1.1", "--data-binary", &at, &server.tls_url("/probe/early")]);
    assert_eq!(output.status, Some(403), "{output:?}");
    // Over HTTP/2 the rest of the body is refused by RST_STREAM(NO_ERROR) after the answer, as for
    // a file of httpd's own (RFC 9113, 8.1); curl 7.88 takes that for an error.
    let file_name = file.display().to_string();
    for url in [server.url("/probe/early"), server.tls_url("/probe/early")] {
        let output = server.run("nghttp", &["--verbose", "--data", &file_name, &url]);
        assert!(output.text().contains(":status: 403"), "{output:?}");
        assert!(output.text().contains("refused at the first byte"), "{output:?}");
    }
    std::fs::remove_file(file).unwrap();
}
