//! The response body: empty, bytes in memory, a file, or a stream of chunks.

use std::fmt;
use std::io::Read;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::error::{Error, Result};
use super::file::FileBody;
use super::input::Input;
use super::panic;

/// The size of one read from a reader, in bytes.
const READ_SIZE: usize = 64 * 1024;

/// A response body.
///
/// The server closes (drops) it after it was sent, after the client left, and for a HEAD request.
///
/// ```
/// use std::fs::File;
///
/// use mod_rust::gateway::FileBody;
/// use mod_rust::Body;
///
/// # fn bodies() -> std::io::Result<()> {
/// let text = Body::from("Hello\n");
/// let lines = Body::from_chunks((0..3).map(|n| Ok(format!("line {n}\n").into())));
/// let file = Body::file(FileBody::new(File::open("/etc/hostname")?)?);
/// # Ok(())
/// # }
/// ```
pub struct Body<'x> {
    pub(super) kind: BodyKind<'x>,
    on_close: Option<OnClose<'x>>,
}

pub(super) enum BodyKind<'x> {
    Full(Bytes),
    File(FileBody),
    Stream { stream: Box<dyn BodyStream + 'x>, length: Option<u64> },
    Redirect(String),
}

/// A stream of body chunks, which the server reads one by one.
pub trait BodyStream {
    /// Returns the next chunk, or `None` at the end. The server skips an empty chunk.
    ///
    /// # Errors
    ///
    /// An error becomes an error page while nothing of the response was sent. Later it breaks the
    /// response visibly.
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>>;

    /// Returns the trailer fields. The server asks after the last chunk.
    fn trailers(&mut self) -> Option<HeaderMap> {
        None
    }
}

/// The server's side of a [`BodyStream`]: the stream announces here that it may wait.
///
/// The server then sends the pending output. Without the announcement it flushes nothing.
pub trait Pace {
    /// Sends the pending output, because the next chunk may take a while. The headers of a response
    /// without a chunk are held back: an error can still become an error page.
    ///
    /// # Errors
    ///
    /// [`super::ErrorKind::ClientGone`] when the client has left.
    fn may_wait(&mut self) -> Result<()>;

    /// Sends the pending output and the headers, because the next chunk is not ready.
    ///
    /// # Errors
    ///
    /// The same as [`Pace::may_wait`].
    fn must_wait(&mut self) -> Result<()>;
}

impl<'x> Body<'x> {
    /// Returns an empty body.
    #[must_use]
    pub const fn empty() -> Self {
        Self { kind: BodyKind::Full(Bytes::new()), on_close: None }
    }

    /// Streams the chunks of an iterator. The server sends each chunk before it asks for the next
    /// (PEP 3333, "Buffering and Streaming").
    pub fn from_chunks<I>(chunks: I) -> Self
    where
        I: IntoIterator<Item = Result<Bytes>>,
        I::IntoIter: 'x,
    {
        Self::stream(Iter { chunks: chunks.into_iter(), ready: false })
    }

    /// Streams the chunks of an iterator that never waits, without a flush between them.
    pub fn from_ready<I>(chunks: I) -> Self
    where
        I: IntoIterator<Item = Result<Bytes>>,
        I::IntoIter: 'x,
    {
        Self::stream(Iter { chunks: chunks.into_iter(), ready: true })
    }

    /// Streams the bytes of `reader`. The server sends each read before the next.
    pub fn from_reader(reader: impl Read + 'x) -> Self {
        Self::stream(ReaderStream { reader, buffer: BytesMut::new() })
    }

    /// Sends the request body back while it arrives.
    #[must_use]
    pub fn from_input(input: Input<'x>) -> Self {
        let length = input.length();
        Self::stream(input).with_length(length)
    }

    /// Sends a file, or a part of one, through the server's file wrapper. That uses sendfile where
    /// it is enabled, and answers Range and conditional requests.
    #[must_use]
    pub fn file(file: FileBody) -> Self {
        Self { kind: BodyKind::File(file), on_close: None }
    }

    /// Streams the chunks of `stream`.
    pub fn stream(stream: impl BodyStream + 'x) -> Self {
        Self { kind: BodyKind::Stream { stream: Box::new(stream), length: None }, on_close: None }
    }

