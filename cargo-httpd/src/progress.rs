//! The progress of a command, on standard error: a spinner on a terminal, plain lines elsewhere.
//!
//! A step that hands the terminal to another program (cargo draws a bar of its own) is begun with
//! [`Progress::hand_over`], every other one with [`Progress::step`].

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The steps of one command, counted.
pub(crate) struct Progress {
    total: usize,
    begun: Cell<usize>,
}

/// One step under way.
pub(crate) struct Step {
    label: String,
    started: Instant,
    spinner: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(total: usize) -> Self {
        Self { total, begun: Cell::new(0) }
    }

    /// Begins a step that prints nothing else.
    pub(crate) fn step(&self, doing: &str) -> Step {
        let label = self.next();
        let started = Instant::now();
        if !std::io::stderr().is_terminal() {
            say(&format!("{label} {doing}"));
            return Step { label, started, spinner: None };
        }
        let mut spinner =
            ProgressBar::new_spinner().with_prefix(label.clone()).with_message(doing.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{prefix} {spinner} {msg} ({elapsed})") {
            spinner = spinner.with_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(120));
        Step { label, started, spinner: Some(spinner) }
    }

    /// Begins a step during which another program writes to the terminal.
    pub(crate) fn hand_over(&self, doing: &str) -> Step {
        let label = self.next();
        say(&format!("{label} {doing}"));
        Step { label, started: Instant::now(), spinner: None }
    }

    fn next(&self) -> String {
        self.begun.set(self.begun.get() + 1);
        format!("[{}/{}]", self.begun.get(), self.total)
    }
}

impl Step {
    /// Says what the step is at.
    pub(crate) fn now(&self, doing: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(doing.to_owned()),
            None => say(&format!("{} {doing}", self.label)),
        }
    }

    /// Says something that changes quickly: shown on a terminal only.
    pub(crate) fn detail(&self, doing: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(doing.to_owned());
        }
    }

    /// Takes the spinner away while `f` talks to the user.
    pub(crate) fn suspend<T>(&self, f: impl FnOnce() -> T) -> T {
        match &self.spinner {
            Some(spinner) => spinner.suspend(f),
            None => f(),
        }
    }

    /// Ends the step with what came of it, and the time that it took.
    pub(crate) fn done(self, result: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
        say(&format!("{} {result} ({})", self.label, seconds(self.started.elapsed())));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// Says something on standard error. A terminal that is gone is no reason to stop: what was begun
/// must still be ended in good order.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Returns a duration for people: `0.3 s`, `75 s`.
pub(crate) fn seconds(time: Duration) -> String {
    if time.as_secs() < 10 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{:.0} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(seconds(Duration::from_millis(340)), "0.3 s");
        assert_eq!(seconds(Duration::from_millis(75_400)), "75 s");
    }

    #[test]
    fn steps_are_counted() {
        let progress = Progress::new(3);
        assert_eq!(progress.next(), "[1/3]");
        assert_eq!(progress.next(), "[2/3]");
    }
}
