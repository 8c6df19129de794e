//! Connections by token, and who works on each. Every driver with worker threads keeps its
//! connections so.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The claim of a thread on a connection. It is watched edge-triggered for as long as it lives;
/// whichever worker thread an event wakes claims it, and others that are woken for it only note
/// that there is more.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Events since it was claimed; 0 when nobody works on it.
    events: AtomicU32,
}

impl Claims {
    /// Whether the caller is now the one that works on it.
    pub(crate) fn claim(&self) -> bool {
        self.events.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// Gives it back, unless something happened since it was claimed or this was last asked: then
    /// the caller goes on to read.
    pub(crate) fn release(&self) -> bool {
        if self.events.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return true;
        }
        // A swap, as a store could cover an event that the caller has not seen the cause of.
        self.events.swap(1, Ordering::AcqRel);
        false
    }

    /// Gives it back for as long as `is_stalled`, whatever happened: nothing can be read before
    /// another thread ends that, which claims it then. Returns `false` if that thread came before
    /// this call ended: then the caller goes on to read.
    #[cfg(feature = "fastcgi")]
    pub(crate) fn release_stalled(&self, is_stalled: impl Fn() -> bool) -> bool {
        while !self.release() {
            // The event may have been the other thread, which asked in vain.
            if !is_stalled() {
                return false;
            }
        }
        true
    }
}

/// Entries that are made at once.
const CHUNK: usize = 256;

/// A connection of a [`ConnectionTable`].
pub(crate) trait Entry {
    /// Returns the token that the table gave it.
    fn token(&self) -> u64;

    /// Returns who works on it.
    fn claims(&self) -> &Claims;

    /// Works like [`Claims::claim`].
    fn claim(&self) -> bool {
        self.claims().claim()
    }

    /// Works like [`Claims::release`].
    fn release(&self) -> bool {
        self.claims().release()
    }
}

type Slot<T> = Mutex<Option<Arc<T>>>;
type Chunk<T> = OnceLock<Box<[Slot<T>]>>;

