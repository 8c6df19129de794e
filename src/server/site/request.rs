//! A request from its head to its end: which application, what it answers, what is logged.

use http::StatusCode;

use super::body::{Limited, too_large};
use super::environ::{EnvironState, SiteEnviron};
use super::exchange::{ExchangeState, SiteExchange};
use super::mounts::NOBODY;
use super::process_info::Mode;
use super::redirect::{self, Redirection};
use super::running::RunningGuard;
use super::sink::BreakOutcome;
use super::sink::Sink;
use super::{Fault, Site, current_log};
use crate::gateway::run::{self, Awaited, Progress, Suspend, Suspended};
use crate::gateway::{
    Code, Error, ErrorKind, Exchange as _, Fill, InputSource, Level, Outcome, Result, header,
};
use crate::os::monotonic_us;
use crate::protocol::params::Params;

/// The end of a response, as a driver carries it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum ResponseEnd {
    /// It is whole: [`Sink::finish`] was called.
    Whole,
    /// A part has gone out, and no more will come: it must be seen that it is not whole.
    Broken,
    /// Nobody is there to take it. A peer that has only shut down its sending side must not take
    /// what it got for a whole response.
    Gone,
}

/// The result of a visit.
#[must_use]
pub(crate) enum Served {
    /// The request is over.
    Done(ResponseEnd),
    /// The request waits, without this thread.
    Suspended(Box<SuspendedRequest>),
}

/// A request that waits. The driver keeps it, with the request's params and what it needs to make
/// its sink and its input again.
pub(crate) struct SuspendedRequest {
    run: Suspended,
    exchange: ExchangeState,
    environ: EnvironState,
    started_us: u64,
    /// The bound of its time.
    running: Option<RunningGuard>,
    /// The bytes that were taken of the request body.
    taken: u64,
    /// The request that it was redirected to, and the number of redirects.
    redirected: Option<(Params, usize)>,
}

/// The request that is served: the site, the protocol and the variables.
pub(crate) type Request<'r> = (&'r Site, Mode, &'r Params);

/// Runs the application for a request whose head is here, on the calling thread, up to its first
/// wait: see [`Sink::visit_waker`].
///
/// Everything that goes wrong is answered, or logged, or both: the driver has only to do what the
/// ending says.
pub(crate) fn start(request: Request<'_>, sink: &dyn Sink, input: &mut dyn InputSource) -> Served {
    let (site, mode, params) = request;
    let _here = current_log::enter(params, mode);
    let length = params.get(b"CONTENT_LENGTH").filter(|length| !length.is_empty());
    if let Some(length) = length
        && header::decimal(length).is_none()
    {
        return count(site, Served::Done(refuse_length(request, sink, length)));
    }
    let (mut taken, started_us) = (0, monotonic_us());
    let step = limited(site, input, &mut taken, |input| once(request, (sink, started_us), input));
    go_on(request, (sink, started_us), step, (taken, 0))
}

/// Runs the application for a request whose head is here, on the calling thread, to its end.
pub(crate) fn serve(
    site: &Site,
    mode: Mode,
    params: &Params,
    sink: &dyn Sink,
    input: &mut dyn InputSource,
) -> ResponseEnd {
    match start((site, mode, params), sink, input) {
        Served::Done(ending) => ending,
        Served::Suspended(request) => {
            let error = Error::new("the driver cannot suspend a request");
            request.give_up((site, mode, params), sink, error)
        }
    }
}

impl SuspendedRequest {
    /// Returns the event to wait for, besides the waker and the client's departure.
    pub(crate) const fn awaited(&self) -> Awaited {
        self.run.awaited()
    }

    /// Goes on with the request on the calling thread.
    pub(crate) fn resume(
        self,
        request: Request<'_>,
        sink: &dyn Sink,
        input: &mut dyn InputSource,
    ) -> Served {
        self.visit(request, sink, |run, site, answer, taken, is_redirected| {
            let input: &mut dyn InputSource = if is_redirected { &mut Empty } else { input };
            limited(site, input, taken, |input| run.resume(answer, input, answer))
        })
    }

    /// Ends the request, as its client has left or its time is up.
    pub(crate) fn give_up(
        self,
        request: Request<'_>,
        sink: &dyn Sink,
        error: Error,
    ) -> ResponseEnd {
        let served = self.visit(request, sink, |run, _, answer, _, _| {
            Progress::Done(run.give_up(answer, error))
        });
        match served {
            Served::Done(ending) => ending,
            // An error has no redirect to go on with.
            Served::Suspended(_) => ResponseEnd::Broken,
        }
    }

