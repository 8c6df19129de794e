//! The logs of a process.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::config::{LogTarget, ProgramConfig};
use crate::gateway::{Code, Level};
use crate::server::site::{AccessLog, Log};

/// The program's log and the access log.
#[derive(Clone, Debug)]
pub(super) struct Logs {
    pub(super) log: Arc<Log>,
    pub(super) access: Option<Arc<AccessLog>>,
}

impl Logs {
    /// Opens them; files that root makes are the workers' user's.
    ///
    /// # Errors
    ///
    /// Which cannot be opened.
    pub(super) fn open(config: &ProgramConfig) -> Result<Self, String> {
        let told = |what: &'static str, path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| format!("{what} {path}: {error}")
        };
        let log = match &config.log {
            LogTarget::Standard => Log::to_stderr(config.level),
            LogTarget::File(path) => {
                Log::to_file(path, config.level).map_err(told("--log", path))?
            }
        };
        let access = match &config.access {
            None => None,
            Some(LogTarget::Standard) => Some(AccessLog::to_stdout()),
            Some(LogTarget::File(path)) => {
                Some(AccessLog::to_file(path).map_err(told("--access-log", path))?)
            }
        };
        give(config);
        Ok(Self { log: Arc::new(log), access: access.map(Arc::new) })
    }

    /// Opens the files anew (SIGUSR1).
    pub(super) fn reopen(&self, config: &ProgramConfig) {
        if let Err(error) = self.log.reopen() {
            self.log.line(
                Code::LogNotReopened.level(),
                &Code::LogNotReopened.line(format_args!("the log cannot be reopened: {error}")),
            );
        }
        if let Some(Err(error)) = self.access.as_ref().map(|access| access.reopen()) {
            let text = Code::LogNotReopened
                .line(format_args!("the access log cannot be reopened: {error}"));
            self.log.line(Level::Error, &text);
        }
        give(config);
    }
}

/// Workers open the files as their own user.
fn give(config: &ProgramConfig) {
    let Some(privileges) = config.privileges.as_ref().filter(|_| super::privileges::is_root())
    else {
        return;
    };
    for target in [Some(&config.log), config.access.as_ref()].into_iter().flatten() {
        if let LogTarget::File(path) = target {
            // A file that cannot be given away says so when it is opened.
            let _ = privileges.give(path);
        }
    }
}
