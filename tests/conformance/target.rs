//! A gateway under test: where it answers, what it cannot do, and its log.

use std::net::SocketAddr;
use std::time::Duration;

use crate::case::{Level, Need};

/// A gateway that the table of cases runs against.
pub(crate) trait Target {
    /// Returns the address of its HTTP/1.1 listener.
    fn addr(&self) -> SocketAddr;

    /// Returns the mount point of the probe: `/probe`.
    fn mount(&self) -> &str;

    /// Returns the scheme of its URLs.
    fn scheme(&self) -> &str {
        "http"
    }

    /// Returns the longest wait for a step that should take no time.
    fn patience(&self) -> Duration;

    /// Returns the text of the server's own page for this error status, if a case has `the server's
    /// own` and the status. `None` means just that text.
    fn own_page(&self, status: u16) -> Option<&'static str> {
        let _ = status;
        None
    }

    /// Cases that need one of these are left out.
    fn lacks(&self) -> &[Need] {
        &[]
    }

    /// Returns the current log records of this level that contain `text`.
    fn records(&self, level: Level, text: &str) -> Vec<String>;
}
