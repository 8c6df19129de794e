//! `/sleep`: an answer that takes its time.

use std::thread;
use std::time::Duration;

use mod_rust::{Environ, StartResponse};

use super::Probe;
use super::answer::{Answer, text};
use super::query::Query;

/// In milliseconds.
const LONGEST: u64 = 60_000;

/// `/sleep?ms=T`: blocks its thread for T ms (1000), then answers.
pub(super) fn sleep<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let ms = Query::of(&environ).number("ms", 0..=LONGEST)?.unwrap_or(1000);
    thread::sleep(Duration::from_millis(ms));
    Ok(text(start_response, 200, format!("slept {ms} ms\n"))?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::get;
    use super::*;

    #[test]
    fn sleeps_as_long_as_told() {
        let begin = Instant::now();
        assert_eq!(get("/sleep?ms=30").text(), "slept 30 ms\n");
        assert!(begin.elapsed() >= Duration::from_millis(30));
        assert_eq!(get("/sleep?ms=60001").status(), 400);
    }
}
