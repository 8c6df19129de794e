//! Streams of HTTP/2 that switch to another protocol (RFC 8441), behind mod_http2.

use httpd_testkit::{Mpm, Server, mpm_tests};

use crate::http2_client::{Client, drive};
use crate::websocket::{CLOSE, CLOSED, ECHO, HELLO};

mpm_tests! {
    /// mod_http2 makes an upgrade request of HTTP/1.1 of it (H2WebSockets), and refuses prefork.
    fn a_stream_is_a_websocket(mpm) {
        if mpm == Mpm::Prefork {
            return;
        }
        let server = Server::builder()
            .module("mod_rust.so")
            .mpm(mpm)
            .http2(true)
            .children(1)
            .threads(4)
            .conf("H2WebSockets on")
            .conf("RustAppAlias /probe probe")
            .start();
        drive(async {
            let mut client = Client::connect(&server).await;
            let mut socket = client.open("/probe/ws").await;
            for _ in 0..20 {
                socket.write(HELLO);
                assert_eq!(socket.read_exact(ECHO.len()).await, ECHO);
            }
            socket.write(CLOSE);
            assert_eq!(socket.read_to_end().await, (CLOSED.to_vec(), true));
            // The end of a client that says nothing.
            let mut other = client.open("/probe/ws").await;
            other.end();
            assert!(other.read_to_end().await.0.is_empty());
        });
    }
}
