//! Process groups as plain data and decisions: options, scoreboard, policies. No clock, no fork.
//!
//! The parent of httpd reads [`GroupOptions`] and lays out a [`Board`] in shared memory; its
//! children choose a process there, and the daemon processes keep their part of it up to date and
//! decide together, under its lock ([`Locked`]), who starts, who drains, and how many they are.
//! Times in the scoreboard are microseconds of CLOCK_MONOTONIC, and a [`Clock`] says which it is.

mod clock;
mod counters;
mod deadline;
mod failure;
mod group;
mod histogram;
mod json;
mod load;
mod lock;
mod options;
mod policy;
mod reason;
mod recycle;
mod row;
mod scale;
mod scoreboard;
mod slot;
mod snapshot;
pub mod units;
mod unsent;
mod waiters;

pub use clock::{Clock, ManualClock};
pub use counters::Finished;
pub use deadline::{DRAIN_POLL_US, Drain, Drained, earliest, startup_us};
pub use failure::{Failure, LONGEST_PAUSE_US, SETTLED_US};
pub use group::Group;
pub use histogram::{Histogram, HistogramSnapshot};
pub use lock::{Lock, LockGuard};
pub use options::{GroupOptions, OPTIONS, OptionDoc};
pub use policy::{Activation, Locked};
pub use reason::Reason;
pub use recycle::{Facts, MEASURE_US, Recycle};
pub use row::{Phase, Row, TEXT_BYTES};
pub use scale::{GROW_AFTER_US, SAMPLE_US, SHRINK_AFTER_US, Scaled};
pub use scoreboard::{Board, Buried, Choice, Found, Hold, MOST_SLOTS, Tried};
pub use slot::{Slot, State};
pub use snapshot::{Counts, GroupSnapshot, RequestSnapshot, SlotSnapshot};
pub use unsent::Unsent;
pub use waiters::{Place, Waiters};
