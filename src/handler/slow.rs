//! `RustSlowRequests`: a line for each request that took too long, with where its time went.

use std::time::{Duration, Instant};

use super::request_note::RequestNote;
use crate::gateway::{Code, Level};
use crate::httpd::{Request, log};

/// Says that a request was slow, if it was. `threshold` of nothing says that none is.
pub(super) fn report(
    request: &Request<'_>,
    application: &str,
    noted: &RequestNote,
    threshold: Duration,
    started: Instant,
) {
    let took = started.elapsed();
    if threshold.is_zero() || took < threshold {
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
    log::request(request, Level::Warn, &line);
}
