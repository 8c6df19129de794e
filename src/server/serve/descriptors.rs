//! The number of descriptors of a process, and the number of connections that fits into it.

use super::config::ProgramConfig;
use crate::os;
use crate::server::site::{Limits, Mode};
use crate::server::workers::size::MOST_BLOCKED;

/// The descriptors of a process itself: logs, listeners, epolls, events, its master.
const OWN: u64 = 48;
/// The descriptors that stay free for the files and sockets of applications, beside those of the
/// threads.
const APPLICATION: u64 = 64;

/// Raises the limit of descriptors, and lowers `--max-connections` where that many do not fit, so
/// that applications can open files. Returns the text of a warning then.
pub(super) fn fit(config: &mut ProgramConfig) -> Option<String> {
    let listeners = config.all_listeners();
    let is_http = !listeners.is_empty() && listeners.iter().all(|one| one.protocol == Mode::Http);
    let limit = os::raise_descriptors();
    let (connections, wanted) = connections(&config.limits, is_http, limit);
    let asked = std::mem::replace(&mut config.limits.connections, connections);
    (connections < asked).then(|| {
        format!(
            "RLIMIT_NOFILE \"{limit}\": too few descriptors for {asked} connections \
             (--max-connections) and for files of applications; expected {wanted} or more. \
             {connections} connections are accepted at once"
        )
    })
}

/// Returns the number of connections that fit, and the number of descriptors for all.
fn connections(limits: &Limits, is_http: bool, limit: u64) -> (usize, u64) {
    let rest = OWN + APPLICATION + 2 * limits.threads as u64;
    // With FastCGI, SCGI and uwsgi, the thread of a request that waits has an event.
    let blocked = if is_http { 0 } else { MOST_BLOCKED as u64 };
    let connections = limits.connections as u64;
    let wanted = rest + connections + connections.min(blocked);
    if limit >= wanted {
        return (limits.connections, wanted);
    }
    // A small limit is shared.
    let left = limit.saturating_sub(rest).max(limit / 2);
    let fitting = left - (left / 2).min(blocked);
    (limits.connections.min(usize::try_from(fitting.max(1)).unwrap_or(usize::MAX)), wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_files() {
        let limits = Limits { threads: 10, connections: 1024, ..Limits::default() };
        for (is_http, limit, connections_at_once, wanted) in [
            (true, 4096, 1024, 1156),
            (true, 1156, 1024, 1156),
            (true, 1024, 892, 1156),
            (true, 100, 50, 1156),
            (true, 1, 1, 1156),
            (false, u64::MAX, 1024, 2180),
            (false, 1024, 446, 2180),
            (false, 2180, 1024, 2180),
        ] {
            let found = connections(&limits, is_http, limit);
            assert_eq!(found, (connections_at_once, wanted), "{limit}");
        }
    }
}
