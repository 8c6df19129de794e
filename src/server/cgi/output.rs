//! The response of a CGI program: the standard output.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::HeaderMap;

use crate::gateway::{Error, ErrorKind, Interest, Result, Woken};
use crate::os::{self, Event};
use crate::server::site::{FinalHead, Sink};

/// Smaller pieces go out together.
const PIECE: usize = 64 * 1024;

/// The standard output, and where the thread waits.
pub(super) struct Stdout {
    output: OwnedFd,
    input: OwnedFd,
    end: OwnedFd,
    /// The protocol of the status line, if the program writes the whole HTTP response.
    nph: Option<Vec<u8>>,
    pending: RefCell<Vec<u8>>,
    wake: Arc<WakeUp>,
    /// SIGTERM came while the thread waited.
    ended: Cell<bool>,
    /// The time that the body may be silent, and whether it was silent for longer.
    body: (Duration, Rc<Cell<bool>>),
}

struct WakeUp(Event);

impl Wake for WakeUp {
    fn wake(self: Arc<Self>) {
        self.0.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.ring();
    }
}

impl Stdout {
    /// A wait for the body sets the flag of `body` after its time.
    pub(super) fn new(
        nph: Option<Vec<u8>>,
        body: (Duration, Rc<Cell<bool>>),
        end: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        Ok(Self {
            output: io::stdout().as_fd().try_clone_to_owned()?,
            input: io::stdin().as_fd().try_clone_to_owned()?,
            end: end.try_clone_to_owned()?,
            nph,
            pending: RefCell::new(Vec::with_capacity(4096)),
            wake: Arc::new(WakeUp(Event::new()?)),
            ended: Cell::new(false),
            body,
        })
    }

    /// Sends what is left.
    pub(super) fn end(&self) -> Result<()> {
        let mut pending = self.pending.borrow_mut();
        let sent = self.send(&pending);
        pending.clear();
        sent
    }

    fn put(&self, data: &[u8]) -> Result<()> {
        let mut pending = self.pending.borrow_mut();
        if pending.len() + data.len() < PIECE {
            pending.extend_from_slice(data);
            return Ok(());
        }
        let first = self.send(&pending);
        pending.clear();
        first?;
        self.send(data)
    }

    fn send(&self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            if self.ended.get() {
                return Err(ended());
            }
            let (polled, is_ended) =
                os::poll_open(&self.output, (false, true), Some(self.end.as_fd()), None)
                    .map_err(|error| gone(&error))?;
            if is_ended && !polled.writable {
                return Err(ended());
            }
            match rustix::io::write(&self.output, data) {
                Ok(written) => data = &data[written..],
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(gone(&error.into())),
            }
        }
        Ok(())
    }
}

impl Sink for Stdout {
    fn head(&self, head: &FinalHead<'_>) -> Result<()> {
        let mut bytes = Vec::with_capacity(512);
        match &self.nph {
            None => head.write_cgi(&mut bytes),
            Some(_) => {
                // Nobody adds to what such a program says.
                let mut fields = head.fields.to_vec();
                let date = httpdate::fmt_http_date(SystemTime::now());
                fields.extend_from_slice(format!("Date: {date}\r\n").as_bytes());
                fields.extend_from_slice(b"Connection: close\r\n");
                // Nor does anybody look a local redirect up.
                let status = head.status.or(Some(http::StatusCode::FOUND));
                FinalHead { status, fields: &fields, ..*head }.write_http(&mut bytes);
            }
        }
        self.put(&bytes)
    }

    fn write(&self, data: Bytes) -> Result<()> {
        self.put(&data)
    }

    fn flush(&self) -> Result<()> {
        self.end()
    }

    /// The end of the process is the end of the response.
    fn finish(&self, _trailers: Option<HeaderMap>) -> Result<()> {
        Ok(())
    }

    fn waker(&self) -> Waker {
        Arc::clone(&self.wake).into()
    }

    fn park(&self, interest: Interest) -> Woken {
        let wake = &self.wake.0;
        let (timeout, is_late) = &self.body;
        let begun = Instant::now();
        loop {
            if self.ended.get() {
                return Woken::Gone;
            }
            // Both may be waited for by an event of this process: the waker's, and SIGTERM's. The
            // third is the body, or the server's end of the output.
            let is_input = interest == Interest::Input;
            let watched = if is_input { &self.input } else { &self.output };
            let left = is_input.then(|| timeout.saturating_sub(begun.elapsed()));
            let Ok(polled) = poll((watched, is_input), wake, &self.end, left) else {
                return Woken::Called;
            };
            let (ready, is_called, is_ended) = polled;
            if is_ended {
                self.ended.set(true);
                return Woken::Gone;
            }
            if is_called {
                wake.clear();
                return Woken::Called;
            }
            match interest {
                Interest::Input if ready => return Woken::Input,
                Interest::Waker if ready => return Woken::Gone,
                Interest::Input if left == Some(Duration::ZERO) => {
                    is_late.set(true);
                    return Woken::Input;
                }
                _ => {}
            }
        }
    }
}

fn poll(
    (watched, is_input): (&OwnedFd, bool),
    wake: &Event,
    end: &OwnedFd,
    timeout: Option<Duration>,
) -> io::Result<(bool, bool, bool)> {
    use rustix::event::{PollFd, PollFlags, poll};
    let wanted = if is_input { PollFlags::IN } else { PollFlags::empty() };
    let mut fds = [
        PollFd::new(watched, wanted),
        PollFd::new(wake, PollFlags::IN),
        PollFd::new(end, PollFlags::IN),
    ];
    match poll(&mut fds, timeout.map(os::timespec).as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [watched, wake, end] = fds.map(|fd| !fd.revents().is_empty());
    Ok((watched, wake, end))
}

fn gone(error: &io::Error) -> Error {
    Error::of(ErrorKind::ClientGone, format!("the web server closed the response: {error}"))
}

/// SIGTERM: the web server gives the request up.
pub(super) fn ended() -> Error {
    Error::of(ErrorKind::ClientGone, "the web server ended the program")
}
