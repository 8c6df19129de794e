//! Checks of a service in either mode. Each takes a server with an axum `Router` at `/api`.

use httpd_testkit::{BodyEnd, Builder};

pub(crate) fn routes_and_extractors(api: Builder) {
    let server = api.start();
    for target in ["/api", "/api/"] {
        let response = server.get(target);
        assert_eq!((response.status, response.text()), (200, "Hello, axum\n"), "{target}");
        assert_eq!(response.header("content-length"), Some("12"));
    }
    assert_eq!(server.get("/api/nowhere").status, 404);
    assert_eq!(server.get("/api/count").status, 405);
    assert_eq!(server.request("POST", "/api/count").send().status, 200);
    assert_eq!(server.get("/api/peer?a=%20").text(), "127.0.0.1 /api/peer?a=%20\n");
    // Fields of another server's connection are left out, and one line says which.
    let handed_on = server.get("/api/handed-on");
    assert_eq!((handed_on.status, handed_on.text()), (200, "handed on\n"));
    let length = handed_on.header("content-length");
    assert_eq!((length, handed_on.header("status")), (Some("10"), None));
    let line = server.wait_log("fields of the connection were left out");
    assert!(line.contains("connection, status, transfer-encoding"), "{line}");
    let head = server.request("HEAD", "/api/").send();
    assert_eq!((head.status, head.header("content-length")), (200, Some("12")));
    assert!(head.body.is_empty());
}

pub(crate) fn environ_in_every_task(api: Builder) {
    let server = api.load("env").conf("SetEnv COLOUR blue").start();
    let get = |name: &str| server.get(&format!("/api/environ/{name}"));
    assert_eq!(get("COLOUR").text(), "blue");
    assert_eq!(get("SCRIPT_NAME").text(), "/api");
    assert_eq!(get("PATH_INFO").text(), "/environ/PATH_INFO");
    assert_eq!(get("mod_rust.application").text(), "api");
    assert_eq!(get("NOTHING").status, 404);
    let all = server.get("/api/environ");
    for name in ["COLOUR", "SCRIPT_NAME", "gateway.version", "mod_rust.pid"] {
        assert!(all.text().lines().any(|line| line == name), "no {name}: {}", all.text());
    }
    assert_eq!(server.get("/api/later").text(), "/api/laterGET");
}

pub(crate) fn bodies_both_ways(api: Builder) {
    let server = api.start();
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    for path in ["/api/echo", "/api/duplex"] {
        // axum's own limit for what it collects is 2 MB.
        let body = if path.ends_with("echo") { &body[..1_500_000] } else { &body[..] };
        let sent = server.request("POST", path).body(body).send();
        assert_eq!((sent.status, sent.body == body), (200, true), "{path}");
        let chunks = body.chunks(70_001).map(<[u8]>::to_vec);
        let sent = server.request("POST", path).chunks(chunks).send();
        assert_eq!((sent.status, sent.body == body), (200, true), "{path} in chunks");
    }
    let refused = server.request("POST", "/api/echo").body(vec![0; 2_500_000]).send();
    assert_eq!(refused.status, 413);
    assert_eq!(server.request("POST", "/api/echo").send().body, b"");
}

pub(crate) fn duplex_answers_while_the_client_sends(api: Builder) {
    let server = api.start();
    let mut connection = server.connect();
    connection.write("POST /api/duplex HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.write("4\r\nfour\r\n");
    assert_eq!(connection.read_head().status, 200);
    assert_eq!(connection.read_chunk().as_deref(), Some(&b"four"[..]));
    connection.write("5\r\nfiver\r\n");
    assert_eq!(connection.read_chunk().as_deref(), Some(&b"fiver"[..]));
    connection.write("0\r\n\r\n");
    assert_eq!(connection.read_chunk(), None);
}

pub(crate) fn streams_from_a_task(api: Builder) {
    let server = api.start();
    // Short bodies may be whole before httpd sees them, and then have a length.
    let response = server.get("/api/stream/20000");
    let expected: String = (0..20_000).map(|piece| format!("piece {piece}\n")).collect();
    assert_eq!(response.text(), expected);
    assert_eq!(response.end, BodyEnd::Chunked);
}

pub(crate) fn tracing_goes_to_the_error_log(api: Builder) {
    let server = api.allow_log("traced").start();
    assert_eq!(server.get("/api/trace/me").status, 204);
    let line = server.wait_log("traced");
    assert!(line.contains("[axum:warn]") && line.contains("text=\"me\""), "{line}");
    assert!(line.contains("[client 127.0.0.1"), "{line}");
}

/// Checks the environ during the handler's last step. The body is unread, so httpd sends the
/// response there, and dropping its bytes runs the service's code.
pub(crate) fn the_environ_is_there_when_the_last_byte_goes(api: Builder) {
    let server = api.log_level("info axum:debug").start();
    let response = server.connect().request("POST", "/api/farewell?jo").body("unread").send();
    assert_eq!((response.status, response.body.len()), (200, 1000));
    server.wait_log("farewell to jo");
}

pub(crate) fn a_client_that_leaves_ends_the_wait(api: Builder) {
    let server = api.log_level("info axum:debug").start();
    let mut connection = server.connect();
    connection.write("GET /api/wait/60000 HTTP/1.1\r\nHost: x\r\n\r\n");
    // The request is under way when the service's runtime has its threads.
    server.wait_for("the request", || {
        server.children_pids().iter().any(|pid| {
            std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| {
                tasks.flatten().any(|task| {
                    std::fs::read_to_string(task.path().join("comm"))
                        .is_ok_and(|name| name.starts_with("mod_rust-rt"))
                })
            })
        })
    });
    drop(connection);
    // Long before the minute that it would take.
    server.wait_log("RUST0003");
}
