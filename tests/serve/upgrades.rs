//! Connections of HTTP/1.1 that switch to another protocol: the WebSocket of the probe.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream, client::SendRequest};
use http::{Method, Request, StatusCode};
use rustix::process::Signal;

use crate::program::{PATIENCE, Program};

/// The handshake of RFC 6455, section 1.3.
const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The masked "Hello" of RFC 6455, section 5.7, and its echo.
const HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
const ECHO: &[u8] = b"\x81\x05Hello";

const CLOSE: &[u8] = &[0x88, 0x80, 0, 0, 0, 0];

fn stock() -> PathBuf {
    httpd_testkit::find_program("rust-gateway").expect("cargo build --features servers")
}

/// Sends the handshake, and `first` in the same packet.
fn connect(address: &str, first: &[u8]) -> TcpStream {
    let mut client = TcpStream::connect(address).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    client.write_all(&[HANDSHAKE.as_bytes(), first].concat()).expect("a write");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 switching protocols\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    client
}

fn echoes(client: &mut TcpStream) {
    let mut echo = [0; ECHO.len()];
    client.read_exact(&mut echo).expect("an echo");
    assert_eq!(echo, ECHO);
}

/// Closes the WebSocket, and reads to the end of the connection.
fn close(mut client: TcpStream) {
    client.write_all(CLOSE).expect("a write");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("an end");
    assert_eq!(rest, b"\x88\x00");
}

#[test]
fn a_websocket_outlasts_its_request_and_a_drain() {
    let arguments =
        ["--mount", "/=probe", "--http", "127.0.0.1:0", "--threads", "1", "--head-timeout", "1s"];
    let mut program = Program::start_at(&stock(), &arguments);
    let address = program.address("http");
    let mut first = connect(&address, HELLO);
    echoes(&mut first);
    // The one thread is free.
    let mut second = connect(&address, b"");
    for client in [&mut first, &mut second] {
        // More than a request's head may have.
        for _ in 0..8 * 1024 {
            client.write_all(HELLO).expect("a write");
            echoes(client);
        }
    }
    program.signal(Signal::TERM);
    program.wait_for("ending: ");
    first.write_all(HELLO).expect("a write");
    echoes(&mut first);
    close(first);
    close(second);
    let ended = program.end();
    assert!(ended.status.success() && !ended.stderr.contains("RUST0"), "{}", ended.stderr);
}

#[test]
fn a_websocket_has_a_place_among_the_connections() {
    let arguments = ["--mount", "/=probe", "--http", "127.0.0.1:0", "--max-connections", "1"];
    let mut program = Program::start_at(&stock(), &arguments);
    let address = program.address("http");
    let mut first = connect(&address, HELLO);
    echoes(&mut first);
    let mut waiting = TcpStream::connect(&address).expect("a connection");
    waiting.write_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n").expect("a write");
    program.wait_for("--max-connections");
    first.write_all(HELLO).expect("a write");
    echoes(&mut first);
    close(first);
    waiting.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut status = [0; 12];
    waiting.read_exact(&mut status).expect("a response");
    assert_eq!(&status, b"HTTP/1.1 404");
    program.stop();
}

/// Sends the handshake of RFC 8441 with a stream.
async fn connect_stream(
    client: &mut SendRequest<Bytes>,
    target: &str,
) -> (StatusCode, SendStream<Bytes>, RecvStream) {
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = format!("http://x{target}").parse().expect("a target");
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    request.headers_mut().insert("sec-websocket-version", "13".parse().expect("a value"));
    let (response, sender) = client.send_request(request, false).expect("a stream");
    let response = response.await.expect("a response");
    let length = response.headers().get("content-length");
    assert!(!response.status().is_success() || length.is_none(), "{response:?}");
    (response.status(), sender, response.into_body())
}

/// Sends an ordinary request.
async fn get(client: &mut SendRequest<Bytes>, target: &str) -> StatusCode {
    let request = Request::get(format!("http://x{target}")).body(()).expect("a request");
    let (response, _) = client.send_request(request, true).expect("a stream");
    response.await.expect("a response").status()
}

async fn read(body: &mut RecvStream, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let data = body.data().await.expect("more data").expect("data");
        body.flow_control().release_capacity(data.len()).expect("what has come");
        bytes.extend_from_slice(&data);
    }
    bytes
}

/// Runs `test` with a connection of HTTP/2 to a program.
fn with_http2<F: Future<Output = ()>>(address: &str, test: impl FnOnce(SendRequest<Bytes>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
        let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        let connection = tokio::spawn(connection);
        // With a response the settings have come.
        assert_eq!(get(&mut client, "/nothing").await, 404);
        assert!(client.is_extended_connect_protocol_enabled());
        tokio::time::timeout(PATIENCE, test(client)).await.expect("all of it in time");
        connection.abort();
    });
}

/// RFC 8441: the connection is not idle, and goes on to serve others.
#[test]
fn a_stream_of_http2_is_a_websocket() {
    let arguments =
        ["--mount", "/=probe", "--http", "127.0.0.1:0", "--threads", "1", "--keep-alive", "1s"];
    let program = Program::start_at(&stock(), &arguments);
    with_http2(&program.address("http"), async |mut client| {
        let (status, mut sender, mut body) = connect_stream(&mut client, "/ws").await;
        assert_eq!(status, 200);
        for pause in [0, 2500, 0] {
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            sender.send_data(Bytes::from_static(HELLO), false).expect("a write");
            assert_eq!(read(&mut body, ECHO.len()).await, ECHO);
            assert_eq!(get(&mut client, "/bytes/3").await, 200);
        }
        let (status, ..) = connect_stream(&mut client, "/nothing").await;
        assert_eq!(status, 404, "one that is refused");
        let plain = Request::connect("x:80").body(()).expect("a request");
        let (response, _) = client.send_request(plain, true).expect("a stream");
        assert_eq!(response.await.expect("a response").status(), 405);
        sender.send_data(Bytes::from_static(CLOSE), false).expect("a write");
        assert_eq!(read(&mut body, 2).await, b"\x88\x00");
        while let Some(data) = body.data().await {
            assert_eq!(data.expect("its end"), "");
        }
    });
    program.stop();
}

/// The example: axum's WebSocketUpgrade, unchanged.
#[test]
fn a_chat_over_http2() {
    let program = httpd_testkit::find_program("live-gateway").expect("cargo build --examples");
    let program = Program::start_at(&program, &["--mount", "/=live", "--http", "127.0.0.1:0"]);
    with_http2(&program.address("http"), async |mut client| {
        let mut talkers = Vec::new();
        for _ in 0..3 {
            let (status, sender, body) = connect_stream(&mut client, "/chat").await;
            assert_eq!(status, 200);
            talkers.push((sender, body));
        }
        talkers[1].0.send_data(Bytes::from_static(HELLO), false).expect("a write");
        // Its own message tells that it takes part; the others may have come a moment later.
        assert_eq!(read(&mut talkers[1].1, ECHO.len()).await, ECHO);
        for (mut sender, mut body) in talkers {
            sender.send_data(Bytes::from_static(CLOSE), true).expect("a write");
            while body.data().await.is_some() {}
        }
    });
    program.stop();
}
