//! Building one request, sending it and reading its response.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::connection::Connection;
use super::error::{ClientError, ClientErrorKind};
use super::response::Response;

/// A request that is being built.
///
/// Nothing is checked and little is added: `Host`, where none is given; the length of the body;
/// `Connection: close` where the request has a connection of its own. So a test can send what is
/// wrong too.
#[must_use = "a request is sent by `send`"]
pub struct RequestBuilder<'a> {
    target: Target<'a>,
    head: Vec<u8>,
    names: Vec<String>,
    method: String,
    body: Body<'a>,
    trailers: Vec<u8>,
}

enum Target<'a> {
    Own(SocketAddr, Duration),
    Kept(&'a mut Connection),
}

enum Body<'a> {
    None,
    Bytes(Vec<u8>),
    Chunks(Box<dyn Iterator<Item = Vec<u8>> + Send + 'a>),
}

impl<'a> RequestBuilder<'a> {
    /// Adds a header; a repeated name is sent twice.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.names.push(name.to_ascii_lowercase());
        push_field(&mut self.head, name, value.as_ref());
        self
    }

    /// Sets the body, sent with its Content-Length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(body.into());
        self
    }

    /// Sets the body, sent piece by piece as `chunks` makes it, and chunked unless a Content-Length
    /// was given by [`RequestBuilder::header`]. It is made on a thread of its own while the
    /// response is read, so it may be larger than memory.
    pub fn chunks<I>(mut self, chunks: I) -> Self
    where
        I: IntoIterator<Item: Into<Vec<u8>> + 'a>,
        I::IntoIter: Send + 'a,
    {
        self.body = Body::Chunks(Box::new(chunks.into_iter().map(Into::into)));
        self
    }

    /// Adds a trailer field, sent after a chunked body.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        push_field(&mut self.trailers, name, value.as_ref());
        self
    }

    /// Sends the request and reads the response.
    ///
    /// # Panics
    /// Panics where [`RequestBuilder::try_send`] fails.
    pub fn send(self) -> Response {
        let line = self.line();
        self.try_send().unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Sends the request and reads the response.
    ///
    /// The server may answer before it has the whole body: then the rest is still sent unless the
    /// response closes the connection.
    ///
    /// # Errors
    /// Fails when there is no response, no HTTP, or nothing more before the time-out.
    pub fn try_send(self) -> Result<Response, ClientError> {
        let mut body = Vec::new();
        let response = self.exchange(&mut |bytes| body.extend_from_slice(bytes))?;
        Ok(Response { body, ..response })
    }

    /// Sends the request and reads the response, whose body goes to `sink` piece by piece and is
    /// empty in the result: for bodies too large for memory.
    ///
    /// # Panics
    /// Panics where [`RequestBuilder::try_send`] fails.
    pub fn send_with(self, mut sink: impl FnMut(&[u8])) -> Response {
        let line = self.line();
        self.exchange(&mut sink).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    pub(crate) fn to(addr: SocketAddr, timeout: Duration, method: &str, target: &str) -> Self {
        Self::new(Target::Own(addr, timeout), method, target)
    }

    pub(super) fn on(connection: &'a mut Connection, method: &str, target: &str) -> Self {
        Self::new(Target::Kept(connection), method, target)
    }

    fn new(to: Target<'a>, method: &str, target: &str) -> Self {
        let head = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        let method = method.to_owned();
        let (names, trailers) = (Vec::new(), Vec::new());
        Self { target: to, head, names, method, body: Body::None, trailers }
    }

    fn line(&self) -> String {
        let end = self.head.iter().position(|&byte| byte == b'\r').unwrap_or_default();
        String::from_utf8_lossy(&self.head[..end]).into_owned()
    }

    fn add_missing(&mut self, name: &str, value: &str) {
        if !self.names.iter().any(|given| given == name) {
            push_field(&mut self.head, name, value.as_bytes());
        }
    }

    fn exchange(mut self, sink: &mut dyn FnMut(&[u8])) -> Result<Response, ClientError> {
        let addr = match &self.target {
            Target::Own(addr, _) => *addr,
            Target::Kept(connection) => connection.peer_addr(),
        };
        self.add_missing("host", &format!("localhost:{}", addr.port()));
        if let Target::Own(..) = self.target {
            self.add_missing("connection", "close");
        }
        let sized = self.names.iter().any(|name| name == "content-length");
        match &self.body {
            Body::None => {}
            Body::Bytes(bytes) => {
                let length = bytes.len().to_string();
                self.add_missing("content-length", &length);
            }
            Body::Chunks(_) if sized => {}
            Body::Chunks(_) => self.add_missing("transfer-encoding", "chunked"),
        }
        self.head.extend_from_slice(b"\r\n");
        let mut own;
        let connection = match self.target {
            Target::Own(addr, timeout) => {
                own = Connection::try_open(addr, timeout)?;
                &mut own
            }
            Target::Kept(connection) => connection,
        };
        let upload = match self.body {
            Body::None => Upload::Whole(self.head),
            // The kernel takes this much without waiting for the server.
            Body::Bytes(bytes) if bytes.len() <= 16 * 1024 => {
                Upload::Whole([self.head.as_slice(), &bytes].concat())
            }
            Body::Bytes(bytes) => {
                let pieces: Vec<_> = bytes.chunks(64 * 1024).map(<[u8]>::to_vec).collect();
                Upload::Pieces(self.head, Box::new(pieces.into_iter()))
            }
            Body::Chunks(chunks) if sized => Upload::Pieces(self.head, chunks),
            Body::Chunks(chunks) => {
                let last = [b"0\r\n", self.trailers.as_slice(), b"\r\n"].concat();
                let framed = chunks.map(|chunk| frame(&chunk)).chain([last]);
                Upload::Pieces(self.head, Box::new(framed))
            }
        };
        upload.run(connection, &self.method, sink)
    }
}

impl std::fmt::Debug for RequestBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.head))
    }
}