/// Every connection by its token: the index in the low half, how often that was used in the high.
///
/// Finding a connection takes the lock of one entry, which is rarely contended. The shared lock is
/// taken only to add or remove a connection.
#[derive(Debug)]
pub(crate) struct ConnectionTable<T> {
    chunks: Box<[Chunk<T>]>,
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

impl<T: Entry> ConnectionTable<T> {
    pub(crate) fn new(most: usize) -> Self {
        let chunks = (0..most.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect();
        Self { chunks, most, count: AtomicUsize::new(0), free: Mutex::default() }
    }

    /// Takes in what `make` makes of a token and `what`, unless there are too many: then `what`
    /// comes back.
    pub(crate) fn add<W>(&self, what: W, make: impl FnOnce(W, u64) -> T) -> Result<Arc<T>, W> {
        let mut free = lock(&self.free);
        let index = match free.indices.pop() {
            Some(index) => index,
            None if (free.next as usize) < self.most => {
                free.next += 1;
                free.next - 1
            }
            None => return Err(what),
        };
        free.generation = free.generation.wrapping_add(1);
        let token = u64::from(free.generation) << 32 | u64::from(index);
        drop(free);
        let entry = Arc::new(make(what, token));
        let new_chunk = || (0..CHUNK).map(|_| Mutex::new(None)).collect();
        let chunk = self.chunks[index as usize / CHUNK].get_or_init(new_chunk);
        *lock(&chunk[index as usize % CHUNK]) = Some(entry.clone());
        self.count.fetch_add(1, Ordering::AcqRel);
        Ok(entry)
    }

    pub(crate) fn get(&self, token: u64) -> Option<Arc<T>> {
        let place = lock(self.place(token)?);
        place.as_ref().filter(|entry| entry.token() == token).cloned()
    }

    /// Takes a connection out; whether it was still there. It is closed when nobody has it any
    /// more.
    pub(crate) fn remove(&self, token: u64) -> bool {
        let Some(place) = self.place(token) else { return false };
        let mut place = lock(place);
        let taken = place.take_if(|entry| entry.token() == token);
        drop(place);
        if taken.is_some() {
            lock(&self.free).indices.push(token as u32);
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
        taken.is_some()
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn place(&self, token: u64) -> Option<&Slot<T>> {
        let index = token as u32 as usize;
        self.chunks.get(index / CHUNK)?.get()?.get(index % CHUNK)
    }
}

#[cfg(any(feature = "fastcgi", feature = "scgi", feature = "uwsgi"))]
impl<T> ConnectionTable<T> {
    /// Visits all that are there, one after the other.
    pub(crate) fn each(&self, mut visit: impl FnMut(&Arc<T>)) {
        for chunk in self.chunks.iter().map_while(OnceLock::get) {
            for place in chunk {
                let entry = lock(place).clone();
                if let Some(entry) = entry {
                    visit(&entry);
                }
            }
        }
    }
}

/// A panic leaves nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(u64, Claims);

    impl Entry for Thing {
        fn token(&self) -> u64 {
            self.0
        }

        fn claims(&self) -> &Claims {
            &self.1
        }
    }

    #[test]
    fn a_token_is_never_another_ones() {
        let things = ConnectionTable::new(2);
        let add = || things.add((), |(), token| Thing(token, Claims::default()));
        let first = add().ok().unwrap().token();
        let second = add().ok().unwrap().token();
        assert!(add().is_err());
        assert!(things.remove(first));
        assert!(!things.remove(first));
        assert_eq!(things.count(), 1);
        let third = add().ok().unwrap().token();
        assert_eq!((third as u32, third == first), (first as u32, false));
        assert!(things.get(first).is_none());
        assert_eq!(things.get(second).unwrap().token(), second);
        assert!(things.get(u64::MAX).is_none());
    }

    #[test]
    fn no_event_is_lost_and_no_two_work() {
        const EACH: u64 = 20_000;
        let claims = Claims::default();
        let (caused, working) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let seen = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        caused.fetch_add(1, Ordering::Relaxed);
                        if !claims.claim() {
                            continue;
                        }
                        assert_eq!(working.fetch_add(1, Ordering::Relaxed), 0);
                        loop {
                            seen.store(caused.load(Ordering::Relaxed), Ordering::Relaxed);
                            working.fetch_sub(1, Ordering::Relaxed);
                            if claims.release() {
                                break;
                            }
                            assert_eq!(working.fetch_add(1, Ordering::Relaxed), 0);
                        }
                    }
                });
            }
        });
        assert_eq!(seen.into_inner(), 4 * EACH as usize);
        assert!(claims.claim(), "nobody works in the end");
    }

    /// One reads and finds no room, another makes room: in the end one of them reads.
    #[test]
    #[cfg(feature = "fastcgi")]
    fn room_that_is_made_at_any_moment_is_used() {
        use std::sync::atomic::AtomicBool;

        let (claims, stalled) = (Claims::default(), AtomicBool::new(false));
        let barrier = std::sync::Barrier::new(2);
        let read = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    claims.claim();
                    stalled.store(true, Ordering::SeqCst);
                    barrier.wait();
                    if !claims.release_stalled(|| stalled.load(Ordering::SeqCst)) {
                        read.fetch_add(1, Ordering::SeqCst);
                        while !claims.release() {}
                    }
                    barrier.wait();
                }
            });
            for _ in 0..20_000 {
                barrier.wait();
                if stalled.swap(false, Ordering::SeqCst) && claims.claim() {
                    read.fetch_add(1, Ordering::SeqCst);
                    while !claims.release() {}
                }
                barrier.wait();
            }
        });
        assert_eq!(read.into_inner(), 20_000, "each round was read once");
    }

    #[test]
    fn one_works_and_hears_of_more() {
        let claims = Claims::default();
        assert!(claims.claim());
        assert!(!claims.claim());
        assert!(!claims.claim());
        assert!(!claims.release(), "something happened");
        assert!(claims.release());
        assert!(claims.claim());
    }
}
