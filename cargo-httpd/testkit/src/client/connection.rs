//! One connection to a server: requests go out as any bytes, responses come back taken apart.

use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use super::error::{ClientError, ClientErrorKind};
use super::head::{Framing, Head, parse_trailers};
use super::request::RequestBuilder;
use super::response::{BodyEnd, Response};
use super::wire::{Got, Wire};

/// A head or trailer section longer than this is taken for nonsense.
const HEAD_LIMIT: usize = 1 << 20;
/// A body that is collected in memory may be this long; longer ones go through
/// [`Connection::read_response_with`].
const BODY_LIMIT: usize = 1 << 28;

/// An HTTP/1.1 connection over plain TCP.
///
/// Every read and write has a time-out, 30 seconds unless [`Connection::set_timeout`] says
/// otherwise: it counts from the last byte that came or went. The methods panic where the wish
/// cannot be granted, with what was there instead; [`Connection::try_read_response`] does not.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    addr: SocketAddr,
}

impl Connection {
    /// Connects to `addr`.
    ///
    /// # Panics
    /// Panics when nobody answers there.
    pub fn open(addr: SocketAddr, timeout: Duration) -> Self {
        Self::try_open(addr, timeout).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Connects to `addr`.
    ///
    /// # Errors
    /// Fails when nobody answers there.
    pub fn try_open(addr: SocketAddr, timeout: Duration) -> Result<Self, ClientError> {
        let wire = Wire::open(addr, timeout)
            .map_err(|error| ClientError::io(&format!("connecting to {addr}"), &error))?;
        Ok(Self { wire, addr })
    }

    /// Sets the time-out of every read and write from now on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.wire.set_timeout(timeout).expect("a time-out above zero");
    }

