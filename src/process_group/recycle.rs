//! The limits after which a process is replaced: every limit by itself, none needs another.

use std::time::Duration;

use super::deadline::earliest;
use super::options::GroupOptions;
use super::reason::Reason;

/// The interval between measurements of memory and CPU time, where they are limited.
pub(crate) const MEASURE_US: u64 = 1_000_000;

/// The time that a request which was broken off has to come to its end, before its thread counts
/// as stuck.
pub(crate) const CUT_GRACE_US: u64 = 1_000_000;

/// Returns the text about a request that was broken off because of `option`.
#[must_use]
pub(crate) fn overdue_text(took: &str, option: &str) -> String {
    format!("the request took {took} ({option}), and was broken off")
}

/// The limits of one process, with its jitter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recycle {
    requests: Option<u64>,
    life_end_us: Option<u64>,
    inactivity_us: Option<u64>,
    request_us: Option<u64>,
    resident: Option<u64>,
    cpu_us: Option<u64>,
}

/// The figures of a process that its limits are held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessUsage {
    /// Now, as all times here in microseconds of the clock.
    pub now_us: u64,
    /// Requests that it has done: [`super::ProcessScore::requests_here`].
    pub requests: u64,
    /// The time at which the group last had a request that counts:
    /// [`super::Scoreboard::last_request_us`].
    pub last_request_us: u64,
    /// A request is with it: not [`super::ProcessScore::is_idle`].
    pub busy: bool,
    /// The time at which it took up the oldest request that it works on.
    pub oldest_us: Option<u64>,
    /// Its resident memory in bytes.
    pub resident: u64,
    /// The CPU time that it has used.
    pub cpu_us: u64,
    /// The stop that a signal or a command asks for.
    pub asked: Option<Reason>,
}

impl Recycle {
    /// Makes those of a process that is ready since `ready_us`. `chance` is any number, another for
    /// each process: the part by which its requests and its life are shorter comes from it.
    #[must_use]
    pub(crate) fn new(options: &GroupOptions, ready_us: u64, chance: u64) -> Self {
        let us = |time: Duration| time.as_micros() as u64;
        let shorter = |whole, chance| shorter(whole, options.jitter, chance);
        Self {
            requests: options.maximum_requests.map(|most| shorter(most, mixed(chance))),
            life_end_us: options
                .restart_interval
                .map(|time| ready_us + shorter(us(time), mixed(!chance))),
            inactivity_us: options.inactivity_timeout.map(us),
            request_us: options.request_timeout.map(us),
            resident: options.memory_limit,
            cpu_us: options.cpu_time_limit.map(us),
        }
    }

    /// Makes those of a process without a group, with the same meanings as those of a group.
    #[cfg(feature = "serve")]
    #[must_use]
    pub(crate) fn alone(
        requests: Option<u64>,
        jitter: u8,
        resident: Option<u64>,
        chance: u64,
    ) -> Self {
        Self {
            requests: requests.map(|most| shorter(most, jitter, mixed(chance))),
            life_end_us: None,
            inactivity_us: None,
            request_us: None,
            resident,
            cpu_us: None,
        }
    }

    /// Returns the reason to replace the process, if there is one. The most urgent reason comes
    /// first.
    #[must_use]
    pub(crate) fn check(&self, facts: &ProcessUsage) -> Option<Reason> {
        let ProcessUsage { now_us, .. } = *facts;
        if facts.asked.is_some() {
            return facts.asked;
        }
        if facts.oldest_us.is_some_and(|started_us| self.is_overdue(started_us, now_us)) {
            return Some(Reason::RequestTimeout);
        }
        if self.resident.is_some_and(|most| facts.resident > most) {
            return Some(Reason::MemoryLimit);
        }
        if self.cpu_us.is_some_and(|most| facts.cpu_us >= most) {
            return Some(Reason::CpuTimeLimit);
        }
        if self.has_done_enough(facts.requests) {
            return Some(Reason::MaximumRequests);
        }
        if self.life_end_us.is_some_and(|end_us| now_us >= end_us) {
            return Some(Reason::RestartInterval);
        }
        let idle = |long_us: u64| !facts.busy && now_us >= facts.last_request_us + long_us;
        if self.inactivity_us.is_some_and(idle) {
            return Some(Reason::InactivityTimeout);
        }
        None
    }

    /// Returns the time of the next [check](Self::check). Only one thing matters before it: a
    /// request that is done, after which [`has_done_enough`](Self::has_done_enough) tells, a
    /// signal, or a command.
    #[must_use]
    pub(crate) fn next_us(&self, facts: &ProcessUsage) -> Option<u64> {
        let ProcessUsage { now_us, .. } = *facts;
        earliest([
            self.life_end_us,
            // A request that is taken up from now on, or that ends from now on, gets all of it.
            self.request_us.map(|long_us| facts.oldest_us.unwrap_or(now_us) + long_us),
            self.inactivity_us
                .map(|long_us| (if facts.busy { now_us } else { facts.last_request_us }) + long_us),
            self.measures().then_some(now_us + MEASURE_US),
        ])
    }

    /// Returns whether it is to be replaced after so many requests.
    #[must_use]
    pub(crate) fn has_done_enough(&self, requests: u64) -> bool {
        self.requests.is_some_and(|most| requests >= most)
    }

    /// Returns whether [`ProcessUsage::resident`] or [`ProcessUsage::cpu_us`] have to be measured.
    #[must_use]
    pub(crate) const fn measures(&self) -> bool {
        self.resident.is_some() || self.cpu_us.is_some()
    }

    /// Returns whether a request that was taken up then takes too long.
    #[must_use]
    pub(crate) fn is_overdue(&self, started_us: u64, now_us: u64) -> bool {
        self.request_us.is_some_and(|long_us| now_us >= started_us + long_us)
    }
}

/// Returns `whole`, less a part of it up to `jitter` percent.
fn shorter(whole: u64, jitter: u8, chance: u64) -> u64 {
    let most = u128::from(whole) * u128::from(jitter) / 100;
    whole - (most * u128::from(chance % 1001) / 1000) as u64
}

/// Spreads numbers that lie close together, such as pids (SplitMix64's last steps).
const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests;
