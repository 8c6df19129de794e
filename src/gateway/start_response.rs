//! `start_response`: how an application gives its status and headers.

use std::fmt;
use std::io::{self, Write};

use bytes::Bytes;

use super::error::{Error, Result};
use super::status::{IntoStatus, Status};

/// Visits the headers of a response, each as name and value.
pub type EachHeader<'h> = dyn FnMut(&mut dyn FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> + 'h;

/// What stands behind a [`StartResponse`]: the server, or a middleware that looks at the head.
pub trait Respond {
    /// Takes status and headers; `replace` says that an earlier head may be replaced.
    ///
    /// # Errors
    ///
    /// What the contract refuses: see [`StartResponse::start`].
    fn start(&self, status: Status<'_>, headers: &mut EachHeader<'_>, replace: bool) -> Result<()>;

    /// Takes a piece of the body.
    ///
    /// # Errors
    ///
    /// When nothing was started, too much is written, or the client has gone.
    fn write(&self, data: Bytes) -> Result<()>;

    /// Sends what was written.
    ///
    /// # Errors
    ///
    /// When the client has gone.
    fn flush(&self) -> Result<()>;

    /// Whether the head has gone out, so that it cannot be replaced any more.
    fn is_committed(&self) -> bool;
}

/// Starts the response of one exchange (PEP 3333, `start_response`).
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

    /// A `start_response` for the application that a middleware wraps.
    pub fn wrap(respond: impl Respond + 'x) -> Self {
        Self { respond: Target::Middleware(Box::new(respond)) }
    }

    /// Gives status and headers. They go out with the first of the body, or at its end.
    ///
    /// The returned writer is for applications that push their body; others drop it and return
    /// one.
    ///
    /// # Errors
    ///
    /// A second call, a status that is not final, a header that is malformed, belongs to the
    /// connection, or gives Content-Length badly. The application should hand the error on: the
    /// client then gets a 500 and the log the reason.
    pub fn start<'a, S, H, N, V>(&self, status: S, headers: H) -> Result<Writer<'_>>
    where
        S: IntoStatus<'a>,
        H: IntoIterator<Item = (N, V)>,
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        self.begin(status.into_status()?, headers, false)
    }

    /// Gives status and headers in place of those given before, because `error` happened since
    /// (PEP 3333, `exc_info`).
    ///
    /// # Errors
    ///
    /// `error` itself when the first head has gone out already; else as [`StartResponse::start`].
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

    /// Whether the head has gone out.
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

/// Through which middleware hands on what it does not change.
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

/// Pushes pieces of the body (PEP 3333, the `write` callable). What is written goes out with the
/// next flush, with what the returned body yields, or at the end.
pub struct Writer<'w> {
    respond: &'w dyn Respond,
}

impl Writer<'_> {
    /// Hands over `data` without a copy.
    ///
    /// # Errors
    ///
    /// When more is written than the Content-Length says, or the client has gone.
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
