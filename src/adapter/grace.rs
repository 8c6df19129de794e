//! The time that streams without an end have once their httpd child begins to end:
//! `RustGracefulTimeout`.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::gateway::{Error, ErrorKind, ending};
use crate::httpd::mpm;

/// The time at which this process began to end.
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Tells the applications of this httpd child that it begins to end.
pub(crate) fn begin_end() {
    BEGAN.get_or_init(Instant::now);
    ending::begin();
}

/// Returns for how long this httpd child has been ending.
///
/// A child of prefork runs no hook before its request is over, but its state tells.
pub(super) fn ending_for() -> Option<Duration> {
    if BEGAN.get().is_none() && mpm::is_stopping() {
        begin_end();
    }
    BEGAN.get().map(Instant::elapsed)
}

/// Makes the error of a stream whose time is over.
pub(super) fn over() -> Error {
    Error::of(ErrorKind::ProcessEnds, "the process ends, and its streams had their time to end")
}
