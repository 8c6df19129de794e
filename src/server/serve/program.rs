//! The program from the command line to the exit status: a worker, a master, or a process alone.

use std::ffi::OsString;
use std::fs::File;
use std::process::ExitCode;
#[cfg(feature = "cgi")]
use std::sync::Arc;

use super::config::ProgramConfig;
use super::control::{self, Handed, WorkerChannel};
use super::gateway::Gateway;
use super::inherited::{Inherited, Task};
use super::listen::Bound;
use super::logs::{LogKind, Logs};
use super::process::Supervisor;
use super::signals::Signals;
use super::{applications, command, descriptors, master, process, sources};
use crate::gateway::{Code, Level};

impl Gateway {
    /// Runs the program as the command line and the inherited sockets say, until it is to end.
    /// `main` returns the exit code.
    #[must_use]
    pub fn main(self) -> ExitCode {
        run(&self, std::env::args_os().collect(), std::env::var_os(sources::OPTIONS_VARIABLE))
    }
}

/// Runs the program, which was started with `command_line`.
fn run(gateway: &Gateway, command_line: Vec<OsString>, variable: Option<OsString>) -> ExitCode {
    let mut words = gateway.words(command_line.clone());
    let worker = std::env::var(control::VARIABLE).ok();
    if let Some(value) = worker.filter(|value| control::is_meant(value)) {
        let code = run_worker(gateway, words, variable, &value);
        process::end();
        return code;
    }
    let inherited = match Inherited::look() {
        Ok(inherited) => inherited,
        Err(error) => return refuse(&error),
    };
    if inherited.is_cgi() {
        words.truncate(1);
    }
    let mut config = match command::parse(gateway, words, variable) {
        Ok(config) => config,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let checked = applications::check(gateway, &config);
    let task = match checked.and_then(|()| inherited.decide(&config)) {
        Ok(task) => task,
        Err(error) => return refuse(&error),
    };
    let logs = match Logs::open(&config, Vec::new()) {
        Ok(logs) => logs,
        Err(error) => return refuse(&error),
    };
    if task != Task::Cgi
        && let Some(warning) = descriptors::fit(&mut config)
    {
        let code = Code::NoResources;
        logs.log.line(Level::Warn, &code.line(warning));
    }
    match task {
        Task::Listen(wanted) => master::run(config, logs, &wanted, command_line),
        Task::Cgi | Task::Inherited => {
            let code = alone(gateway, &config, &logs, &task);
            process::end();
            code.unwrap_or_else(|error| refuse(&error))
        }
    }
}

/// Says why the program does not start.
fn refuse(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// Serves without a master: the web server supervises.
fn alone(
    gateway: &Gateway,
    config: &ProgramConfig,
    logs: &Logs,
    task: &Task,
) -> Result<ExitCode, String> {
    if let Some(privileges) = &config.privileges {
        privileges.take_on()?;
    }
    process::prepare(logs);
    let build = || applications::build(gateway, config);
    match task {
        #[cfg(feature = "cgi")]
        Task::Cgi => {
            use super::signals::{SIGINT, SIGQUIT, SIGTERM};

            let caught = Signals::catch(&[SIGTERM, SIGINT, SIGQUIT]);
            let signals = caught.map_err(|error| error.to_string())?;
            let site = Arc::new(process::site(config, logs, build()?, true, true));
            let served = crate::server::cgi::run(&site, &signals);
            process::end_applications(site, config.timeouts.graceful);
            match served {
                Ok(true) => Ok(ExitCode::SUCCESS),
                Ok(false) => Ok(ExitCode::FAILURE),
                Err(error) => Err(error.to_string()),
            }
        }
        #[cfg(feature = "fastcgi")]
        Task::Inherited => {
            use super::listen;
            use crate::server::site::Mode;

            let signals = Signals::catch(&process::CAUGHT).map_err(|error| error.to_string())?;
            let listener = listen::stdin().and_then(|fd| Bound::adopt(Mode::FastCgi, fd));
            let listener = listener.map_err(|error| format!("descriptor 0: {error}"))?;
            let mounts = build()?;
            let text = format!("listening: fastcgi {} (descriptor 0)", listener.name);
            logs.log.line(Level::Info, &text);
            let text = format!("ready: this process, {} threads", config.limits.threads);
            logs.log.line(Level::Info, &text);
            let supervisor = Supervisor::WebServer(&signals);
            let served = process::serve(config, logs, mounts, vec![listener], supervisor);
            Ok(exit_code(&served))
        }
        _ => {
            let _ = build;
            Err("the program was not built for this protocol".into())
        }
    }
}

const fn exit_code<E>(served: &Result<(), E>) -> ExitCode {
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a worker, which `value` of the environment makes of the process.
fn run_worker(
    gateway: &Gateway,
    arguments: Vec<OsString>,
    variable: Option<OsString>,
    value: &str,
) -> ExitCode {
    let handed = match control::read_variable(value) {
        Ok(handed) => handed,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let Handed { channel, listeners, logs } = handed;
    start_worker(gateway, arguments, variable, &channel, listeners, logs).unwrap_or_else(|error| {
        channel.failed(&error);
        ExitCode::FAILURE
    })
}

/// Builds the applications, reports that the worker is ready, and serves.
fn start_worker(
    gateway: &Gateway,
    arguments: Vec<OsString>,
    variable: Option<OsString>,
    line: &WorkerChannel,
    listeners: Vec<Bound>,
    logs: Vec<(LogKind, File)>,
) -> Result<ExitCode, String> {
    // A newer program on disk may not know the options of the one before.
    let mut config = command::parse(gateway, arguments, variable)
        .map_err(|error| error.to_string().trim_end().to_owned())?;
    applications::check(gateway, &config)?;
    // The master has logged the warning.
    let _ = descriptors::fit(&mut config);
    if let Some(privileges) = &config.privileges {
        privileges.take_on()?;
    }
    let signals = Signals::catch(&process::CAUGHT).map_err(|error| error.to_string())?;
    let logs = Logs::open(&config, logs)?;
    process::prepare(&logs);
    let mounts = applications::build(gateway, &config)?;
    let supervisor = Supervisor::Master(&signals, line);
    Ok(exit_code(&process::serve(&config, &logs, mounts, listeners, supervisor)))
}
