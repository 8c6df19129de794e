//! A client of WebSockets over HTTP/2 (RFC 8441).

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request};
use httpd_testkit::Server;

/// No test takes as long, unless something hangs.
const LONG: Duration = Duration::from_secs(60);

/// Runs a test's client.
pub(crate) fn drive(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let test = async { tokio::time::timeout(LONG, test).await.expect("in time") };
    runtime.expect("a runtime").block_on(test);
}

/// A connection of HTTP/2.
pub(crate) struct Client(h2::client::SendRequest<Bytes>);

impl Client {
    pub(crate) async fn connect(server: &Server) -> Self {
        let stream = tokio::net::TcpStream::connect(server.addr()).await.expect("a connection");
        let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut client = Self(client);
        // The server's settings have come with it.
        assert_eq!(client.get("/probe/bytes/3").await, [0, 1, 2]);
        assert!(client.0.is_extended_connect_protocol_enabled());
        client
    }

    /// Returns the body of a plain request's response.
    pub(crate) async fn get(&mut self, target: &str) -> Vec<u8> {
        let request = Request::get(format!("http://x{target}")).body(()).expect("a request");
        let (response, _) = self.0.send_request(request, true).expect("a stream");
        let response = response.await.expect("a response");
        assert_eq!(response.status(), 200);
        let mut all = Vec::new();
        let mut body = response.into_body();
        while let Some(data) = body.data().await {
            let data = data.expect("data");
            body.flow_control().release_capacity(data.len()).expect("what has come");
            all.extend_from_slice(&data);
        }
        all
    }

    /// Opens a WebSocket.
    pub(crate) async fn open(&mut self, target: &str) -> Socket {
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = format!("http://x{target}").parse().expect("a target");
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        request.headers_mut().insert("sec-websocket-version", "13".parse().expect("a value"));
        let (response, sender) = self.0.send_request(request, false).expect("a stream");
        let response = response.await.expect("a response");
        assert_eq!(response.status(), 200);
        Socket { sender, body: response.into_body(), came: Vec::new() }
    }
}

/// A WebSocket, whose frames the test makes.
pub(crate) struct Socket {
    sender: SendStream<Bytes>,
    body: RecvStream,
    came: Vec<u8>,
}

impl Socket {
    pub(crate) fn write(&mut self, data: impl Into<Bytes>) {
        self.sender.send_data(data.into(), false).expect("a write");
    }

    /// Ends the stream on the client's side.
    pub(crate) fn end(&mut self) {
        self.sender.send_data(Bytes::new(), true).expect("a write");
    }

    /// Reads the next piece. Returns whether there was one, and how the stream ended.
    async fn more(&mut self) -> Result<bool, h2::Error> {
        let Some(data) = self.body.data().await.transpose()? else { return Ok(false) };
        self.body.flow_control().release_capacity(data.len())?;
        self.came.extend_from_slice(&data);
        Ok(true)
    }

    pub(crate) async fn read_exact(&mut self, count: usize) -> Vec<u8> {
        while self.came.len() < count {
            assert!(self.more().await.expect("data"), "{count} bytes: {}", self.came.len());
        }
        self.came.drain(..count).collect()
    }

    /// Returns what comes up to the end, and whether that is a whole stream's.
    pub(crate) async fn read_to_end(mut self) -> (Vec<u8>, bool) {
        loop {
            match self.more().await {
                Ok(true) => {}
                end => return (self.came, end.is_ok()),
            }
        }
    }
}