    /// Returns a request on this connection, which stays open unless its headers or the server say
    /// otherwise.
    pub fn request(&mut self, method: &str, target: &str) -> RequestBuilder<'_> {
        RequestBuilder::on(self, method, target)
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// Panics when the server has closed the connection, or takes nothing before the time-out.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        if let Err(error) = self.try_write(bytes.as_ref()) {
            panic!("cannot send: {error}");
        }
        self
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Fails when the server has closed the connection, or takes nothing before the time-out.
    pub fn try_write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.wire.write(bytes)
    }

    /// Reads the response to a request that was not HEAD.
    ///
    /// # Panics
    /// Panics where [`Connection::try_read_response`] fails.
    pub fn read_response(&mut self) -> Response {
        self.read_response_to("GET")
    }

    /// Reads the response to a request with `method`: that to a HEAD has no body.
    ///
    /// # Panics
    /// Panics where [`Connection::try_read_response`] fails.
    pub fn read_response_to(&mut self, method: &str) -> Response {
        self.try_read_response(method).unwrap_or_else(|error| panic!("no response: {error}"))
    }

    /// Reads the response to a request with `method`, interim responses before it included. A 101
    /// is a final one.
    ///
    /// # Errors
    /// Fails when there is no response, no HTTP, or nothing more before the time-out. A body that
    /// breaks off is not an error: see [`Response::end`].
    pub fn try_read_response(&mut self, method: &str) -> Result<Response, ClientError> {
        let mut body = Vec::new();
        let mut collect = |bytes: &[u8]| {
            assert!(body.len() + bytes.len() <= BODY_LIMIT, "body over {BODY_LIMIT} bytes");
            body.extend_from_slice(bytes);
        };
        let response = self.try_read_response_with(method, &mut collect)?;
        Ok(Response { body, ..response })
    }

    /// Like [`Connection::read_response_to`], but the body goes to `sink` piece by piece and is
    /// empty in the result: for bodies too large for memory.
    ///
    /// # Panics
    /// Panics where [`Connection::try_read_response`] fails.
    pub fn read_response_with(&mut self, method: &str, mut sink: impl FnMut(&[u8])) -> Response {
        self.try_read_response_with(method, &mut sink)
            .unwrap_or_else(|error| panic!("no response: {error}"))
    }

    /// Reads one head, an interim one too; the body is left on the wire for
    /// [`Connection::read_exact`], [`Connection::read_chunk`] or [`Connection::read_to_end`].
    ///
    /// # Panics
    /// Panics when there is none before the time-out.
    pub fn read_head(&mut self) -> Head {
        self.try_read_head().unwrap_or_else(|error| panic!("no head of a response: {error}"))
    }

    /// Reads one chunk of a chunked body as the server framed it; `None` at the last one, whose
    /// trailers are read too.
    ///
    /// # Panics
    /// Panics when the body breaks off or is not chunked.
    pub fn read_chunk(&mut self) -> Option<Vec<u8>> {
        match self.next_chunk() {
            Ok(Ok(Chunk::Data(size))) => {
                let bytes = self.read_exact(size);
                let end = self.read_exact(2);
                assert_eq!(end, b"\r\n", "after a chunk of {size} bytes");
                Some(bytes)
            }
            Ok(Ok(Chunk::Last(_))) => None,
            Ok(Err(why)) => panic!("the body breaks off: {why}"),
            Err(error) => panic!("no chunk: {error}"),
        }
    }

    /// Reads exactly `count` bytes.
    ///
    /// # Panics
    /// Panics when the connection ends or is silent before that.
    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let doing = format!("reading exactly {count} bytes");
        while self.wire.pending().len() < count {
            match self.wire.fill(&doing) {
                Ok(Got::Data) => {}
                Ok(end) => {
                    let had = self.wire.pending();
                    panic!("{end:?} while {doing}, after {}: {}", had.len(), had.escape_ascii())
                }
                Err(error) => panic!("{error}"),
            }
        }
        let bytes = self.wire.pending()[..count].to_vec();
        self.wire.take(count);
        bytes
    }

    /// Reads until the server closes the connection, and returns what came. A reset counts as a
    /// close.
    ///
    /// # Panics
    /// Panics when the connection stays open and silent until the time-out.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        loop {
            match self.wire.fill("reading to the end") {
                Ok(Got::Data) => {
                    let had = self.wire.pending().len();
                    assert!(had <= BODY_LIMIT, "more than {BODY_LIMIT} bytes to the end");
                }
                Ok(Got::Eof | Got::Reset) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let bytes = self.wire.pending().to_vec();
        self.wire.take(bytes.len());
        bytes
    }

    /// Waits until the server closes the connection or the time-out passes: true if it closed and
    /// sent nothing more before.
    pub fn is_closed(&mut self) -> bool {
        self.wire.pending().is_empty()
            && matches!(self.wire.fill("waiting for the close"), Ok(Got::Eof | Got::Reset))
    }

    /// True if the server has not closed the connection up to now, and nothing unread is there.
    /// Does not wait: to see that a connection is kept, send the next request on it.
    pub fn is_idle(&self) -> bool {
        let stream = self.wire.stream();
        stream.set_nonblocking(true).expect("a socket");
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).expect("a socket");
        let waits = matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        waits && self.wire.pending().is_empty()
    }

    /// Tells the server that no more bytes come, and goes on reading.
    pub fn close_write(&mut self) -> &mut Self {
        self.wire.shutdown(Shutdown::Write);
        self
    }

    /// Ends the connection as a crashed client does, with a reset.
    pub fn reset(self) {
        let linger = Some(Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(self.wire.stream(), linger).expect("a socket");
    }

    /// Returns the client's own address: `REMOTE_ADDR` and `REMOTE_PORT` of its requests.
    pub fn local_addr(&self) -> SocketAddr {
        self.wire.stream().local_addr().expect("a connected socket")
    }

    /// Returns the server's address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    pub(crate) fn try_read_response_with(
        &mut self,
        method: &str,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Response, ClientError> {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.try_read_head()?;
            if head.status >= 200 || head.status == 101 {
                break Head { interim, ..head };
            }
            interim.push(head.status);
        };
        let (end, trailers) = match head.framing(method)? {
            Framing::Length(length) => (self.sized_body(length, sink)?, Vec::new()),
            Framing::Close => (self.body_to_close(sink)?, Vec::new()),
            Framing::Chunked => self.chunked_body(sink)?,
        };
        Ok(Response::new(head, Vec::new(), end, trailers))
    }

    fn try_read_head(&mut self) -> Result<Head, ClientError> {
        let doing = "reading the head of a response";
        match self.wire.until(b"\r\n\r\n", HEAD_LIMIT, doing)? {
            Ok(bytes) => Head::parse(&bytes),
            Err(end) => {
                let had = self.wire.pending();
                Err(if had.is_empty() {
                    let message = format!("{end:?} before the first byte of a response");
                    ClientError::new(ClientErrorKind::Closed, message)
                } else {
                    let message = format!("{end:?} within the head: {}", had.escape_ascii());
                    ClientError::new(ClientErrorKind::Truncated, message)
                })
            }
        }
    }

    /// Hands `length` bytes to `sink`, or says where they end.
    fn sized_body(
        &mut self,
        length: u64,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<BodyEnd, ClientError> {
        let mut left = length;
        while left > 0 {
            if self.wire.pending().is_empty() {
                match self.wire.fill(&format!("reading a body, {left} of {length} bytes left"))? {
                    Got::Data => {}
                    end => {
                        let came = length - left;
                        return Ok(BodyEnd::Truncated(format!("{end:?} after {came} of {length}")));
                    }
                }
            }
            let pending = self.wire.pending();
            let count = pending.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            sink(&pending[..count]);
            self.wire.take(count);
            left -= count as u64;
        }
        Ok(BodyEnd::Length)
    }

    fn body_to_close(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<BodyEnd, ClientError> {
        loop {
            let count = self.wire.pending().len();
            sink(self.wire.pending());
            self.wire.take(count);
            match self.wire.fill("reading a body until the close")? {
                Got::Data => {}
                Got::Eof => return Ok(BodyEnd::Close),
                Got::Reset => return Ok(BodyEnd::Truncated("reset instead of a close".into())),
            }
        }
    }

    #[allow(clippy::type_complexity, reason = "the same pair as in Response, used here only")]
    fn chunked_body(
        &mut self,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(BodyEnd, Vec<(String, Vec<u8>)>), ClientError> {
        let truncated = |why| Ok((BodyEnd::Truncated(why), Vec::new()));
        loop {
            let size = match self.next_chunk()? {
                Ok(Chunk::Data(size)) => size,
                Ok(Chunk::Last(trailers)) => return Ok((BodyEnd::Chunked, trailers)),
                Err(why) => return truncated(why),
            };
            if let BodyEnd::Truncated(why) = self.sized_body(size as u64, sink)? {
                return truncated(format!("{why} bytes of a chunk"));
            }
            let mut end = Vec::new();
            self.sized_body(2, &mut |bytes| end.extend_from_slice(bytes))?;
            match end.as_slice() {
                b"\r\n" => {}
                b"" | b"\r" => return truncated("no CRLF after a chunk's bytes".into()),
                _ => {
                    let message = format!("\"{}\" after a chunk's bytes", end.escape_ascii());
                    return Err(ClientError::malformed(message));
                }
            }
        }
    }

    /// Reads the line with a chunk's size, and the trailers after the last one. The inner error
    /// says where the body breaks off.
    fn next_chunk(&mut self) -> Result<Result<Chunk, String>, ClientError> {
        let line = match self.wire.until(b"\r\n", HEAD_LIMIT, "reading the size of a chunk")? {
            Ok(line) => line,
            Err(end) => {
                let had = self.wire.pending().escape_ascii().to_string();
                return Ok(Err(format!("{end:?} where a chunk's size should be, after \"{had}\"")));
            }
        };
        let digits = line.split(|b| b"; \t\r".contains(b)).next().unwrap_or_default();
        let size = std::str::from_utf8(digits)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(size) = size else {
            let message = format!("no size of a chunk: \"{}\"", line.escape_ascii());
            return Err(ClientError::malformed(message));
        };
        if size > 0 {
            return Ok(Ok(Chunk::Data(size)));
        }
        let doing = "reading the trailers";
        let mut trailers = Vec::new();
        while !trailers.ends_with(b"\r\n\r\n") && trailers != b"\r\n" {
            match self.wire.until(b"\r\n", HEAD_LIMIT, doing)? {
                Ok(line) => trailers.extend_from_slice(&line),
                Err(end) => return Ok(Err(format!("{end:?} after the last chunk's size"))),
            }
        }
        Ok(Ok(Chunk::Last(parse_trailers(&trailers)?)))
    }
}

enum Chunk {
    /// This many bytes follow.
    Data(usize),
    /// The body is complete; its trailers.
    Last(Vec<(String, Vec<u8>)>),
}
