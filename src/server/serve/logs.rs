//! The logs of a process.
//!
//! The master opens their files and hands the descriptors to its workers: at their start, and again
//! after SIGUSR1. So no worker has to find a file that root has made, and root follows no path on a
//! worker's behalf.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::config::{LogTarget, ProgramConfig};
use super::place::Place;
use crate::gateway::Code;
use crate::server::site::{AccessLog, Log};

/// The program's log and the access log.
#[derive(Clone, Debug)]
pub(super) struct Logs {
    pub(super) log: Arc<Log>,
    pub(super) access: Option<Arc<AccessLog>>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogKind {
    Program,
    Access,
}

impl LogKind {
    pub(super) const ALL: [Self; 2] = [Self::Program, Self::Access];

    /// Returns the name of the option.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Program => "log",
            Self::Access => "access-log",
        }
    }

    /// Returns the path of the log's file, if it is one.
    fn path(self, config: &ProgramConfig) -> Option<&Path> {
        let target = match self {
            Self::Program => Some(&config.log),
            Self::Access => config.access.as_ref(),
        };
        match target? {
            LogTarget::Standard => None,
            LogTarget::File(path) => Some(path),
        }
    }
}

impl Logs {
    /// Opens the logs, but for files that are `inherited`.
    ///
    /// # Errors
    ///
    /// Which cannot be opened.
    pub(super) fn open(
        config: &ProgramConfig,
        inherited: Vec<(LogKind, File)>,
    ) -> Result<Self, String> {
        let mut files = inherited;
        let mut file = |kind: LogKind| -> Result<Option<File>, String> {
            let Some(path) = kind.path(config) else { return Ok(None) };
            if let Some(at) = files.iter().position(|(other, _)| *other == kind) {
                return Ok(Some(files.swap_remove(at).1));
            }
            open(config, path)
                .map(Some)
                .map_err(|error| format!("--{} \"{}\": {error}", kind.name(), path.display()))
        };
        let log = match file(LogKind::Program)? {
            None => Log::to_stderr(config.level),
            Some(file) => Log::to_file(file, config.level),
        };
        let access = match (file(LogKind::Access)?, &config.access) {
            (Some(file), _) => Some(AccessLog::to_file(file, config.access_format.clone())),
            (None, Some(_)) => Some(AccessLog::to_stdout(config.access_format.clone())),
            (None, None) => None,
        };
        Ok(Self { log: Arc::new(log), access: access.map(Arc::new) })
    }

    /// Returns the file of a log, if it is one.
    pub(super) fn file(&self, kind: LogKind) -> Option<Arc<File>> {
        match kind {
            LogKind::Program => self.log.file(),
            LogKind::Access => self.access.as_ref()?.file(),
        }
    }

    /// Writes to another file from here on.
    pub(super) fn replace(&self, kind: LogKind, file: File) {
        match (kind, &self.access) {
            (LogKind::Program, _) => self.log.replace(file),
            (LogKind::Access, Some(access)) => access.replace(file),
            (LogKind::Access, None) => {}
        }
    }

    /// Opens the files anew (SIGUSR1). A file that cannot be opened is kept as it is.
    pub(super) fn reopen(&self, config: &ProgramConfig) {
        for kind in LogKind::ALL {
            let Some(path) = kind.path(config) else { continue };
            match open(config, path) {
                Ok(file) => self.replace(kind, file),
                Err(error) => self.complain(kind, &error),
            }
        }
    }

    /// Says that lines go to the old file of a log.
    pub(super) fn complain(&self, kind: LogKind, error: &io::Error) {
        let code = Code::LogNotReopened;
        let text = format_args!("--{} cannot be opened anew: {error}", kind.name());
        self.log.line(code.level(), &code.line(text));
    }
}

/// Opens a file; one that root makes is given to the workers' user.
fn open(config: &ProgramConfig, path: &Path) -> io::Result<File> {
    let (file, made) = Place::find(path)?.append()?;
    match &config.privileges {
        Some(privileges) if made && super::privileges::is_root() => privileges.give(&file)?,
        _ => {}
    }
    Ok(file)
}
