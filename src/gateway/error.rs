//! The error type of the contract: a kind, a message, and the status for the client.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt::Write as _;
use std::{fmt, io};

use http::StatusCode;

use super::code::Code;
use super::code::Level;
use super::panic;

/// A result with [`Error`] as its default error type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync>;

/// The reason for the failure of an exchange.
///
/// An application makes one with [`Error::new`] or [`Error::with_status`], or with `?` from any
/// other error. Before the headers were sent it becomes an error page (httpd's ErrorDocument).
/// After them it breaks the response visibly.
///
/// ```
/// use http::StatusCode;
/// use mod_rust::{Body, Environ, Error, Result, StartResponse};
///
/// fn admin<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
///     if environ.get("REMOTE_USER") != Some(b"admin") {
///         return Err(Error::with_status(StatusCode::FORBIDDEN, "not the administrator"));
///     }
///     start_response.start(200, [("Content-Type", "text/plain")])?;
///     Ok(Body::from(std::fs::read("/etc/motd")?))
/// }
/// ```
pub struct Error {
    /// In a box, so that a result without an error fits in a register: each layer hands one on.
    parts: Box<Parts>,
}

struct Parts {
    kind: ErrorKind,
    status: StatusCode,
    message: Cow<'static, str>,
    source: Option<Source>,
}

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The application failed, or asked for this status.
    Application,
    /// The application called `start_response` twice. [`replace`](super::StartResponse::replace) is
    /// the call for another head.
    AlreadyStarted,
    /// The application returned a body without calling `start_response`.
    NotStarted,
    /// The status is not one that an application may answer with (200 to 599).
    InvalidStatus,
    /// A header's name is not a token, or its value holds CR, LF, NUL or another control character.
    InvalidHeader,
    /// A header that belongs to the connection, not to the application (RFC 9110, 7.6.1).
    HopByHop,
    /// Content-Length is malformed, was given twice, or differs from the body's length.
    ContentLength,
    /// The request body is larger than the server allows: 413.
    InputTooLarge,
    /// The client took too long to send the request body: 408.
    InputTimeout,
    /// The request body is malformed or was cut off: 400.
    InputMalformed,
    /// The client left before the end of the response.
    ClientGone,
    /// The server could not send the response, although the client is connected.
    Output,
    /// The application panicked.
    Panic,
    /// The application's options do not match its declaration.
    Options,
    /// The `validate` middleware found a violation of the contract.
    Validation,
    /// The process lacks threads or descriptors for the request: 503.
    Resources,
    /// The request waited for a thread for too long: 504.
    QueueTimeout,
    /// The application worked on the request for too long: 504.
    RequestTimeout,
    /// The process ends, and the response has no end of its own.
    ProcessEnds,
}

impl ErrorKind {
    /// Returns the status for the client, used while the headers were not sent.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InputTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InputTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::InputMalformed | Self::ClientGone => StatusCode::BAD_REQUEST,
            Self::Resources => StatusCode::SERVICE_UNAVAILABLE,
            Self::QueueTimeout | Self::RequestTimeout => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Error {
    /// Makes an application error: status 500, with `message` in the ErrorLog and not in the
    /// response.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self::of(ErrorKind::Application, message)
    }

    /// Makes an error with another status. The server answers with its ErrorDocument and logs
    /// `message`.
    ///
    /// # Panics
    ///
    /// Panics when `status` is not a client or server error (400 to 599).
    pub fn with_status(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        assert!(
            status.is_client_error() || status.is_server_error(),
            "an error's status is 400 to 599, not {status}"
        );
        Self::new(message).answering(status)
    }

    /// Wraps any error in an application error, as its source.
    pub fn from_source(source: impl Into<Source>) -> Self {
        let source = source.into();
        match source.downcast::<Self>() {
            Ok(own) => *own,
            // An error of this type keeps its kind inside the errors of frameworks.
            Err(source) => {
                let (kind, status) = own_of(&*source)
                    .map_or((ErrorKind::Application, ErrorKind::Application.status()), |own| {
                        (own.kind(), own.status())
                    });
                let mut error = Self::of(kind, "the application failed").answering(status);
                error.parts.source = Some(source);
                error
            }
        }
    }

