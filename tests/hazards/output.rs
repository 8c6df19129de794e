//! Hazards 22, 23, 28, 29 and 30: heads without bodies, and nothing on the wire that an
//! application has no right to put there.

use httpd_testkit::{BodyEnd, Mpm, Server, mpm_tests};

use crate::support::{HELLO, probe_at, quirks, send, stock};

/// Returns the headers that HEAD and GET must share: all but the framing of a body and the times.
fn comparable(headers: &[(String, Vec<u8>)]) -> Vec<(String, String)> {
    let skipped = ["date", "transfer-encoding"];
    let mut headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.escape_ascii().to_string()))
        .filter(|(name, _)| !skipped.contains(&name.as_str()))
        .collect();
    headers.sort();
    headers
}

mpm_tests! {
    fn h22_head_is_get_without_the_body(mpm) {
        let server = quirks()
            .mpm(mpm)
            .load("filter")
            .load("deflate")
            .file("files/a.txt", "some text\n".repeat(1000))
            .conf(&probe_at("/squeezed", "SetOutputFilter DEFLATE"))
            .conf("RustAppOption root {root}/files")
            .start();
        for path in [
            "/hello",
            "/probe/status/404",
            "/probe/bytes/0",
            "/probe/bytes/1000000",
            "/probe/bytes/9223372036854775807",
            "/probe/stream",
            "/probe/stream?chunks=inf",
            "/probe/file?path=a.txt",
            "/probe/headers?X-A=1&X-A=2&ETag=%22x%22",
            "/probe/redirect?to=/hello",
            "/probe/internal?to=/hello",
            "/quirks/respond?status=200&h-Content-Length=3&body=abc",
            "/squeezed/bytes/100000",
            "/squeezed/stream?chunks=100&size=100",
            "/squeezed/file?path=a.txt",
            "/squeezed/status/404",
        ] {
            for encoding in ["identity", "gzip"] {
                let get = |method: &str| {
                    let mut connection = server.connect();
                    connection.write(format!(
                        "{method} {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {encoding}\r\n\r\n"
                    ));
                    connection
                };
                let mut connection = get("HEAD");
                let head = connection.read_response_to("HEAD");
                // Not a byte of a body: what follows is the next answer.
                if head.header("connection") != Some("close") {
                    assert_eq!(connection.request("GET", "/hello").send().text(), HELLO, "{path}");
                }
                let got = get("GET").read_head();
                assert_eq!(head.status, got.status, "{path} {encoding}");
                let (of_head, of_get) = (comparable(&head.headers), comparable(&got.headers));
                // A length may be left out where a filter has to see all of the body to know it,
                // and where it is zero: httpd takes that for a handler that ran no body.
                let without = |headers: &[(String, String)]| -> Vec<_> {
                    headers.iter().filter(|(name, _)| name != "content-length").cloned().collect()
                };
                if of_head != of_get {
                    assert_eq!(without(&of_head), without(&of_get), "{path} {encoding}");
                    let (length, other) =
                        (head.header("content-length"), got.header("content-length"));
                    assert!(
                        length.is_none() || other.is_none(),
                        "{path} {encoding}: {length:?} {other:?}"
                    );
                    assert!(
                        path.contains("squeezed") || path.ends_with("/bytes/0"),
                        "{path} {encoding}: HEAD {length:?}, GET {other:?}"
                    );
                }
            }
        }
    }

    fn h23_a_status_without_a_body_has_none(mpm) {
        let server = quirks().mpm(mpm).start();
        for status in [204, 304] {
            for stream in ["", "&stream"] {
                let mut connection = server.connect();
                for _ in 0..3 {
                    let path =
                        format!("/quirks/respond?status={status}&body=HTTP/1.1%20200{stream}");
                    let response = connection.request("GET", &path).send();
                    assert_eq!(response.status, status, "{response:?}");
                    assert!(
                        response
                            .header("content-length")
                            .is_none_or(|length| status == 304 && length == "12"),
                        "{response:?}"
                    );
                    assert_eq!(response.header("transfer-encoding"), None, "{response:?}");
                }
                assert_eq!(connection.request("GET", "/hello").send().text(), HELLO);
            }
        }
    }
}

