//! What a group's `status` says. Fields that are missing have their zero, and more may be there: the
//! module may be older or newer than this tool.

use std::time::Duration;

use serde::Deserialize;

/// A process group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) group: String,
    /// Worker threads of a process.
    pub(crate) threads: u64,
    /// Requests that wait for a thread, in all processes.
    pub(crate) queued: u64,
    /// Starts of processes that failed, since httpd started.
    pub(crate) failed_starts: u64,
    /// Why the last of them did.
    pub(crate) last_failure: Option<String>,
    pub(crate) processes: Vec<Process>,
}

/// One slot of it, with the process that is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Process {
    pub(crate) slot: u64,
    pub(crate) pid: u32,
    /// `dormant`, `starting`, `ready`, `draining` or `empty`.
    pub(crate) state: String,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    /// Threads that work on a request.
    pub(crate) busy: u64,
    pub(crate) queued: u64,
    pub(crate) uptime_us: u64,
    /// Resident bytes.
    pub(crate) rss: u64,
    pub(crate) restarts: u64,
    pub(crate) last_exit: Option<String>,
    /// What its threads work on.
    pub(crate) current: Vec<Current>,
}

/// A request under way.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Current {
    /// Method, host and target; cut after 120 bytes.
    pub(crate) request: String,
    pub(crate) age_us: u64,
    pub(crate) phase: String,
}

impl Status {
    /// Ids of the processes that take requests.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| process.is_ready())
    }
}

impl Process {
    pub(crate) fn is_ready(&self) -> bool {
        self.state == "ready"
    }

    /// False for a slot whose process only waits to be needed.
    pub(crate) fn is_awake(&self) -> bool {
        !matches!(self.state.as_str(), "dormant" | "empty")
    }

    pub(crate) fn uptime(&self) -> Duration {
        Duration::from_micros(self.uptime_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_with_more_and_with_less_than_is_known() {
        let text = r#"{"group":"shop","new":{"a":1},"processes":[
            {"slot":0,"pid":7,"state":"ready","uptime_us":1500000,"other":true,
             "current":[{"request":"GET localhost /x","age_us":9}]},
            {"slot":1,"state":"dormant"}]}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!((status.group.as_str(), status.threads), ("shop", 0));
        assert_eq!(status.ready().map(|process| process.pid).collect::<Vec<_>>(), [7]);
        assert_eq!(status.processes[0].uptime(), Duration::from_millis(1500));
        assert_eq!(status.processes[0].current[0].request, "GET localhost /x");
        assert!(!status.processes[1].is_awake());
    }
}
