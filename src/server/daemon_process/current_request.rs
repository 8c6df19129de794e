//! A request that a worker thread runs, or that waits without one, as the process's timer sees it.
//!
//! All writes of the thread go through it. So the timer can break a request off between two writes,
//! and no write of the thread follows.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::connection::ChildConnection;
use crate::gateway::{Error, ErrorKind, Level, Result};
use crate::os;
use crate::protocol::bridge::{FrameLimits, put_log};

/// The request of one place, if any.
#[derive(Debug, Default)]
pub(super) struct CurrentRequest {
    job: Mutex<Option<RunningRequest>>,
}

/// A request that runs or waits.
#[derive(Debug)]
pub(super) struct RunningRequest {
    pub(super) connection: Arc<ChildConnection>,
    pub(super) started_us: u64,
    /// The last level that the request's log keeps; `None` for all.
    level: Option<Level>,
    /// A frame has gone out in part.
    partial: bool,
    /// The last frame has gone out.
    over: bool,
    /// The timer has broken it off, and when.
    pub(super) cut_us: Option<u64>,
    /// It waits, and has no permit.
    pub(super) parked: bool,
    /// Its connection is another protocol's, which may last for any time.
    pub(super) switched: bool,
}

/// The result of a request, as its thread reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestEnd {
    Whole,
    /// The timer has answered it, and taken it off the process's load.
    Cut,
}

/// The output: framing and small data in one piece, large data between.
pub(super) trait OutputPieces {
    /// Fills `slices` with what follows the first `done` bytes, and returns how many.
    fn fill<'s>(&'s self, done: usize, slices: &mut [IoSlice<'s>]) -> usize;

    /// All bytes.
    fn length(&self) -> usize;
}

impl OutputPieces for [u8] {
    fn fill<'s>(&'s self, done: usize, slices: &mut [IoSlice<'s>]) -> usize {
        slices[0] = IoSlice::new(&self[done..]);
        1
    }

    fn length(&self) -> usize {
        self.len()
    }
}

impl CurrentRequest {
    pub(super) fn begin(
        &self,
        connection: Arc<ChildConnection>,
        started_us: u64,
        level: Option<Level>,
    ) {
        *self.job() = Some(RunningRequest {
            connection,
            started_us,
            level,
            partial: false,
            over: false,
            cut_us: None,
            parked: false,
            switched: false,
        });
    }

    /// Notes that its connection is another protocol's from here on.
    pub(super) fn switch(&self) {
        if let Some(job) = self.job().as_mut() {
            job.switched = true;
        }
    }

    /// Takes the request off; `None` if there was none.
    pub(super) fn end(&self) -> Option<RequestEnd> {
        let job = self.job().take()?;
        Some(if job.cut_us.is_some() { RequestEnd::Cut } else { RequestEnd::Whole })
    }

    /// Writes all of `pieces`, which are whole frames, the `last` of the request or not. `wait`
    /// is called when there is no room, and comes back when there is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ClientGone`] when nobody is there to take it, or the request was broken off.
    pub(super) fn write(
        &self,
        pieces: &(impl OutputPieces + ?Sized),
        last: bool,
        wait: impl FnMut(&ChildConnection) -> Result<()>,
    ) -> Result<()> {
        self.write_from(0, pieces, last, wait)
    }

    /// Writes what follows the first `done` bytes.
    ///
    /// # Errors
    ///
    /// Those of [`CurrentRequest::write`].
    pub(super) fn write_from(
        &self,
        mut done: usize,
        pieces: &(impl OutputPieces + ?Sized),
        last: bool,
        mut wait: impl FnMut(&ChildConnection) -> Result<()>,
    ) -> Result<()> {
        let length = pieces.length();
        loop {
            done = self.write_some(done, pieces, last)?;
            if done == length {
                return Ok(());
            }
            let Some(connection) = self.job().as_ref().map(|job| job.connection.clone()) else {
                return Err(cut());
            };
            wait(&connection)?;
        }
    }

    /// Writes what there is room for, after the first `done` bytes. Returns how much is done then.
    ///
    /// # Errors
    ///
    /// Those of [`CurrentRequest::write`].
    pub(super) fn write_some(
        &self,
        mut done: usize,
        pieces: &(impl OutputPieces + ?Sized),
        last: bool,
    ) -> Result<usize> {
        let length = pieces.length();
        while done < length {
            let mut slot = self.job();
            let Some(job) = slot.as_mut().filter(|job| job.can_be_cut()) else {
                return Err(cut());
            };
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = pieces.fill(done, &mut slices);
            let sent = match &slices[..count] {
                [one] => os::send(&*job.connection, one),
                slices => os::send_vectored(&*job.connection, slices),
            };
            let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            let sent = sent.map_err(|error| gone(&error))?.unwrap_or(0);
            done += sent;
            job.partial = done > 0 && done < length;
            job.over |= last && done == length;
            if sent < offered {
                // There is no more room: that need not be found out once more.
                break;
            }
        }
        Ok(done)
    }