    /// Makes an error of `kind`, for middleware.
    pub fn of(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let (status, message) = (kind.status(), message.into());
        Self { parts: Box::new(Parts { kind, status, message, source: None }) }
    }

    /// Makes the error of a panic that [`panic::catch`] has caught.
    pub(crate) fn panicked(message: String) -> Self {
        Self::of(ErrorKind::Panic, message)
    }

    /// Replaces the status for the client.
    #[must_use]
    pub fn answering(self, status: StatusCode) -> Self {
        let mut error = self;
        error.parts.status = status;
        error
    }

    /// Returns the kind of failure.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.parts.kind
    }

    /// Returns the status for the client, used while the headers were not sent.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.parts.status
    }

    /// Returns the code of the error's log line, which is the same behind every server.
    #[doc(hidden)]
    #[must_use]
    pub const fn code(&self) -> Code {
        match self.parts.kind {
            ErrorKind::ClientGone => Code::ClientGone,
            ErrorKind::InputTooLarge | ErrorKind::InputTimeout | ErrorKind::InputMalformed => {
                Code::InputFailed
            }
            ErrorKind::Output => Code::OutputFailed,
            ErrorKind::Panic => Code::ApplicationPanicked,
            ErrorKind::Application => Code::ApplicationFailed,
            ErrorKind::Options => Code::NotBuilt,
            ErrorKind::Resources => Code::NoResources,
            ErrorKind::QueueTimeout => Code::QueueTimeout,
            ErrorKind::RequestTimeout => Code::RequestTimeout,
            ErrorKind::ProcessEnds => Code::StreamEnded,
            ErrorKind::AlreadyStarted
            | ErrorKind::NotStarted
            | ErrorKind::InvalidStatus
            | ErrorKind::InvalidHeader
            | ErrorKind::HopByHop
            | ErrorKind::ContentLength
            | ErrorKind::Validation => Code::ContractBroken,
        }
    }

    /// Returns the level of the error's log line: info where the application chose the status.
    #[doc(hidden)]
    #[must_use]
    pub fn level(&self) -> Level {
        if self.kind() == ErrorKind::Application && self.status() != self.kind().status() {
            return Level::Info;
        }
        self.code().level()
    }

    /// Returns the error's log line for a request of `application`. `outcome` says how the request
    /// ends; a client that has gone away gets none.
    #[doc(hidden)]
    #[must_use]
    pub fn line(&self, application: &str, outcome: &str) -> String {
        let line = self.code().line(format_args!("application {application}: {self}"));
        if self.kind() == ErrorKind::ClientGone { line } else { format!("{line}; {outcome}") }
    }
}

/// Finds an [`Error`] in the chain of sources.
fn own_of<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
    let mut error = Some(error);
    while let Some(here) = error {
        if let Some(own) = here.downcast_ref::<Error>() {
            return Some(own);
        }
        // An `io::Error` shows the source of what it wraps, not what it wraps.
        let wrapped = here.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        error = wrapped.map(|wrapped| wrapped as _).or_else(|| here.source());
    }
    None
}

impl fmt::Display for Error {
    /// Writes the message and its sources. A source is an application's own type: one that panics,
    /// or fails, is named as such, so that whoever logs this error need not fear it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.message)?;
        let Some(source) = &self.parts.source else { return Ok(()) };
        let mut text = String::new();
        match panic::catch(|| write_chain(&**source, &mut text)) {
            Ok(Ok(())) => f.write_str(&text),
            Ok(Err(_)) => write!(f, "{text} (the error's Display failed)"),
            Err(panicked) => write!(f, "{text} (the error's Display {panicked})"),
        }
    }
}

