//! A process that serves connections: a worker, the one process of a web server's own, or another
//! program in threads of its own.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::config::ProgramConfig;
use super::control::WorkerChannel;
use super::drivers::Drivers;
use super::listen::Bound;
use super::logs::Logs;
use super::signals::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, Signals};
use crate::gateway::logger::{self, ServerLog as _};
use crate::gateway::{Code, Level, ending, panic};
use crate::os::Event;
use crate::process_group::Reason;
use crate::server::site::{
    HeadBudget, Mounts, ProcessInfo, Recycling, RunningRequests, Site, ThreadLog,
};

/// The drivers hold to the graceful time; this is for them to say that they could not.
const SLACK: Duration = Duration::from_secs(2);

/// The signals that a serving process catches.
pub(super) const CAUGHT: [i32; 6] = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2];

/// The source of the orders to a process that serves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Supervisor<'s> {
    /// The master that started it, by signals and the end of the channel.
    Master(&'s Signals, &'s WorkerChannel),
    /// A web server, by signals.
    WebServer(&'s Signals),
    /// The program whose thread it is, by an event.
    Program(&'s Event),
}

/// An order to a process that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Takes no more connections, and ends when the requests have.
    Drain,
    /// Ends at once.
    Quit,
}

impl Supervisor<'_> {
    /// Returns the orders since the last call. Files of logs from the master go to `logs`.
    ///
    /// Web servers, which have sent SIGUSR1 to FastCGI programs since 1996, mean by it what they
    /// mean by SIGTERM.
    fn orders(self, logs: &Logs) -> Vec<Order> {
        let (signals, line) = match self {
            Self::Master(signals, line) => (signals, Some(line)),
            Self::WebServer(signals) => (signals, None),
            Self::Program(event) => {
                return if event.take() { vec![Order::Drain] } else { Vec::new() };
            }
        };
        if let Some(line) = line {
            line.take_logs(logs);
        }
        let end = line.filter(|line| line.is_cut()).map(|_| Order::Drain);
        let taken = signals.take().into_iter().filter_map(|signal| match (signal, line) {
            (SIGQUIT, _) => Some(Order::Quit),
            (SIGTERM | SIGINT, _) | (SIGUSR1 | SIGHUP | SIGUSR2, None) => Some(Order::Drain),
            _ => None,
        });
        end.into_iter().chain(taken).collect()
    }
}

/// Serves until the process is told to end, and its requests have ended or the graceful time is up.
///
/// # Errors
///
/// Returns an error if it cannot serve, or cannot serve any more. The log says so.
pub(super) fn serve(
    config: &ProgramConfig,
    logs: &Logs,
    mounts: Mounts,
    listeners: Vec<Bound>,
    supervisor: Supervisor<'_>,
) -> io::Result<()> {
    let served = run(config, logs, mounts, listeners, supervisor);
    if let Err(error) = &served {
        let code = Code::CannotServe;
        logs.log.line(code.level(), &code.line(format_args!("cannot serve: {error}")));
    }
    served
}

