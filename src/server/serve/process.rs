//! A process that serves connections: a worker, or the one process of a web server's own.

use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::config::ProgramConfig;
use super::control::WorkerChannel;
use super::drivers::Drivers;
use super::listen::Bound;
use super::logs::Logs;
use super::signals::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, Signals};
use crate::gateway::{Code, Level, ending};
use crate::server::site::{HeadBudget, Mounts, ProcessInfo, Recycling, Site};

/// The drivers hold to the graceful time; this is for them to say that they could not.
const SLACK: Duration = Duration::from_secs(2);

/// The signals that a serving process catches.
pub(super) const CAUGHT: [i32; 5] = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2];

/// Serves until the process is told to end, and its requests have ended or the graceful time is up.
/// With a `line`, it belongs to a master; else web servers, which have sent SIGUSR1 to FastCGI
/// programs since 1996, mean by it what they mean by SIGTERM.
pub(super) fn serve(
    config: &ProgramConfig,
    logs: &Logs,
    mounts: Mounts,
    listeners: Vec<Bound>,
    caught: &Signals,
    line: Option<&WorkerChannel>,
) -> ExitCode {
    let multiprocess = line.is_none() || config.workers > 1;
    let mut site = site(config, logs, mounts, multiprocess, false);
    let log = Arc::clone(&logs.log);
    site.recycling = match config.recycle().map(Recycling::new).transpose() {
        Ok(recycling) => recycling,
        Err(error) => {
            log.line(
                Code::CannotServe.level(),
                &Code::CannotServe.line(format_args!("cannot serve: {error}")),
            );
            return ExitCode::FAILURE;
        }
    };
    let site = Arc::new(site);
    let mut drivers = match Drivers::start(&site, config, listeners) {
        Ok(drivers) => drivers,
        Err(error) => {
            log.line(
                Code::CannotServe.level(),
                &Code::CannotServe.line(format_args!("cannot serve: {error}")),
            );
            return ExitCode::FAILURE;
        }
    };
    if let Some(line) = line {
        line.ready();
    }
    let mut give_up: Option<Instant> = None;
    let mut recycling = site.recycling.as_ref();
    loop {
        wait(caught, line.filter(|_| give_up.is_none()), &drivers, recycling, give_up);
        if let Some(line) = line {
            line.take_logs(logs);
        }
        let mut is_told = line.is_some_and(WorkerChannel::is_cut);
        if let Some(reason) = recycling.and_then(|recycling| recycling.check().0) {
            recycling = None;
            let code = Code::DaemonRecycled;
            let pid = std::process::id();
            let text = format_args!("worker {pid}: is to be replaced: {}", reason.word());
            log.line(code.level(), &code.line(text));
            match line {
                // It serves until another process is ready.
                Some(line) => line.replace(),
                // The web server starts another.
                None => is_told = true,
            }
        }
        for signal in caught.take() {
            match (signal, line) {
                (SIGTERM | SIGINT, _) | (SIGUSR1 | SIGHUP | SIGUSR2, None) => is_told = true,
                _ => {}
            }
        }
        if is_told && give_up.is_none() {
            give_up = Some(Instant::now() + config.timeouts.graceful + SLACK);
            drivers.drain();
        }
        match drivers.are_over() {
            Ok(true) => {
                drop(drivers);
                let left = give_up.map_or(config.timeouts.graceful, |time| {
                    time.saturating_duration_since(Instant::now())
                });
                end_applications(site, left);
                return ExitCode::SUCCESS;
            }
            Ok(false) => {}
            Err(error) => {
                log.line(
                    Code::CannotServe.level(),
                    &Code::CannotServe.line(format_args!("cannot serve any more: {error}")),
                );
                return ExitCode::FAILURE;
            }
        }
        if give_up.is_some_and(|time| Instant::now() >= time) {
            let code = Code::DrainAbandoned;
            let text = "requests did not finish within --graceful-timeout; given up";
            log.line(code.level(), &code.line(text));
            return ExitCode::SUCCESS;
        }
    }
}

/// The site of this process.
pub(super) fn site(
    config: &ProgramConfig,
    logs: &Logs,
    mounts: Mounts,
    multiprocess: bool,
    run_once: bool,
) -> Site {
    let threads = if run_once { 1 } else { config.limits.threads };
    let mut facts = ProcessInfo::new(threads, multiprocess, run_once);
    if config.has_prefix {
        facts = facts.with_whole_paths();
    }
    Site {
        mounts,
        facts,
        log: Arc::clone(&logs.log),
        access: logs.access.clone(),
        recycling: None,
        limits: config.limits,
        timeouts: config.timeouts,
        heads: HeadBudget::new(&config.limits),
    }
}

/// Prepares the process, before anything of an application's runs.
pub(super) fn prepare(logs: &Logs) {
    let log = Arc::clone(&logs.log);
    crate::gateway::panic::install_hook(move |line| log.of_thread(Level::Error, line));
    #[cfg(feature = "log")]
    {
        let log = Arc::clone(&logs.log);
        let install = move || crate::server::site::install_logger(Arc::clone(&log));
        crate::gateway::logger::offer(install);
    }
}

/// Drops the applications' state, within `deadline`.
pub(super) fn end_applications(site: Arc<Site>, deadline: Duration) {
    let log = Arc::clone(&site.log);
    let applications = site.mounts.applications();
    // Other threads that have the site are about to end.
    drop(site);
    ending::end(applications, deadline, |line| log.line(Code::StateNotDropped.level(), line));
}

/// When the process has nothing left to do.
pub(super) fn end() {
    #[cfg(feature = "tower")]
    crate::gateway::service::runtime::shutdown(Duration::from_millis(100));
}

fn wait(
    signals: &Signals,
    line: Option<&WorkerChannel>,
    drivers: &Drivers,
    recycling: Option<&Recycling>,
    until: Option<Instant>,
) {
    let signals = signals.as_fd();
    let mut fds = vec![
        PollFd::from_borrowed_fd(signals, PollFlags::IN),
        PollFd::new(drivers.ended(), PollFlags::IN),
    ];
    if let Some(line) = line {
        fds.push(PollFd::new(line, PollFlags::IN | PollFlags::RDHUP));
    }
    let mut left = until.map(|until| until.saturating_duration_since(Instant::now()));
    if let Some(recycling) = recycling {
        fds.push(PollFd::new(&recycling.bell, PollFlags::IN));
        if let Some(next_us) = recycling.check().1 {
            let look = Duration::from_micros(next_us.saturating_sub(crate::os::monotonic_us()));
            left = Some(left.map_or(look, |left| left.min(look)));
        }
    }
    let timeout = left.and_then(|left| left.try_into().ok());
    // The caller finds out itself what it was.
    let _ = poll(&mut fds, timeout.as_ref());
}
