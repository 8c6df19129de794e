//! The buffer of a worker thread, into which it reads from whichever connection it works on.

use std::io;
use std::os::fd::AsFd;

use crate::os;

/// Room to read into, in bytes: a record of 64 KiB and what comes with it. It grows for a larger
/// head, and shrinks again.
const ROOM: usize = 128 * 1024;

/// The least that is worth a system call, in bytes.
const LEAST: usize = 16 * 1024;

/// Bytes that were read and not used.
pub(in crate::server) struct Buffer {
    data: Vec<u8>,
    from: usize,
    to: usize,
}

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum ReadOutcome {
    /// Bytes. There may be more without an event that says so.
    Full,
    /// Bytes, and all that there were.
    Some,
    /// Nothing yet.
    NotYet,
    /// The other end sends no more.
    End,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self { data: vec![0; ROOM], from: 0, to: 0 }
    }

    pub(in crate::server) fn unread(&self) -> &[u8] {
        &self.data[self.from..self.to]
    }

    pub(in crate::server) const fn is_empty(&self) -> bool {
        self.from == self.to
    }

    pub(in crate::server) const fn len(&self) -> usize {
        self.to - self.from
    }

    pub(in crate::server) fn consume(&mut self, bytes: usize) {
        self.from += bytes;
        debug_assert!(self.from <= self.to);
    }

    /// Forgets all but the first bytes.
    pub(in crate::server) fn truncate(&mut self, bytes: usize) {
        self.to = self.to.min(self.from + bytes);
    }

    pub(in crate::server) fn clear(&mut self) {
        (self.from, self.to) = (0, 0);
        if self.data.len() > ROOM {
            self.data.truncate(ROOM);
            self.data.shrink_to_fit();
        }
    }

    /// Adds bytes that were read elsewhere.
    pub(in crate::server) fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.to += bytes.len();
    }

    /// Reads what is there.
    pub(in crate::server) fn receive(&mut self, socket: impl AsFd) -> io::Result<ReadOutcome> {
        self.fill(usize::MAX, |room| os::receive(socket, room))
    }

    /// Reads so many bytes at most.
    pub(super) fn receive_at_most(
        &mut self,
        socket: impl AsFd,
        most: usize,
    ) -> io::Result<ReadOutcome> {
        self.fill(most, |room| os::receive(socket, room))
    }

    /// Copies so many bytes at most that are there, and leaves them in the socket.
    pub(super) fn look(&mut self, socket: impl AsFd, most: usize) -> io::Result<ReadOutcome> {
        self.fill(most, |room| os::look(socket, room))
    }

    /// Takes the last bytes, which were only [looked at](Self::look), out of the socket.
    pub(super) fn take_seen(&mut self, socket: impl AsFd, seen: usize) {
        let mut from = self.to - seen;
        while from < self.to {
            match os::receive(&socket, &mut self.data[from..self.to]) {
                Ok(Some(read)) if read > 0 => from += read,
                // They are there, so that something is wrong with the socket, and the next read
                // says so.
                _ => return,
            }
        }
    }

    fn fill(
        &mut self,
        most: usize,
        read: impl FnOnce(&mut [u8]) -> io::Result<Option<usize>>,
    ) -> io::Result<ReadOutcome> {
        let room = self.room(LEAST);
        let length = room.len().min(most);
        let room = &mut room[..length];
        Ok(match read(room)? {
            None => ReadOutcome::NotYet,
            Some(0) => ReadOutcome::End,
            Some(read) => {
                self.to += read;
                if read == length { ReadOutcome::Full } else { ReadOutcome::Some }
            }
        })
    }

    fn room(&mut self, least: usize) -> &mut [u8] {
        if self.is_empty() {
            (self.from, self.to) = (0, 0);
        } else if self.data.len() - self.to < least {
            self.data.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        if self.data.len() - self.to < least {
            self.data.resize((self.to + least).max(self.data.len() * 2), 0);
        }
        &mut self.data[self.to..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_returns_its_input() {
        let mut buffer = Buffer::new();
        let all: Vec<u8> = (0..3 * ROOM).map(|i| (i % 251) as u8).collect();
        let mut out = Vec::new();
        for piece in all.chunks(40_000) {
            buffer.put(piece);
            let half = buffer.len() / 2;
            out.extend_from_slice(&buffer.unread()[..half]);
            buffer.consume(half);
        }
        out.extend_from_slice(buffer.unread());
        assert_eq!(out, all);
        buffer.clear();
        assert!(buffer.is_empty() && buffer.data.len() == ROOM);
    }
}
