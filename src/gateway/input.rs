//! The request body: `Read + BufRead`, of known length or not, with typed errors.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName};

use super::error::{Error, ErrorKind, Result};
use super::header;

/// The approximate size of the pieces of a body that is sent on, in bytes.
const PIECE: usize = 48 * 1024;

/// The server's side of the request body.
pub trait InputSource {
    /// Returns the body's length in bytes, or `None` if it is not known yet (chunked).
    fn length(&self) -> Option<u64>;

    /// Returns the bytes that can be read now. With `wait`, blocks until there are bytes, the end,
    /// or an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InputTooLarge`], [`ErrorKind::InputTimeout`], [`ErrorKind::InputMalformed`]
    /// or [`ErrorKind::ClientGone`].
    fn fill(&mut self, wait: bool) -> Result<Fill<'_>>;

    /// Consumes `amount` of the bytes that [`fill`](Self::fill) returned last.
    fn consume(&mut self, amount: usize);

    /// Returns the trailer fields, after the body was read to its end.
    fn trailers(&mut self) -> Option<HeaderMap> {
        None
    }

    /// Gives the client's socket away, once all of the input that has come has been consumed. From
    /// then on the exchange reads and writes nothing.
    ///
    /// `None` if the bytes on the socket are not those of the exchange.
    fn take_socket(&mut self) -> Option<TcpStream> {
        None
    }
}

/// The result of [`InputSource::fill`].
#[derive(Debug)]
pub enum Fill<'a> {
    /// At least one byte.
    Data(&'a [u8]),
    /// The end of the body.
    End,
    /// No byte yet. Only a call without `wait` returns it.
    NotYet,
}

/// The request body of one exchange (PEP 3333, `wsgi.input`).
///
/// A read past the end returns end-of-file, as `gateway.input_terminated` promises. An error that
/// the application returns with `?` becomes a response with the error's status: 413, 408 or 400.
///
/// ```
/// use mod_rust::{Body, Environ, Result, StartResponse};
///
/// fn reverse<'x>(mut environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
///     let mut text = environ.input().read_all(64 * 1024)?;
///     text.reverse();
///     start_response.start(200, [("Content-Type", "application/octet-stream")])?;
///     Ok(Body::from(text))
/// }
/// ```
pub struct Input<'x> {
    kind: InputKind<'x>,
}

