//! The access log: a line a request, in httpd's combined format.

use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;

use http::StatusCode;

use super::environ::SiteEnviron;
use super::log::{Out, civil};
use crate::gateway::escape::push_escaped;

/// An access log.
#[derive(Debug)]
pub(crate) struct AccessLog {
    out: Out,
}

impl AccessLog {
    /// Logs to the standard output.
    #[must_use]
    pub(crate) const fn to_stdout() -> Self {
        Self { out: Out::Stdout }
    }

    /// Logs to a file that is open to add to its end.
    #[must_use]
    pub(crate) fn to_file(file: File) -> Self {
        Self { out: Out::file(file) }
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
        self.out.put(line(environ, status, bytes).as_bytes());
    }
}

fn line(environ: &SiteEnviron<'_>, status: Option<StatusCode>, bytes: u64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut line = String::with_capacity(192);
    let get = |key: &[u8]| environ.get(key).filter(|value| !value.is_empty()).unwrap_or(b"-");
    push_escaped(&mut line, get(b"REMOTE_ADDR"));
    line.push_str(" - ");
    push_quoted(&mut line, get(b"REMOTE_USER"));
    let [year, month, day, hour, minute, second] = civil(environ.start_us() / 1_000_000);
    let _ = write!(
        line,
        " [{day:02}/{}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000] \"",
        MONTHS[month as usize - 1]
    );
    push_quoted(&mut line, get(b"REQUEST_METHOD"));
    line.push(' ');
    push_quoted(&mut line, environ.raw_target());
    line.push(' ');
    push_quoted(&mut line, get(b"SERVER_PROTOCOL"));
    line.push_str("\" ");
    match status {
        Some(status) => line.push_str(status.as_str()),
        None => line.push('-'),
    }
    match bytes {
        0 => line.push_str(" -"),
        bytes => {
            let _ = write!(line, " {bytes}");
        }
    }
    for header in ["referer", "user-agent"] {
        line.push_str(" \"");
        push_quoted(&mut line, environ.header(header.as_bytes()).unwrap_or(b"-"));
        line.push('"');
    }
    line.push('\n');
    line
}

/// Escaped as in httpd: a quote cannot end the field.
fn push_quoted(line: &mut String, text: &[u8]) {
    for piece in text.split_inclusive(|byte| matches!(byte, b'"' | b'\\')) {
        match piece {
            [rest @ .., last @ (b'"' | b'\\')] => {
                push_escaped(line, rest);
                line.push('\\');
                line.push(char::from(*last));
            }
            piece => push_escaped(line, piece),
        }
    }
}
