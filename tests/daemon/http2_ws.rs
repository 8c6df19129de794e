//! Streams of HTTP/2 that switch to another protocol (RFC 8441), behind mod_http2, through a daemon
//! process.

use httpd_testkit::{Mpm, Server, Signal, mpm_tests};

use crate::http2_client::{Client, Socket, drive};
use crate::websocket::{CLOSE, CLOSED, ECHO, HELLO};

/// Returns a server with the probe and the example in one process of one thread.
fn start(mpm: Mpm, options: &str) -> Server {
    let builder = Server::builder()
        .module("mod_rust.so")
        .module("mod_live.so")
        .mpm(mpm)
        .http2(true)
        .children(1)
        .threads(8)
        .conf("H2WebSockets on")
        .conf(&format!("RustDaemonProcess app processes=1 threads=1 {options}"))
        .conf(&format!("RustDaemonProcess live processes=1 threads=1 {options}"))
        .conf("RustAppAlias /probe probe process-group=app")
        .conf("RustAppAlias /live live process-group=live");
    let codes = ["RUST0031", "RUST0020", "RUST0021", "AH00052"];
    codes.iter().fold(builder, |builder, code| builder.allow_log(code)).start()
}

async fn echoes(socket: &mut Socket) {
    socket.write(HELLO);
    assert_eq!(socket.read_exact(ECHO.len()).await, ECHO);
}

mpm_tests! {
    /// mod_http2 refuses prefork.
    fn messages_go_both_ways_on_two_streams(mpm) {
        if mpm == Mpm::Prefork {
            return;
        }
        let server = start(mpm, "");
        drive(async {
            let mut client = Client::connect(&server).await;
            let mut one = client.open("/probe/ws").await;
            let mut other = client.open("/probe/ws").await;
            for _ in 0..20 {
                echoes(&mut one).await;
                echoes(&mut other).await;
            }
            // Each end by itself: with a close frame, and without.
            one.write(CLOSE);
            assert_eq!(one.read_to_end().await, (CLOSED.to_vec(), true));
            echoes(&mut other).await;
            other.end();
            let (rest, _) = other.read_to_end().await;
            assert!(rest.is_empty(), "{rest:?}");
            assert_eq!(client.get("/probe/bytes/3").await, [0, 1, 2]);
        });
    }
}

#[test]
fn messages_of_a_mebibyte() {
    const SIZE: usize = 1 << 20;
    let server = start(Mpm::Event, "");
    drive(async {
        let mut socket = Client::connect(&server).await.open("/probe/ws").await;
        let data: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
        // A mask of zeroes changes nothing.
        let length = (SIZE as u64).to_be_bytes();
        let message = [&[0x82, 0xff][..], &length, &[0; 4], &data].concat();
        for _ in 0..4 {
            socket.write(message.clone());
        }
        for _ in 0..4 {
            assert_eq!(socket.read_exact(10).await, [&[0x82, 127][..], &length].concat());
            assert!(socket.read_exact(SIZE).await == data);
        }
        socket.write(CLOSE);
        assert_eq!(socket.read_to_end().await, (CLOSED.to_vec(), true));
    });
}

/// The application ends it, when its process is replaced.
#[test]
fn the_application_ends_a_chat() {
    let server = start(Mpm::Event, "");
    drive(async {
        let mut socket = Client::connect(&server).await.open("/live/chat").await;
        echoes(&mut socket).await;
        server.signal(server.group("live").wait_ready(1)[0], Signal::USR1);
        assert_eq!(socket.read_to_end().await.0, CLOSED);
    });
}

#[test]
fn a_killed_process_ends_its_streams() {
    let server = start(Mpm::Event, "");
    drive(async {
        let mut client = Client::connect(&server).await;
        let mut sockets = Vec::new();
        for _ in 0..3 {
            sockets.push(client.open("/probe/ws").await);
        }
        for socket in &mut sockets {
            echoes(socket).await;
        }
        server.signal(server.group("app").wait_ready(1)[0], Signal::KILL);
        for socket in sockets {
            // Nothing of HTTP's comes behind the bytes of the other protocol.
            assert_eq!(socket.read_to_end().await.0, b"");
        }
        let mut next = Client::connect(&server).await.open("/probe/ws").await;
        echoes(&mut next).await;
    });
}
