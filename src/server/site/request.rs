//! A request from its head to its end: which application, what it answers, what is logged.

use http::StatusCode;

use super::body::{Limited, too_large};
use super::environ::SiteEnviron;
use super::exchange::SiteExchange;
use super::mounts::NOBODY;
use super::process_info::Mode;
use super::redirect::{self, Redirection};
use super::running::RunningGuard;
use super::sink::BreakOutcome;
use super::sink::Sink;
use super::{Fault, Site, current_log};
use crate::gateway::{
    Code, Error, ErrorKind, Exchange as _, Fill, InputSource, Level, Outcome, Result, header, run,
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

/// Runs the application for a request whose head is here, on the calling thread.
///
/// Everything that goes wrong is answered, or logged, or both: the driver has only to do what the
/// ending says.
pub(crate) fn serve(
    site: &Site,
    mode: Mode,
    params: &Params,
    sink: &dyn Sink,
    input: &mut dyn InputSource,
) -> ResponseEnd {
    let mut limited;
    let input: &mut dyn InputSource = match site.limits.body {
        Some(limit) => {
            limited = Limited::new(input, limit);
            &mut limited
        }
        None => input,
    };
    let _here = current_log::enter(params, mode);
    let ending = answer(site, mode, params, sink, input);
    if let Some(recycling) = &site.recycling {
        recycling.count();
    }
    ending
}

fn answer(
    site: &Site,
    mode: Mode,
    params: &Params,
    sink: &dyn Sink,
    input: &mut dyn InputSource,
) -> ResponseEnd {
    if let Some(length) = params.get(b"CONTENT_LENGTH").filter(|length| !length.is_empty())
        && header::decimal(length).is_none()
    {
        return refuse_length(site, mode, params, sink, length);
    }
    let started_us = monotonic_us();
    match once(site, mode, params, (sink, started_us), input) {
        RequestStep::Done(ending) => ending,
        RequestStep::On(next) => follow(site, mode, next, (sink, started_us)),
    }
}

/// Answers a request whose CONTENT_LENGTH is not a number of bytes (RFC 9110, 8.6). SCGI and uwsgi
/// find the end of their bodies by it, so that their codecs refuse it.
fn refuse_length(
    site: &Site,
    mode: Mode,
    params: &Params,
    sink: &dyn Sink,
    length: &[u8],
) -> ResponseEnd {
    let path = SiteEnviron::locate(params, &site.facts, mode);
    let environ = SiteEnviron::new(params, &site.facts, mode, path, NOBODY);
    let answer = SiteExchange::new(site, &environ, sink);
    site.log.fault(Fault::Violation, Level::Info, || {
        let length = length[..length.len().min(64)].escape_ascii();
        format!("CONTENT_LENGTH \"{length}\": not a number of bytes; answering 400")
    });
    conclude(site, &environ, &answer, Outcome::Status(StatusCode::BAD_REQUEST))
}

/// Goes on with the paths that a request is redirected to, one after the other.
fn follow(
    site: &Site,
    mode: Mode,
    first: Params,
    (sink, started_us): (&dyn Sink, u64),
) -> ResponseEnd {
    let mut params = first;
    for _ in 0..redirect::MOST {
        match once(site, mode, &params, (sink, started_us), &mut Empty) {
            RequestStep::Done(ending) => return ending,
            RequestStep::On(next) => params = next,
        }
    }
    let path = SiteEnviron::locate(&params, &site.facts, mode);
    let environ = SiteEnviron::new(&params, &site.facts, mode, path, NOBODY);
    let answer = SiteExchange::new(site, &environ, sink);
    let code = Code::RedirectLoop;
    let text = format_args!("more than {} internal redirects; answering 500", redirect::MOST);
    answer.log(code.level(), &code.line(text));
    conclude(site, &environ, &answer, Outcome::Status(StatusCode::INTERNAL_SERVER_ERROR))
}

enum RequestStep {
    Done(ResponseEnd),
    On(Params),
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
    site: &Site,
    mode: Mode,
    params: &Params,
    (sink, started_us): (&dyn Sink, u64),
    input: &mut dyn InputSource,
) -> RequestStep {
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
    let outcome = match site.limits.body {
        Some(limit) if input.length().is_some_and(|length| length > limit) => {
            Outcome::Failed(too_large(limit))
        }
        _ => run(mounted.application, &answer, input),
    };
    if let Some(cut) = running.and_then(RunningGuard::end) {
        if let (Some(access), BreakOutcome::Broken) = (&site.access, cut) {
            access.put(&environ, answer.tally());
        }
        return RequestStep::Done(ResponseEnd::Gone);
    }
    if let Outcome::Redirect(target) = &outcome
        && Redirection::of(mode, params) == Redirection::Local
    {
        return RequestStep::On(redirect::request(params, target, environ.path(), base));
    }
    RequestStep::Done(conclude(site, &environ, &answer, outcome))
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
