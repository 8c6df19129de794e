//! The error stream: whole lines into the server's log, with the request's data.

use std::fmt;
use std::io::{self, Write};

use super::code::Level;
use super::exchange::Exchange;

/// The longest line that is logged whole, in bytes. A longer one is split: httpd cuts at 8 KiB.
const LINE: usize = 7 * 1024;

/// A `Write` into the ErrorLog of the request's virtual host (PEP 3333, `wsgi.errors`).
///
/// Each line is one record at level error. A flush or a drop logs the last line without its end.
pub struct Errors<'x> {
    exchange: &'x dyn Exchange,
    line: Vec<u8>,
}

impl<'x> Errors<'x> {
    pub(super) const fn new(exchange: &'x dyn Exchange) -> Self {
        Self { exchange, line: Vec::new() }
    }

    /// Writes one record at `level`.
    pub fn log(&self, level: Level, message: impl fmt::Display) {
        if self.exchange.logs(level) {
            self.exchange.log(level, &message.to_string());
        }
    }

    fn put_line(&mut self) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if !line.is_empty() {
            self.exchange.log(Level::Error, &String::from_utf8_lossy(line));
        }
        self.line.clear();
    }
}

impl Write for Errors<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = bytes.split(|&byte| byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            for piece in line.chunks(LINE) {
                if self.line.len() + piece.len() > LINE {
                    self.put_line();
                }
                self.line.extend_from_slice(piece);
            }
            if lines.peek().is_some() {
                self.put_line();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.put_line();
        Ok(())
    }
}

impl Drop for Errors<'_> {
    fn drop(&mut self) {
        self.put_line();
    }
}

impl fmt::Debug for Errors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errors").field("line", &self.line.escape_ascii().to_string()).finish()
    }
}
