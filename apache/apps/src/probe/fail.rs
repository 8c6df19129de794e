//! `/error`, `/panic`, `/panic-late`, `/exit`, `/abort` and `/segv`: applications go wrong, and
//! the server and the next request must not.
//!
//! `/panic-late`, `/exit`, `/abort` and `/segv` take `after=B`: B bytes of the body go out first,
//! and with `length=N` the head promises N.

use mod_rust::{Body, Environ, Error, StartResponse};
use signal_hook::consts::SIGSEGV;
use signal_hook::low_level::raise;

use super::Probe;
use super::answer::{Answer, BINARY, NO_STORE, Refusal};
use super::download::pattern;
use super::query::Query;

/// The most bytes that go out before the end.
const MOST: u64 = 1 << 30;

/// `/error?status=N`: returns an error, for which the server answers: 500 unless N says else.
pub(super) fn error<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    _start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let message = "the probe was asked for an error";
    Err(match Query::of(&environ).number("status", 400..=599)? {
        None => Error::new(message),
        Some(status) => match http::StatusCode::from_u16(status as u16) {
            Ok(status) => Error::with_status(status, message),
            Err(error) => Error::from_source(error),
        },
    }
    .into())
}

/// `/panic`: before anything has gone out.
pub(super) fn panic<'x>(
    _probe: &Probe,
    _environ: Environ<'x>,
    _start_response: &StartResponse<'x>,
) -> Answer<'x> {
    panic!("the probe was asked for a panic")
}

/// `/panic-late`: in the midst of the body; after 1000 bytes unless told otherwise.
pub(super) fn panic_late<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let after = Query::of(&environ).number("after", 0..=MOST)?.unwrap_or(1000);
    break_off(after, &environ, start_response, || panic!("the probe was asked for a late panic"))
}

/// `/exit`: as a library does that calls exit(3).
pub(super) fn exit<'x>(
    probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    #[expect(clippy::exit, reason = "what a server makes of it is what this path is there to show")]
    crash(probe, &environ, start_response, || std::process::exit(1))
}

/// `/abort`: SIGABRT.
pub(super) fn abort<'x>(
    probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    crash(probe, &environ, start_response, || std::process::abort())
}

/// `/segv`: SIGSEGV, to the thread that runs this, as a stray pointer would.
pub(super) fn segv<'x>(
    probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    crash(probe, &environ, start_response, || {
        // A handler that returns would meet a stray pointer's signal again at once; the one of
        // Rust's own runtime takes itself away the first time.
        for _ in 0..2 {
            if let Err(error) = raise(SIGSEGV) {
                return error.into();
            }
        }
        Error::new("the process takes no notice of SIGSEGV")
    })
}

fn crash<'x>(
    probe: &Probe,
    environ: &Environ<'x>,
    start_response: &StartResponse<'x>,
    die: impl FnOnce() -> Error + 'x,
) -> Answer<'x> {
    if !probe.options.allow_crash {
        return Err(Refusal::Answer(
            403,
            "ending the process is allowed where the option allow-crash is On".into(),
        ));
    }
    match Query::of(environ).number("after", 0..=MOST)? {
        None => Err(die().into()),
        Some(after) => break_off(after, environ, start_response, die),
    }
}

/// A body that ends in `end` when `after` bytes of it have gone out.
fn break_off<'x>(
    after: u64,
    environ: &Environ<'x>,
    start_response: &StartResponse<'x>,
    end: impl FnOnce() -> Error + 'x,
) -> Answer<'x> {
    let length = Query::of(environ).number("length", 0..=MOST)?;
    start_response.start(200, [BINARY, NO_STORE])?;
    let end = std::iter::once_with(|| Err(end()));
    Ok(Body::from_chunks(pattern(after).chain(end)).with_length(length))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus};

    use mod_rust::gateway::ErrorKind;
    use mod_rust::gateway::memory::TestRequest;

    use super::super::{Options, get};
    use super::*;

    #[test]
    fn errors_are_the_servers_to_answer() {
        let response = get("/error");
        assert_eq!((response.status().as_u16(), response.body().len()), (500, 0));
        assert_eq!(response.error().unwrap().kind(), ErrorKind::Application);
        assert_eq!(get("/error?status=503").status(), 503);
        assert_eq!(get("/error?status=200").status(), 400);
        let response = get("/panic");
        assert_eq!(response.status(), 500);
        assert_eq!(response.error().unwrap().kind(), ErrorKind::Panic);
    }

    #[test]
    fn a_late_panic_breaks_the_response() {
        for (query, sent) in [("", 1000), ("?after=70000", 70_000), ("?after=5&length=6", 5)] {
            let response = get(&format!("/panic-late{query}"));
            assert!(response.is_broken(), "{response:?}");
            assert_eq!(response.error().unwrap().kind(), ErrorKind::Panic);
            assert_eq!(response.body().len(), sent);
            assert_eq!(response.flushes().last(), Some(&(sent as u64)));
        }
        // Nothing has gone out, so it is an error page.
        assert_eq!(get("/panic-late?after=0").status(), 500);
    }

    #[test]
    fn a_crash_must_be_allowed() {
        for path in ["/exit", "/abort", "/segv", "/exit?after=5"] {
            let response = get(path);
            assert_eq!(response.status(), 403, "{path}");
            assert!(response.text().contains("allow-crash"));
        }
    }

    const CRASH: &str = "MOD_RUST_TEST_CRASH";

    /// No test: what [`ends_the_process`] runs in a process of its own.
    #[test]
    #[ignore = "another test runs it"]
    fn crash_now() {
        let Ok(target) = std::env::var(CRASH) else { return };
        let options = Options { allow_crash: true, ..Options::default() };
        let response = TestRequest::get(target).call(&Probe::new(options));
        panic!("still here: {response:?}");
    }

    #[test]
    fn ends_the_process() {
        let crash = |target| -> ExitStatus {
            let test = std::env::current_exe().unwrap();
            let arguments = ["--exact", "--ignored", "probe::fail::tests::crash_now"];
            let output = Command::new(test).args(arguments).env(CRASH, target).output().unwrap();
            output.status
        };
        assert_eq!(crash("/exit").code(), Some(1));
        assert_eq!(crash("/abort").signal(), Some(6));
        assert_eq!(crash("/segv").signal(), Some(11));
        assert_eq!(crash("/segv?after=10").signal(), Some(11));
    }
}
