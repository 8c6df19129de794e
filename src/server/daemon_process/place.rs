//! The places of requests: a row of the scoreboard, and the entry that the timer looks at.
//!
//! Each worker thread has one, and so has each request that waits without a thread: the thread
//! leaves its own place to the request and takes another. The place of a request stays the same
//! until its end, so that whoever looks for its ticket finds it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::current_request::CurrentRequest;
use crate::process_group::{ProcessScore, WorkerScore};

/// The places of a process.
pub(super) struct Places {
    slot: &'static ProcessScore,
    rows: &'static [WorkerScore],
    /// The most threads.
    threads: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    /// Every place that was ever used, by its row.
    made: Vec<Arc<CurrentRequest>>,
    free: BinaryHeap<Reverse<usize>>,
    /// The number of threads that have one.
    threads: usize,
}

/// One place. It is free again when it is dropped.
pub(super) struct Place {
    pub(super) row: &'static WorkerScore,
    pub(super) current: Arc<CurrentRequest>,
    index: usize,
    places: Arc<Places>,
}

impl Places {
    /// Makes the places of a slot's process, which has `threads` threads at most.
    pub(super) fn new(
        slot: &'static ProcessScore,
        rows: &'static [WorkerScore],
        threads: usize,
    ) -> Arc<Self> {
        slot.use_rows(0);
        Arc::new(Self { slot, rows, threads, taken: Mutex::default() })
    }

    /// Takes a place for another thread.
    pub(super) fn take_for_thread(self: &Arc<Self>) -> Place {
        let mut taken = self.lock();
        taken.threads += 1;
        let index = self.next(&mut taken).expect("a row for each thread is kept free");
        self.place(&taken, index)
    }

    /// Notes that a thread with a place has ended.
    pub(super) fn thread_ended(&self) {
        self.lock().threads -= 1;
    }

    /// Takes a place for a request, unless only as many are left as threads may need.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.lock();
        let left = self.rows.len() - taken.made.len() + taken.free.len();
        if left <= self.threads.saturating_sub(taken.threads) {
            return None;
        }
        let index = self.next(&mut taken)?;
        Some(self.place(&taken, index))
    }

    /// Visits the current requests of all places.
    pub(super) fn each(&self, visit: impl FnMut(&Arc<CurrentRequest>)) {
        self.lock().made.iter().for_each(visit);
    }

    fn next(&self, taken: &mut Taken) -> Option<usize> {
        if let Some(Reverse(index)) = taken.free.pop() {
            return Some(index);
        }
        let index = taken.made.len();
        if index == self.rows.len() {
            return None;
        }
        taken.made.push(Arc::default());
        self.slot.use_rows(taken.made.len() as u32);
        Some(index)
    }

    fn place(self: &Arc<Self>, taken: &Taken, index: usize) -> Place {
        let (row, current) = (&self.rows[index], taken.made[index].clone());
        Place { row, current, index, places: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().free.push(Reverse(self.index));
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("index", &self.index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process_group::Scoreboard;

    #[test]
    fn requests_leave_a_place_for_each_thread() {
        let board = Scoreboard::leaked(1, 5);
        let places = Places::new(&board.slots[0], board.rows_of(0), 3);
        assert_eq!(board.used_rows(0).len(), 0);
        let first = places.take_for_thread();
        let waiting: Vec<_> = std::iter::from_fn(|| places.take()).collect();
        assert_eq!((waiting.len(), board.used_rows(0).len()), (2, 3));
        let threads = [places.take_for_thread(), places.take_for_thread()];
        assert!(places.take().is_none());
        drop(threads);
        (0..2).for_each(|_| places.thread_ended());
        assert!(places.take().is_none(), "they may come back");
        drop(waiting);
        assert_eq!(places.take().unwrap().index, 1, "the first that is free");
        drop(first);
        assert_eq!(board.used_rows(0).len(), 5);
    }
}
