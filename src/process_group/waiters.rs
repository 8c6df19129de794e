//! The count of requests that wait while no process is ready.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

/// Parts that the longest wait is divided into.
const PARTS: u64 = 16;
/// Counters of a group. Two of the parts that are in use never share one.
const COUNTERS: u32 = 32;

/// Requests in httpd's children that wait for a process of the group.
///
/// An httpd child that is killed cannot take its requests off. So each request is counted under the
/// time at which its wait ends at the latest, and counts no more once that time has passed.
///
/// A counter holds the number of its part of time in the upper half, and the count in the lower
/// one. Processes of the group can write here: they can make only their own group refuse or accept
/// more.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Waiters([AtomicU64; COUNTERS as usize]);

/// A request that [`Waiters::enter`] has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingRequest {
    part: u32,
}

impl Waiters {
    /// Counts a request that waits for `longest_us` at most, unless `most` wait already.
    pub fn enter(&self, most: u32, now_us: u64, longest_us: u64) -> Option<WaitingRequest> {
        let place = WaitingRequest {
            part: part(now_us.saturating_add(longest_us), longest_us).wrapping_add(1),
        };
        let _ = self.counter(place.part).fetch_update(SeqCst, SeqCst, |word| {
            let count = if of_word(word).0 == place.part { of_word(word).1 } else { 0 };
            Some(to_word(place.part, count.saturating_add(1)))
        });
        // Of several that come at once for the last places, all may be refused, and never one too
        // few.
        if self.count(now_us, longest_us) > most {
            self.leave(place);
            return None;
        }
        Some(place)
    }

    /// Takes a request off the count.
    pub fn leave(&self, place: WaitingRequest) {
        let _ = self.counter(place.part).fetch_update(SeqCst, SeqCst, |word| {
            let (part, count) = of_word(word);
            (part == place.part && count > 0).then(|| to_word(part, count - 1))
        });
    }

    /// Returns the number of requests that wait.
    #[must_use]
    pub fn count(&self, now_us: u64, longest_us: u64) -> u32 {
        let now = part(now_us, longest_us);
        let is_current = |part: u32| (1..=PARTS as u32 + 2).contains(&part.wrapping_sub(now));
        let words = self.0.iter().map(|word| of_word(word.load(SeqCst)));
        words
            .filter(|(part, _)| is_current(*part))
            .fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    fn counter(&self, part: u32) -> &AtomicU64 {
        &self.0[(part % COUNTERS) as usize]
    }
}

/// Returns the number of the part of time that `at_us` is in. It wraps after years.
fn part(at_us: u64, longest_us: u64) -> u32 {
    (at_us / (longest_us / PARTS).max(1)) as u32
}

const fn of_word(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

const fn to_word(part: u32, count: u32) -> u64 {
    (part as u64) << 32 | count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: u64 = 15_000_000;

    #[test]
    fn no_more_than_may_wait() {
        let waiters = Waiters::default();
        let places: Vec<_> = (0..3).map(|i| waiters.enter(3, i * 700_000, LONGEST)).collect();
        assert!(places.iter().all(Option::is_some));
        assert_eq!(waiters.enter(3, 2_000_000, LONGEST), None);
        assert_eq!(waiters.count(2_000_000, LONGEST), 3);
        waiters.leave(places[1].unwrap());
        assert!(waiters.enter(3, 2_000_000, LONGEST).is_some());
        assert_eq!(waiters.enter(3, 2_000_000, LONGEST), None);
    }

    #[test]
    fn a_dead_childs_waiters_are_released() {
        let waiters = Waiters::default();
        for now_us in [0, 1, 12_345_678, u64::from(u32::MAX) * 937_500 - 2, u64::MAX / 2] {
            let place = waiters.enter(1, now_us, LONGEST).unwrap();
            for later in [0, LONGEST / 2, LONGEST - 1] {
                assert_eq!(waiters.enter(1, now_us + later, LONGEST), None, "{now_us} {later}");
            }
            let later = now_us + LONGEST + 2 * LONGEST / PARTS;
            let other = waiters.enter(1, later, LONGEST).expect("its time has passed");
            // It comes late, and takes nobody else's place.
            waiters.leave(place);
            assert_eq!(waiters.count(later, LONGEST), 1);
            waiters.leave(other);
            assert_eq!(waiters.count(later, LONGEST), 0);
        }
    }

    #[test]
    fn any_value_is_bounded() {
        for word in [u64::MAX, 0x1234_5678_ffff_ffff, to_word(17, u32::MAX)] {
            let waiters = Waiters::default();
            waiters.0.iter().for_each(|counter| counter.store(word, SeqCst));
            let _ = waiters.count(0, LONGEST);
            if let Some(place) = waiters.enter(5, 0, LONGEST) {
                waiters.leave(place);
            }
            assert!(waiters.enter(5, 40 * LONGEST, LONGEST).is_some(), "nothing lasts");
        }
    }

    #[test]
    fn many_at_once_keep_the_count() {
        let waiters = Waiters::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for now_us in 0..2000 {
                        if let Some(place) = waiters.enter(3, now_us * 1000, LONGEST) {
                            assert!(waiters.count(now_us * 1000, LONGEST) >= 1);
                            waiters.leave(place);
                        }
                    }
                });
            }
        });
        assert_eq!(waiters.count(0, LONGEST) + waiters.count(2_000_000, LONGEST), 0);
    }
}