/// A request in the form in which it is sent.
enum Upload<'a> {
    Whole(Vec<u8>),
    Pieces(Vec<u8>, Box<dyn Iterator<Item = Vec<u8>> + Send + 'a>),
}

impl Upload<'_> {
    fn run(
        self,
        connection: &mut Connection,
        method: &str,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Response, ClientError> {
        match self {
            Self::Whole(bytes) => {
                // A server that closes early may have answered all the same.
                let sent = connection.try_write(&bytes);
                let response = connection.try_read_response_with(method, sink);
                explain(response, sent)
            }
            Self::Pieces(head, pieces) => {
                connection.try_write(&head)?;
                let stream = connection.wire().stream().try_clone();
                let stream =
                    stream.map_err(|error| ClientError::io("duplicating the socket", &error))?;
                std::thread::scope(|scope| {
                    let writer = scope.spawn(move || write_pieces(stream, pieces));
                    let response = connection.try_read_response_with(method, sink);
                    if response.as_ref().map_or(true, Response::is_last) {
                        // Nobody takes the rest: the writer must not wait for it.
                        connection.wire().shutdown(Shutdown::Both);
                    }
                    let sent = writer.join().unwrap_or_else(|panic| {
                        std::panic::resume_unwind(panic);
                    });
                    explain(response, sent)
                })
            }
        }
    }
}

fn write_pieces(
    mut stream: TcpStream,
    pieces: impl Iterator<Item = Vec<u8>>,
) -> Result<(), ClientError> {
    for piece in pieces {
        std::io::Write::write_all(&mut stream, &piece)
            .map_err(|error| ClientError::io("sending the body", &error))?;
    }
    Ok(())
}

/// Adds the error of sending to the reason for a missing response.
fn explain(
    response: Result<Response, ClientError>,
    sent: Result<(), ClientError>,
) -> Result<Response, ClientError> {
    response.map_err(|error| match sent {
        Err(sending) if error.kind() == ClientErrorKind::Closed => {
            ClientError::new(error.kind(), format!("{error} ({sending})"))
        }
        _ => error,
    })
}

fn push_field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

/// Returns one chunk; an empty piece sends nothing, since it would end the body.
fn frame(chunk: &[u8]) -> Vec<u8> {
    if chunk.is_empty() {
        return Vec::new();
    }
    [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()
}
