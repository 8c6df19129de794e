//! Waiting for what no event tells: asked every two milliseconds, up to a deadline.

use std::time::{Duration, Instant};

/// Asks `probe` until it answers, and returns the answer; `None` once `end` has passed. It is asked
/// at least once.
pub(crate) fn until<T>(end: Instant, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        // Taken before the probe, so that the last one looks at a time after the deadline.
        let late = Instant::now() >= end;
        match probe() {
            Some(answer) => return Some(answer),
            None if late => return None,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}
