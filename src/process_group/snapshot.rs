//! The content of a scoreboard at one moment, as plain data and as JSON.

use std::sync::atomic::Ordering::Relaxed;

use super::histogram::HistogramSnapshot;
use super::json::Json;
use super::process_score::{ProcessScore, ProcessState};
use super::reason::Reason;
use super::scoreboard::Scoreboard;
use super::worker_score::Phase;

/// A group and its processes. Times of the clock are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupSnapshot {
    /// Its name.
    pub name: String,
    /// The time of the snapshot.
    pub now_us: u64,
    /// The time at which its generation began.
    pub started_us: u64,
    /// Processes that it wants to have: 0 while it sleeps.
    pub target: u32,
    /// Processes that take requests.
    pub ready: u32,
    /// Their threads.
    pub threads: u32,
    /// Requests that hold or want a thread.
    pub running: u32,
    /// Requests that wait without one.
    pub parked: u32,
    /// Requests that may want a thread and have none.
    pub queue_size: u32,
    /// Requests that were refused as the group was full.
    pub refused_full: u64,
    /// Requests that were refused as no process could be started.
    pub refused_open: u64,
    /// Failed starts in a row.
    pub failures: u32,
    /// The time of the next start, while requests are refused because starts failed.
    pub open_until_us: Option<u64>,
    /// Of all slots together.
    pub counts: Counts,
    /// All slots, also the empty ones.
    pub slots: Vec<SlotSnapshot>,
}

/// A slot and its process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotSnapshot {
    /// Its number.
    pub index: usize,
    /// Its state.
    pub state: ProcessState,
    /// Its process.
    pub pid: Option<u32>,
    /// The number of the slot's process; 0 is the first.
    pub incarnation: u32,
    /// Since when it is in its state.
    pub since_us: u64,
    /// The time at which the process began.
    pub started_us: u64,
    /// The time at which it became ready.
    pub ready_us: Option<u64>,
    /// The reason for which it is draining, or wants to be replaced.
    pub reason: Option<Reason>,
    /// Its threads.
    pub threads: u32,
    /// Requests that hold or want one.
    pub running: u32,
    /// Requests that wait without one.
    pub parked: u32,
    /// Requests that the process has done.
    pub requests_here: u64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// CPU time in microseconds.
    pub cpu_us: u64,
    /// Processes of the slot that have ended.
    pub deaths: u64,
    /// The status of wait(2) of the last one.
    pub last_exit: Option<u32>,
    /// The work of all processes of the slot.
    pub counts: Counts,
    /// The requests that its threads work on.
    pub requests: Vec<RequestSnapshot>,
}

/// The work done since the generation began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Of those, failed and broken ones.
    pub errors: u64,
    /// Requests by the first digit of their status, 1 to 5.
    pub statuses: [u64; 5],
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
    /// Time that requests waited for a thread.
    pub queue_us: u64,
    /// Time that applications had them.
    pub application_us: u64,
    /// Time altogether.
    pub total_us: u64,
    /// The first of the three by length.
    pub queue: HistogramSnapshot,
    /// The second.
    pub application: HistogramSnapshot,
    /// The third.
    pub total: HistogramSnapshot,
}

/// A request that a thread works on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestSnapshot {
    /// Its row among those of its slot.
    pub row: usize,
    /// Its ticket.
    pub ticket: u64,
    /// Its phase.
    pub phase: Phase,
    /// The time at which a thread took it up.
    pub started_us: u64,
    /// The time at which its head went out.
    pub head_us: Option<u64>,
    /// The beginning of `METHOD host target`.
    pub text: Vec<u8>,
}

impl Scoreboard {
    /// Returns the present content. Numbers that change meanwhile may not fit each other.
    #[must_use]
    pub fn snapshot(&self, name: &str, now_us: u64) -> GroupSnapshot {
        let slots: Vec<SlotSnapshot> =
            (0..self.slots.len()).map(|index| self.slot_snapshot(index)).collect();
        let census = self.census();
        let mut counts = Counts::default();
        for slot in &slots {
            counts.add(&slot.counts);
        }
        GroupSnapshot {
            name: name.to_owned(),
            now_us,
            started_us: self.group.started_us.load(Relaxed),
            target: self.wanted(),
            ready: census.ready,
            threads: census.threads as u32,
            running: census.running as u32,
            parked: slots.iter().map(|slot| slot.parked).sum(),
            queue_size: self.group.queue_size.load(Relaxed),
            refused_full: self.group.refused_full.load(Relaxed),
            refused_open: self.group.refused_open.load(Relaxed),
            failures: self.failures_in_row(now_us),
            open_until_us: self.group.is_open().then(|| self.group.not_before_us()),
            counts,
            slots,
        }
    }

    fn slot_snapshot(&self, index: usize) -> SlotSnapshot {
        let slot = &self.slots[index];
        let load = slot.load();
        let requests = self.used_rows(index).iter().enumerate().filter_map(|(row, content)| {
            let content = content.read()?;
            Some(RequestSnapshot {
                row,
                ticket: content.ticket,
                phase: content.phase,
                started_us: content.started_us,
                head_us: Some(content.head_us).filter(|head_us| *head_us != 0),
                text: content.text,
            })
        });
        SlotSnapshot {
            index,
            state: slot.state(),
            pid: Some(slot.pid()).filter(|pid| *pid != 0),
            incarnation: load.incarnation(),
            since_us: slot.since_us(),
            started_us: slot.started_us(),
            ready_us: Some(slot.ready_us()).filter(|ready_us| *ready_us != 0),
            reason: slot.reason(),
            threads: slot.threads(),
            running: load.running(),
            parked: load.parked(),
            requests_here: slot.requests_here(),
            resident: slot.resident(),
            cpu_us: slot.cpu_us(),
            deaths: slot.deaths(),
            last_exit: slot.last_exit(),
            counts: Counts::of(slot),
            requests: requests.collect(),
        }
    }
}

