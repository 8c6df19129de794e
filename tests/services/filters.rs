//! Request bodies whose length an input filter changes, filters that hold bytes back, and connections
//! without a socket of their own.

use std::io::Write as _;
use std::process::{Command, Stdio};

use httpd_testkit::{Builder, Connection, Mpm, Server};

/// The filters, each below a path of its own; every application below each of them.
const FILTERS: [(&str, &str); 4] = [
    ("inflated", "SetInputFilter DEFLATE"),
    ("shorter", "SetInputFilter Sed\nInputSed \"s/shorten/s/g\""),
    ("longer", "SetInputFilter Sed\nInputSed \"s/l/ll/g\""),
    ("external", "SetInputFilter double"),
];

/// Servers in both modes with the axum application at `/NAME/api` and the probe at `/NAME/probe`.
fn servers(add: impl Fn(Builder) -> Builder) -> [Server; 2] {
    let daemon = "RustDaemonProcess services threads=4\nRustDaemonProcess probes threads=4";
    [(daemon, "process-group=services", "process-group=probes"), ("", "", "")].map(
        |(groups, api, probe)| {
            let mut builder = Server::builder()
                .module("mod_axum.so")
                .module("mod_rust.so")
                .load("deflate")
                .load("sed")
                .load("ext_filter")
                .mpm(Mpm::Event)
                .conf("ExtFilterDefine double mode=input cmd=\"/bin/sed s/l/ll/g\"")
                .conf(groups)
                .conf(&format!("RustAppAlias /api api {api}\nRustAppAlias /probe probe {probe}"));
            for (name, filter) in FILTERS {
                builder = builder.conf(&format!(
                    "RustAppAlias /{name}/api api {api}\nRustAppAlias /{name}/probe probe {probe}\n\
                     <Location /{name}>\n{filter}\n</Location>"
                ));
            }
            add(builder).start()
        },
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip");
    // It is compressed well: the output fits in the pipe.
    gzip.stdin.take().expect("its input").write_all(bytes).expect("gzip reads");
    gzip.wait_with_output().expect("gzip ends").stdout
}

/// Returns a body of this many lines before and after a filter.
fn body(filter: &str, lines: usize) -> (Vec<u8>, Vec<u8>) {
    let text = |word: &str| -> Vec<u8> {
        (0..lines).flat_map(|line| format!("{line} {word}\n").into_bytes()).collect()
    };
    match filter {
        "inflated" => (gzip(&text("a line")), text("a line")),
        "shorter" => (text("shorten"), text("s")),
        _ => (text("l"), text("ll")),
    }
}

#[test]
fn bodies_are_complete_although_a_filter_changes_their_length() {
    for server in servers(|builder| builder) {
        for (filter, _) in FILTERS {
            for lines in [1, 200, 20_000] {
                let (sent, expected) = body(filter, lines);
                for path in ["api/echo", "api/duplex", "probe/echo", "probe/duplex"] {
                    let path = format!("/{filter}/{path}");
                    for is_chunked in [false, true] {
                        let what = format!("{path}, {lines} lines, chunked: {is_chunked}");
                        let mut request = server.request("POST", &path);
                        if filter == "inflated" {
                            request = request.header("Content-Encoding", "gzip");
                        }
                        let request = if is_chunked {
                            request.chunks(sent.chunks(20_000).map(<[u8]>::to_vec))
                        } else {
                            request.body(sent.clone())
                        };
                        let response = request.send();
                        assert_eq!(response.status, 200, "{what}");
                        assert!(response.end.is_complete(), "{what}: {:?}", response.end);
                        assert_eq!(response.body.len(), expected.len(), "{what}");
                        assert!(response.body == expected, "{what}: another body");
                    }
                }
            }
        }
    }
}

/// The length that the client said is not that of the body that the application reads.
#[test]
fn a_filtered_body_has_no_content_length() {
    for server in servers(|builder| builder) {
        let environ = |path: &str| {
            let response = server.request("POST", path).body("l\n").send();
            assert_eq!(response.status, 200, "{path}: {response:?}");
            response.text().to_owned()
        };
        let plain = environ("/probe/environ");
        assert!(plain.contains("\"CONTENT_LENGTH\": \"2\""), "{plain}");
        let filtered = environ("/longer/probe/environ");
        assert!(!filtered.contains("CONTENT_LENGTH"), "{filtered}");
        assert!(filtered.contains("\"gateway.input_terminated\": \"1\""), "{filtered}");
    }
}

#[test]
fn limit_request_body_counts_what_comes_out_of_a_filter() {
    for server in servers(|builder| builder.conf("LimitRequestBody 3000")) {
        for filter in ["longer", "inflated"] {
            // Goes in below the limit, and comes out above it.
            let (sent, expected) = body(filter, 500);
            assert!(sent.len() < 3000 && expected.len() > 3000, "{} bytes", sent.len());
            for path in ["probe/discard", "probe/echo"] {
                let path = format!("/{filter}/{path}");
                let mut request = server.request("POST", &path).body(sent.clone());
                if filter == "inflated" {
                    request = request.header("Content-Encoding", "gzip");
                }
                let response = request.send();
                assert_eq!(response.status, 413, "{path}: {response:?}");
            }
        }
    }
}

/// Makes a frame of HTTP/2 (RFC 9113, 4.1) of stream 1, or of the connection for SETTINGS.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let stream = u8::from(kind != SETTINGS);
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;

/// Sends the head of a POST over HTTP/2, and a piece of its body.
fn begin_post(server: &Server, path: &str, piece: &[u8]) -> Connection {
    // POST and http of the static table, path and authority in full (RFC 7541, 6).
    let head = [&[0x83, 0x86, 0x04, path.len() as u8], path.as_bytes(), b"\x01\x01x"].concat();
    let mut connection = server.connect();
    connection.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    connection.write(frame(SETTINGS, 0, &[]));
    connection.write(frame(HEADERS, END_HEADERS, &head));
    connection.write(frame(DATA, 0, piece));
    connection
}

/// Returns the next piece of the response's body.
fn next_data(connection: &mut Connection) -> Vec<u8> {
    loop {
        let head = connection.read_exact(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let payload = connection.read_exact(length as usize);
        if head[3] == DATA && !payload.is_empty() {
            return payload;
        }
    }
}

/// A part of a chunk's head is not a piece of the body, and an answer does not wait for the rest.
#[test]
fn an_answer_does_not_wait_for_the_rest_of_a_chunk() {
    for server in servers(|builder| builder.conf("Timeout 300")) {
        let mut connection = server.connect();
        connection
            .write("POST /api/first HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.write("7\r\na piece\r\n5");
        let head = connection.read_head();
        assert_eq!((head.status, connection.read_exact(7)), (200, b"a piece".to_vec()));
    }
}

/// An HTTP/2 stream has no socket to wait for. A response does not wait for the client's next
/// piece.
#[test]
fn an_answer_over_http2_does_not_wait_for_the_rest_of_the_body() {
    // The client waits for the answer, and gives up before httpd gives up waiting for the client.
    for server in servers(|builder| builder.http2(true).conf("Timeout 300")) {
        for path in ["/api/first", "/api/duplex", "/probe/duplex", "/probe/early"] {
            let mut connection = begin_post(&server, path, b"a piece");
            let data = next_data(&mut connection);
            if path != "/probe/early" {
                assert_eq!(data, b"a piece", "{path}");
            }
        }
        // The next pieces arrive as well, at any pace.
        let mut connection = begin_post(&server, "/api/duplex", b"0");
        for piece in 1..=20_u8 {
            assert_eq!(next_data(&mut connection), [b'0' + piece - 1]);
            connection.write(frame(DATA, 0, &[b'0' + piece]));
        }
    }
}
