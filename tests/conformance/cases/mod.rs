//! The table of cases.

mod connection;
mod failure;
mod file;
mod head;
mod input;
mod method;
mod output;
mod timing;

use std::time::{Duration, SystemTime};

use crate::case::Case;

/// Returns every case. Their paths are below the mount point of a probe.
///
/// The probe has the option `note conformance`, and its `root` has the [`files`], all last changed
/// at [`modified`]. The server's own page for 500 contains `the server's own 500`, and that for 416
/// likewise.
pub(crate) fn all() -> Vec<Case> {
    [
        method::cases(),
        head::cases(),
        output::cases(),
        input::cases(),
        timing::cases(),
        file::cases(),
        failure::cases(),
        connection::cases(),
    ]
    .concat()
}

/// Returns the files in the directory that the option `root` names.
pub(crate) fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("digits.txt", b"0123456789".repeat(10)),
        ("empty.txt", Vec::new()),
        ("large.bin", crate::case::pattern(300_000)),
    ]
}

/// Returns the time `Sun, 09 Sep 2001 01:46:40 GMT`.
pub(crate) fn modified() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}
