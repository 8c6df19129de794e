//! Log lines about peers. A flood of them is counted, not logged line by line.

use std::sync::{Mutex, PoisonError};

use crate::gateway::Code;

/// Lines of a kind, in a minute at most.
const MOST: u32 = 20;

const MINUTE_US: u64 = 60_000_000;

/// The kinds of faults that are logged at a limited rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its address may not connect.
    Refused,
    /// It did not send in time.
    Late,
    /// It broke the protocol, or asked for too much.
    Violation,
    /// There are as many connections as there may be.
    Full,
    /// It did not take its response in time.
    Slow,
    /// There are as many requests as there may be.
    Overloaded,
    /// The queue of requests that wait for a thread is full.
    QueueFull,
    /// A request waited for a thread for too long.
    QueueTimeout,
    /// Unfinished heads hold as many bytes as they may.
    HeadsFull,
    /// A connection cannot be accepted: no descriptor is left, say.
    CannotAccept,
}

impl Fault {
    const COUNT: usize = 10;

    pub(super) const fn code(self) -> Code {
        match self {
            Self::Refused => Code::AddressRefused,
            Self::Late => Code::HeadTimeout,
            Self::Violation => Code::PeerViolation,
            Self::Full => Code::ConnectionsFull,
            Self::Slow => Code::SendTimeout,
            Self::Overloaded => Code::RequestsFull,
            Self::QueueFull => Code::QueueFull,
            Self::QueueTimeout => Code::QueueTimeout,
            Self::HeadsFull => Code::HeadsFull,
            Self::CannotAccept => Code::CannotAccept,
        }
    }
}

/// Limits the rate of log lines of each kind.
#[derive(Debug)]
pub(super) struct FaultLog {
    kinds: [Mutex<Lately>; Fault::COUNT],
}

#[derive(Debug)]
struct Lately {
    since_us: u64,
    logged: u32,
    left_out: u64,
}

impl FaultLog {
    pub(super) const fn new() -> Self {
        const NONE: Lately = Lately { since_us: 0, logged: 0, left_out: 0 };
        Self { kinds: [const { Mutex::new(NONE) }; Fault::COUNT] }
    }

    /// Counts a line. Returns the addition to it; `None` when there were too many like it within
    /// the minute.
    pub(super) fn count(&self, complaint: Fault, now_us: u64) -> Option<String> {
        let mut lately =
            self.kinds[complaint as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let mut note = String::new();
        if lately.since_us == 0 || now_us.saturating_sub(lately.since_us) >= MINUTE_US {
            if lately.left_out > 0 {
                note = format!("; before it {} more like it", lately.left_out);
            }
            *lately = Lately { since_us: now_us, logged: 0, left_out: 0 };
        }
        lately.logged += 1;
        if lately.logged > MOST {
            lately.left_out += 1;
            return None;
        }
        if lately.logged == MOST {
            note.push_str("; more like it within the minute are only counted");
        }
        Some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted() {
        let complaints = FaultLog::new();
        let count = |now_us| complaints.count(Fault::Late, now_us);
        assert_eq!(count(5).as_deref(), Some(""));
        let logged = (0..100).filter(|_| count(6).is_some()).count();
        assert_eq!(logged as u32, MOST - 1);
        assert_eq!(complaints.count(Fault::Slow, 6).as_deref(), Some(""));
        assert_eq!(count(5 + MINUTE_US).as_deref(), Some("; before it 81 more like it"));
        assert_eq!(count(5 + MINUTE_US).as_deref(), Some(""));
    }
}