    /// Redirects internally: the server answers with a GET of another of its paths (RFC 3875,
    /// 6.2.2, local redirect response). The application does not call `start_response`.
    ///
    /// `target` is a path and an optional query, percent-encoded as in a request line.
    #[must_use]
    pub fn internal_redirect(target: impl Into<String>) -> Self {
        Self { kind: BodyKind::Redirect(target.into()), on_close: None }
    }

    /// Declares the length of a stream in bytes. It becomes the Content-Length, and the server
    /// checks the stream against it. Other bodies know their length: for them this does nothing.
    #[must_use]
    pub fn with_length(mut self, bytes: Option<u64>) -> Self {
        if let BodyKind::Stream { length, .. } = &mut self.kind {
            *length = bytes;
        }
        self
    }

    /// Runs `close` when the server closes the body, whether it was sent or not (PEP 3333,
    /// `close()`).
    #[must_use]
    pub fn on_close(mut self, close: impl FnOnce() + 'x) -> Self {
        self.on_close = match self.on_close.take() {
            None => Some(OnClose(Some(Box::new(close)))),
            Some(before) => Some(OnClose(Some(Box::new(move || {
                drop(before);
                close();
            })))),
        };
        self
    }

    /// Returns the length in bytes, if it is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.kind {
            BodyKind::Full(bytes) => Some(bytes.len() as u64),
            BodyKind::File(file) => Some(file.length()),
            BodyKind::Stream { length, .. } => *length,
            BodyKind::Redirect(_) => None,
        }
    }

    /// Converts the body to a stream, for middleware that reads or changes its chunks. A file is
    /// read.
    ///
    /// # Errors
    ///
    /// Fails when the file cannot be read, and for an internal redirect.
    pub fn into_stream(self) -> Result<Box<dyn BodyStream + 'x>> {
        let Self { kind, on_close } = self;
        let stream: Box<dyn BodyStream + 'x> = match kind {
            BodyKind::Full(bytes) => {
                Box::new(Iter { chunks: Some(Ok(bytes)).into_iter(), ready: true })
            }
            BodyKind::File(file) => {
                Box::new(ReaderStream { reader: file.into_reader()?, buffer: BytesMut::new() })
            }
            BodyKind::Stream { stream, .. } => stream,
            BodyKind::Redirect(_) => {
                return Err(Error::new("an internal redirect has no body of its own"));
            }
        };
        Ok(match on_close {
            None => stream,
            Some(close) => Box::new(Closing { stream, _close: close }),
        })
    }

    pub(super) fn into_parts(self) -> (BodyKind<'x>, Option<impl Sized + 'x>) {
        (self.kind, self.on_close)
    }
}

impl Default for Body<'_> {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body<'_> {
    fn from(bytes: Bytes) -> Self {
        Self { kind: BodyKind::Full(bytes), on_close: None }
    }
}

impl From<Vec<u8>> for Body<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl From<String> for Body<'_> {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl From<&'static str> for Body<'_> {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

impl From<&'static [u8]> for Body<'_> {
    fn from(bytes: &'static [u8]) -> Self {
        Self::from(Bytes::from_static(bytes))
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("length", &self.length()).finish_non_exhaustive()
    }
}

struct OnClose<'x>(Option<Box<dyn FnOnce() + 'x>>);

impl Drop for OnClose<'_> {
    fn drop(&mut self) {
        let Some(close) = self.0.take() else { return };
        if std::thread::panicking() {
            // A second panic out of this drop would abort the process.
            panic::quietly(close);
        } else {
            close();
        }
    }
}

struct Iter<I> {
    chunks: I,
    ready: bool,
}

impl<I: Iterator<Item = Result<Bytes>>> BodyStream for Iter<I> {
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        if !self.ready {
            pace.may_wait()?;
        }
        self.chunks.next().transpose()
    }
}

struct ReaderStream<R> {
    reader: R,
    buffer: BytesMut,
}

impl<R: Read> BodyStream for ReaderStream<R> {
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        pace.may_wait()?;
        self.buffer.resize(READ_SIZE, 0);
        loop {
            match self.reader.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(read) => return Ok(Some(self.buffer.split_to(read).freeze())),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::from(error)),
            }
        }
    }
}

struct Closing<'x> {
    stream: Box<dyn BodyStream + 'x>,
    _close: OnClose<'x>,
}

impl BodyStream for Closing<'_> {
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        self.stream.next_chunk(pace)
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.stream.trailers()
    }
}

impl BodyStream for Input<'_> {
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        self.next_piece(|| pace.may_wait())
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        Input::trailers(self)
    }
}
