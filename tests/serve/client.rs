//! A client that speaks SCGI, as a web server does.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use mod_rust::internal::protocol::head::{self, ParamLimits};
use mod_rust::internal::protocol::params::Params;
use mod_rust::internal::protocol::scgi;

use crate::program::PATIENCE;

/// A connection with a request on its way.
pub(crate) enum Client {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        Ok(if address.starts_with('/') {
            let stream = UnixStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Self::Unix(stream)
        } else {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Self::Tcp(stream)
        })
    }

    /// Sends a request's head.
    pub(crate) fn request(mut self, path: &str, length: usize) -> io::Result<Self> {
        let mut params = Params::new();
        let (path_info, query) = path.split_once('?').unwrap_or((path, ""));
        for (key, value) in [
            ("CONTENT_LENGTH", length.to_string().as_str()),
            ("REQUEST_METHOD", if length == 0 { "GET" } else { "POST" }),
            ("REQUEST_URI", path),
            ("PATH_INFO", path_info),
            ("QUERY_STRING", query),
            ("REMOTE_ADDR", "192.0.2.1"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            // One that reads the answer while it sends.
            ("SERVER_SOFTWARE", "lighttpd/1.4.69"),
        ] {
            params.push(key.as_bytes(), value.as_bytes());
        }
        let mut bytes = Vec::new();
        scgi::encode(&params, &mut bytes).expect("a head");
        self.write_all(&bytes)?;
        Ok(self)
    }

    /// Waits until so much of the body is here.
    pub(crate) fn read_until(&mut self, needle: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match self.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => bytes.extend_from_slice(&piece[..read]),
            }
            if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                return Ok(bytes);
            }
        }
    }

    /// Reads the response after the bytes that were read before.
    pub(crate) fn answer(mut self, mut bytes: Vec<u8>) -> io::Result<Answer> {
        self.read_to_end(&mut bytes)?;
        let limits = ParamLimits::default();
        let parsed = head::parse(&bytes, &limits).map_err(io::Error::other)?;
        let (head, size) = parsed.ok_or(io::ErrorKind::UnexpectedEof)?;
        let body = &bytes[size..];
        if let Some(length) = head.header(b"content-length") {
            let length: usize = String::from_utf8_lossy(length).parse().expect("a length");
            if length != body.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Answer { status: head.code(), body: String::from_utf8_lossy(body).into_owned() })
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asks for a path.
pub(crate) fn get(address: &str, path: &str) -> io::Result<Answer> {
    Client::connect(address)?.request(path, 0)?.answer(Vec::new())
}

/// The process that answers.
#[track_caller]
pub(crate) fn pid(address: &str) -> u32 {
    let answer = get(address, "/pid").expect("an answer");
    answer.body.parse().expect("a process id")
}
