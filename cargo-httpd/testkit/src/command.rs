//! Runs a program to its end, within a deadline: httpd's own checks, openssl, curl, nghttp.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use crate::wait;

/// The output of a program.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// The exit status; `None` when a signal ended it.
    pub exit: Option<i32>,
    /// The HTTP status of the last response, where curl ran and got one.
    pub status: Option<u16>,
    /// The HTTP version of the last response, as curl says it: `1.1`, `2`.
    pub version: Option<String>,
    /// Standard output: with curl, the body.
    pub stdout: Vec<u8>,
    /// Standard error; bytes that are not UTF-8 replaced.
    pub stderr: String,
}

impl Output {
    /// Standard output as text.
    ///
    /// # Panics
    /// Panics when it is not UTF-8.
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.stdout) {
            Ok(text) => text,
            Err(error) => panic!("the output is not UTF-8 ({error}): {self:?}"),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 2048;
        let shown = &self.stdout[..self.stdout.len().min(SHOWN)];
        writeln!(f, "exit {:?}, status {:?}", self.exit, self.status)?;
        writeln!(f, "{}", String::from_utf8_lossy(shown))?;
        write!(f, "({} bytes)\n{}", self.stdout.len(), self.stderr)
    }
}

/// Runs `command` with no input.
///
/// # Errors
/// Fails when it cannot be started, with the hint that it may not be installed, or does not end in
/// time; then it is killed.
pub(crate) fn run(command: &mut Command, deadline: Duration) -> io::Result<Output> {
    let program = command.get_program().to_os_string();
    // Files and no pipes: nobody need read while the program runs.
    let (out, err) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out.reopen()?)
        .stderr(err.reopen()?)
        .spawn()
        .map_err(|error| not_started(&program, &error))?;
    let end = Instant::now() + deadline;
    let ended = wait::until(end, || child.try_wait().transpose());
    let status = match ended {
        Some(status) => status?,
        None => {
            child.kill()?;
            child.wait()?;
            let stderr = String::from_utf8_lossy(&fs::read(err.path())?).into_owned();
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{command:?} did not end within {deadline:?}; it said: {stderr}"),
            ));
        }
    };
    Ok(Output {
        exit: status.code(),
        status: None,
        version: None,
        stdout: fs::read(out.path())?,
        stderr: String::from_utf8_lossy(&fs::read(err.path())?).into_owned(),
    })
}

/// Runs curl silently, with a time limit of its own, and notes the status of the last response.
pub(crate) fn curl<S: AsRef<OsStr>>(args: &[S], deadline: Duration) -> io::Result<Output> {
    const MARK: &str = "httpd-testkit: ";
    let mut command = Command::new("curl");
    // No .curlrc and no proxy of the user's.
    command.args(["--disable", "--silent", "--show-error", "--noproxy", "*"]);
    command.args(["--max-time", &deadline.as_secs().max(1).to_string()]);
    command
        .arg("--write-out")
        .arg(format!("%{{stderr}}\n{MARK}%{{http_code}} %{{http_version}}\n"));
    let mut output = run(command.args(args), deadline + Duration::from_secs(5))?;
    if let Some(at) = output.stderr.rfind(MARK) {
        let said = output.stderr.split_off(at);
        let mut words = said[MARK.len()..].split_whitespace();
        output.status = words.next().and_then(|code| code.parse().ok()).filter(|&code| code > 0);
        output.version = words.next().filter(|version| *version != "0").map(str::to_owned);
        output.stderr.truncate(output.stderr.trim_end().len());
    }
    Ok(output)
}

fn not_started(program: &OsStr, error: &io::Error) -> io::Error {
    let name = program.to_string_lossy();
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => format!("; install {name}, or put it into PATH"),
        _ => String::new(),
    };
    io::Error::new(error.kind(), format!("cannot run {name}: {error}{remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_a_program_says() {
        let mut command = Command::new("sh");
        let output =
            run(command.args(["-c", "echo a; echo b >&2; exit 3"]), Duration::from_secs(10));
        let output = output.unwrap();
        assert_eq!((output.exit, output.text(), &*output.stderr), (Some(3), "a\n", "b\n"));
    }

    #[test]
    fn kills_what_does_not_end() {
        let mut command = Command::new("sh");
        let script = "echo started >&2; exec tail -f /dev/null";
        let error = run(command.args(["-c", script]), Duration::from_millis(300)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("started"), "{error}");
    }

    #[test]
    fn says_what_is_not_installed() {
        let error = run(&mut Command::new("no-such-program"), Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().contains("install no-such-program"), "{error}");
    }
}