enum InputKind<'x> {
    Empty,
    Server { source: &'x mut dyn InputSource, failed: &'x Cell<Option<ErrorKind>> },
    Reader { reader: Box<dyn BufRead + 'x>, length: Option<u64> },
    Source(Box<dyn InputSource + 'x>),
}

impl<'x> Input<'x> {
    /// Returns an empty input.
    #[must_use]
    pub const fn empty() -> Self {
        Self { kind: InputKind::Empty }
    }

    /// Makes an input of `reader`, for middleware and tests. It blocks when `reader` blocks, and
    /// has no trailers.
    pub fn from_reader(reader: impl BufRead + 'x, length: Option<u64>) -> Self {
        Self { kind: InputKind::Reader { reader: Box::new(reader), length } }
    }

    /// Makes an input of `source`, which can be read without waiting and may have trailers.
    pub(crate) fn from_source(source: impl InputSource + 'x) -> Self {
        Self { kind: InputKind::Source(Box::new(source)) }
    }

    pub(super) fn new(
        source: &'x mut dyn InputSource,
        failed: &'x Cell<Option<ErrorKind>>,
    ) -> Self {
        Self { kind: InputKind::Server { source, failed } }
    }

    /// Returns the body's length in bytes: 0 for a request without a body, `None` if it is not
    /// known yet.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.kind {
            InputKind::Empty => Some(0),
            InputKind::Server { source, .. } => source.length(),
            InputKind::Reader { length, .. } => *length,
            InputKind::Source(source) => source.length(),
        }
    }

    /// Returns the next bytes, at most `most`, or `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InputTooLarge`], [`ErrorKind::InputTimeout`], [`ErrorKind::InputMalformed`]
    /// or [`ErrorKind::ClientGone`].
    pub fn chunk(&mut self, most: usize) -> Result<Option<Bytes>> {
        let data = self.fill_buf()?;
        if data.is_empty() {
            return Ok(None);
        }
        let bytes = Bytes::copy_from_slice(&data[..data.len().min(most)]);
        self.consume(bytes.len());
        Ok(Some(bytes))
    }

    /// Reads the whole body, up to `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InputTooLarge`] when the body is longer. Otherwise the same as
    /// [`chunk`](Self::chunk).
    pub fn read_all(&mut self, limit: u64) -> Result<Vec<u8>> {
        let too_large = || {
            Error::of(
                ErrorKind::InputTooLarge,
                format!("the request body is larger than {limit} bytes"),
            )
        };
        let length = self.length();
        if length.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        // The length is unverified client data, so it reserves a bounded amount only.
        let mut body = Vec::with_capacity(length.unwrap_or(0).min(256 * 1024) as usize);
        loop {
            let data = self.fill_buf()?;
            if data.is_empty() {
                return Ok(body);
            }
            if (body.len() + data.len()) as u64 > limit {
                return Err(too_large());
            }
            let read = data.len();
            body.extend_from_slice(data);
            self.consume(read);
        }
    }

    /// Returns the bytes that can be read now, and with `wait` blocks for them (see
    /// [`InputSource::fill`]). [`consume`](BufRead::consume) consumes them.
    ///
    /// # Errors
    ///
    /// The same as [`InputSource::fill`].
    pub(crate) fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        match &mut self.kind {
            InputKind::Empty => Ok(Fill::End),
            InputKind::Server { source, failed } => fill(*source, failed, wait),
            InputKind::Reader { reader, .. } => {
                let data = reader.fill_buf()?;
                Ok(if data.is_empty() { Fill::End } else { Fill::Data(data) })
            }
            InputKind::Source(source) => source.fill(wait),
        }
    }

    /// The same as [`InputSource::take_socket`].
    #[cfg(feature = "tower")]
    pub(crate) fn take_socket(&mut self) -> Option<TcpStream> {
        match &mut self.kind {
            InputKind::Server { source, .. } => source.take_socket(),
            _ => None,
        }
    }

    /// Returns the trailer fields, after the body was read to its end.
    ///
    /// It drops fields that must not be trailers (RFC 9110, 6.5.1: Host, Content-Length, …). So an
    /// application may send the trailers on.
    pub fn trailers(&mut self) -> Option<HeaderMap> {
        let mut trailers = match &mut self.kind {
            InputKind::Server { source, .. } => source.trailers(),
            InputKind::Source(source) => source.trailers(),
            InputKind::Empty | InputKind::Reader { .. } => None,
        }?;
        let cannot_be =
            |name: &&HeaderName| header::check_trailer(name.as_str().as_bytes()).is_err();
        while let Some(name) = trailers.keys().find(cannot_be).cloned() {
            trailers.remove(name);
        }
        Some(trailers)
    }

    /// Returns the next piece of the body for a stream; `before_wait` is called before each wait.
    pub(super) fn next_piece(
        &mut self,
        mut before_wait: impl FnMut() -> Result<()>,
    ) -> Result<Option<Bytes>> {
        if matches!(self.kind, InputKind::Reader { .. }) {
            // It may read from the network.
            before_wait()?;
            return self.chunk(usize::MAX);
        }
        if let Fill::NotYet = self.fill(false)? {
            before_wait()?;
        }
        // The bytes that are there go on in one piece: servers hand bodies over a few KiB at a
        // time.
        let first = self.fill_buf()?.len();
        if first == 0 {
            return Ok(None);
        }
        let length = self.length().map_or(first, |length| length.min(PIECE as u64) as usize);
        let mut piece = BytesMut::with_capacity(length.max(first));
        while piece.len() < PIECE {
            match self.fill(false) {
                Ok(Fill::Data(data)) => {
                    let taken = data.len();
                    piece.extend_from_slice(data);
                    self.consume(taken);
                }
                Ok(Fill::End | Fill::NotYet) => break,
                // An error that comes after good bytes is told when they have been handed on.
                Err(error) if piece.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(Some(piece.freeze()))
    }
}

/// Fills from `source`, and repeats its first error on each later call.
fn fill<'a>(
    source: &'a mut dyn InputSource,
    failed: &Cell<Option<ErrorKind>>,
    wait: bool,
) -> Result<Fill<'a>> {
    if let Some(kind) = failed.get() {
        return Err(Error::of(kind, "the request body failed before"));
    }
    let filled = source.fill(wait);
    if let Err(error) = &filled {
        failed.set(Some(error.kind()));
    }
    filled
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let data = self.fill_buf()?;
        let read = data.len().min(buffer.len());
        buffer[..read].copy_from_slice(&data[..read]);
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let filled = match &mut self.kind {
            InputKind::Empty => return Ok(&[]),
            InputKind::Reader { reader, .. } => return reader.fill_buf(),
            InputKind::Server { source, failed } => fill(*source, failed, true)?,
            InputKind::Source(source) => source.fill(true)?,
        };
        match filled {
            Fill::Data(data) => Ok(data),
            Fill::End => Ok(&[]),
            // It must not pass for the end.
            Fill::NotYet => Err(Error::new("the input was to wait for bytes, and did not").into()),
        }
    }

    fn consume(&mut self, amount: usize) {
        match &mut self.kind {
            InputKind::Empty => {}
            InputKind::Server { source, .. } => source.consume(amount),
            InputKind::Reader { reader, .. } => reader.consume(amount),
            InputKind::Source(source) => source.consume(amount),
        }
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("length", &self.length()).finish_non_exhaustive()
    }
}
