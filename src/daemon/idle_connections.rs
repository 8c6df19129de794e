//! The connections that an httpd child keeps between requests, to the processes of all its groups.
//!
//! A child may have hundreds of groups, and few descriptors. So it keeps a limited number of
//! connections, none of them for long, and closes first what was not used for longest.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::connection::BridgeConnection;

/// The time for which an unused connection is kept.
const LONGEST: Duration = Duration::from_secs(60);

/// The interval at which the child looks for connections that were kept for too long.
const PAUSE: Duration = Duration::from_secs(1);

/// The most connections that a child keeps, however many descriptors it may have.
const MOST: u64 = 1024;

/// The process at the other end of a connection: its group, by its address, and its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PeerKey {
    pub(super) group: usize,
    pub(super) slot: usize,
}

/// Connections at rest.
pub(super) struct Connections<C = BridgeConnection> {
    entries: Mutex<Entries<C>>,
    /// The number that there may be.
    most: OnceLock<usize>,
}

struct Entries<C> {
    /// Those to each process, in the order in which they were last used.
    of: BTreeMap<PeerKey, Vec<IdleEntry<C>>>,
    count: usize,
    /// The time at which the child last looked for old ones.
    looked: Option<Instant>,
}

struct IdleEntry<C> {
    since: Instant,
    connection: C,
}

/// The connections of this process. httpd's parent and the daemon processes keep none. A child
/// never changes its configuration, so that a group's address is one group's.
pub(super) static CONNECTIONS: Connections = Connections::new();

impl<C> Connections<C> {
    const fn new() -> Self {
        let entries = Entries { of: BTreeMap::new(), count: 0, looked: None };
        Self { entries: Mutex::new(entries), most: OnceLock::new() }
    }

    /// Takes out the connection to `peer` that was used last and that `is_good`. Closes those to
    /// `peer` that were used later and are not.
    pub(super) fn take(&self, peer: PeerKey, is_good: impl Fn(&C) -> bool) -> Option<C> {
        let mut entries = self.entries();
        let of_peer = entries.of.get_mut(&peer)?;
        let kept = of_peer.iter().rposition(|entry| is_good(&entry.connection));
        let mut taken = of_peer.split_off(kept.unwrap_or(0));
        entries.count -= taken.len();
        // The others are closed without the lock.
        drop(entries);
        kept.map(|_| taken.swap_remove(0).connection)
    }

    /// Keeps a connection. Closes those that were kept for too long, or are too many.
    pub(super) fn put(&self, peer: PeerKey, connection: C) {
        self.put_at(Instant::now(), *self.most.get_or_init(most), peer, connection);
    }

    fn put_at(&self, now: Instant, most: usize, peer: PeerKey, connection: C) {
        let mut entries = self.entries();
        entries.of.entry(peer).or_default().push(IdleEntry { since: now, connection });
        entries.count += 1;
        let closed = entries.trim(now, most);
        // They are closed without the lock.
        drop(entries);
        drop(closed);
    }

    /// Closes all connections, as the process has no descriptor left. Returns whether there were
    /// any.
    pub(super) fn clear(&self) -> bool {
        let mut entries = self.entries();
        let closed = std::mem::take(&mut entries.of);
        let count = std::mem::take(&mut entries.count);
        drop(entries);
        drop(closed);
        count > 0
    }

    fn entries(&self) -> MutexGuard<'_, Entries<C>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Entries<C> {
    /// Takes out what was kept for too long. If more than `most` are left, also takes out those
    /// unused for longest. These are more than necessary, so that this is rare.
    fn trim(&mut self, now: Instant, most: usize) -> Vec<IdleEntry<C>> {
        let mut closed = Vec::new();
        let looked = *self.looked.get_or_insert(now);
        if now.saturating_duration_since(looked) >= PAUSE {
            self.looked = Some(now);
            self.take_out(&mut closed, |since| now.saturating_duration_since(since) >= LONGEST);
        }
        if self.count > most {
            let excess = self.count - (most - most / 8);
            let mut times: Vec<_> = self.of.values().flatten().map(|entry| entry.since).collect();
            let last = *times.select_nth_unstable(excess - 1).1;
            self.take_out(&mut closed, |since| since <= last);
        }
        closed
    }

    fn take_out(&mut self, closed: &mut Vec<IdleEntry<C>>, is_old: impl Fn(Instant) -> bool) {
        for of_peer in self.of.values_mut() {
            let old = of_peer.partition_point(|entry| is_old(entry.since));
            closed.extend(of_peer.drain(..old));
        }
        self.of.retain(|_, of_peer| !of_peer.is_empty());
        self.count = self.of.values().map(Vec::len).sum();
    }
}

/// Returns how many connections this process may keep: a quarter of the descriptors that it may
/// have.
fn most() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (limit / 4).clamp(1, MOST) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const A: PeerKey = PeerKey { group: 1, slot: 0 };
    const B: PeerKey = PeerKey { group: 1, slot: 1 };

    #[test]
    fn the_last_usable_connection_is_found() {
        let kept = Connections::new();
        for (peer, number) in [(A, 1), (B, 2), (A, 3), (A, 4)] {
            kept.put_at(Instant::now(), 10, peer, number);
        }
        assert_eq!(kept.take(A, |number| *number < 4), Some(3), "the bad one is gone");
        assert_eq!(kept.take(A, |_| true), Some(1));
        assert_eq!(kept.take(A, |_| true), None);
        assert_eq!(kept.take(B, |_| false), None);
        assert_eq!(kept.entries().count, 0);
        assert!(!kept.clear());
    }

    #[test]
    fn no_more_than_may_be_and_the_oldest_go() {
        let kept = Connections::new();
        let start = Instant::now();
        for number in 0..100_u32 {
            let now = start + Duration::from_millis(1) * number;
            kept.put_at(now, 16, if number % 3 == 0 { A } else { B }, number);
            let entries = kept.entries();
            let mut left: Vec<_> =
                entries.of.values().flatten().map(|entry| entry.connection).collect();
            left.sort_unstable();
            assert_eq!(left.len(), entries.count);
            assert!(left.len() <= 16 && left.len() >= 14.min(number as usize + 1), "{left:?}");
            let newest: Vec<_> = (0..=number).skip(number as usize + 1 - left.len()).collect();
            assert_eq!(left, newest);
        }
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
