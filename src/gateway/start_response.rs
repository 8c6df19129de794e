//! `start_response`: the callable that takes an application's status and headers.

use std::fmt;
use std::io::{self, Write};

use bytes::Bytes;

use super::error::{Error, Result};
use super::status::{IntoStatus, Status};

/// A function that visits the headers of a response, each as name and value.
pub type EachHeader<'h> = dyn FnMut(&mut dyn FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> + 'h;

/// The receiver behind a [`StartResponse`]: the server, or a middleware that reads the head.
pub trait Respond {
    /// Takes status and headers. `replace` permits the replacement of an earlier head.
    ///
    /// # Errors
    ///
    /// The same as [`StartResponse::start`].
    fn start(&self, status: Status<'_>, headers: &mut EachHeader<'_>, replace: bool) -> Result<()>;

    /// Takes a piece of the body.
    ///
    /// # Errors
    ///
    /// Fails without a head, after more bytes than the Content-Length, and after the client left.
    fn write(&self, data: Bytes) -> Result<()>;

    /// Sends the pending output.
    ///
    /// # Errors
    ///
    /// Fails when the client has left.
    fn flush(&self) -> Result<()>;

    /// Tells whether the head was sent, so that it cannot be replaced.
    fn is_committed(&self) -> bool;
}

/// The callable that starts the response of one exchange (PEP 3333, `start_response`).
pub struct StartResponse<'x> {
    respond: Target<'x>,
}

enum Target<'x> {
    Server(&'x dyn Respond),
    Middleware(Box<dyn Respond + 'x>),
}

impl<'x> StartResponse<'x> {
    pub(super) const fn new(server: &'x dyn Respond) -> Self {
        Self { respond: Target::Server(server) }
    }

    /// Makes a `start_response` for the application inside a middleware.
    pub fn wrap(respond: impl Respond + 'x) -> Self {
        Self { respond: Target::Middleware(Box::new(respond)) }
    }

    /// Sets status and headers. The server sends them with the first bytes of the body, or at its
    /// end.
    ///
    /// The returned writer is for applications that push their body. Others drop it and return a
    /// body.
    ///
    /// ```
    /// use std::io::Write as _;
    ///
    /// use mod_rust::{Body, Environ, Result, StartResponse};
    ///
    /// fn push<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    ///     let mut writer = start_response.start("200 OK", [("Content-Type", "text/plain")])?;
    ///     writeln!(writer, "pushed")?;
    ///     Ok(Body::empty())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails for a second call, a status that is not final, and a header that is malformed,
    /// hop-by-hop, or a wrong Content-Length. The application should return the error: the client
    /// then gets a 500 and the log the reason.
    pub fn start<'a, S, H, N, V>(&self, status: S, headers: H) -> Result<Writer<'_>>
    where
        S: IntoStatus<'a>,
        H: IntoIterator<Item = (N, V)>,
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        self.begin(status.into_status()?, headers, false)
    }

    /// Replaces status and headers, because `error` happened since (PEP 3333, `exc_info`).
    ///
    /// # Errors
    ///
    /// Returns `error` itself when the first head was sent already. Otherwise the same as
    /// [`StartResponse::start`].
    pub fn replace<'a, S, H, N, V>(&self, status: S, headers: H, error: Error) -> Result<Writer<'_>>
    where
        S: IntoStatus<'a>,
        H: IntoIterator<Item = (N, V)>,
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        if self.respond().is_committed() {
            return Err(error);
        }
        self.begin(status.into_status()?, headers, true)
    }

    /// Tells whether the head was sent.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.respond().is_committed()
    }

    fn begin<H, N, V>(&self, status: Status<'_>, headers: H, replace: bool) -> Result<Writer<'_>>
    where
        H: IntoIterator<Item = (N, V)>,
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut headers = headers.into_iter();
        self.respond().start(
            status,
            &mut |visit| headers.try_for_each(|(name, value)| visit(name.as_ref(), value.as_ref())),
            replace,
        )?;
        Ok(Writer { respond: self.respond() })
    }

    fn respond(&self) -> &dyn Respond {
        match &self.respond {
            Target::Server(server) => *server,
            Target::Middleware(middleware) => &**middleware,
        }
    }
}

/// Middleware passes unchanged calls on through it.
impl Respond for StartResponse<'_> {
    fn start(&self, status: Status<'_>, headers: &mut EachHeader<'_>, replace: bool) -> Result<()> {
        self.respond().start(status, headers, replace)
    }

    fn write(&self, data: Bytes) -> Result<()> {
        self.respond().write(data)
    }

    fn flush(&self) -> Result<()> {
        self.respond().flush()
    }

    fn is_committed(&self) -> bool {
        self.respond().is_committed()
    }
}

impl fmt::Debug for StartResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartResponse")
            .field("is_committed", &self.is_committed())
            .finish_non_exhaustive()
    }
}

/// A writer of body pieces (PEP 3333, the `write` callable).
///
/// The server sends them with the next flush, with the chunks of the returned body, or at the end.
pub struct Writer<'w> {
    respond: &'w dyn Respond,
}

impl Writer<'_> {
    /// Writes `data` without a copy.
    ///
    /// # Errors
    ///
    /// Fails after more bytes than the Content-Length, and after the client left.
    pub fn put(&mut self, data: impl Into<Bytes>) -> Result<()> {
        self.respond.write(data.into())
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.respond.write(Bytes::copy_from_slice(data))?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.respond.flush()?)
    }
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
