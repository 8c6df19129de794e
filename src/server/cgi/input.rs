//! The request body of a CGI program: the standard input, as far as CONTENT_LENGTH says.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::gateway::{Error, ErrorKind, Fill, InputSource, Result, header};
use crate::os;
use crate::protocol::params::Params;

const BUFFER: usize = 64 * 1024;

/// The standard input. It may not end where the body does (RFC 3875, 4.2).
pub(super) struct Stdin {
    input: OwnedFd,
    end: OwnedFd,
    timeout: Duration,
    /// The application has waited for so long.
    is_late: Rc<Cell<bool>>,
    length: Length,
    /// The unread rest of a known length.
    left: u64,
    buffer: Vec<u8>,
    start: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(u64),
    /// A chunked body, which the server decodes: it ends with the standard input.
    Unknown,
    Malformed,
}

impl Stdin {
    pub(super) fn new(
        params: &Params,
        (timeout, is_late): (Duration, Rc<Cell<bool>>),
        end: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let length = length(params);
        Ok(Self {
            input: io::stdin().as_fd().try_clone_to_owned()?,
            end: end.try_clone_to_owned()?,
            timeout,
            is_late,
            length,
            left: if let Length::Known(length) = length { length } else { u64::MAX },
            buffer: Vec::new(),
            start: 0,
        })
    }

    /// Reads what the application did not, where the standard input is a socket, as mod_cgid's:
    /// unread bytes would make its closing a reset, and the server could lose the end of the
    /// response.
    pub(super) fn discard(&mut self) {
        // The response is complete. A pipe refuses this, and needs no reading.
        if rustix::net::shutdown(&self.input, rustix::net::Shutdown::Write).is_err() {
            return;
        }
        while let Ok(Fill::Data(data)) = self.fill(true) {
            let amount = data.len();
            self.consume(amount);
        }
    }

    /// Reads more; `false` if there is nothing yet.
    fn read(&mut self, wait: bool) -> Result<bool> {
        let until = Instant::now() + self.timeout;
        loop {
            let left =
                if wait { until.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            let (polled, is_ended) =
                os::poll_open(&self.input, (true, false), Some(self.end.as_fd()), Some(left))
                    .map_err(|error| malformed(&format!("cannot be waited for: {error}")))?;
            if is_ended {
                return Err(super::output::ended());
            }
            if polled.readable {
                break;
            }
            if !wait && !self.is_late.get() {
                return Ok(false);
            }
            // A signal may have come in between.
            if left.is_zero() {
                return Err(Error::of(
                    ErrorKind::InputTimeout,
                    format!("nothing of the request body came for {:?}", self.timeout),
                ));
            }
        }
        let wanted = self.left.min(BUFFER as u64) as usize;
        self.start = 0;
        self.buffer.resize(wanted, 0);
        let read = loop {
            match rustix::io::read(&self.input, &mut self.buffer[..]) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    self.buffer.clear();
                    return Ok(false);
                }
                read => break read,
            }
        };
        let read = read.map_err(|error| malformed(&format!("cannot be read: {error}")))?;
        self.buffer.truncate(read);
        if let Length::Known(length) = self.length {
            if read == 0 {
                let missing = self.left;
                return Err(malformed(&format!("ended {missing} bytes before its {length}")));
            }
            self.left -= read as u64;
        } else if read == 0 {
            self.left = 0;
        }
        Ok(true)
    }
}

impl InputSource for Stdin {
    fn length(&self) -> Option<u64> {
        match self.length {
            Length::Known(length) => Some(length),
            Length::Unknown | Length::Malformed => None,
        }
    }

    fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        if self.length == Length::Malformed {
            return Err(malformed("has a CONTENT_LENGTH that is not a number"));
        }
        while self.start == self.buffer.len() {
            if self.left == 0 {
                return Ok(Fill::End);
            }
            if !self.read(wait)? && !wait {
                return Ok(Fill::NotYet);
            }
        }
        Ok(Fill::Data(&self.buffer[self.start..]))
    }

    fn consume(&mut self, amount: usize) {
        self.start += amount;
    }
}

fn length(params: &Params) -> Length {
    let text = params.get(b"CONTENT_LENGTH").map(<[u8]>::trim_ascii).unwrap_or_default();
    if text.is_empty() {
        // Without a length there is no body, unless the client sent one of a length that it did not
        // know; httpd hands that on decoded.
        let coding = params.get(b"HTTP_TRANSFER_ENCODING").unwrap_or_default();
        let is_chunked = coding.to_ascii_lowercase().ends_with(b"chunked");
        return if is_chunked { Length::Unknown } else { Length::Known(0) };
    }
    header::decimal(text).map_or(Length::Malformed, Length::Known)
}

fn malformed(what: &str) -> Error {
    Error::of(ErrorKind::InputMalformed, format!("the request body {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (content_length, coding, expected) in [
            ("", "", Length::Known(0)),
            ("12", "", Length::Known(12)),
            ("12", "chunked", Length::Known(12)),
            ("", "gzip, Chunked", Length::Unknown),
            ("-1", "", Length::Malformed),
            ("+1", "", Length::Malformed),
            ("99999999999999999999", "", Length::Malformed),
        ] {
            let mut params = Params::new();
            params.push(b"CONTENT_LENGTH", content_length.as_bytes());
            params.push(b"HTTP_TRANSFER_ENCODING", coding.as_bytes());
            assert!(length(&params) == expected, "{content_length} {coding}");
        }
    }
}
