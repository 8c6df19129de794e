//! The first part of a daemon process's life: dormant, then building its applications.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::daemon::{AbandonFn, Applications, BuildFn, Ended, LogFn, broken};
use super::watch::{Watch, WatchEvents, announce};
use crate::gateway::{Code, Level, panic};
use crate::os::{self, Event, monotonic_us};
use crate::process_group::{
    Activation, GroupOptions, ProcessState, Reason, Scoreboard, startup_us,
};

/// The slot of a process that does not serve yet.
pub(super) struct StartingProcess<'s> {
    pub(super) options: &'s GroupOptions,
    pub(super) board: Scoreboard,
    pub(super) slot: usize,
    pub(super) log: &'s Arc<LogFn>,
}

impl StartingProcess<'_> {
    /// Waits until the group needs this process: its slot is in the state Starting then.
    ///
    /// # Errors
    ///
    /// It is not going to be needed.
    pub(super) fn wait_until_needed(&self, watch: &Watch) -> Result<(), Ended> {
        let pid = std::process::id();
        loop {
            let now_us = monotonic_us();
            let group = self.board.lock(self.options, pid, os::exists);
            let activation = group.activate(self.slot, now_us);
            drop(group);
            let timeout = match activation {
                // It may be needed only because all others end with their generation.
                Activation::Start => Some(Duration::ZERO),
                Activation::Wait { until_us } => {
                    until_us.map(|until| Duration::from_micros(until.saturating_sub(now_us)))
                }
            };
            let found = watch.wait(timeout).map_err(broken("wait for what happens"))?;
            if let Some(reason) = not_needed(&found) {
                self.board.slots[self.slot].drain(reason, monotonic_us());
                return Err(Ended::Unused(reason));
            }
            if activation == Activation::Start {
                watch.ring_doorbell();
                return Ok(());
            }
        }
    }

    /// Builds the applications in this thread. Another one watches the clock, the lifeline and
    /// the signals meanwhile.
    ///
    /// # Errors
    ///
    /// They could not be built, or not in time.
    pub(super) fn build(
        &self,
        build: Box<BuildFn>,
        watch: Watch,
        abandon: &Arc<AbandonFn>,
    ) -> Result<(Arc<dyn Applications>, Watch), Ended> {
        let done = Arc::new(Event::new().map_err(broken("make an event counter"))?);
        let watcher = self
            .watch_build(watch, done.clone(), abandon)
            .map_err(broken("start the thread that watches the clock"))?;
        #[cfg(feature = "tower")]
        crate::gateway::service::runtime::set_threads(self.options.runtime_threads);
        let built = panic::catch(build).unwrap_or_else(Err);
        done.ring();
        let Ok((watch, given_up)) = watcher.join() else {
            return Err(Ended::Broken(io::Error::other("the watch over a start has panicked")));
        };
        if let Some(reason) = given_up {
            return Err(match reason {
                Reason::StartupTimeout => Ended::NotBuilt("startup-timeout".to_owned()),
                reason => Ended::Unused(reason),
            });
        }
        match built {
            Ok(applications) => Ok((applications, watch)),
            Err(why) => {
                self.failed(&why);
                watch.ring_doorbell();
                Err(Ended::NotBuilt(why))
            }
        }
    }

    fn watch_build(
        &self,
        watch: Watch,
        done: Arc<Event>,
        abandon: &Arc<AbandonFn>,
    ) -> io::Result<thread::JoinHandle<(Watch, Option<Reason>)>> {
        let (options, board, slot) = (self.options.clone(), self.board, self.slot);
        let (log, abandon) = (self.log.clone(), abandon.clone());
        watch.add_bell(&done)?;
        let deadline_us = startup_us(&options, board.slots[slot].since_us());
        thread::Builder::new().name("mod_rust-start".to_owned()).spawn(move || {
            let this = StartingProcess { options: &options, board, slot, log: &log };
            let reason = loop {
                let now_us = monotonic_us();
                if deadline_us.is_some_and(|deadline_us| now_us >= deadline_us) {
                    this.failed("its applications were not built within startup-timeout");
                    break Some(Reason::StartupTimeout);
                }
                let left = deadline_us.map(|us| Duration::from_micros(us - now_us));
                match watch.wait(left) {
                    Ok(WatchEvents { bell: true, .. }) | Err(_) => break None,
                    Ok(found) => {
                        if let Some(reason) = not_needed(&found) {
                            board.slots[slot].drain(reason, monotonic_us());
                            break Some(reason);
                        }
                    }
                }
            };
            watch.remove_bell(&done);
            if let Some(reason) = reason {
                watch.ring_doorbell();
                abandon(reason);
            }
            (watch, reason)
        })
    }

    /// The start has failed: it is counted, and told once.
    pub(super) fn failed(&self, why: &str) {
        let pid = std::process::id();
        let group = self.board.lock(self.options, pid, os::exists);
        if self.board.slots[self.slot].state() != ProcessState::Starting {
            return;
        }
        let failure = group.start_failed(self.slot, monotonic_us());
        drop(group);
        announce(self.board.group);
        let message = Code::DaemonNotBuilt.line(format_args!(
            "process group {}, process {pid}: cannot start: {why}; failure {} in a row, \
             the next start is in {} ms",
            self.options.name,
            failure.in_row,
            failure.pause_us / 1000
        ));
        (self.log)(if failure.first_of_wave { Level::Error } else { Level::Info }, &message);
    }
}

/// Why a process that does not serve yet need not go on. Its slot gets a new one if need be.
const fn not_needed(found: &WatchEvents) -> Option<Reason> {
    if found.lifeline_over {
        Some(Reason::GenerationOver)
    } else if found.end {
        Some(Reason::ShutdownSignal)
    } else if found.replace {
        Some(Reason::GracefulSignal)
    } else if found.cpu_time {
        Some(Reason::CpuTimeLimit)
    } else {
        None
    }
}
