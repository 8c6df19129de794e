//! Connections of httpd children: who works on each, and what it has read and not used yet.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::server::os::Peer;

/// One connection. It is watched edge-triggered for as long as it lives; whichever worker thread an
/// event wakes claims it, and others that are woken for it only note that there is more.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    token: u64,
    peer: Peer,
    /// Whether a good HELLO has come.
    greeted: AtomicBool,
    /// Events since it was claimed; 0 when nobody works on it.
    claims: AtomicU32,
    kept: Mutex<Kept>,
}

/// What a connection keeps while nobody works on it.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Bytes that were read and are no whole frame yet.
    pub(super) rest: Vec<u8>,
    /// How much of an INPUT that nobody wants is still to come.
    pub(super) skip: u32,
    /// A request body that is not at its end, though its request is over.
    pub(super) body: bool,
}

impl Connection {
    pub(super) const fn token(&self) -> u64 {
        self.token
    }

    pub(super) const fn peer(&self) -> Peer {
        self.peer
    }

    pub(super) fn is_greeted(&self) -> bool {
        self.greeted.load(Ordering::Acquire)
    }

    pub(super) fn set_greeted(&self) {
        self.greeted.store(true, Ordering::Release);
    }

    /// Whether the caller is now the one that works on it.
    pub(super) fn claim(&self) -> bool {
        self.claims.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// Gives it back, unless something happened since it was claimed or this was last asked: then
    /// the caller goes on to read.
    pub(super) fn release(&self) -> bool {
        if self.claims.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return true;
        }
        self.claims.store(1, Ordering::Release);
        false
    }

    /// What it keeps. Only who has claimed it asks.
    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Entries that are made at once.
const CHUNK: usize = 256;

type Entry = Mutex<Option<Arc<Connection>>>;

/// Every connection by its token: the index in the low half, how often that was used in the high.
///
/// A look-up takes the lock of one entry, which nobody else wants. What all share is locked only to
/// add a connection or to take one out.
#[derive(Debug)]
pub(super) struct Connections {
    chunks: Box<[OnceLock<Box<[Entry]>>]>,
    most: usize,
    count: AtomicUsize,
    free: Mutex<Free>,
}

#[derive(Debug, Default)]
struct Free {
    indices: Vec<u32>,
    /// The next index that was never used.
    next: u32,
    generation: u32,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        let chunks = (0..most.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect();
        Self { chunks, most, count: AtomicUsize::new(0), free: Mutex::default() }
    }

    /// Takes a connection in, unless there are too many: then its socket comes back.
    pub(super) fn add(&self, socket: OwnedFd, peer: Peer) -> Result<Arc<Connection>, OwnedFd> {
        let mut free = lock(&self.free);
        let index = match free.indices.pop() {
            Some(index) => index,
            None if (free.next as usize) < self.most => {
                free.next += 1;
                free.next - 1
            }
            None => return Err(socket),
        };
        free.generation = free.generation.wrapping_add(1);
        let token = u64::from(free.generation) << 32 | u64::from(index);
        drop(free);
        let connection = Arc::new(Connection {
            socket,
            token,
            peer,
            greeted: AtomicBool::new(false),
            claims: AtomicU32::new(0),
            kept: Mutex::default(),
        });
        let new_chunk = || (0..CHUNK).map(|_| Entry::default()).collect();
        let chunk = self.chunks[index as usize / CHUNK].get_or_init(new_chunk);
        *lock(&chunk[index as usize % CHUNK]) = Some(connection.clone());
        self.count.fetch_add(1, Ordering::AcqRel);
        Ok(connection)
    }

    pub(super) fn get(&self, token: u64) -> Option<Arc<Connection>> {
        let entry = lock(self.entry(token)?);
        entry.as_ref().filter(|connection| connection.token == token).cloned()
    }

    /// Takes a connection out. It is closed when nobody has it any more.
    pub(super) fn remove(&self, token: u64) {
        let Some(entry) = self.entry(token) else { return };
        let mut entry = lock(entry);
        let taken = entry.take_if(|connection| connection.token == token);
        drop(entry);
        if taken.is_some() {
            lock(&self.free).indices.push(token as u32);
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn entry(&self, token: u64) -> Option<&Entry> {
        let index = token as u32 as usize;
        self.chunks.get(index / CHUNK)?.get()?.get(index % CHUNK)
    }
}

/// A panic leaves nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    const PEER: Peer = Peer { uid: 0, pid: 1 };

    fn socket() -> OwnedFd {
        UnixStream::pair().unwrap().0.into()
    }

    #[test]
    fn a_token_is_never_another_ones() {
        let connections = Connections::new(2);
        let first = connections.add(socket(), PEER).unwrap().token();
        let second = connections.add(socket(), PEER).unwrap().token();
        assert!(connections.add(socket(), PEER).is_err());
        connections.remove(first);
        connections.remove(first);
        assert_eq!(connections.count(), 1);
        let third = connections.add(socket(), PEER).unwrap().token();
        assert_eq!((third as u32, third == first), (first as u32, false));
        assert!(connections.get(first).is_none());
        assert_eq!(connections.get(second).unwrap().token(), second);
        assert!(connections.get(u64::MAX).is_none());
    }

    #[test]
    fn one_works_and_hears_of_more() {
        let connections = Connections::new(1);
        let connection = connections.add(socket(), PEER).unwrap();
        assert!(connection.claim());
        assert!(!connection.claim());
        assert!(!connection.claim());
        assert!(!connection.release(), "something happened");
        assert!(connection.release());
        assert!(connection.claim());
    }
}
