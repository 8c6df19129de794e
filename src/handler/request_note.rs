//! The note of a request, from hook to hook and the log line of a slow one.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::mount::AliasMount;
use crate::daemon::{Group, PhaseTimes};
use crate::gateway::Code;
use crate::httpd::{PoolRef, Request, log};

/// The note of a request.
#[derive(Default)]
pub(crate) struct RequestNote {
    /// The mount that answers, unless a section does.
    pub(super) mount: Option<PoolRef<AliasMount>>,
    /// The process group that had the request.
    pub(super) group: Cell<Option<PoolRef<Group>>>,
    /// The times of its parts there.
    pub(super) phases: PhaseTimes,
}

impl RequestNote {
    pub(super) fn of(mount: Option<PoolRef<AliasMount>>) -> Self {
        Self { mount, ..Self::default() }
    }
}

/// Logs a request that took `threshold` or longer (RustSlowRequests). A threshold of zero logs
/// none. A connection that another protocol has had is no slow request.
pub(super) fn log_if_slow(
    request: &Request<'_>,
    application: &str,
    noted: &RequestNote,
    threshold: Duration,
    started: Instant,
) {
    let took = started.elapsed();
    if threshold.is_zero() || took < threshold || request.status() == 101 {
        return;
    }
    let ms = |us: u64| us as f64 / 1000.0;
    let phases = &noted.phases;
    let place = match (noted.group.get(), phases.pid.get()) {
        (Some(group), Some(pid)) => format!(
            "process group {}, daemon process {pid}: connect {:.1} ms, queue {:.1} ms, application \
             {:.1} ms, first byte {:.1} ms, body {:.1} ms",
            group.name(),
            ms(phases.connect.get()),
            ms(phases.queue.get()),
            ms(phases.application.get()),
            ms(phases.first_byte.get()),
            ms(phases.body.get()),
        ),
        (Some(group), None) => format!("process group {}: no process took it", group.name()),
        (None, _) => "embedded".to_owned(),
    };
    let line = Code::SlowRequest.line(format_args!(
        "application {application}: {} {} took {:.1} ms: {place}",
        String::from_utf8_lossy(request.method()),
        String::from_utf8_lossy(request.unparsed_uri()),
        took.as_secs_f64() * 1000.0,
    ));
    log::request(request, Code::SlowRequest.level(), &line);
}
