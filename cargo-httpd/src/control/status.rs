//! The `status` answer of a group. Fields that are missing have their zero, and more may be there:
//! the module may be older or newer than this tool.

use std::time::Duration;

use serde::Deserialize;

/// A process group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    /// Worker threads of the processes that are ready.
    pub(crate) threads: u64,
    /// Starts of processes that failed, in a row.
    pub(crate) failures: u64,
    /// The time for which requests are still refused while no process is ready.
    pub(crate) open_for_us: Option<u64>,
    pub(crate) processes: Vec<Process>,
}

/// One slot of it, with the process that is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Process {
    pub(crate) slot: u64,
    pub(crate) pid: Option<u32>,
    /// `empty`, `dormant`, `starting`, `ready`, `draining` or `failed`.
    pub(crate) state: String,
    /// Why it drains, or wants to be replaced.
    pub(crate) reason: Option<String>,
    pub(crate) threads: u64,
    /// Requests that hold or want a thread.
    pub(crate) running: u64,
    /// Requests that wait without one.
    pub(crate) parked: u64,
    pub(crate) requests: u64,
    /// The time since the process began.
    pub(crate) age_us: u64,
    /// The time since the process became ready.
    pub(crate) ready_age_us: Option<u64>,
    /// Resident bytes.
    pub(crate) resident: u64,
    /// Processes that the slot has had before.
    pub(crate) deaths: u64,
    /// The requests that its threads work on.
    pub(crate) working_on: Vec<Request>,
}

/// A request under way.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    pub(crate) phase: String,
    pub(crate) age_us: u64,
    /// Method, host and target, cut short.
    pub(crate) text: String,
}

impl Status {
    /// Returns the processes that take requests: slot and process id.
    pub(crate) fn ready(&self) -> impl Iterator<Item = (u64, u32)> {
        let ready = self.processes.iter().filter(|process| process.state == "ready");
        ready.filter_map(|process| Some((process.slot, process.pid?)))
    }

    /// Whether that process takes requests.
    pub(crate) fn is_ready(&self, pid: u32) -> bool {
        self.ready().any(|(_, ready)| ready == pid)
    }
}

impl Process {
    /// False for a slot whose process only waits to be needed.
    pub(crate) fn is_awake(&self) -> bool {
        !matches!(self.state.as_str(), "dormant" | "empty")
    }

    /// Threads that work on a request.
    pub(crate) fn busy(&self) -> u64 {
        self.running.min(self.threads)
    }

    /// Requests that wait for a thread.
    pub(crate) fn queued(&self) -> u64 {
        self.running - self.busy()
    }

    /// Returns the time since it became ready, or since it began if it is not ready.
    pub(crate) fn uptime(&self) -> Duration {
        Duration::from_micros(self.ready_age_us.unwrap_or(self.age_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_with_more_and_with_less_than_is_known() {
        let text = r#"{"name":"shop","new":{"a":1},"open_for_us":null,"processes":[
            {"slot":0,"pid":7,"state":"ready","age_us":1500000,"other":true,"threads":2,"running":5,
             "working_on":[{"text":"GET localhost /x","age_us":9}]},
            {"slot":1,"pid":8,"state":"dormant"},{"slot":2,"pid":null,"state":"empty"}]}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!((status.threads, status.failures, status.open_for_us), (0, 0, None));
        assert_eq!(status.ready().collect::<Vec<_>>(), [(0, 7)]);
        assert!(status.is_ready(7) && !status.is_ready(8));
        let [first, others @ ..] = &status.processes[..] else { panic!("{status:?}") };
        assert_eq!((first.busy(), first.queued()), (2, 3));
        assert_eq!(first.uptime(), Duration::from_millis(1500));
        assert_eq!(first.working_on[0].text, "GET localhost /x");
        assert!(first.is_awake() && !others.iter().any(Process::is_awake));
    }
}
