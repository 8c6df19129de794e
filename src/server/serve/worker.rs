//! A worker process: it builds the applications, says that it is ready, and serves.

use std::ffi::OsString;
use std::process::ExitCode;

use super::control::{self, WorkerChannel};
use super::gateway::Gateway;
use super::listen::Bound;
use super::logs::Logs;
use super::signals::Signals;
use super::{applications, command, process};

/// Runs a worker, which `value` of the environment makes of the process.
pub(super) fn run(
    gateway: &Gateway,
    arguments: Vec<OsString>,
    variable: Option<OsString>,
    value: &str,
) -> ExitCode {
    let (line, listeners) = match control::read_variable(value) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    start(gateway, arguments, variable, &line, listeners).unwrap_or_else(|error| {
        line.failed(&error);
        ExitCode::FAILURE
    })
}

fn start(
    gateway: &Gateway,
    arguments: Vec<OsString>,
    variable: Option<OsString>,
    line: &WorkerChannel,
    listeners: Vec<Bound>,
) -> Result<ExitCode, String> {
    // A newer program on disk may not know the options of the one before.
    let config = command::parse(gateway, arguments, variable)
        .map_err(|error| error.to_string().trim_end().to_owned())?;
    applications::check(gateway, &config)?;
    if let Some(privileges) = &config.privileges {
        privileges.take_on()?;
    }
    let signals = Signals::catch(&process::CAUGHT).map_err(|error| error.to_string())?;
    let logs = Logs::open(&config)?;
    process::prepare(&logs);
    let mounts = applications::build(gateway, &config)?;
    Ok(process::serve(&config, &logs, mounts, listeners, &signals, Some(line)))
}
