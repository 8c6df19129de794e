//! The master process: it binds, starts workers, replaces those that die, and restarts them all
//! without closing a listener. It has one thread and runs nothing of an application's.

use std::ffi::OsString;
use std::path::Path;
use std::process;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::backoff::Backoff;
use super::config::{ProgramConfig, Wanted};
use super::listen::Bound;
use super::logs::Logs;
use super::place::{OwnFile, Place};
use super::signals::{
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, Signals,
};
use super::systemd::Watchdog;
use super::worker_process::{WorkerProcess, WorkerTemplate, describe};
use super::{privileges, systemd};
use crate::gateway::{Code, Level};

/// A worker keeps to the graceful time itself; after so long more it is killed.
const SLACK: Duration = Duration::from_secs(5);

/// The highest number of workers, as for `--workers`.
const MOST_WORKERS: usize = 100_000;

/// Listens and supervises until told to end.
pub(super) fn run(
    config: ProgramConfig,
    logs: Logs,
    wanted: &[Wanted],
    arguments: Vec<OsString>,
) -> ExitCode {
    match Master::new(config, logs, wanted, arguments) {
        Ok(mut master) => master.run(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Master {
    config: ProgramConfig,
    logs: Logs,
    recipe: WorkerTemplate,
    signals: Signals,
    listeners: Vec<Bound>,
    _pid_file: Option<OwnFile>,
    fleet: Vec<WorkerProcess>,
    /// The number of workers of a generation: `--workers`, until a signal changes it.
    workers: usize,
    watchdog: Watchdog,
    /// The generation that serves.
    current: u64,
    state: MasterState,
    /// The next generation, while it starts.
    next: Option<NextEvent>,
    backoff: Backoff,
    /// The pauses between workers that reach `--memory-limit` soon.
    memory: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MasterState {
    /// The first workers build their applications.
    Starting,
    Serving,
    /// Told to end, or unable to start.
    Ending {
        failed: bool,
    },
}

struct NextEvent {
    generation: u64,
    /// Another restart was asked for meanwhile.
    again: bool,
}

impl Master {
    fn new(
        config: ProgramConfig,
        logs: Logs,
        wanted: &[Wanted],
        arguments: Vec<OsString>,
    ) -> Result<Self, String> {
        let caught =
            [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD];
        let signals = Signals::catch(&caught).map_err(|error| error.to_string())?;
        let recipe = WorkerTemplate::of(arguments).map_err(|error| error.to_string())?;
        let bound = wanted.iter().map(|wanted| Bound::bind(wanted, &config));
        let listeners = bound.collect::<Result<Vec<_>, _>>()?;
        let pid_file = config.pid_file.as_deref().map(write_pid_file).transpose()?;
        let master = Self {
            workers: config.workers,
            config,
            logs,
            recipe,
            signals,
            listeners,
            _pid_file: pid_file,
            fleet: Vec::new(),
            watchdog: Watchdog::of_environment(),
            current: 1,
            state: MasterState::Starting,
            next: None,
            backoff: Backoff::default(),
            memory: Backoff::default(),
        };
        if privileges::is_root() && master.config.privileges.is_none() {
            master.say(Level::Warn, "the applications run as root; --user names another user");
        }
        for Bound { protocol, name, .. } in &master.listeners {
            master.say(Level::Info, &format!("listening: {} {name}", protocol.name()));
        }
        Ok(master)
    }

    fn run(&mut self) -> ExitCode {
        loop {
            let now = Instant::now();
            self.tick(now);
            self.watchdog.beat(now);
            if let MasterState::Ending { failed } = self.state
                && self.fleet.is_empty()
            {
                return if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            }
            self.wait();
            for signal in self.signals.take() {
                self.handle(signal);
            }
            self.listen();
            self.reap();
        }
    }

    fn handle(&mut self, signal: i32) {
        match signal {
            SIGTERM | SIGINT => {
                if matches!(self.state, MasterState::Ending { .. }) {
                    // A second request to stop means: do not wait.
                    self.fleet.iter_mut().for_each(WorkerProcess::kill);
                    return;
                }
                systemd::stopping();
                self.say(Level::Info, "ending: requests have --graceful-timeout to finish");
                self.end(false);
            }
            SIGQUIT => {
                systemd::stopping();
                self.say(Level::Info, "ending at once: requests are given up");
                if !matches!(self.state, MasterState::Ending { .. }) {
                    self.end(false);
                }
                self.fleet.iter_mut().for_each(WorkerProcess::kill);
            }
            SIGHUP | SIGUSR2 => self.restart(),
            SIGTTIN => self.resize(self.workers.saturating_add(1)),
            SIGTTOU => self.resize(self.workers - 1),
            SIGUSR1 => {
                self.logs.reopen(&self.config);
                self.fleet.iter().for_each(|worker| worker.hand_logs(&self.logs));
            }
            _ => {}
        }
    }

    /// Starts what is missing, and does what is due.
    fn tick(&mut self, now: Instant) {
        if let MasterState::Ending { .. } = self.state {
            self.kill_late(now);
            return;
        }
        self.switch();
        self.kill_late(now);
        let is_paused = self.backoff.not_before().is_some_and(|time| now < time);
        if !is_paused {
            self.fill(self.current);
        }
        if let Some(generation) = self.next.as_ref().map(|next| next.generation) {
            self.fill(generation);
        }
        // Each that is ready takes the place of one that has reached a limit.
        let time = self.drain_time();
        let ready = self.count_ready(self.current);
        let outgoing = self.fleet.iter_mut().filter(|worker| worker.is_serving_out());
        let count = outgoing.count();
        let spare = (ready + count).saturating_sub(self.workers);
        let outgoing = self.fleet.iter_mut().filter(|worker| worker.is_serving_out());
        outgoing.take(spare).for_each(|worker| worker.drain(time));
        if self.state == MasterState::Starting && self.count_ready(self.current) >= self.workers {
            self.state = MasterState::Serving;
            self.tell_ready();
        }
    }

    /// Hears what the workers said.
    fn listen(&mut self) {
        self.fleet.iter_mut().for_each(WorkerProcess::listen);
        for at in 0..self.fleet.len() {
            let worker = &mut self.fleet[at];
            let is_too_large = std::mem::take(&mut worker.is_too_large);
            let Some(served) = worker.ready.filter(|_| is_too_large).map(|time| time.elapsed())
            else {
                continue;
            };
            let id = worker.id();
            let pause = self.memory.died(Some(served), Instant::now());
            if !pause.is_zero() {
                let text = format_args!(
                    "worker {id}: has reached --memory-limit {served:.1?} after it was ready, as one \
                     before it: its applications may need more; another takes its place in {} s",
                    pause.as_secs()
                );
                self.say(Level::Warn, &Code::DaemonRecycled.line(text));
            }
        }
    }

    fn tell_ready(&self) {
        let (workers, threads) = (self.workers, self.config.limits.threads);
        let workers = if workers == 1 { "1 worker".into() } else { format!("{workers} workers") };
        let threads = if threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
        let status = format!("ready: {workers}, {threads} each");
        self.say(Level::Info, &status);
        systemd::ready(&status);
    }

    /// Starts workers of a generation that has too few.
    fn fill(&mut self, generation: u64) {
        let is_paused = self.memory.not_before().is_some_and(|time| Instant::now() < time);
        let there = |worker: &&WorkerProcess| {
            worker.generation == generation
                && (worker.is_staying() || (is_paused && worker.is_serving_out()))
        };
        while self.fleet.iter().filter(there).count() < self.workers {
            match self.recipe.start(&self.listeners, &self.logs, generation) {
                Ok(worker) => self.fleet.push(worker),
                Err(error) => {
                    let program = self.recipe.program.display();
                    let why = format!("{program} cannot be started: {error}");
                    self.lose(generation, None, &why);
                    return;
                }
            }
        }
    }

    /// Changes the number of workers; the newest are the first to go.
    fn resize(&mut self, workers: usize) {
        if !(1..=MOST_WORKERS).contains(&workers) || self.state != MasterState::Serving {
            let workers = self.workers;
            self.say(Level::Warn, &format!("workers: {workers}, and no other number now"));
            return;
        }
        self.workers = workers;
        self.say(Level::Info, &format!("workers: {workers} from now on"));
        let time = self.drain_time();
        let next = self.next.as_ref().map(|next| next.generation);
        for generation in [Some(self.current), next].into_iter().flatten() {
            let kept = |worker: &&mut WorkerProcess| {
                worker.generation == generation && worker.is_staying()
            };
            self.fleet.iter_mut().filter(kept).skip(workers).for_each(|worker| worker.drain(time));
        }
    }

    /// A worker has died, or could not be started.
    fn lose(&mut self, generation: u64, ready_for: Option<Duration>, why: &str) {
        if self.state == MasterState::Starting {
            self.say(
                Code::CannotServe.level(),
                &Code::CannotServe.line(format_args!("cannot start: {why}")),
            );
            self.end(true);
        } else if self.next.as_ref().is_some_and(|next| next.generation == generation) {
            self.fail_restart(why);
        } else {
            let pause = self.backoff.died(ready_for, Instant::now());
            let when = match pause.as_secs() {
                0 => "another takes its place".to_owned(),
                seconds => format!("another takes its place in {seconds} s"),
            };
            self.say(
                Code::WorkerEnded.level(),
                &Code::WorkerEnded.line(format_args!("{why}; {when}")),
            );
        }
    }

    fn reap(&mut self) {
        let mut at = 0;
        while at < self.fleet.len() {
            let Some(status) = self.fleet[at].end() else {
                at += 1;
                continue;
            };
            let worker = self.fleet.remove(at);
            let why = describe(&worker, status);
            let is_ending = matches!(self.state, MasterState::Ending { .. });
            if is_ending || worker.is_leaving() {
                let level = if status.success() { Level::Debug } else { Level::Warn };
                if worker.told.is_none() || level == Level::Debug {
                    self.say(
                        level,
                        &Code::WorkerStopped.line(format_args!("{why}, as it was to end")),
                    );
                }
                continue;
            }
            self.lose(worker.generation, worker.ready.map(|ready| ready.elapsed()), &why);
        }
    }

    /// Starts the program that is on disk now; the old workers serve until the new ones are ready.
    fn restart(&mut self) {
        if let Some(next) = &mut self.next {
            next.again = true;
            return;
        }
        if self.state != MasterState::Serving {
            self.say(Level::Warn, "not restarted: the program is not ready yet, or ending");
            return;
        }
        systemd::reloading();
        self.say(Level::Info, "restarting: new workers are started, the old ones serve meanwhile");
        let newest = self.fleet.iter().map(|worker| worker.generation).max();
        let generation = newest.unwrap_or(self.current).max(self.current) + 1;
        self.next = Some(NextEvent { generation, again: false });
    }

    /// Lets the old workers go as soon as all new ones are ready.
    fn switch(&mut self) {
        let Some(next) = &self.next else { return };
        if self.count_ready(next.generation) < self.workers {
            return;
        }
        let again = next.again;
        self.current = next.generation;
        self.next = None;
        self.backoff.forget();
        self.memory.forget();
        let (current, time) = (self.current, self.drain_time());
        for worker in self.fleet.iter_mut().filter(|worker| worker.generation != current) {
            worker.drain(time);
        }
        self.say(Level::Info, "restarted: the old workers finish their requests");
        self.tell_ready();
        if again {
            self.restart();
        }
    }

    fn fail_restart(&mut self, why: &str) {
        let Some(next) = self.next.take() else { return };
        let text = Code::RestartFailed
            .line(format_args!("the restart failed, the old workers serve on: {why}"));
        self.say(Level::Error, &text);
        let time = self.drain_time();
        for worker in self.fleet.iter_mut().filter(|one| one.generation == next.generation) {
            worker.drain(time);
        }
        systemd::ready("the last restart failed");
        if next.again {
            self.restart();
        }
    }

    /// Kills workers that take too long to start or to end.
    fn kill_late(&mut self, now: Instant) {
        let most = self.config.start_timeout;
        for worker in &mut self.fleet {
            let starts_late = worker.ready.is_none()
                && worker.told.is_none()
                && now.duration_since(worker.started) >= most;
            if starts_late && !worker.is_leaving() {
                worker.told = Some(format!(
                    "its applications were not built within {} s (--start-timeout)",
                    most.as_secs_f32()
                ));
                worker.kill();
            } else if worker.kill_at.is_some_and(|time| now >= time) {
                worker.kill();
            }
        }
    }

    fn end(&mut self, failed: bool) {
        self.state = MasterState::Ending { failed };
        self.next = None;
        // Connections would wait in them for nobody, and be reset at the end. The files go first:
        // a worker accepts the connections of before, and none comes after them.
        self.listeners.clear();
        let time = self.drain_time();
        self.fleet.iter_mut().for_each(|worker| worker.drain(time));
    }

    /// Waits for a signal, for what a worker says, and for what is due next.
    fn wait(&self) {
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let open = self.fleet.iter().filter(|worker| !worker.ear.is_closed);
        fds.extend(open.map(|worker| PollFd::new(&worker.ear, PollFlags::IN)));
        let killed = self.fleet.iter().filter_map(|worker| worker.kill_at);
        let started = self
            .fleet
            .iter()
            .filter(|worker| worker.ready.is_none() && worker.told.is_none())
            .map(|worker| worker.started + self.config.start_timeout);
        let now = Instant::now();
        // A pause that is over was seen to before.
        let pauses = [self.backoff.not_before(), self.memory.not_before()];
        let pauses = pauses.into_iter().flatten().filter(|&time| time > now);
        let until = killed.chain(started).chain(pauses).chain(self.watchdog.due()).min();
        let left = until.map(|until| until.saturating_duration_since(now));
        let left = left.map(|left| left.max(Duration::from_millis(1)));
        let _ = poll(&mut fds, left.and_then(|left| left.try_into().ok()).as_ref());
    }

    fn count_ready(&self, generation: u64) -> usize {
        let ready = |worker: &&WorkerProcess| {
            worker.generation == generation && worker.ready.is_some() && worker.is_staying()
        };
        self.fleet.iter().filter(ready).count()
    }

    const fn drain_time(&self) -> Duration {
        self.config.timeouts.graceful.saturating_add(SLACK)
    }

    fn say(&self, level: Level, message: &str) {
        self.logs.log.line(level, message);
    }
}

/// Writes the file with the master's process id, whole or not at all.
fn write_pid_file(path: &Path) -> Result<OwnFile, String> {
    let written =
        Place::find(path).and_then(|place| place.replace(&format!("{}\n", process::id())));
    written.map_err(|error| format!("--pid-file \"{}\": {error}", path.display()))
}
