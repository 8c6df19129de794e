//! Process groups as plain data and decisions: options, scoreboard, policies. No clock, no fork.
//!
//! The parent of httpd reads [`GroupOptions`] and lays out a [`Scoreboard`] in shared memory; its
//! children choose a process there. Each daemon process keeps its own part up to date. Together,
//! under its lock ([`LockedGroup`]), they decide which process starts, which drains, and their
//! number. Times in the scoreboard are microseconds of CLOCK_MONOTONIC, read by a [`Clock`].

mod counters;
mod deadline;
mod failure;
mod group_score;
mod histogram;
mod json;
mod lock;
mod options;
mod policy;
mod process_score;
mod reason;
mod recycle;
mod scale;
mod scoreboard;
mod snapshot;
pub(crate) mod units;
mod unsent;
mod waiters;
mod worker_score;

pub use counters::Finished;
pub(crate) use deadline::{Drain, DrainAction, earliest, startup_us};
pub use failure::StartFailure;
pub(crate) use failure::{LONGEST_PAUSE_US, SETTLED_US};
pub use group_score::GroupScore;
pub use histogram::HistogramSnapshot;
pub(crate) use json::Json;
pub use lock::{Lock, LockGuard};
pub use options::{GroupOptions, OPTIONS, OptionDoc};
pub use policy::{Activation, LockedGroup};
pub use process_score::{ProcessScore, ProcessState};
pub use reason::Reason;
pub(crate) use recycle::{CUT_GRACE_US, MEASURE_US, ProcessUsage, Recycle, overdue_text};
pub use scale::Scaled;
pub use scoreboard::{DeadProcess, Lease, ProcessChoice, Scoreboard, TicketLocation, TriedSlots};
pub use snapshot::{Counts, GroupSnapshot, RequestSnapshot, SlotSnapshot};
pub(crate) use unsent::Unsent;
pub use waiters::{Waiters, WaitingRequest};
pub use worker_score::{Phase, WorkerScore};
