//! Hazard 27: what one party takes for a body and another for a request never becomes one here.

use httpd_testkit::mpm_tests;

use crate::support::{send, stock};

/// The request that must not reach an application: its line would be in both logs.
const EVIL: &str = "GET /probe/log?text=smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// Returns headers and body of a POST that an intermediary may read differently.
fn corpus() -> Vec<(String, String)> {
    let length = EVIL.len();
    let chunk = format!("{length:x}\r\n{EVIL}\r\n0\r\n\r\n");
    let mut cases = vec![
        // With both, Transfer-Encoding applies, and the data after the last chunk are discarded.
        (
            format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", 5 + length),
            format!("0\r\n\r\n{EVIL}"),
        ),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n".into(), chunk.clone()),
        (
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            format!("0\r\n\r\n{EVIL}"),
        ),
    ];
    // A Transfer-Encoding that not everybody takes for chunked.
    for coding in [
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\x00",
        "Transfer-Encoding:\tchunked\tx",
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding\r\n: chunked",
        "Transfer-Encoding:\r\n chunked",
        "X: x\nTransfer-Encoding: chunked",
        "X: x\rTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:",
    ] {
        cases.push((format!("Content-Length: 3\r\n{coding}\r\n"), chunk.clone()));
        cases.push((
            format!("{coding}\r\nContent-Length: {}\r\n", 5 + length),
            format!("0\r\n\r\n{EVIL}"),
        ));
    }
    // A length that not everybody reads alike.
    for value in [
        format!("+{length}"),
        format!("-{length}"),
        "0".into(),
        format!("0\r\nContent-Length: {length}"),
        format!("{length}\r\nContent-Length: 0"),
        format!("{length}\r\nContent-Length: {length}"),
        format!("0, {length}"),
        format!("{length} 0"),
        format!("0x{length:x}"),
        format!("\"{length}\""),
        "1e2".into(),
        "18446744073709551616".into(),
        "9223372036854775808".into(),
        "".into(),
        format!("{length}\r\n 0"),
        format!("\x0b{length}"),
    ] {
        // Length zero is unambiguous: a new request follows.
        if value != "0" {
            cases.push((format!("Content-Length: {value}\r\n"), EVIL.into()));
        }
    }
    // Chunks that not everybody reads alike.
    for body in [
        format!("0x{length:x}\r\n{EVIL}\r\n0\r\n\r\n"),
        format!("+{length:x}\r\n{EVIL}\r\n0\r\n\r\n"),
        format!("{length:x}\n{EVIL}\n0\n\n"),
        format!("{length:x};\n{EVIL}\r\n0\r\n\r\n"),
        format!("3\r\nabc{EVIL}\r\n0\r\n\r\n"),
        format!("-1\r\n{EVIL}"),
        format!("ffffffffffffffff\r\n{EVIL}"),
        format!("10000000000000000\r\n{EVIL}"),
        format!("0\r\nX: y\r\n {EVIL}"),
        format!(" 0\r\n\r\n{}", ""),
    ] {
        cases.push(("Transfer-Encoding: chunked\r\n".into(), body));
    }
    cases
}

mpm_tests! {
    fn h27_no_second_request_reaches_an_application(mpm) {
        let server = stock().mpm(mpm).conf("Timeout 1").threads(16).start();
        let cases = corpus();
        // Many at once: some wait for the rest of a body until the time is up.
        let work = std::sync::Mutex::new(cases.iter());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    loop {
                        let Some((headers, body)) = work.lock().unwrap().next() else { break };
                        for path in ["/probe/discard", "/probe/echo", "/probe/unread", "/hello"] {
                            let request =
                                format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}");
                            let mut connection = send(&server, &request);
                            let came = connection.close_write().read_to_end();
                            let came = came.escape_ascii().to_string();
                            assert!(
                                !came.contains("logged, if"),
                                "{path} {headers:?} {body:?}: {came}"
                            );
                        }
                    }
                });
            }
        });
        assert!(cases.len() > 60);
        assert!(!server.error_log().contains("smuggled"), "{}", server.error_log());
        let log = server.access_log();
        let reached: Vec<_> =
            log.lines().filter(|line| line.contains("\"GET /probe/log")).collect();
        assert!(reached.is_empty(), "{reached:?}");
    }
}

#[test]
fn h27_the_smuggled_request_would_be_seen() {
    let server = stock().start();
    let mut connection = send(&server, format!("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n{EVIL}"));
    connection.read_response();
    assert!(connection.read_response().text().contains("logged, if"));
    server.wait_log("smuggled");
    server.wait_access_log("smuggled");
}
