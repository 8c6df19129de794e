//! A connection of the client: HTTP/1.1 or FastCGI, server-sent events or a WebSocket after it.
//!
//! It does no more than the run needs, since the client shares the cores with the servers.

use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The body of each answer to a request that waits.
const ANSWER: &[u8] = b"Hello, world\n";
/// The most bytes of an answer: more is none of ours.
const LONGEST: usize = 64 * 1024;
/// The bytes of a message that is echoed.
pub(crate) const MESSAGE: usize = 64;

/// The protocol of a peer's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    FastCgi,
}

/// One connection, and what has been read and not yet used.
pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// Returns an error if nobody listens, or no descriptor is left.
    pub(crate) async fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(512) })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// Returns an error if the connection ends, or the answer is another.
    pub(crate) async fn ask(&mut self, request: &[u8], protocol: Protocol) -> io::Result<()> {
        self.stream.write_all(request).await?;
        match protocol {
            Protocol::Http => self.http_answer().await,
            Protocol::FastCgi => self.fastcgi_answer().await,
        }
    }

    /// Sends a request and reads the head of its answer, which must have this status.
    ///
    /// # Errors
    /// Returns an error if the connection ends, or the answer is another.
    pub(crate) async fn open(&mut self, request: &[u8], status: &str) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.head(status).await.map(|_| ())
    }

    /// Returns the number in the next server-sent event.
    ///
    /// # Errors
    /// Returns an error if the stream ends, or holds something else.
    pub(crate) async fn event(&mut self) -> io::Result<u64> {
        const FIELD: &[u8] = b"data: ";
        loop {
            if let Some(start) = find(&self.read, FIELD).map(|at| at + FIELD.len())
                && let Some(length) = find(&self.read[start..], b"\n")
            {
                let due = number(&self.read[start..start + length]);
                self.read.drain(..start + length);
                return due;
            }
            self.more().await?;
        }
    }

    /// Returns the number in the next message of the WebSocket.
    ///
    /// # Errors
    /// Returns an error if the connection ends, or something else comes.
    pub(crate) async fn message(&mut self) -> io::Result<u64> {
        let length = self.frame().await?;
        let due = number(&self.read[2..2 + length]);
        self.read.drain(..2 + length);
        due
    }

    /// Sends a message and reads it again.
    ///
    /// # Errors
    /// Returns an error if the connection ends, or another message comes.
    pub(crate) async fn echo(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame).await?;
        let length = self.frame().await?;
        let same = self.read[2..2 + length] == frame[6..];
        self.read.drain(..2 + length);
        if same { Ok(()) } else { Err(wrong("another message came back", &[])) }
    }

    /// Reads a short frame of text or bytes, and returns its length.
    async fn frame(&mut self) -> io::Result<usize> {
        loop {
            if let [kind, length, rest @ ..] = self.read.as_slice() {
                if !matches!(kind, 0x81 | 0x82) || *length > 125 {
                    return Err(wrong("a frame", &self.read));
                }
                if rest.len() >= usize::from(*length) {
                    return Ok(usize::from(*length));
                }
            }
            self.more().await?;
        }
    }

    async fn http_answer(&mut self) -> io::Result<()> {
        let length = self.head("200").await?;
        while self.read.len() < length {
            self.more().await?;
        }
        if length != ANSWER.len() || self.read[..length] != *ANSWER {
            return Err(wrong("a body", &self.read));
        }
        self.read.drain(..length);
        Ok(())
    }

    /// Takes a head from what is read, and returns its Content-Length, or 0.
    async fn head(&mut self, status: &str) -> io::Result<usize> {
        let end = loop {
            match find(&self.read, b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.more().await?,
            }
        };
        let head = String::from_utf8_lossy(&self.read[..end]).to_ascii_lowercase();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        if first.split(' ').nth(1) != Some(status) {
            return Err(wrong("an answer", first.as_bytes()));
        }
        let length = lines.find_map(|line| line.strip_prefix("content-length:"));
        let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        self.read.drain(..end);
        Ok(length)
    }

    /// Reads records up to the end of the request.
    async fn fastcgi_answer(&mut self) -> io::Result<()> {
        const STDOUT: u8 = 6;
        const END_REQUEST: u8 = 3;
        let mut output = Vec::with_capacity(256);
        loop {
            while self.read.len() < 8 {
                self.more().await?;
            }
            let kind = self.read[1];
            let content = usize::from(u16::from_be_bytes([self.read[4], self.read[5]]));
            let end = 8 + content + usize::from(self.read[6]);
            while self.read.len() < end {
                self.more().await?;
            }
            if kind == STDOUT {
                output.extend_from_slice(&self.read[8..8 + content]);
            }
            self.read.drain(..end);
            if kind == END_REQUEST {
                break;
            }
        }
        match !output.starts_with(b"Status: ") || output.starts_with(b"Status: 200") {
            true if output.ends_with(ANSWER) => Ok(()),
            _ => Err(wrong("an answer", &output)),
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.read.len() > LONGEST {
            return Err(wrong("an answer without an end", &[]));
        }
        match self.stream.read_buf(&mut self.read).await? {
            0 if self.read.is_empty() => Err(io::ErrorKind::NotConnected.into()),
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the end after `{}`", shown(&self.read)),
            )),
            _ => Ok(()),
        }
    }
}

