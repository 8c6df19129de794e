//! The access log: a line a request.

use std::fs::File;
use std::sync::Arc;

use http::StatusCode;

use super::access_format::{AccessFormat, Answer};
use super::environ::SiteEnviron;
use super::log::Out;
use crate::os::wall_us;

/// An access log.
#[derive(Debug)]
pub(crate) struct AccessLog {
    out: Out,
    format: AccessFormat,
}

impl AccessLog {
    /// Logs to the standard output.
    #[must_use]
    pub(crate) const fn to_stdout(format: AccessFormat) -> Self {
        Self { out: Out::Stdout, format }
    }

    /// Logs to a file that is open to add to its end.
    #[must_use]
    pub(crate) fn to_file(file: File, format: AccessFormat) -> Self {
        Self { out: Out::file(file), format }
    }

    /// Returns the file, if the log is one.
    #[must_use]
    pub(crate) fn file(&self) -> Option<Arc<File>> {
        self.out.current()
    }

    /// Writes to another file from here on, if the log is a file.
    pub(crate) fn replace(&self, file: File) {
        self.out.replace(file);
    }

    /// Adds the line of a request; `-` stands for a status that was never sent.
    pub(crate) fn put(
        &self,
        environ: &SiteEnviron<'_>,
        (status, bytes): (Option<StatusCode>, u64),
    ) {
        let duration_us = wall_us().saturating_sub(environ.start_us());
        let line = self.format.line(environ, Answer { status, bytes, duration_us });
        self.out.put(line.as_bytes());
    }
}