fn run(
    config: &ProgramConfig,
    logs: &Logs,
    mounts: Mounts,
    mut listeners: Vec<Bound>,
    supervisor: Supervisor<'_>,
) -> io::Result<()> {
    let multiprocess = match supervisor {
        Supervisor::Master(..) => config.workers > 1,
        Supervisor::WebServer(_) => true,
        Supervisor::Program(_) => false,
    };
    let mut site = site(config, logs, mounts, multiprocess, false);
    site.recycling = config.recycle().map(Recycling::new).transpose()?;
    let site = Arc::new(site);
    // Those of a worker belong to its master.
    let mut files: Vec<_> = listeners.iter_mut().filter_map(|bound| bound.file.take()).collect();
    let mut drivers = Drivers::start(&site, config, listeners)?;
    if let Supervisor::Master(_, line) = supervisor {
        line.ready();
    }
    let mut give_up: Option<Instant> = None;
    let mut is_replaced = false;
    loop {
        let watched = site.recycling.as_ref().filter(|_| !is_replaced);
        wait(supervisor, &drivers, (&site, watched), give_up);
        let mut orders = supervisor.orders(logs);
        // Nothing replaces a program: the thread of the request stays behind.
        let is_alone = matches!(supervisor, Supervisor::Program(_));
        let is_stuck = site.running.as_ref().is_some_and(|running| running.cut_overdue(&site));
        let reached = || watched.and_then(|recycling| recycling.check().0);
        let reason = if is_stuck && !is_alone { Some(Reason::RequestTimeout) } else { reached() };
        if let Some(reason) = reason.filter(|_| !is_replaced) {
            is_replaced = true;
            let code = Code::DaemonRecycled;
            let pid = std::process::id();
            let text = format_args!("worker {pid}: is to be replaced: {}", reason.word());
            logs.log.line(code.level(), &code.line(text));
            match supervisor {
                // It serves until another process is ready.
                Supervisor::Master(_, line) => line.replace(reason),
                // The web server starts another.
                Supervisor::WebServer(_) | Supervisor::Program(_) => orders.push(Order::Drain),
            }
        }
        if orders.contains(&Order::Quit) {
            return Ok(());
        }
        if orders.contains(&Order::Drain) && give_up.is_none() {
            give_up = Some(Instant::now() + config.timeouts.graceful + SLACK);
            // A connection that comes after them would be reset.
            files.clear();
            ending::begin();
            drivers.drain();
        }
        if drivers.are_over()? {
            drop(drivers);
            let left = give_up.map_or(config.timeouts.graceful, |time| {
                time.saturating_duration_since(Instant::now())
            });
            end_applications(site, left);
            return Ok(());
        }
        if give_up.is_some_and(|time| Instant::now() >= time) {
            let code = Code::DrainAbandoned;
            let text = "requests did not finish within --graceful-timeout; given up";
            logs.log.line(code.level(), &code.line(text));
            return Ok(());
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
        running: config.timeouts.request.filter(|_| !run_once).map(RunningRequests::new),
        limits: config.limits,
        timeouts: config.timeouts,
        heads: HeadBudget::new(&config.limits),
    }
}

/// Prepares the process, before anything of an application's runs.
pub(super) fn prepare(logs: &Logs) {
    let log = ThreadLog(Arc::clone(&logs.log));
    panic::install_hook(move |line| log.line(Level::Error, line));
    logger::offer(ThreadLog(Arc::clone(&logs.log)));
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

/// Waits for an order, the end of a driver, a limit of the worker, or `until`, the end of a drain.
fn wait(
    supervisor: Supervisor<'_>,
    drivers: &Drivers,
    (site, recycling): (&Site, Option<&Recycling>),
    until: Option<Instant>,
) {
    let mut fds = vec![PollFd::new(drivers.ended(), PollFlags::IN)];
    match supervisor {
        Supervisor::Master(signals, line) => {
            fds.push(PollFd::new(signals, PollFlags::IN));
            // A channel that is cut would wake it all the time of a drain.
            if until.is_none() {
                fds.push(PollFd::new(line, PollFlags::IN | PollFlags::RDHUP));
            }
        }
        Supervisor::WebServer(signals) => fds.push(PollFd::new(signals, PollFlags::IN)),
        Supervisor::Program(event) => fds.push(PollFd::new(event, PollFlags::IN)),
    }
    let mut left = until.map(|until| until.saturating_duration_since(Instant::now()));
    if let Some(recycling) = recycling {
        fds.push(PollFd::new(&recycling.bell, PollFlags::IN));
        if let Some(next_us) = recycling.check().1 {
            let look = Duration::from_micros(next_us.saturating_sub(crate::os::monotonic_us()));
            left = Some(left.map_or(look, |left| left.min(look)));
        }
    }
    if let Some(next_us) = site.running.as_ref().and_then(RunningRequests::next_us) {
        let look = Duration::from_micros(next_us.saturating_sub(crate::os::monotonic_us()));
        left = Some(left.map_or(look, |left| left.min(look)));
    }
    let timeout = left.and_then(|left| left.try_into().ok());
    // The caller finds out itself what it was.
    let _ = poll(&mut fds, timeout.as_ref());
}
