//! Bytes that were read before anybody asked for them: a little in memory, more in a file.
//!
//! Some web servers do not read the response before they have sent all of the body. Others stop
//! sending once they have the response's head. An application that answers meanwhile would wait for
//! ever.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::buffer::Buffer;

/// The most that is kept in memory, in bytes.
const MEMORY: usize = 128 * 1024;

/// The size of one read from the file, in bytes.
const PIECE: usize = 64 * 1024;

/// First in, first out.
#[derive(Debug)]
pub(super) struct ReadAhead {
    /// The first bytes.
    memory: Vec<u8>,
    file: Option<Spool>,
    budget: Arc<SpoolBudget>,
}

/// The size of all temporary files of a process, and its bound.
#[derive(Debug)]
pub(super) struct SpoolBudget {
    used: AtomicU64,
    limit: u64,
}

impl SpoolBudget {
    pub(super) const fn new(limit: u64) -> Self {
        Self { used: AtomicU64::new(0), limit }
    }

    fn take(&self, amount: u64) -> io::Result<()> {
        let used = self.used.fetch_add(amount, Ordering::Relaxed).saturating_add(amount);
        if used <= self.limit {
            return Ok(());
        }
        self.give_back(amount);
        let text = format!("all of them together would exceed {} bytes (--max-spool)", self.limit);
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, text))
    }

    fn give_back(&self, amount: u64) {
        self.used.fetch_sub(amount, Ordering::Relaxed);
    }
}

/// A file that nobody else knows.
#[derive(Debug)]
struct Spool {
    file: File,
    from: u64,
    to: u64,
    budget: Arc<SpoolBudget>,
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.budget.give_back(self.to);
    }
}

impl ReadAhead {
    pub(super) const fn new(memory: Vec<u8>, budget: Arc<SpoolBudget>) -> Self {
        Self { memory, file: None, budget }
    }

    pub(super) fn into_memory(self) -> Vec<u8> {
        let Self { mut memory, .. } = self;
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
    /// Returns an error if a file is wanted and cannot be made, or is full, or the files of the
    /// process are too large together.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + bytes.len() <= MEMORY {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let spool = match &mut self.file {
            Some(spool) => spool,
            none => {
                let (file, budget) = (tempfile::tempfile()?, Arc::clone(&self.budget));
                none.insert(Spool { file, from: 0, to: 0, budget })
            }
        };
        let (at, length) = (spool.to, bytes.len() as u64);
        spool.budget.take(length)?;
        spool.to += length;
        spool.file.write_all_at(bytes, at)?;
        Ok(())
    }

    /// Moves a part of what there is into `buffer`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
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
        let budget = Arc::new(SpoolBudget::new(1_000_000));
        let mut ahead = ReadAhead::new(Vec::new(), Arc::clone(&budget));
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
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn all_files_together_have_a_bound() {
        let budget = Arc::new(SpoolBudget::new(200_000));
        let mut all = [(); 2].map(|()| ReadAhead::new(Vec::new(), Arc::clone(&budget)));
        let piece = [7; 100_000];
        // The first piece stays in memory.
        all[0].put(&piece).unwrap();
        all[0].put(&piece).unwrap();
        all[1].put(&piece).unwrap();
        all[1].put(&piece).unwrap();
        let error = all[1].put(&piece).unwrap_err();
        assert!(error.to_string().ends_with("exceed 200000 bytes (--max-spool)"), "{error}");
        let [first, mut second] = all;
        drop(first);
        second.put(&piece).unwrap();
        drop(second);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