impl Counts {
    fn of(slot: &ProcessScore) -> Self {
        let counters = &slot.counters;
        Self {
            requests: counters.requests.load(Relaxed),
            errors: counters.errors.load(Relaxed),
            statuses: std::array::from_fn(|class| counters.statuses[class].load(Relaxed)),
            bytes_in: counters.bytes_in.load(Relaxed),
            bytes_out: counters.bytes_out.load(Relaxed),
            queue_us: counters.queue_us.load(Relaxed),
            application_us: counters.application_us.load(Relaxed),
            total_us: counters.total_us.load(Relaxed),
            queue: counters.queue.snapshot(),
            application: counters.application.snapshot(),
            total: counters.total.snapshot(),
        }
    }

    /// Adds those of `other`.
    pub fn add(&mut self, other: &Self) {
        // An application process can write any number there.
        for (sum, more) in [
            (&mut self.requests, other.requests),
            (&mut self.errors, other.errors),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.queue_us, other.queue_us),
            (&mut self.application_us, other.application_us),
            (&mut self.total_us, other.total_us),
        ]
        .into_iter()
        .chain(self.statuses.iter_mut().zip(other.statuses))
        {
            *sum = sum.saturating_add(more);
        }
        self.queue.add(&other.queue);
        self.application.add(&other.application);
        self.total.add(&other.total);
    }

    fn write(&self, json: &mut Json) {
        json.object(|json| {
            json.name("requests").number(self.requests);
            json.name("errors").number(self.errors);
            json.name("statuses").object(|json| {
                for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(self.statuses)
                {
                    json.name(class).number(count);
                }
            });
            json.name("bytes_in").number(self.bytes_in);
            json.name("bytes_out").number(self.bytes_out);
            for (name, sum, times) in [
                ("queue", self.queue_us, &self.queue),
                ("application", self.application_us, &self.application),
                ("total", self.total_us, &self.total),
            ] {
                json.name(name).object(|json| {
                    json.name("sum_us").number(sum);
                    for (name, q) in [("p50_us", 0.5), ("p95_us", 0.95), ("p99_us", 0.99)] {
                        json.name(name).optional(times.quantile(q));
                    }
                });
            }
        });
    }
}

impl GroupSnapshot {
    /// Returns a JSON object. Moments are shown as microseconds before now, so that nobody needs to
    /// know the clock: `age_us` and the like.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = Json::new();
        json.object(|json| {
            json.name("name").string(&self.name);
            json.name("age_us").number(self.now_us.saturating_sub(self.started_us));
            json.name("target").number(self.target.into());
            json.name("ready").number(self.ready.into());
            json.name("threads").number(self.threads.into());
            json.name("running").number(self.running.into());
            json.name("parked").number(self.parked.into());
            json.name("queue_size").number(self.queue_size.into());
            json.name("refused_full").number(self.refused_full);
            json.name("refused_open").number(self.refused_open);
            json.name("failures").number(self.failures.into());
            let open = self.open_until_us.map(|until| until.saturating_sub(self.now_us));
            json.name("open_for_us").optional(open);
            self.counts.write(json.name("counts"));
            json.name("processes").array(|json| {
                for slot in &self.slots {
                    slot.write(json, self.now_us);
                }
            });
        });
        json.finish()
    }
}

impl SlotSnapshot {
    fn write(&self, json: &mut Json, now_us: u64) {
        json.object(|json| {
            json.name("slot").number(self.index as u64);
            json.name("state").string(self.state.name());
            json.name("pid").optional(self.pid.map(u64::from));
            json.name("incarnation").number(self.incarnation.into());
            json.name("state_age_us").number(now_us.saturating_sub(self.since_us));
            json.name("age_us").number(now_us.saturating_sub(self.started_us));
            let ready = self.ready_us.map(|ready_us| now_us.saturating_sub(ready_us));
            json.name("ready_age_us").optional(ready);
            match self.reason {
                Some(reason) => json.name("reason").string(reason.word()),
                None => json.name("reason").null(),
            }
            json.name("threads").number(self.threads.into());
            json.name("running").number(self.running.into());
            json.name("parked").number(self.parked.into());
            json.name("requests").number(self.requests_here);
            json.name("resident").number(self.resident);
            json.name("cpu_us").number(self.cpu_us);
            json.name("deaths").number(self.deaths);
            json.name("last_exit").optional(self.last_exit.map(u64::from));
            self.counts.write(json.name("counts"));
            json.name("working_on").array(|json| {
                for request in &self.requests {
                    request.write(json, now_us);
                }
            });
        });
    }
}

impl RequestSnapshot {
    fn write(&self, json: &mut Json, now_us: u64) {
        json.object(|json| {
            json.name("row").number(self.row as u64);
            json.name("ticket").number(self.ticket);
            json.name("phase").string(self.phase.name());
            json.name("age_us").number(now_us.saturating_sub(self.started_us));
            let head = self.head_us.map(|head_us| head_us.saturating_sub(self.started_us));
            json.name("head_after_us").optional(head);
            json.name("text").bytes(&self.text);
        });
    }
}

#[cfg(test)]
mod tests;
