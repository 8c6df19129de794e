//! The steps of `cargo httpd test`: calls of cargo, each with its name, its time, and the line that
//! repeats it; and the count of tests, since a run without a test proves nothing.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::beside::{Beside, Ran};
use crate::cargo;
use crate::progress::{self, Progress};

/// One call of cargo.
pub(crate) struct Step {
    name: &'static str,
    args: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
    counts_tests: bool,
    builds: Option<Vec<OsString>>,
}

/// The number of tests that ran, over all steps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    runs_tests: bool,
}

impl Step {
    pub(crate) fn new<S: Into<OsString>>(
        name: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { name, args, env: Vec::new(), counts_tests: false, builds: None }
    }

    /// A step that runs test programs, whose results are counted.
    pub(crate) fn tests<S: Into<OsString>>(
        name: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        Self { counts_tests: true, ..Self::new(name, args) }
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Names the call of cargo that builds what this step builds, and runs nothing.
    pub(crate) fn built_by<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.builds = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Says that the step itself runs nothing: cargo does not repeat what it has done.
    pub(crate) fn only_builds(self) -> Self {
        let args = self.args.clone();
        self.built_by(args)
    }

    /// Returns that call, with the environment of the step.
    pub(crate) fn builds(&self) -> Option<Command> {
        let mut command = cargo::args(cargo::command(), self.builds.as_ref()?);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        Some(command)
    }

    /// Starts it in `root`, to run beside other steps.
    ///
    /// # Errors
    /// Fails when cargo does not run.
    pub(crate) fn start(&self, root: &Path) -> Result<Beside> {
        let mut command = self.command();
        command.envs(self.env.iter().map(|(name, value)| (name, value))).current_dir(root);
        // Slower than the others, but not by much: its servers have to answer in time.
        Beside::start(cargo::nice(&command, 5)).context("cargo does not run")
    }

    /// Waits for what [`Step::start`] has started, and shows what it said.
    ///
    /// # Errors
    /// Fails when it failed: with its name, and the line that repeats it.
    pub(crate) fn finish(
        &self,
        beside: Beside,
        progress: &Progress,
        tally: &mut Tally,
    ) -> Result<()> {
        let step = progress.hand_over(&format!("{}: {}", self.name, self.shown()));
        let Ran { success, output } = beside.finish().context("cargo does not run")?;
        std::io::stdout().write_all(&output)?;
        if self.counts_tests {
            tally.runs_tests = true;
            String::from_utf8_lossy(&output).lines().for_each(|line| tally.count(line));
        }
        self.ended(success, step)
    }

    #[cfg(test)]
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the line to type for this step.
    pub(crate) fn shown(&self) -> String {
        let env = self
            .env
            .iter()
            .map(|(name, value)| format!("{name}={} ", cargo::quoted(&value.to_string_lossy())));
        env.collect::<String>() + &cargo::shown(&self.command())
    }

    /// Runs it in `root`.
    ///
    /// # Errors
    /// Fails when it fails: with its name, and the line that repeats it.
    pub(crate) fn run(&self, root: &Path, progress: &Progress, tally: &mut Tally) -> Result<()> {
        let step = progress.hand_over(&format!("{}: {}", self.name, self.shown()));
        let mut command = self.command();
        command.envs(self.env.iter().map(|(name, value)| (name, value))).current_dir(root);
        command.stdin(Stdio::null());
        let success = if self.counts_tests {
            tally.runs_tests = true;
            counted(&mut command, tally, &mut std::io::stdout())
        } else {
            command.status().map(|status| status.success())
        };
        self.ended(success.context("cargo does not run")?, step)
    }

    fn ended(&self, success: bool, step: progress::Step) -> Result<()> {
        if !success {
            bail!(self.failure());
        }
        step.done(&format!("{}: passed", self.name));
        Ok(())
    }

    fn failure(&self) -> String {
        format!("step `{}` failed; repeat it with `{}`", self.name, self.shown())
    }

    fn command(&self) -> Command {
        cargo::args(cargo::command(), &self.args)
    }
}

impl Tally {
    /// Returns the number of tests that ran, in one line.
    ///
    /// # Errors
    /// Fails when none did.
    pub(crate) fn summary(&self) -> Result<String> {
        if self.runs_tests && self.passed == 0 {
            bail!("no test ran; give a filter that fits one, or none");
        }
        let Self { passed, failed, ignored, .. } = self;
        Ok(format!("{passed} passed, {failed} failed, {ignored} skipped"))
    }

    /// Counts a line of a test program's output, if it is its last one.
    fn count(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        let Some((_, counts)) = rest.split_once(". ") else { return };
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// Runs test programs, passes on to `out` what they print as it comes, and counts.
fn counted(
    command: &mut Command,
    tally: &mut Tally,
    out: &mut impl Write,
) -> std::io::Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            out.write_all(&line)?;
            out.flush()?;
            tally.count(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up() {
        let mut tally = Tally { runs_tests: true, ..Tally::default() };
        for line in [
            "running 2 tests",
            "test a ... ok",
            "test result: ok. 21 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1.00s",
            "test result: none of libtest's",
        ] {
            tally.count(line);
        }
        assert_eq!(tally.summary().unwrap(), "25 passed, 1 failed, 3 skipped");
    }

    #[test]
    fn no_test_at_all_is_an_error() {
        let mut tally = Tally { runs_tests: true, ..Tally::default() };
        tally
            .count("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; x");
        assert!(tally.summary().is_err());
    }

    #[test]
    fn a_failing_step_names_the_command_to_repeat() {
        let step = Step::new("nonsense", ["no-such-command"]).env("X", "a b");
        assert_eq!(
            step.failure(),
            "step `nonsense` failed; repeat it with `X='a b' cargo no-such-command`"
        );
    }

    #[test]
    fn a_step_that_succeeds_and_has_no_tests_counts_none() {
        let mut tally = Tally::default();
        let step = Step::new("version", ["--version", "--quiet"]);
        step.run(Path::new("/"), &Progress::new(1), &mut tally).unwrap();
        assert_eq!(tally, Tally::default());
    }

    #[test]
    fn counted_output_is_counted() {
        let mut tally = Tally::default();
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'test result: ok. 7 passed; 0 failed; 0 ignored'; exit 3"]);
        let mut out = Vec::new();
        assert!(!counted(&mut command, &mut tally, &mut out).unwrap());
        assert_eq!(tally.passed, 7);
        assert_eq!(out, b"test result: ok. 7 passed; 0 failed; 0 ignored\n");
    }
}
