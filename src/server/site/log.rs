//! The program's own log: a line an event, to a file or the standard error.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::current_log;
use super::environ::SiteEnviron;
use super::fault_log::{Fault, FaultLog};
use crate::gateway::Level;
use crate::gateway::escape::push_escaped;
use crate::gateway::logger::ServerLog;
use crate::os::monotonic_us;

/// A log. Lines of several threads and processes do not mix: each is one write.
#[derive(Debug)]
pub(crate) struct Log {
    level: Level,
    out: Out,
    faults: FaultLog,
}

/// The destination of lines: a file that can be opened anew, or a standard stream.
#[derive(Debug)]
pub(super) enum Out {
    Stderr,
    Stdout,
    File(RwLock<Arc<File>>),
}

impl Out {
    pub(super) fn file(file: File) -> Self {
        Self::File(RwLock::new(Arc::new(file)))
    }

    pub(super) fn current(&self) -> Option<Arc<File>> {
        match self {
            Self::File(file) => {
                Some(Arc::clone(&file.read().unwrap_or_else(PoisonError::into_inner)))
            }
            Self::Stderr | Self::Stdout => None,
        }
    }

    pub(super) fn replace(&self, new: File) {
        if let Self::File(file) = self {
            *file.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        }
    }

    /// A log that cannot be written to has nobody to tell.
    pub(super) fn put(&self, line: &[u8]) {
        let _ = match self {
            Self::Stderr => io::stderr().lock().write_all(line),
            Self::Stdout => io::stdout().lock().write_all(line),
            Self::File(file) => {
                let file = Arc::clone(&file.read().unwrap_or_else(PoisonError::into_inner));
                (&*file).write_all(line)
            }
        };
    }
}

impl Log {
    /// Logs to the standard error.
    #[must_use]
    pub(crate) const fn to_stderr(level: Level) -> Self {
        Self { level, out: Out::Stderr, faults: FaultLog::new() }
    }

    /// Logs to a file that is open to add to its end.
    #[must_use]
    pub(crate) fn to_file(file: File, level: Level) -> Self {
        Self { level, out: Out::file(file), faults: FaultLog::new() }
    }

    /// Returns the file, if the log is one.
    #[must_use]
    pub(crate) fn file(&self) -> Option<Arc<File>> {
        self.out.current()
    }

    /// Writes to another file from here on, if the log is a file.
    pub(crate) fn replace(&self, file: File) {
        self.out.replace(file);
    }

    /// Returns whether lines of this level are kept.
    #[must_use]
    pub(crate) fn logs(&self, level: Level) -> bool {
        level <= self.level
    }

    /// Logs a line of the process's own.
    pub(crate) fn line(&self, level: Level, message: &str) {
        if self.logs(level) {
            self.put(level, message, b"");
        }
    }

    /// Logs a line about a peer, unless there were too many like it within the minute.
    pub(crate) fn fault(&self, fault: Fault, level: Level, message: impl FnOnce() -> String) {
        if !self.logs(level) {
            return;
        }
        let Some(note) = self.faults.count(fault, monotonic_us()) else { return };
        self.put(level, &fault.code().line(format_args!("{}{note}", message())), b"");
    }

    /// A line that belongs to the request of `environ`.
    pub(super) fn of_request(&self, level: Level, message: &str, environ: &SiteEnviron<'_>) {
        let mut context = Vec::with_capacity(128);
        current_log::describe(environ.params(), environ.mode(), &mut context);
        self.put(level, message, &context);
    }

    fn put(&self, level: Level, message: &str, context: &[u8]) {
        let mut line = String::with_capacity(message.len() + context.len() + 64);
        line.push('[');
        push_time(&mut line, SystemTime::now());
        let _ = write!(line, "] [{}] [{}] ", name(level), std::process::id());
        push_escaped(&mut line, message.as_bytes());
        if !context.is_empty() {
            line.push_str(" (");
            push_escaped(&mut line, context);
            line.push(')');
        }
        line.push('\n');
        self.out.put(line.as_bytes());
    }
}

/// Returns the level of this name.
///
/// # Errors
///
/// The text is not allowed; the error says what is.
pub(crate) fn parse_level(name: &str) -> Result<Level, String> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "error" => Level::Error,
        "warn" => Level::Warn,
        "info" => Level::Info,
        "debug" => Level::Debug,
        "trace" => Level::Trace,
        _ => return Err("expected error, warn, info, debug or trace".into()),
    })
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// `2026-11-22T17:42:16.123456Z`.
pub(super) fn push_time(line: &mut String, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let [year, month, day, hour, minute, second] = civil(since.as_secs());
    let _ = write!(
        line,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z",
        since.subsec_micros()
    );
}

/// Year, month, day, hour, minute and second in UTC (H. Hinnant's days-from-civil, turned round).
pub(super) fn civil(seconds: u64) -> [u64; 6] {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    [year, month, day, second / 3600, second / 60 % 60, second % 60]
}

/// The log for lines of the calling thread, which may work on a request.
pub(crate) struct ThreadLog(pub(crate) Arc<Log>);

impl ServerLog for ThreadLog {
    fn keeps(&self, level: Level) -> bool {
        self.0.logs(level)
    }

    fn last_level(&self) -> Level {
        self.0.level
    }

    fn line(&self, level: Level, text: &str) {
        if self.0.logs(level) && !current_log::log_here(level, text) {
            current_log::with(|context| self.0.put(level, text, context));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (4_102_444_799, "2099-12-31T23:59:59.000000Z"),
        ] {
            let mut line = String::new();
            push_time(&mut line, UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn a_file_is_replaced() {
        let folder = std::env::temp_dir().join(format!("mod_rust-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (path, moved) = (folder.join("a.log"), folder.join("a.log.1"));
        let open = || File::options().create(true).append(true).open(&path).unwrap();
        let log = Log::to_file(open(), Level::Info);
        log.line(Level::Info, "one");
        log.line(Level::Debug, "not this");
        std::fs::rename(&path, &moved).unwrap();
        log.line(Level::Warn, "two");
        log.replace(open());
        log.line(Level::Error, "three");
        let read = |path| std::fs::read_to_string(path).unwrap();
        let (old, new) = (read(&moved), read(&path));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(old.lines().count() == 2 && old.contains("[info]") && old.ends_with("two\n"));
        assert!(new.lines().count() == 1 && new.ends_with("three\n"), "{new}");
    }

    #[test]
    fn levels_have_names() {
        for level in ["error", "WARN", "info", "debug", "trace"] {
            assert_eq!(name(parse_level(level).unwrap()), level.to_lowercase());
        }
        assert!(parse_level("loud").is_err());
    }
}
