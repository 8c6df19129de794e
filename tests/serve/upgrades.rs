//! Connections of HTTP/1.1 that switch to another protocol: the WebSocket of the probe.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

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
