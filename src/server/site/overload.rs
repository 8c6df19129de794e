//! The bounds of a process that has too much to do, and its answers to requests beyond them: the same
//! with every protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;

use super::{Fault, Limits, Timeouts};

/// The reason for which no thread takes a request up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The queue for a thread is full.
    QueueFull,
    /// The request waited for a thread for too long.
    QueueTimeout,
}

impl Refusal {
    /// Returns the kind of the line in the log.
    pub(crate) const fn fault(self) -> Fault {
        match self {
            Self::QueueFull => Fault::QueueFull,
            Self::QueueTimeout => Fault::QueueTimeout,
        }
    }

    /// Returns the status of the answer: the one that daemon mode gives.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::QueueFull => StatusCode::SERVICE_UNAVAILABLE,
            Self::QueueTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Returns the seconds of Retry-After, if the answer has it.
    pub(crate) const fn retry_after(self) -> Option<&'static str> {
        match self {
            Self::QueueFull => Some("1"),
            Self::QueueTimeout => None,
        }
    }

    /// Returns the text of the line in the log.
    pub(crate) fn text(self, limits: &Limits, timeouts: &Timeouts) -> String {
        let status = self.status().as_u16();
        match self {
            Self::QueueFull => format!(
                "every thread is busy and as many requests wait as allowed, {} (--queue-size); \
                 answering {status}",
                limits.queue
            ),
            Self::QueueTimeout => format!(
                "no thread took the request up within {:?} (--queue-timeout); answering {status}",
                timeouts.queue
            ),
        }
    }
}

/// The bytes of a head that need no room in a [`HeadBudget`]: most heads that come in several pieces
/// are read though others have used the budget up.
const FREE: usize = 4096;

/// The bytes of unfinished request heads that a process holds, over all of its connections.
#[derive(Debug)]
pub(crate) struct HeadBudget {
    used: AtomicUsize,
    most: usize,
}

impl HeadBudget {
    /// Makes the budget of a process, which has room for one head of any allowed size.
    #[must_use]
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most: limits.heads.max(limits.head) })
    }

    /// Returns the share of a connection or request, without a byte.
    #[must_use]
    pub(crate) fn share(self: &Arc<Self>) -> HeadShare {
        HeadShare { budget: Arc::clone(self), bytes: 0 }
    }

    /// Returns the line for the log about a head that has no room.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        format!("unfinished request heads hold {} bytes, as many as are allowed", self.most)
    }
}

/// The part of a [`HeadBudget`] that an unfinished head holds, until this is dropped.
#[derive(Debug)]
pub(crate) struct HeadShare {
    budget: Arc<HeadBudget>,
    /// The bytes that count.
    bytes: usize,
}

impl HeadShare {
    /// Sets the size of the head, 0 once it is whole or given up. Returns whether there is room for
    /// it; without room the share stays as it was.
    #[must_use]
    pub(crate) fn set(&mut self, size: usize) -> bool {
        let bytes = size.saturating_sub(FREE);
        if bytes > self.bytes {
            let (more, most) = (bytes - self.bytes, self.budget.most);
            let add = |used: usize| used.checked_add(more).filter(|&sum| sum <= most);
            let used = &self.budget.used;
            if used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_err() {
                return false;
            }
        } else {
            self.budget.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        true
    }

    /// Gives all of the share back: the head is whole or given up.
    pub(crate) fn clear(&mut self) {
        self.budget.used.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for HeadShare {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_a_sum_and_are_given_back() {
        let limits = Limits { head: 10_000, heads: 20_000, ..Limits::default() };
        let budget = HeadBudget::new(&limits);
        let (mut first, mut second) = (budget.share(), budget.share());
        assert!(first.set(FREE + 15_000) && !second.set(FREE + 5_001) && second.set(FREE + 5_000));
        assert!(!first.set(FREE + 15_001), "no byte more");
        assert!(first.set(FREE) && second.set(FREE + 20_000), "one needs none now");
        assert!(first.set(1), "small heads need no room");
        drop(second);
        first.clear();
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_largest_head_has_room() {
        let limits = Limits { head: 10_000, heads: 1, ..Limits::default() };
        assert!(HeadBudget::new(&limits).share().set(10_000));
    }
}
