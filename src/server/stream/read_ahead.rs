//! Bytes that were read before anybody asked for them: a little in memory, more in a file.
//!
//! Some web servers do not read the response before they have sent all of the body, or send no more
//! of it once they have the response's head. An application that answers meanwhile would wait for
//! ever.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::buffer::Buffer;

/// The most that is kept in memory, in bytes.
const MEMORY: usize = 128 * 1024;

/// The size of one read from the file, in bytes.
const PIECE: usize = 64 * 1024;

/// First in, first out.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    /// The first event.
    memory: Vec<u8>,
    file: Option<Spool>,
}

/// A file that nobody else knows.
#[derive(Debug)]
struct Spool {
    file: File,
    from: u64,
    to: u64,
}

impl ReadAhead {
    pub(super) const fn new(memory: Vec<u8>) -> Self {
        Self { memory, file: None }
    }

    pub(super) fn into_memory(self) -> Vec<u8> {
        let mut memory = self.memory;
        memory.clear();
        memory
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.file.is_none()
    }

    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// When a file is wanted and cannot be made, or is full.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + bytes.len() <= MEMORY {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let spool = match &mut self.file {
            Some(spool) => spool,
            none => none.insert(Spool { file: tempfile::tempfile()?, from: 0, to: 0 }),
        };
        spool.file.write_all_at(bytes, spool.to)?;
        spool.to += bytes.len() as u64;
        Ok(())
    }

    /// Moves a part of what there is into `buffer`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn take(&mut self, buffer: &mut Buffer) -> io::Result<()> {
        if !self.memory.is_empty() {
            buffer.put(&self.memory);
            self.memory.clear();
            return Ok(());
        }
        let Some(spool) = &mut self.file else { return Ok(()) };
        let mut piece = vec![0; PIECE.min((spool.to - spool.from) as usize)];
        spool.file.read_exact_at(&mut piece, spool.from)?;
        spool.from += piece.len() as u64;
        buffer.put(&piece);
        if spool.from == spool.to {
            self.file = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out() {
        let mut ahead = ReadAhead::default();
        let all: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let (mut buffer, mut got) = (Buffer::new(), Vec::new());
        for (index, piece) in all.chunks(30_000).enumerate() {
            ahead.put(piece).unwrap();
            if index % 5 == 4 {
                ahead.take(&mut buffer).unwrap();
                got.extend_from_slice(buffer.unread());
                buffer.clear();
            }
        }
        while !ahead.is_empty() {
            ahead.take(&mut buffer).unwrap();
            got.extend_from_slice(buffer.unread());
            buffer.clear();
        }
        assert!(got == all);
        assert!(ahead.into_memory().is_empty());
    }
}