    fn visit(
        self,
        (site, mode, params): Request<'_>,
        sink: &dyn Sink,
        visit: impl FnOnce(Suspended, &Site, &SiteExchange<'_>, &mut u64, bool) -> Progress,
    ) -> Served {
        let Self { run, exchange, environ: state, started_us, running, mut taken, redirected } =
            self;
        let _here = current_log::enter(params, mode);
        let is_redirected = redirected.is_some();
        let (own, redirects) = redirected.unzip();
        let current = own.as_ref().unwrap_or(params);
        let (path, base) = SiteEnviron::locate(current, &site.facts, mode);
        let mounted = site.mounts.find(&path[base..]).unwrap_or(NOBODY);
        let environ =
            SiteEnviron::new(current, &site.facts, mode, (path, base), mounted).since(state);
        let answer = SiteExchange::with(site, &environ, sink, exchange);
        let progress = visit(run, site, &answer, &mut taken, is_redirected);
        let step = settle((site, mode), &environ, answer, progress, (base, started_us, running));
        let redirects = redirects.unwrap_or_default();
        let served = go_on((site, mode, params), (sink, started_us), step, (taken, redirects));
        match (served, own) {
            (Served::Suspended(mut request), Some(own)) if request.redirected.is_none() => {
                request.redirected = Some((own, redirects));
                Served::Suspended(request)
            }
            (served, _) => served,
        }
    }
}

/// Bounds the input as the site says.
fn limited<T>(
    site: &Site,
    input: &mut dyn InputSource,
    taken: &mut u64,
    work: impl FnOnce(&mut dyn InputSource) -> T,
) -> T {
    match site.limits.body {
        Some(limit) => work(&mut Limited::new(input, limit, taken)),
        None => work(input),
    }
}

/// Goes on after a step: ends the request, follows its redirect, or has it wait.
fn go_on(
    request: Request<'_>,
    (sink, started_us): (&dyn Sink, u64),
    step: RequestStep,
    (taken, redirects): (u64, usize),
) -> Served {
    let served = match step {
        RequestStep::Done(ending) => Served::Done(ending),
        RequestStep::On(next) => follow(request, next, redirects, (sink, started_us)),
        RequestStep::Suspended(mut suspended) => {
            suspended.taken = taken;
            return Served::Suspended(suspended);
        }
    };
    count(request.0, served)
}

/// Counts a request that is over.
fn count(site: &Site, served: Served) -> Served {
    if let (Some(recycling), Served::Done(_)) = (&site.recycling, &served) {
        recycling.count();
    }
    served
}

/// Answers a request whose CONTENT_LENGTH is not a number of bytes (RFC 9110, 8.6). SCGI and uwsgi
/// find the end of their bodies by it, so that their codecs refuse it.
fn refuse_length((site, mode, params): Request<'_>, sink: &dyn Sink, length: &[u8]) -> ResponseEnd {
    let path = SiteEnviron::locate(params, &site.facts, mode);
    let environ = SiteEnviron::new(params, &site.facts, mode, path, NOBODY);
    let answer = SiteExchange::new(site, &environ, sink);
    site.log.fault(Fault::Violation, Level::Info, || {
        let length = length[..length.len().min(64)].escape_ascii();
        format!("CONTENT_LENGTH \"{length}\": not a number of bytes; answering 400")
    });
    conclude(site, &environ, &answer, Outcome::Status(StatusCode::BAD_REQUEST))
}

/// Goes on with the paths that a request is redirected to, one after the other, after so many
/// `redirects`.
fn follow(
    (site, mode, _): Request<'_>,
    first: Params,
    redirects: usize,
    (sink, started_us): (&dyn Sink, u64),
) -> Served {
    let mut params = first;
    for redirects in redirects + 1..=redirect::MOST {
        match once((site, mode, &params), (sink, started_us), &mut Empty) {
            RequestStep::Done(ending) => return Served::Done(ending),
            RequestStep::On(next) => params = next,
            RequestStep::Suspended(mut suspended) => {
                suspended.redirected = Some((params, redirects));
                return Served::Suspended(suspended);
            }
        }
    }
    let path = SiteEnviron::locate(&params, &site.facts, mode);
    let environ = SiteEnviron::new(&params, &site.facts, mode, path, NOBODY);
    let answer = SiteExchange::new(site, &environ, sink);
    let code = Code::RedirectLoop;
    let text = format_args!("more than {} internal redirects; answering 500", redirect::MOST);
    answer.log(code.level(), &code.line(text));
    let outcome = Outcome::Status(StatusCode::INTERNAL_SERVER_ERROR);
    Served::Done(conclude(site, &environ, &answer, outcome))
}

enum RequestStep {
    Done(ResponseEnd),
    On(Params),
    Suspended(Box<SuspendedRequest>),
}

struct Empty;

impl InputSource for Empty {
    fn length(&self) -> Option<u64> {
        Some(0)
    }

    fn fill(&mut self, _wait: bool) -> Result<Fill<'_>> {
        Ok(Fill::End)
    }

