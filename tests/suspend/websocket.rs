//! A client of WebSockets, which sends and expects fixed messages.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use httpd_testkit::{Connection, Server};

/// The handshake of RFC 6455, section 1.3.
pub(crate) const HANDSHAKE: &str = "GET /probe/ws HTTP/1.1\r\nHost: x\r\n\
     Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The masked "Hello" of RFC 6455, section 5.7, and its echo.
pub(crate) const HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
pub(crate) const ECHO: &[u8] = b"\x81\x05Hello";

pub(crate) const CLOSE: &[u8] = &[0x88, 0x80, 0, 0, 0, 0];
pub(crate) const CLOSED: &[u8] = b"\x88\x00";

/// Sends the handshake, and `first` in the same packet.
pub(crate) fn connect(server: &Server, first: &[u8]) -> Connection {
    connect_to(server, "/probe/ws", first)
}

pub(crate) fn connect_to(server: &Server, target: &str, first: &[u8]) -> Connection {
    let mut connection = server.connect();
    connection.write([HANDSHAKE.replace("/probe/ws", target).as_bytes(), first].concat());
    let head = connection.read_head();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert_eq!((head.header("content-length"), head.header("transfer-encoding")), (None, None));
    connection
}

#[track_caller]
pub(crate) fn echoes(connection: &mut Connection) {
    assert_eq!(connection.read_exact(ECHO.len()), ECHO);
}

/// Closes the WebSocket, and reads to the end of the connection.
#[track_caller]
pub(crate) fn close(mut connection: Connection) {
    connection.write(CLOSE);
    assert_eq!(connection.read_to_end(), CLOSED);
}

/// Exchanges messages one by one, and many in one packet.
pub(crate) fn exchange(connection: &mut Connection) {
    for _ in 0..100 {
        connection.write(HELLO);
        echoes(connection);
    }
    connection.write(HELLO.repeat(10_000));
    for _ in 0..10_000 {
        echoes(connection);
    }
}

/// Exchanges messages through TLS, and closes.
pub(crate) fn exchange_through_tls(server: &Server) {
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &server.tls_addr().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    let write = |bytes: &[u8], client: &mut Child| {
        client.stdin.as_mut().expect("its input").write_all(bytes).expect("a write");
    };
    write(HANDSHAKE.as_bytes(), &mut client);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read(&mut client, 1));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
    for _ in 0..100 {
        write(HELLO, &mut client);
        assert_eq!(read(&mut client, ECHO.len()), ECHO);
    }
    write(CLOSE, &mut client);
    let mut rest = Vec::new();
    client.stdout.as_mut().expect("its output").read_to_end(&mut rest).expect("an end");
    assert_eq!(rest, CLOSED);
    client.wait().expect("its end");
}

fn read(client: &mut Child, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    client.stdout.as_mut().expect("its output").read_exact(&mut bytes).expect("bytes");
    bytes
}
