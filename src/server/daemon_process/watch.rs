//! The events that a daemon process's first thread waits for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::os::{self, Epoll, Event, Ready, Signal, Trigger};
use crate::process_group::GroupScore;

const LIFELINE: u64 = 1;
const DOORBELL: u64 = 2;
const SIGNALS: u64 = 3;
const LISTENER: u64 = 4;
const BELL: u64 = 5;
const TICKER: u64 = 6;

/// Lifeline, doorbell and signals, and what else is added.
#[derive(Debug)]
pub(super) struct Watch {
    epoll: Epoll,
    lifeline: OwnedFd,
    doorbell: Event,
    signals: Option<OwnedFd>,
    group: &'static GroupScore,
}

/// Wakes the requests that wait in httpd's children for a process to be ready, as a state has
/// changed.
pub(crate) fn announce(group: &GroupScore) {
    group.change();
    os::wake_all(group.changes());
}

/// The events that have happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WatchEvents {
    /// Nobody can send requests any more.
    pub(super) lifeline_over: bool,
    /// TERM or INT.
    pub(super) end: bool,
    /// USR1.
    pub(super) replace: bool,
    /// XCPU.
    pub(super) cpu_time: bool,
    /// WINCH.
    pub(super) retire: bool,
    /// There are connections to accept.
    pub(super) listener: bool,
    /// The process's own bell was rung.
    pub(super) bell: bool,
    /// The group's doorbell was rung.
    pub(super) doorbell: bool,
}

impl WatchEvents {
    /// Whether there is anything to do but to look out for requests.
    pub(super) const fn is_something(&self) -> bool {
        self.lifeline_over
            || self.end
            || self.replace
            || self.cpu_time
            || self.retire
            || self.listener
            || self.bell
            || self.doorbell
    }
}

impl Watch {
    pub(super) fn new(
        lifeline: OwnedFd,
        doorbell: OwnedFd,
        signals: Option<OwnedFd>,
        group: &'static GroupScore,
    ) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        os::set_nonblocking(&lifeline)?;
        epoll.add(&lifeline, LIFELINE, Trigger::Level)?;
        // All processes of the group watch it. Were it read by one, another might miss a ring.
        epoll.add(&doorbell, DOORBELL, Trigger::Edge)?;
        if let Some(signals) = &signals {
            os::set_nonblocking(signals)?;
            epoll.add(signals, SIGNALS, Trigger::Level)?;
        }
        Ok(Self { epoll, lifeline, doorbell: doorbell.into(), signals, group })
    }

    pub(super) fn add_listener(&self, listener: impl AsFd) -> io::Result<()> {
        self.epoll.add(listener, LISTENER, Trigger::Level)
    }

    pub(super) fn remove_listener(&self, listener: impl AsFd) -> io::Result<()> {
        self.epoll.remove(listener)
    }

    pub(super) fn add_bell(&self, bell: &Event) -> io::Result<()> {
        self.epoll.add(bell, BELL, Trigger::Edge)
    }

    /// Wakes the timer to tick, and for nothing else.
    pub(super) fn add_ticker(&self, ticker: &Event) -> io::Result<()> {
        self.epoll.add(ticker, TICKER, Trigger::Edge)
    }

    pub(super) fn remove_bell(&self, bell: &Event) {
        // It is not there, then.
        let _ = self.epoll.remove(bell);
    }

    /// Tells the other processes and the requests that wait that this process has another state.
    pub(super) fn ring_doorbell(&self) {
        self.doorbell.ring();
        announce(self.group);
    }

    /// Waits until something happens or `timeout` has passed.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<WatchEvents> {
        let mut ready = Ready::with_capacity(8);
        self.epoll.wait(&mut ready, timeout)?;
        let mut found = WatchEvents::default();
        for token in ready.tokens() {
            match token {
                LIFELINE => found.lifeline_over |= is_over(&self.lifeline),
                SIGNALS => {
                    let Some(signals) = &self.signals else { continue };
                    os::drain_signals(signals, |number| match Signal::of(number) {
                        Some(Signal::End) => found.end = true,
                        Some(Signal::Replace) => found.replace = true,
                        Some(Signal::CpuTime) => found.cpu_time = true,
                        Some(Signal::Retire) => found.retire = true,
                        None => {}
                    });
                }
                LISTENER => found.listener = true,
                BELL => found.bell = true,
                DOORBELL => found.doorbell = true,
                _ => {}
            }
        }
        Ok(found)
    }

    /// The lifeline has been seen to be over: it is not asked again.
    pub(super) fn forget_lifeline(&self) {
        let _ = self.epoll.remove(&self.lifeline);
    }
}

/// Bytes in a lifeline mean nothing.
fn is_over(lifeline: &OwnedFd) -> bool {
    os::is_at_end(lifeline)
}