fn write_chain(source: &(dyn StdError + 'static), text: &mut String) -> fmt::Result {
    let mut source = Some(source);
    while let Some(error) = source {
        write!(text, ": {error}")?;
        source = error.source();
    }
    Ok(())
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.parts.kind)
            .field("status", &self.parts.status)
            .field("message", &self.parts.message)
            .field("source", &self.parts.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.parts.source.as_deref().map(|source| source as _)
    }
}

/// An input error that came through `std::io::Read` is unwrapped again.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => Self::from_source(error),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::ClientGone => io::ErrorKind::ConnectionAborted,
            ErrorKind::InputTimeout => io::ErrorKind::TimedOut,
            ErrorKind::InputMalformed | ErrorKind::InputTooLarge => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl From<fmt::Error> for Error {
    fn from(error: fmt::Error) -> Self {
        Self::from_source(error)
    }
}

impl From<Source> for Error {
    fn from(error: Source) -> Self {
        Self::from_source(error)
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_std_io() {
        let error = Error::of(ErrorKind::InputTooLarge, "too large");
        let back = Error::from(io::Error::from(error));
        assert_eq!(back.kind(), ErrorKind::InputTooLarge);
        assert_eq!(back.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn keeps_its_kind_inside_others() {
        #[derive(Debug)]
        struct Framework(Source);
        impl fmt::Display for Framework {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("reading the body")
            }
        }
        impl StdError for Framework {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&*self.0)
            }
        }
        let gone = || Error::of(ErrorKind::ClientGone, "gone");
        let io = io::Error::other(Framework(io::Error::from(gone()).into()));
        for error in [Error::from_source(Framework(gone().into())), Error::from(io)] {
            assert_eq!(error.kind(), ErrorKind::ClientGone);
            assert!(error.to_string().contains("reading the body: "), "{error}");
        }
    }

    #[test]
    fn shows_what_it_can_of_a_source_that_cannot_be_shown() {
        #[derive(Debug)]
        struct Mute(bool);
        impl StdError for Mute {}
        impl fmt::Display for Mute {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                assert!(!self.0, "no words");
                Err(fmt::Error)
            }
        }
        let failing = Error::from_source(Mute(false)).to_string();
        assert_eq!(failing, "the application failed: half (the error's Display failed)");
        let panicking = Error::from_source(Mute(true)).to_string();
        let start = "the application failed: half (the error's Display panicked";
        assert!(panicking.starts_with(start) && panicking.contains("no words"), "{panicking}");
    }

    /// httpd, a daemon process and the gateways all log [`Error::line`].
    #[test]
    fn a_failure_has_one_line() {
        let of = |kind| Error::of(kind, "no").line("shop", "answering 500");
        assert_eq!(of(ErrorKind::Options), "RUST0007: application shop: no; answering 500");
        assert_eq!(of(ErrorKind::HopByHop), "RUST0006: application shop: no; answering 500");
        assert_eq!(of(ErrorKind::QueueTimeout), "RUST0026: application shop: no; answering 500");
        assert_eq!(of(ErrorKind::ClientGone), "RUST0003: application shop: no");
        // An application's own text is not taken for a code.
        let posing = Error::new("RUST0026: the request waited");
        assert!(posing.line("shop", "").starts_with("RUST0005: application shop: RUST0026: "));
    }

    #[test]
    fn a_chosen_status_is_not_an_error_of_the_server() {
        assert_eq!(Error::new("no").level(), Level::Error);
        assert_eq!(Error::with_status(StatusCode::NOT_FOUND, "no").level(), Level::Info);
        assert_eq!(Error::of(ErrorKind::ClientGone, "no").level(), Level::Debug);
    }

    #[test]
    fn shows_its_sources() {
        let error = Error::from(io::Error::other("disk on fire"));
        assert_eq!(error.to_string(), "the application failed: disk on fire");
        assert_eq!(error.kind(), ErrorKind::Application);
    }
}
