//! The parts of a response that a driver sends.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::head::FinalHead;
#[cfg(any(feature = "http-server", feature = "tower"))]
use crate::gateway::exchange::Upgrade;
use crate::gateway::{Error, ErrorKind, Interest, Level, Result, Woken};
use crate::protocol::params::Params;

/// The destination of a response: a connection, or the standard output.
///
/// It is called on the one thread that visits the request, in this order: `head`, then `write`, `file`
/// and `flush`, at last `finish`. An error of any is final.
pub(crate) trait Sink {
    /// Takes the head.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ClientGone`] when nobody is there to take it, and [`ErrorKind::Output`] when it
    /// cannot be passed on.
    fn head(&self, head: &FinalHead<'_>) -> Result<()>;

    /// Takes a piece of the body. It need not go out before the next `flush`.
    ///
    /// # Errors
    ///
    /// Those of [`Sink::head`].
    fn write(&self, data: Bytes) -> Result<()>;

    /// Takes a part of a file as a piece of the body.
    ///
    /// # Errors
    ///
    /// Those of [`Sink::head`]; and when the file is shorter than it was.
    fn file(&self, file: &File, start: u64, length: u64) -> Result<()> {
        read_file(file, start, length, |data| self.write(data))
    }

    /// Sends everything taken so far.
    ///
    /// # Errors
    ///
    /// Those of [`Sink::head`].
    fn flush(&self) -> Result<()>;

    /// The response is complete. A driver may put the sending off until it is told the
    /// [ending](super::Ending).
    ///
    /// # Errors
    ///
    /// Those of [`Sink::head`].
    fn finish(&self, trailers: Option<HeaderMap>) -> Result<()>;

    /// Takes a line for the web server's own log, if it has a way there. `false`: the program's log
    /// gets it.
    fn log(&self, level: Level, message: &str) -> bool {
        let _ = (level, message);
        false
    }

    /// Takes back a response of which nothing has gone out, so that another one can be sent.
    /// Returns whether that is so.
    fn take_back(&self) -> bool {
        false
    }

    /// Returns the way of the timer to this response. `None` where the web server bounds the time
    /// of a request.
    fn breaker(&self) -> Option<Arc<dyn Breaker>> {
        None
    }

    /// Returns the variables of the request, if they can be shared without a copy.
    fn params(&self) -> Option<Arc<Params>> {
        None
    }

    /// Returns the waker that brings the next visit of the request
    /// ([`Suspend::waker`](crate::gateway::run::Suspend)). `None`: the request waits on its thread.
    fn visit_waker(&self) -> Option<Waker> {
        None
    }

    /// Tells whether more output can be sent without a wait for the client.
    fn has_room(&self) -> bool {
        true
    }

    /// Does what [`Exchange::upgrade`](crate::gateway::Exchange::upgrade) does.
    #[cfg(any(feature = "http-server", feature = "tower"))]
    fn upgrade(&self) -> Upgrade {
        Upgrade::None
    }

    /// Does what [`Exchange::waker`](crate::gateway::Exchange::waker) does.
    fn waker(&self) -> Waker;

    /// Does what [`Exchange::park`](crate::gateway::Exchange::park) does.
    fn park(&self, interest: Interest) -> Woken;
}

/// The way of the timer to a response that another thread makes.
pub(crate) trait Breaker: Send + Sync {
    /// Sends `answer` if nothing of a response has gone out. Otherwise breaks the response off. What
    /// the application sends from then on fails.
    fn break_off(&self, answer: &OwnAnswer<'_>) -> BreakOutcome;
}

/// An answer in an application's place.
#[derive(Debug)]
pub(crate) struct OwnAnswer<'a> {
    pub(crate) head: FinalHead<'a>,
    /// Empty for a HEAD.
    pub(crate) body: Bytes,
    /// The line for the request's log.
    pub(crate) line: &'a str,
}

/// The end of a response that was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BreakOutcome {
    /// The client has the answer, and the web server the line for its log if so.
    Answered { logged: bool },
    /// A part of the application's response was out.
    Broken,
    /// The application's response is whole.
    Whole,
}

/// Reads a part of a file piece by piece.
///
/// # Errors
///
/// Returns an error if it cannot be read, if it is shorter than that, or if `write` fails.
fn read_file(
    file: &File,
    start: u64,
    length: u64,
    mut write: impl FnMut(Bytes) -> Result<()>,
) -> Result<()> {
    const PIECE: u64 = 128 * 1024;
    let mut done = 0;
    while done < length {
        let mut piece = BytesMut::zeroed((length - done).min(PIECE) as usize);
        let read = file.read_at(&mut piece, start + done).map_err(|error| {
            Error::of(ErrorKind::Output, format!("the file that answers cannot be read: {error}"))
        })?;
        if read == 0 {
            return Err(Error::of(
                ErrorKind::Output,
                format!("the file that answers ended after {done} of {length} bytes"),
            ));
        }
        piece.truncate(read);
        done += read as u64;
        write(piece.freeze())?;
    }
    Ok(())
}
