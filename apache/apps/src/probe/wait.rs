//! `/sleep`, `/wait` and `/events`: answers that take their time, of a blocking application and of
//! asynchronous ones.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use mod_rust::{Environ, StartResponse};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::answer::{Answer, text};
use super::query::Query;
use super::{Probe, service};

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

/// `/wait?ms=T`: waits T ms (1000) without a thread, then answers.
pub(super) async fn wait(query: Vec<u8>) -> service::Answer {
    let ms = Query::new(&query).number("ms", 0..=LONGEST)?.unwrap_or(1000);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(service::text(format!("waited {ms} ms\n")))
}

/// `/events?ms=T`: server-sent events, numbered from 1, T ms (1000) apart, until the client
/// leaves.
pub(super) async fn events(query: Vec<u8>) -> service::Answer {
    let ms = Query::new(&query).number("ms", 1..=LONGEST)?.unwrap_or(1000);
    let period = Duration::from_millis(ms);
    let mut interval = tokio::time::interval_at(Instant::now() + period, period);
    // A slow client does not get the ticks that it has missed.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Ok(service::response("text/event-stream", Events { interval, count: 0 }))
}

struct Events {
    interval: Interval,
    count: u64,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // The first is there at once; a timer never is, even when it has run out.
        if self.count > 0 {
            ready!(self.interval.poll_tick(context));
        }
        self.count += 1;
        let event = format!("id: {0}\ndata: {0}\n\n", self.count);
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}

#[cfg(test)]
mod tests {
    use mod_rust::gateway::ErrorKind;
    use mod_rust::gateway::memory::TestRequest;

    use super::super::{Options, get};
    use super::*;

    #[test]
    fn waits_for_the_given_time() {
        for (path, text) in [("/sleep", "slept 30 ms\n"), ("/wait", "waited 30 ms\n")] {
            let begin = Instant::now();
            let response = get(&format!("{path}?ms=30"));
            assert!(begin.elapsed() >= Duration::from_millis(30));
            assert!(response.is_complete());
            assert_eq!(response.text(), text);
            assert_eq!(response.header("cache-control"), Some(&b"no-store"[..]));
            assert_eq!(response.header("content-length"), Some(text.len().to_string().as_bytes()));
        }
    }

    #[test]
    fn limits_are_reported() {
        for path in ["/sleep", "/wait", "/events"] {
            let response = get(&format!("{path}?ms=60001"));
            assert_eq!(response.status(), 400, "{path}");
            assert!(response.text().contains("to 60000\n"), "{}", response.text());
        }
    }

    #[test]
    fn each_event_goes_out_at_once_until_the_client_leaves() {
        let probe = Probe::new(Options::default());
        let event = |number| format!("id: {number}\ndata: {number}\n\n");
        let response = TestRequest::get("/events").leaves_at_wait().call(&probe);
        assert_eq!(response.header("content-type"), Some(&b"text/event-stream"[..]));
        assert_eq!(response.header("content-length"), None);
        assert_eq!(response.error().unwrap().kind(), ErrorKind::ClientGone);
        assert_eq!(response.text(), event(1));
        assert_eq!(response.flushes(), [event(1).len() as u64]);

        let begin = Instant::now();
        let response = TestRequest::get("/events?ms=20").leaves_after(30).call(&probe);
        assert!(begin.elapsed() >= Duration::from_millis(40));
        assert_eq!(response.error().unwrap().kind(), ErrorKind::ClientGone);
        assert_eq!(response.text(), event(1) + &event(2));

        let response = TestRequest::head("/events").call(&probe);
        assert!(response.is_complete() && response.body().is_empty(), "{response:?}");
    }
}