#[test]
fn h23_an_interim_status_is_refused() {
    let server =
        quirks().allow_log("is not a final status").allow_log("is not three digits").start();
    for status in ["100", "101", "103", "199", "000", "099", "600", "999", "20", "2000", "abc", ""]
    {
        let response = server.get(&format!("/quirks/respond?status={status}&body=x"));
        assert_eq!(response.status, 500, "{status}: {response:?}");
        assert!(response.interim.is_empty(), "{status}: {response:?}");
    }
}

#[test]
fn h28_the_connections_headers_are_not_the_applications() {
    let server = quirks().allow_log("RUST0006").start();
    for header in [
        "Transfer-Encoding=chunked",
        "transfer-encoding=identity",
        "Connection=keep-alive",
        "CONNECTION=close",
        "Keep-Alive=timeout%3D5",
        "Upgrade=h2c",
        "TE=trailers",
        "Proxy-Connection=close",
        "Proxy-Authenticate=Basic",
        "Status=201",
        "Content-Length=16&Content-Length=16",
        "Content-Length=16&content-length=17",
        "Content-Length=-1",
        "Content-Length=%2B16",
        "Content-Length=0x10",
        "Content-Length=16,16",
        "Content-Length=",
        "Content-Length=18446744073709551616",
        // This length is valid, but not the body's.
        "Content-Length=15",
        "Content-Length=17",
    ] {
        let response = server.get(&format!("/probe/headers?{header}"));
        assert_eq!(response.status, 500, "{header}: {response:?}");
        assert_eq!(response.end, BodyEnd::Length);
        assert!(!response.text().contains("see the headers"), "{header}: {response:?}");
    }
    assert_eq!(server.get("/probe/headers?Content-Length=16").text(), "see the headers\n");
}

mpm_tests! {
    fn h28_a_wrong_length_does_not_shift_the_next_response(mpm) {
        let server = quirks().mpm(mpm).allow_log("Content-Length is").start();
        for (length, stream) in [("3", "&stream"), ("300", "&stream"), ("3", ""), ("300", "")] {
            let path = format!(
                "/quirks/respond?status=200&h-Content-Length={length}{stream}\
                 &body=0123456789HTTP/1.1%20200%20OK%0d%0a%0d%0a"
            );
            // Two answers are wanted: the first breaks, and the second never starts within it.
            let mut connection = send(
                &server,
                format!(
                    "GET {path} HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
                ),
            );
            let first = connection.read_response();
            assert!(first.status == 500 || first.end.is_truncated(), "{path}: {first:?}");
            let rest = connection.read_to_end().escape_ascii().to_string();
            assert!(!rest.contains("Hello") || first.status == 500, "{path}: {rest}");
        }
    }
}

/// Texts that must not be in a response's head: each starts a line, or ends a string.
const INJECTED: [&str; 6] = [
    "%0d%0aX-Injected:%20yes",
    "%0aX-Injected:%20yes",
    "%0dX-Injected:%20yes",
    "%00X-Injected",
    "%0d%0a%0d%0aX-Injected",
    "%7f%1b",
];