/// Returns the bytes of a request that waits so many milliseconds.
pub(crate) fn wait(protocol: Protocol, ms: u128) -> Vec<u8> {
    let path = format!("/waiting/wait/{ms}");
    match protocol {
        Protocol::Http => get(&path),
        Protocol::FastCgi => fastcgi(&path),
    }
}

/// Returns the bytes of a GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// Returns the bytes of a request to switch to a WebSocket.
pub(crate) fn upgrade(path: &str) -> Vec<u8> {
    let head = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n").into_bytes()
}

/// Returns the records of a GET over FastCGI, after which the connection stays.
fn fastcgi(path: &str) -> Vec<u8> {
    let mut params = Vec::new();
    for (name, value) in [
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", path),
        ("SCRIPT_NAME", path),
        ("QUERY_STRING", ""),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("HTTP_HOST", "localhost"),
    ] {
        params.extend([name.len() as u8, value.len() as u8]);
        params.extend_from_slice(name.as_bytes());
        params.extend_from_slice(value.as_bytes());
    }
    let mut bytes = Vec::new();
    // The role of a responder; the connection is kept.
    record(&mut bytes, 1, &[0, 1, 1, 0, 0, 0, 0, 0]);
    record(&mut bytes, 4, &params);
    record(&mut bytes, 4, &[]);
    record(&mut bytes, 5, &[]);
    bytes
}

fn record(bytes: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let [high, low] = (content.len() as u16).to_be_bytes();
    bytes.extend([1, kind, 0, 1, high, low, 0, 0]);
    bytes.extend_from_slice(content);
}

/// Returns a message as a client sends it. Its mask of zeros leaves the bytes as they are.
pub(crate) fn frame() -> Vec<u8> {
    let mut frame = vec![0x82, 0x80 | MESSAGE as u8, 0, 0, 0, 0];
    frame.extend((0..MESSAGE).map(|i| i as u8));
    frame
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn number(digits: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(digits).ok().map(str::trim);
    text.and_then(|text| text.parse().ok()).ok_or_else(|| wrong("a time", digits))
}

fn wrong(what: &str, bytes: &[u8]) -> io::Error {
    let text = format!("{what} that was not expected: `{}`", shown(bytes));
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Connects to a server that sends these bytes and closes.
    async fn served(bytes: &'static [u8]) -> Wire {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (wire, stream) = tokio::join!(Wire::connect(port), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream
        });
        // The client's bytes stay unread: a close at once could take back what was sent.
        let mut stream = stream;
        tokio::spawn(async move {
            let mut rest = Vec::new();
            stream.shutdown().await.unwrap();
            let _ = stream.read_to_end(&mut rest).await;
        });
        wire.unwrap()
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn answers_events_and_messages() {
        run(async {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, world\n";
            served(answer).await.ask(b"x", Protocol::Http).await.unwrap();
            let record = b"\x01\x06\0\x01\0\x1d\x03\0Status: 200\r\n\r\n\0Hello, world\n\0\0\0\
                \x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";
            served(record).await.ask(b"x", Protocol::FastCgi).await.unwrap();

            let mut events = served(b"HTTP/1.1 200 OK\r\n\r\n8\r\ndata: 17\n\n\r\n").await;
            events.open(b"x", "200").await.unwrap();
            assert_eq!(events.event().await.unwrap(), 17);
            assert!(events.event().await.is_err());

            let mut socket = served(b"HTTP/1.1 101 S\r\n\r\n\x81\x0217\x88\0").await;
            socket.open(b"x", "101").await.unwrap();
            assert_eq!(socket.message().await.unwrap(), 17);
            assert!(socket.message().await.is_err(), "a close is no message");
        });
    }

    #[test]
    fn another_answer_is_an_error() {
        run(async {
            for answer in [
                &b"HTTP/1.1 503 No\r\ncontent-length: 13\r\n\r\nHello, world\n"[..],
                b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, World\n",
                b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello",
                b"",
            ] {
                let mut wire = served(answer).await;
                assert!(wire.ask(b"x", Protocol::Http).await.is_err(), "{}", shown(answer));
            }
            let unavailable = b"\x01\x06\0\x01\0\x1c\0\0Status: 503\r\n\r\nHello, world\n\
                \x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";
            assert!(served(unavailable).await.ask(b"x", Protocol::FastCgi).await.is_err());
        });
    }

    #[test]
    fn a_message_is_the_one_that_is_compared() {
        let frame = frame();
        assert_eq!((frame.len(), frame[1] & 0x7f), (6 + MESSAGE, 64));
    }
}
