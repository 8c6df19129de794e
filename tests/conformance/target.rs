//! A gateway under test: where it answers, what it cannot do, and its log.

use std::net::SocketAddr;
use std::time::Duration;

use crate::case::{Level, Need};

/// What the table of cases is run against.
pub(crate) trait Target {
    /// Where it takes HTTP/1.1 connections.
    fn addr(&self) -> SocketAddr;

    /// Where the probe is mounted: `/probe`.
    fn mount(&self) -> &str;

    /// The scheme of its URLs.
    fn scheme(&self) -> &str {
        "http"
    }

    /// How long to wait for what should take no time.
    fn patience(&self) -> Duration;

    /// What is in the page that the server shows for this error status itself, where a case has `the
    /// server's own` and the status. `None`: just that.
    fn own_page(&self, status: u16) -> Option<&'static str> {
        let _ = status;
        None
    }

    /// Cases that need one of these are left out.
    fn lacks(&self) -> &[Need] {
        &[]
    }

    /// The records of the log with this level that hold `text`, up to now.
    fn records(&self, level: Level, text: &str) -> Vec<String>;
}