    fn consume(&mut self, _amount: usize) {}
}

fn once(
    request: Request<'_>,
    (sink, started_us): (&dyn Sink, u64),
    input: &mut dyn InputSource,
) -> RequestStep {
    let (site, mode, params) = request;
    let (path, base) = SiteEnviron::locate(params, &site.facts, mode);
    let Some(mounted) = site.mounts.find(&path[base..]) else {
        let environ = SiteEnviron::new(params, &site.facts, mode, (path, base), NOBODY);
        let answer = SiteExchange::new(site, &environ, sink);
        let code = Code::NotMounted;
        let text = "no application is mounted at this path; answering 404";
        answer.log(code.level(), &code.line(text));
        let outcome = Outcome::Status(StatusCode::NOT_FOUND);
        return RequestStep::Done(conclude(site, &environ, &answer, outcome));
    };
    let environ = SiteEnviron::new(params, &site.facts, mode, (path, base), mounted);
    let answer = SiteExchange::new(site, &environ, sink);
    let running = site.running.as_ref();
    let running = running.and_then(|running| running.begin(&environ, sink, started_us));
    // A known length is refused here: an application that reads nothing would have it taken in.
    let progress = match site.limits.body {
        Some(limit) if input.length().is_some_and(|length| length > limit) => {
            Progress::Done(Outcome::Failed(too_large(limit)))
        }
        _ => run::start(mounted.application, &answer, input, &answer),
    };
    settle((site, mode), &environ, answer, progress, (base, started_us, running))
}

/// Does what the application has come to in a visit. `base` is the start of the mounts in the path.
fn settle(
    (site, mode): (&Site, Mode),
    environ: &SiteEnviron<'_>,
    answer: SiteExchange<'_>,
    progress: Progress,
    (base, started_us, running): (usize, u64, Option<RunningGuard>),
) -> RequestStep {
    let outcome = match progress {
        Progress::Done(outcome) => outcome,
        Progress::Suspended(run) => {
            if let (Some(running), Some(waker)) = (&running, Suspend::waker(&answer)) {
                running.wake_by(waker);
            }
            return RequestStep::Suspended(Box::new(SuspendedRequest {
                run,
                exchange: answer.into_state(),
                environ: environ.state(),
                started_us,
                running,
                taken: 0,
                redirected: None,
            }));
        }
    };
    if let Some(cut) = running.and_then(RunningGuard::end) {
        if let (Some(access), BreakOutcome::Broken) = (&site.access, cut) {
            access.put(environ, answer.tally());
        }
        return RequestStep::Done(ResponseEnd::Gone);
    }
    let params = environ.params();
    if let Outcome::Redirect(target) = &outcome
        && Redirection::of(mode, params) == Redirection::Local
    {
        return RequestStep::On(redirect::request(params, target, environ.path(), base));
    }
    RequestStep::Done(conclude(site, environ, &answer, outcome))
}

/// Answers what the application did not, and writes the log.
fn conclude(
    site: &Site,
    environ: &SiteEnviron<'_>,
    answer: &SiteExchange<'_>,
    outcome: Outcome,
) -> ResponseEnd {
    let name = environ.application();
    let say = |error: &Error, what: &str| {
        answer.log(error.level(), &error.line(name, what));
    };
    let refuse = |error: Error| {
        let status = error.status();
        say(&error, &format!("answering {}", status.as_u16()));
        ending(answer.answer(status))
    };
    let ending = match outcome {
        Outcome::Complete => ResponseEnd::Whole,
        Outcome::Status(status) => ending(answer.answer(status)),
        Outcome::Redirect(target) => match Redirection::of(environ.mode(), environ.params()) {
            Redirection::Field(field) => ending(answer.redirect(field, &target)),
            Redirection::Local => ResponseEnd::Broken,
        },
        Outcome::Failed(error) | Outcome::Broken(error)
            if error.kind() == ErrorKind::ClientGone =>
        {
            say(&error, "");
            ResponseEnd::Gone
        }
        Outcome::Failed(error) if !answer.is_committed() => refuse(error),
        // A body that is taken in before the response goes out, because the web server wants it so.
        Outcome::Failed(error) | Outcome::Broken(error)
            if error.kind() == ErrorKind::InputTooLarge && answer.take_back() =>
        {
            refuse(error)
        }
        Outcome::Failed(error) | Outcome::Broken(error) => {
            say(&error, "breaking the response off");
            ResponseEnd::Broken
        }
    };
    if let Some(access) = &site.access {
        access.put(environ, answer.tally());
    }
    ending
}

fn ending(sent: Result<()>) -> ResponseEnd {
    match sent {
        Ok(()) => ResponseEnd::Whole,
        Err(error) if error.kind() == ErrorKind::ClientGone => ResponseEnd::Gone,
        Err(_) => ResponseEnd::Broken,
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