    /// Writes a frame that a descriptor goes with.
    ///
    /// # Errors
    ///
    /// Those of [`CurrentRequest::write`].
    pub(super) fn write_with_descriptor(
        &self,
        frame: &[u8],
        descriptor: BorrowedFd<'_>,
        mut wait: impl FnMut(&ChildConnection) -> Result<()>,
    ) -> Result<()> {
        loop {
            let mut slot = self.job();
            let Some(job) = slot.as_mut().filter(|job| job.can_be_cut()) else {
                return Err(cut());
            };
            match os::send_with_descriptor(&*job.connection, frame, descriptor) {
                Ok(Some(sent)) if sent == frame.len() => return Ok(()),
                Ok(Some(sent)) => {
                    job.partial = true;
                    drop(slot);
                    return self.write_from(sent, frame, false, wait);
                }
                Ok(None) => {
                    let connection = job.connection.clone();
                    drop(slot);
                    wait(&connection)?;
                }
                Err(error) => return Err(gone(&error)),
            }
        }
    }

    /// Whether the request's log keeps records of this level; `None` without a request, when its
    /// last frame is out, or while a frame is out in part.
    pub(super) fn logs(&self, level: Level) -> Option<bool> {
        let job = self.job();
        let job = job.as_ref().filter(|job| !job.over && !job.partial)?;
        Some(job.level.is_none_or(|last| level <= last))
    }

    /// Writes a line for the request's log. It does not come with the response, so that it is
    /// there whatever happens next. `false` when nobody is there to take it any more.
    pub(super) fn log(&self, level: Level, message: &str) -> bool {
        let mut line = Vec::with_capacity(message.len() + 16);
        put_log(&mut line, level, message.as_bytes(), &FrameLimits::default());
        self.write(&line[..], false, wait_to_write).is_ok()
    }

    /// Returns whether a frame is out in part, so that no other may follow.
    pub(super) fn is_partial(&self) -> bool {
        self.job().as_ref().is_some_and(|job| job.partial)
    }

    /// Returns whether the timer has broken the request off.
    pub(super) fn is_cut(&self) -> bool {
        self.job().as_ref().is_some_and(|job| job.cut_us.is_some())
    }

    /// For the timer, and for the thread itself.
    pub(super) fn job(&self) -> MutexGuard<'_, Option<RunningRequest>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunningRequest {
    /// Whether the timer may break it off.
    pub(super) const fn can_be_cut(&self) -> bool {
        !self.over && self.cut_us.is_none()
    }

    /// Sends `frame` as the last of the request if it can be sent, and closes the connection.
    pub(super) fn cut(&mut self, frame: &[u8], now_us: u64) {
        if !self.partial {
            // Bytes that do not fit now are not waited for: the child finds the connection broken.
            let _ = os::send(&*self.connection, frame);
        }
        os::shutdown(&*self.connection);
        self.cut_us = Some(now_us);
    }
}

/// The most pieces of one call.
const SLICES: usize = 32;

/// Waits until there is room to write, and looks at nothing else.
pub(super) fn wait_to_write(connection: &ChildConnection) -> Result<()> {
    let (polled, _) =
        os::poll(connection, (false, true), None, None).map_err(|error| gone(&error))?;
    if polled.hung_up && !polled.writable { Err(left()) } else { Ok(()) }
}

/// Nobody is there to take the response.
pub(super) fn left() -> Error {
    Error::of(ErrorKind::ClientGone, "the client went away")
}

fn gone(error: &io::Error) -> Error {
    Error::of(ErrorKind::ClientGone, format!("the httpd child closed the bridge: {error}"))
}

fn cut() -> Error {
    Error::of(ErrorKind::ClientGone, "the request was answered in the application's place")
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<CurrentRequest>>> = const { RefCell::new(None) };
}

/// Makes `current` the one that [`log_here`] finds in the calling thread.
pub(super) fn set_for_this_thread(current: Arc<CurrentRequest>) {
    CURRENT.with_borrow_mut(|own| *own = Some(current));
}

/// Writes a line for the log of the request that the calling thread works on, for code that has no
/// exchange at hand. `false` when the thread works on none, or nobody takes it any more.
pub(crate) fn log_here(level: Level, message: &str) -> bool {
    let Some(current) = of_this_thread() else { return false };
    match current.logs(level) {
        Some(true) => current.log(level, message),
        Some(false) => true,
        None => false,
    }
}

/// Returns whether the log of the request that the calling thread works on keeps records of this
/// level; `None` when it works on none.
#[must_use]
pub(crate) fn logs_here(level: Level) -> Option<bool> {
    of_this_thread()?.logs(level)
}

/// The thread may be ending, or just have sat down.
fn of_this_thread() -> Option<Arc<CurrentRequest>> {
    CURRENT.try_with(|own| own.try_borrow().ok()?.clone()).ok().flatten()
}
