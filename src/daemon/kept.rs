//! The connections that an httpd child keeps between requests, to the processes of all its groups.
//!
//! A child may have hundreds of groups, and few descriptors. So it keeps a limited number of
//! connections, none of them for long, and closes first what was not used for longest.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::connection::Connection;

/// How long a connection is kept that nobody uses.
const LONGEST: Duration = Duration::from_secs(60);

/// The most connections that a child keeps, however many descriptors it may have.
const MOST: u64 = 1024;

/// The process at the other end of a connection: its group, by its address, and its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) group: usize,
    pub(super) slot: usize,
}

/// Connections at rest, in the order in which they were last used.
pub(super) struct Connections<C = Connection> {
    /// The connections of one child, since it never changes its configuration.
    entries: Mutex<VecDeque<Entry<C>>>,
    /// How many there may be.
    most: OnceLock<usize>,
}

struct Entry<C> {
    peer: Peer,
    since: Instant,
    connection: C,
}

/// The connections of this process. httpd's parent and the daemon processes keep none.
pub(super) static CONNECTIONS: Connections = Connections::new();

impl<C> Connections<C> {
    const fn new() -> Self {
        Self { entries: Mutex::new(VecDeque::new()), most: OnceLock::new() }
    }

    /// Takes out the connection to `peer` that was used last and that `is_good`. Closes those to `peer`
    /// that are not good.
    pub(super) fn take(&self, peer: Peer, is_good: impl Fn(&C) -> bool) -> Option<C> {
        let mut bad = Vec::new();
        let mut entries = self.entries();
        let mut end = entries.len();
        while let Some(index) = entries.range(..end).rposition(|entry| entry.peer == peer) {
            end = index;
            let Some(entry) = entries.remove(index) else { break };
            if is_good(&entry.connection) {
                drop(entries);
                return Some(entry.connection);
            }
            bad.push(entry);
        }
        // They are closed without the lock.
        drop(entries);
        None
    }

    /// Keeps a connection. Closes those that were kept for too long, or are too many.
    pub(super) fn put(&self, peer: Peer, connection: C) {
        self.put_at(Instant::now(), *self.most.get_or_init(most), peer, connection);
    }

    fn put_at(&self, now: Instant, most: usize, peer: Peer, connection: C) {
        let mut entries = self.entries();
        entries.push_back(Entry { peer, since: now, connection });
        let is_old = |entry: &Entry<C>| now.saturating_duration_since(entry.since) >= LONGEST;
        let excess = entries.len().saturating_sub(most);
        let old = entries.iter().take_while(|entry| is_old(entry)).count();
        let closed: Vec<_> = entries.drain(..excess.max(old)).collect();
        drop(entries);
        drop(closed);
    }

    /// Closes all connections, as the process has no descriptor left. Returns whether there were any.
    pub(super) fn clear(&self) -> bool {
        let closed = std::mem::take(&mut *self.entries());
        !closed.is_empty()
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry<C>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns how many connections this process may keep: a quarter of the descriptors that it may have.
fn most() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (limit / 4).clamp(1, MOST) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const A: Peer = Peer { group: 1, slot: 0 };
    const B: Peer = Peer { group: 1, slot: 1 };

    #[test]
    fn the_last_one_that_is_good() {
        let kept = Connections::new();
        for (peer, number) in [(A, 1), (B, 2), (A, 3), (A, 4)] {
            kept.put_at(Instant::now(), 10, peer, number);
        }
        assert_eq!(kept.take(A, |number| *number < 4), Some(3), "the bad one is gone");
        assert_eq!(kept.take(A, |_| true), Some(1));
        assert_eq!(kept.take(A, |_| true), None);
        assert_eq!(kept.take(B, |_| false), None);
        assert!(!kept.clear());
    }

    #[test]
    fn no_more_than_may_be_and_the_oldest_go() {
        let kept = Connections::new();
        for number in 0..10 {
            kept.put_at(Instant::now(), 3, if number % 2 == 0 { A } else { B }, number);
        }
        let left: Vec<_> = kept.entries().iter().map(|entry| entry.connection).collect();
        assert_eq!(left, [7, 8, 9]);
    }

    #[test]
    fn none_is_kept_for_long() {
        let kept = Connections::new();
        let start = Instant::now();
        let open = Arc::new(());
        kept.put_at(start, 10, A, open.clone());
        kept.put_at(start + LONGEST / 2, 10, B, open.clone());
        assert_eq!(Arc::strong_count(&open), 3);
        kept.put_at(start + LONGEST, 10, B, open.clone());
        assert_eq!(Arc::strong_count(&open), 3, "the first was closed");
        assert!(kept.clear());
        assert_eq!(Arc::strong_count(&open), 1);
    }
}
