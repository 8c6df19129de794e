//! A keep-alive HTTP/1.1 client on one socket: for the checks, and for counted requests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::endpoint::Endpoint;

/// One connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// The framing of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its Content-Length.
    Length,
    /// By the last chunk.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// An answer, complete.
#[derive(Debug)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// Names in lower case, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// The framing of the body.
    pub(crate) framing: Framing,
    /// The body, decoded.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Returns the first header of that name, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Returns the bytes of a request, head and body.
pub(crate) fn request(endpoint: Endpoint, query: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let path = endpoint.path();
    let mut bytes = match endpoint.post() {
        Some(_) => format!(
            "POST {path}{query} HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        ),
        None => format!("GET {path}{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"),
    }
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

impl Client {
    /// Connects to a port of this machine. The time-out is for each read and write, too.
    ///
    /// # Errors
    /// Fails when nobody listens.
    pub(crate) fn connect(port: u16, timeout: Duration) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self { stream: BufReader::with_capacity(65536, stream) })
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// Fails when the connection breaks, or what comes is not HTTP/1.1.
    pub(crate) fn send(&mut self, request: &[u8]) -> io::Result<Response> {
        self.stream.get_mut().write_all(request)?;
        read_response(&mut self.stream)
    }
}

fn read_response(stream: &mut impl BufRead) -> io::Result<Response> {
    let line = read_line(stream)?;
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| malformed(&format!("status line `{line}`")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) =
            line.split_once(':').ok_or_else(|| malformed(&format!("header `{line}`")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response { status, headers, framing: Framing::Close, body: Vec::new() };
    if response.header("transfer-encoding") == Some("chunked") {
        response.framing = Framing::Chunked;
        read_chunks(stream, &mut response.body)?;
    } else if let Some(length) = response.header("content-length") {
        let length: usize = length.parse().map_err(|_| malformed("Content-Length"))?;
        response.framing = Framing::Length;
        response.body.resize(length, 0);
        stream.read_exact(&mut response.body)?;
    } else {
        stream.read_to_end(&mut response.body)?;
    }
    Ok(response)
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(stream)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| malformed("chunk size"))?;
        if size == 0 {
            // Trailers, then an empty line.
            while !read_line(stream)?.is_empty() {}
            return Ok(());
        }
        if stream.by_ref().take(size).read_to_end(body)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !read_line(stream)?.is_empty() {
            return Err(malformed("end of a chunk"));
        }
    }
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.by_ref().take(65536).read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        None => Err(malformed(&format!("line `{line}`"))),
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed answer: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_then_chunks_on_one_connection() {
        let mut stream = &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi\
            HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\nT: t\r\n\r\n"
            [..];
        let first = read_response(&mut stream).unwrap();
        assert_eq!((first.status, first.framing), (200, Framing::Length));
        assert_eq!((first.header("x-a"), first.body.as_slice()), (Some("b"), &b"hi"[..]));
        let second = read_response(&mut stream).unwrap();
        assert_eq!((second.status, second.framing), (404, Framing::Chunked));
        assert_eq!(second.body, b"abcd");
        assert!(stream.is_empty());
    }

    #[test]
    fn truncated_responses_are_errors() {
        let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert!(read_response(&mut &whole[..]).is_ok());
        for end in 0..whole.len() {
            assert!(read_response(&mut &whole[..end]).is_err(), "{end}");
        }
        for text in ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "SSH-2.0\r\n\r\n"] {
            assert!(read_response(&mut text.as_bytes()).is_err(), "{text}");
        }
    }
}
