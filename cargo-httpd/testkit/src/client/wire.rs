//! The socket with a read buffer: lines, exact counts and ends, each with a time-out.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::error::{ClientError, ClientErrorKind, is_close};

/// The result of a read.
#[derive(Debug)]
pub(crate) enum Got {
    /// Bytes are in the buffer.
    Data,
    /// The server closed its side.
    Eof,
    /// The server reset the connection.
    Reset,
}

#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were taken.
    taken: usize,
    timeout: Duration,
}

impl Wire {
    pub(crate) fn open(addr: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, timeout)?;
        stream.set_nodelay(true)?;
        let mut wire = Self { stream, buffer: Vec::new(), taken: 0, timeout };
        wire.set_timeout(timeout)?;
        Ok(wire)
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.timeout = timeout;
        self.stream.set_read_timeout(Some(timeout))?;
        self.stream.set_write_timeout(Some(timeout))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.stream
            .write_all(bytes)
            .map_err(|error| ClientError::io(&format!("writing {} bytes", bytes.len()), &error))
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        // It fails only where the other side was faster.
        let _ = self.stream.shutdown(how);
    }

    /// Bytes that were read and not taken.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.buffer.len() {
            self.buffer.clear();
            self.taken = 0;
        }
    }

    /// Reads more into the buffer. `doing` is for the message of an error.
    pub(crate) fn fill(&mut self, doing: &str) -> Result<Got, ClientError> {
        const BLOCK: usize = 64 * 1024;
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let start = self.buffer.len();
        self.buffer.resize(start + BLOCK, 0);
        let result = loop {
            match self.stream.read(&mut self.buffer[start..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(start + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) => Ok(Got::Eof),
            Ok(_) => Ok(Got::Data),
            Err(error) if is_close(error.kind()) => Ok(Got::Reset),
            Err(error) => {
                let had = self.buffer.len();
                let doing = format!("{doing}, with {had} bytes of it (after {:?})", self.timeout);
                Err(ClientError::io(&doing, &error))
            }
        }
    }

    /// Reads up to and including `mark`, and takes it. `Ok(Err(_))` when the connection ended
    /// first, with the bytes up to there still in the buffer.
    pub(crate) fn until(
        &mut self,
        mark: &[u8],
        limit: usize,
        doing: &str,
    ) -> Result<Result<Vec<u8>, Got>, ClientError> {
        let mut searched = 0;
        loop {
            let pending = self.pending();
            let from = searched.min(pending.len());
            if let Some(at) = pending[from..].windows(mark.len()).position(|part| part == mark) {
                let found = pending[..from + at + mark.len()].to_vec();
                self.take(found.len());
                return Ok(Ok(found));
            }
            if pending.len() > limit {
                let message = format!("more than {limit} bytes while {doing}");
                return Err(ClientError::new(ClientErrorKind::Malformed, message));
            }
            searched = (pending.len() + 1).saturating_sub(mark.len());
            match self.fill(doing)? {
                Got::Data => {}
                end => return Ok(Err(end)),
            }
        }
    }
}