#[test]
fn h29_h30_no_line_ends_and_no_nul_on_the_wire() {
    let server = quirks().allow_log("RUST0006").allow_log("RUST0005").start();
    let paths = [
        // Values and names of headers, the type, the reason, redirects inside and outside.
        "/probe/headers?X-A=a{}",
        "/probe/headers?X-A{}=a",
        "/probe/headers?Content-Type=text/plain{}",
        "/probe/headers?Set-Cookie=a%3Db{}",
        "/probe/redirect?to=/hello{}",
        "/probe/redirect?to=http://localhost/{}",
        "/probe/internal?to=/hello{}",
        "/probe/internal?to=/hello%3Fa={}",
        "/quirks/respond?status=200%20Fine{}&body=x",
        "/quirks/respond?status=200{}&body=x",
        "/quirks/respond?status=200&h-X-A=a{}&body=x&stream",
        "/quirks/give-trailers?x-a=a{}",
        "/quirks/give-trailers?x-a{}=a",
    ];
    for path in paths {
        for injected in INJECTED {
            let target = path.replace("{}", injected);
            let mut connection = send(
                &server,
                format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            );
            let came = connection.read_to_end();
            let head_end = came.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
            let head = String::from_utf8_lossy(&came[..head_end]).into_owned();
            assert!(head.starts_with("HTTP/1.1 500 "), "{target}: {head}");
            assert!(!head.contains("X-Injected"), "{target}: {head}");
            for line in head.split("\r\n") {
                assert!(
                    !line.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f),
                    "{target}: {line:?}"
                );
            }
        }
    }
    // Other characters are passed on unchanged.
    let response = server.get("/probe/headers?X-A=%80%ff%09%C3%A4&X-B=%20x%20");
    let value = |name: &str| {
        let found = response.headers.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(value("X-A").as_deref(), Some(&b"\x80\xff\t\xc3\xa4"[..]), "{response:?}");
    let fine = server.get("/quirks/respond?status=200%20Quite%20fine&body=x");
    assert_eq!((fine.status, &*fine.reason, fine.text()), (200, "Quite fine", "x"));
}

#[test]
fn h29_trailers_over_http_2_hold_what_they_may() {
    let server =
        quirks().mpm(Mpm::Event).http2(true).allow_log("RUST0006").allow_log("RUST0005").start();
    let trailers = |query: &str| {
        server.run("nghttp", &["--verbose", &server.url(&format!("/quirks/give-trailers?{query}"))])
    };
    let fine = trailers("x-sum=42&x-other=a%20b");
    assert!(fine.text().contains("x-sum: 42") && fine.text().contains("x-other: a b"), "{fine:?}");
    for query in [
        "content-length=3",
        "transfer-encoding=chunked",
        "connection=close",
        "host=x",
        "x-a=a%0d%0ax-b:c",
        "x-a=%00",
    ] {
        let output = trailers(query);
        let (name, _) = query.split_once('=').unwrap();
        let sent = output.text().lines().filter(|line| line.contains("recv (stream_id"));
        let leaked: Vec<_> = sent
            .filter(|line| line.contains(&format!(" {name}: ")))
            .filter(|line| {
                !line.contains("content-length: 5") && !line.contains("content-length: 6")
            })
            .collect();
        assert!(leaked.is_empty() || output.text().contains(":status: 500"), "{query}: {leaked:?}");
    }
}

/// Returns the lines of the log about an application's text.
fn logged(server: &Server, via: &str, text: &str) -> Vec<String> {
    let of_module = || -> Vec<String> {
        let log = server.error_log();
        log.lines()
            .filter(|line| !line.contains(":notice]") && !line.contains(":info]"))
            .map(str::to_owned)
            .collect()
    };
    let before = of_module().len();
    assert_eq!(server.get(&format!("/probe/log?via={via}&level=warn&text={text}")).status, 200);
    of_module().split_off(before)
}

#[test]
fn h29_a_log_line_stays_one_record() {
    let server = stock().allow_log("[rust:error]").allow_log("forged").start();
    for via in ["environ", "log"] {
        for injected in [
            "%0a[rust:emerg]%20forged",
            "%0d%0a[rust:emerg]%20forged",
            "%00forged",
            "%1b[31mforged",
        ] {
            let lines = logged(&server, via, &format!("begin-{injected}"));
            assert_eq!(lines.len(), 1, "{via} {injected}: {lines:?}");
            assert!(lines[0].contains("begin-") && lines[0].contains("forged"), "{lines:?}");
            assert!(!lines[0].bytes().any(|byte| byte < 0x20 && byte != b'\t'), "{lines:?}");
        }
    }
    // The error stream is one of lines: each is a record with its own context.
    let lines = logged(&server, "errors", "one%0atwo%0d%0athree%00%1b");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines.iter().all(|line| line.contains("[rust:error]") && line.contains("[client ")),
        "{lines:?}"
    );
}
