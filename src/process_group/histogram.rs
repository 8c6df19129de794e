//! Times in logarithmic buckets, four to the octave, from 16 µs to 268 s.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// log2 of the smallest time with a bucket of its own; shorter ones share the first.
const LEAST: u32 = 4;
/// log2 of the first time that is too long for one; longer ones share the last.
const MOST: u32 = 28;
/// Buckets with the first and the last.
const BUCKETS: usize = ((MOST - LEAST) * 4 + 2) as usize;

/// Counts of times by length. All zero is an empty one.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Histogram {
    /// Counts a time of `us` microseconds.
    pub(super) fn record(&self, us: u64) {
        self.0[bucket(us)].fetch_add(1, Relaxed);
    }

    /// Returns the counts as they are now.
    #[must_use]
    pub(super) fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot { counts: self.0.iter().map(|count| count.load(Relaxed)).collect() }
    }
}

/// The content of a histogram at one moment, or the sum of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    counts: Vec<u64>,
}

impl Default for HistogramSnapshot {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS] }
    }
}

impl HistogramSnapshot {
    /// Returns the number of times were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// Adds those of `other`.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
    }

    /// Returns the time in microseconds that a share of `q` (0 to 1) does not exceed: within a
    /// bucket's width, 25 % at most. `None` without a time.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let wanted = (q.clamp(0.0, 1.0) * total as f64).max(1.0);
        let mut below = 0_u64;
        for (index, count) in self.counts.iter().enumerate() {
            if *count > 0 && below.saturating_add(*count) as f64 >= wanted {
                let (from, to) = bounds(index);
                let part = (wanted - below as f64) / *count as f64;
                return Some(from + ((to - from) as f64 * part) as u64);
            }
            below = below.saturating_add(*count);
        }
        Some(bounds(BUCKETS - 1).1)
    }

    /// Returns the buckets: the first time in microseconds that is too long for each, and its
    /// count. That of the last is `u64::MAX`.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts.iter().enumerate().map(|(index, count)| {
            (if index == BUCKETS - 1 { u64::MAX } else { bounds(index).1 }, *count)
        })
    }
}

fn bucket(us: u64) -> usize {
    if us < 1 << LEAST {
        return 0;
    }
    let octave = us.ilog2();
    if octave >= MOST {
        return BUCKETS - 1;
    }
    // The two bits below the highest one say which quarter of the octave.
    let quarter = (us >> (octave - 2)) & 3;
    1 + (octave - LEAST) as usize * 4 + quarter as usize
}

/// The first time in a bucket and the first after it; the last one is taken for an octave.
fn bounds(bucket: usize) -> (u64, u64) {
    if bucket == 0 {
        return (0, 1 << LEAST);
    }
    let start = |index: usize| {
        let (octave, quarter) = (LEAST + (index / 4) as u32, (index % 4) as u64);
        (1 << octave) + (quarter << (octave - 2))
    };
    if bucket == BUCKETS - 1 {
        return (start(bucket - 1), 2 * start(bucket - 1));
    }
    (start(bucket - 1), start(bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_lies_in_its_bucket() {
        let times = (0..70_000).chain((17..40).flat_map(|octave| {
            let start = 1_u64 << octave;
            [start - 1, start, start + 1, start + start / 4, start + start / 2 + 7]
        }));
        for us in times {
            let index = bucket(us);
            let (from, to) = bounds(index);
            assert!(index < BUCKETS && from <= us, "{us}");
            assert!(us < to || index == BUCKETS - 1, "{us} in {index}: {from}..{to}");
        }
    }

    #[test]
    fn buckets_adjoin() {
        for index in 1..BUCKETS {
            assert_eq!(bounds(index - 1).1, bounds(index).0, "{index}");
        }
        assert_eq!(bounds(BUCKETS - 1).0, 1 << MOST);
    }

    #[test]
    fn quantiles_are_within_a_quarter() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().quantile(0.5), None);
        for us in 1..=10_000 {
            histogram.record(us);
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.count(), 10_000);
        for (q, exact) in [(0.5, 5_000.0), (0.95, 9_500.0), (0.99, 9_900.0), (0.01, 100.0)] {
            let found = snapshot.quantile(q).unwrap() as f64;
            assert!((found / exact - 1.0).abs() < 0.25, "{q}: {found}, not {exact}");
        }
        assert!(snapshot.quantile(0.0).unwrap() <= 16);
    }

    #[test]
    fn adds_up() {
        let (one, two) = (Histogram::default(), Histogram::default());
        one.record(100);
        two.record(100);
        two.record(u64::MAX);
        let mut sum = one.snapshot();
        sum.add(&two.snapshot());
        assert_eq!(sum.count(), 3);
        assert_eq!(sum.buckets().last(), Some((u64::MAX, 1)));
        assert_eq!(sum.buckets().filter(|(_, count)| *count == 2).count(), 1);
    }
}
