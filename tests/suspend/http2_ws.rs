//! Streams of HTTP/2 that switch to another protocol (RFC 8441), behind mod_http2.

use bytes::Bytes;
use h2::ext::Protocol;
use http::{Method, Request};
use httpd_testkit::{Mpm, Server, mpm_tests};

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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let test = async {
            let stream = tokio::net::TcpStream::connect(server.addr()).await.expect("a connection");
            let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
            tokio::spawn(connection);
            let request = Request::get("http://x/probe/bytes/3").body(()).expect("a request");
            let (response, _) = client.send_request(request, true).expect("a stream");
            assert_eq!(response.await.expect("a response").status(), 200);
            assert!(client.is_extended_connect_protocol_enabled());
            let mut request = Request::new(());
            *request.method_mut() = Method::CONNECT;
            *request.uri_mut() = "http://x/probe/ws".parse().expect("a target");
            request.extensions_mut().insert(Protocol::from_static("websocket"));
            request.headers_mut().insert("sec-websocket-version", "13".parse().expect("a value"));
            let (response, mut sender) = client.send_request(request, false).expect("a stream");
            let response = response.await.expect("a response");
            assert_eq!(response.status(), 200);
            let mut body = response.into_body();
            let mut got = Vec::new();
            for turn in 1..=20 {
                sender.send_data(Bytes::from_static(HELLO), false).expect("a write");
                while got.len() < ECHO.len() * turn {
                    let data = body.data().await.expect("more data").expect("data");
                    body.flow_control().release_capacity(data.len()).expect("what has come");
                    got.extend_from_slice(&data);
                }
            }
            assert_eq!(got, ECHO.repeat(20));
            sender.send_data(Bytes::from_static(CLOSE), false).expect("a write");
            let mut rest = Vec::new();
            while let Some(data) = body.data().await {
                rest.extend_from_slice(&data.expect("its end"));
            }
            assert_eq!(rest, CLOSED);
        };
        let patience = std::time::Duration::from_secs(20);
        runtime
            .expect("a runtime")
            .block_on(async { tokio::time::timeout(patience, test).await.expect("in time") });
    }
}
