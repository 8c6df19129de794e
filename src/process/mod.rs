//! Process groups as plain data and decisions: options, scoreboard, policies. No clock, no fork.
//!
//! The parent of httpd reads [`GroupOptions`] and lays out a [`Board`] in shared memory; its
//! children choose a process there, and the daemon processes keep their part of it up to date.
//! Times in the scoreboard are microseconds of CLOCK_MONOTONIC, and a [`Clock`] says which it is.

mod clock;
mod group;
mod histogram;
mod lock;
mod options;
mod row;
mod scoreboard;
mod slot;
pub mod units;

pub use clock::{Clock, ManualClock};
pub use group::Group;
pub use histogram::{Histogram, HistogramSnapshot};
pub use lock::{Lock, LockGuard};
pub use options::{GroupOptions, OPTIONS, OptionDoc};
pub use row::{Phase, Row, TEXT_BYTES};
pub use scoreboard::{Board, Buried, Choice, Found, Hold, MOST_SLOTS, Tried};
pub use slot::{Finished, Reason, Slot, State};
