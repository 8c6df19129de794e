//! The response body: nothing, bytes at hand, a file, or chunks that come as they are ready.

use std::fmt;
use std::io::Read;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::error::{Error, Result};
use super::file::FileBody;
use super::input::Input;
use super::panic;

/// How much a reader is asked for at once, in bytes.
const READ_SIZE: usize = 64 * 1024;

/// A response body. It is closed (dropped) when it has been sent, when the client has gone, and
/// when the request was a HEAD.
pub struct Body<'x> {
    pub(super) kind: Kind<'x>,
    on_close: Option<OnClose<'x>>,
}

pub(super) enum Kind<'x> {
    Full(Bytes),
    File(FileBody),
    Stream { stream: Box<dyn BodyStream + 'x>, length: Option<u64> },
    Redirect(String),
}

/// Chunks of a body, as the server asks for them.
pub trait BodyStream {
    /// The next chunk, or `None` at the end. An empty chunk is passed over.
    ///
    /// # Errors
    ///
    /// An error breaks the response visibly, or makes it an error page if nothing of it has gone
    /// out yet.
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>>;

    /// Trailer fields, asked for after the last chunk.
    fn trailers(&mut self) -> Option<HeaderMap> {
        None
    }
}

/// What a [`BodyStream`] tells the server before it lets it wait, so that nothing lies about
/// unsent meanwhile and nothing is flushed that need not be.
pub trait Pace {
    /// The next chunk may take a while: sends what has been given so far. The headers of a
    /// response that has no chunk yet stay back, so that an error can still become an error page.
    ///
    /// # Errors
    ///
    /// [`super::ErrorKind::ClientGone`] when nobody is there to send it to.
    fn may_wait(&mut self) -> Result<()>;

    /// The next chunk is not there: sends everything given so far, the headers included.
    ///
    /// # Errors
    ///
    /// As [`Pace::may_wait`].
    fn must_wait(&mut self) -> Result<()>;
}

impl<'x> Body<'x> {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self { kind: Kind::Full(Bytes::new()), on_close: None }
    }

    /// Chunks of an iterator. Each is sent to the client before the next is asked for (PEP 3333,
    /// "Buffering and Streaming").
    pub fn from_chunks<I>(chunks: I) -> Self
    where
        I: IntoIterator<Item = Result<Bytes>>,
        I::IntoIter: 'x,
    {
        Self::stream(Iter { chunks: chunks.into_iter(), ready: false })
    }

    /// Chunks of an iterator that never waits: they are sent without a flush between them.
    pub fn from_ready<I>(chunks: I) -> Self
    where
        I: IntoIterator<Item = Result<Bytes>>,
        I::IntoIter: 'x,
    {
        Self::stream(Iter { chunks: chunks.into_iter(), ready: true })
    }

    /// What `reader` yields, each read sent before the next.
    pub fn from_reader(reader: impl Read + 'x) -> Self {
        Self::stream(Reader { reader, buffer: BytesMut::new() })
    }

    /// The request body, sent back as it arrives.
    #[must_use]
    pub fn from_input(input: Input<'x>) -> Self {
        let length = input.length();
        Self::stream(input).with_length(length)
    }

    /// A file, or a part of one, through the server's file wrapper: sendfile where that is on,
    /// with Range and conditional requests.
    #[must_use]
    pub fn file(file: FileBody) -> Self {
        Self { kind: Kind::File(file), on_close: None }
    }

    /// Chunks of a stream of one's own.
    pub fn stream(stream: impl BodyStream + 'x) -> Self {
        Self { kind: Kind::Stream { stream: Box::new(stream), length: None }, on_close: None }
    }

    /// In place of an answer, that of another path of the same server, as a GET: an internal
    /// redirect (CGI/1.1's local redirect response, RFC 3875, 6.2.2). `start_response` is not called.
    ///
    /// `target` is a path with a query if wanted, encoded as in a request line.
    #[must_use]
    pub fn internal_redirect(target: impl Into<String>) -> Self {
        Self { kind: Kind::Redirect(target.into()), on_close: None }
    }

    /// States the length of a stream in bytes, which then becomes the Content-Length and is held
    /// against what the stream yields. Without effect on other bodies, whose length is known.
    #[must_use]
    pub fn with_length(mut self, bytes: Option<u64>) -> Self {
        if let Kind::Stream { length, .. } = &mut self.kind {
            *length = bytes;
        }
        self
    }

    /// Runs `close` when the body is closed: sent, abandoned, or not wanted (PEP 3333, `close()`).
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

    /// The length in bytes, if it is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.kind {
            Kind::Full(bytes) => Some(bytes.len() as u64),
            Kind::File(file) => Some(file.length()),
            Kind::Stream { length, .. } => *length,
            Kind::Redirect(_) => None,
        }
    }

    /// The body as a stream, for middleware that looks at or changes its chunks. A file is read.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn into_stream(self) -> Result<Box<dyn BodyStream + 'x>> {
        let Self { kind, on_close } = self;
        let stream: Box<dyn BodyStream + 'x> = match kind {
            Kind::Full(bytes) => {
                Box::new(Iter { chunks: Some(Ok(bytes)).into_iter(), ready: true })
            }
            Kind::File(file) => {
                Box::new(Reader { reader: file.into_reader()?, buffer: BytesMut::new() })
            }
            Kind::Stream { stream, .. } => stream,
            Kind::Redirect(_) => {
                return Err(Error::new("an internal redirect has no body of its own"));
            }
        };
        Ok(match on_close {
            None => stream,
            Some(close) => Box::new(Closing { stream, _close: close }),
        })
    }

    pub(super) fn into_parts(self) -> (Kind<'x>, Option<impl Sized + 'x>) {
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
        Self { kind: Kind::Full(bytes), on_close: None }
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
            // A second panic that left this drop would end the process.
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

struct Reader<R> {
    reader: R,
    buffer: BytesMut,
}

impl<R: Read> BodyStream for Reader<R> {
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
