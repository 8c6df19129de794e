//! The places of options: the command line, before the environment, before the configuration file,
//! before the program's code.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use super::config_file::{self, place};
use super::gateway::Gateway;

/// The variable with options that are weaker than the command line's. Web servers that start a
/// program without arguments need it, and CGI, whose command line a client may have made.
pub(super) const OPTIONS_VARIABLE: &str = "MOD_RUST_OPTIONS";

/// The words of each place.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    /// The program's name first.
    line: Vec<OsString>,
    variable: Vec<OsString>,
    file: Option<(PathBuf, Vec<config_file::Line>)>,
    code: Vec<OsString>,
}

impl Sources {
    /// Collects them; `line` has the program's name first.
    ///
    /// # Errors
    ///
    /// The environment's words cannot be split, or the file cannot be read.
    pub(super) fn collect(
        gateway: &Gateway,
        command: &mut Command,
        line: Vec<OsString>,
        variable: Option<OsString>,
    ) -> Result<Self, clap::Error> {
        let code = gateway.defaults.iter().map(|(name, value)| match &value[..] {
            "" => format!("--{name}").into(),
            value => format!("--{name}={value}").into(),
        });
        let mut sources = Self { line, code: code.collect(), ..Self::default() };
        if let Some(text) = variable {
            let text = text.into_string().map_err(|_| "it is not UTF-8");
            let split =
                |text: String| shlex::split(&text).ok_or("a quote or a backslash is not closed");
            let words = text
                .and_then(split)
                .map_err(|error| wrong(command, format!("{OPTIONS_VARIABLE}: {error}")))?;
            sources.variable = words.into_iter().map(OsString::from).collect();
        }
        let path = sources.parse(command)?.one::<PathBuf>("config").cloned();
        if let Some(path) = path {
            let lines = config_file::read(&path).map_err(|error| wrong(command, error))?;
            sources.file = Some((path, lines));
        }
        Ok(sources)
    }

    /// Reads the options.
    ///
    /// # Errors
    ///
    /// An option is not known, or its value is not allowed. Also the texts of `--help` and
    /// `--version`.
    pub(super) fn parse(&self, command: &mut Command) -> Result<Found, clap::Error> {
        let name = self.line.first().cloned().unwrap_or_else(|| command.get_name().into());
        let mut read = |words: &[OsString]| {
            command.try_get_matches_from_mut(std::iter::once(&name).chain(words))
        };
        let code = read(&self.code);
        let file: Vec<OsString> = match &self.file {
            Some((_, lines)) => lines.iter().map(|line| line.word().into()).collect(),
            None => Vec::new(),
        };
        Ok(Found {
            line: read(self.line.get(1..).unwrap_or_default())?,
            variable: read(&self.variable)?,
            file: read(&file)?,
            code: code.map_err(|error| of_code(command, &error))?,
        })
    }

    /// Adds the line of the file to an error of `check`, if that line causes it: the first one whose
    /// absence would help.
    pub(super) fn blame<T>(
        &self,
        command: &mut Command,
        error: clap::Error,
        mut check: impl FnMut(&Self, &mut Command) -> Result<T, clap::Error>,
    ) -> clap::Error {
        let Some((path, lines)) = &self.file else { return error };
        let text = error.to_string();
        let mut fails = |count: usize, command: &mut Command| {
            let file = Some((path.clone(), lines[..count].to_vec()));
            let part = Self { file, ..self.clone() };
            check(&part, command).is_err_and(|other| other.to_string() == text)
        };
        if fails(0, command) {
            return error;
        }
        let Some(count) = (1..=lines.len()).find(|&count| fails(count, command)) else {
            return error;
        };
        let text = text.split("\n\n").next().unwrap_or_default();
        let text = text.strip_prefix("error: ").unwrap_or(text);
        wrong(command, place(path, lines[count - 1].number, text))
    }
}

/// Adds to an error that the program's code causes it.
fn of_code(command: &mut Command, error: &clap::Error) -> clap::Error {
    let text = error.to_string();
    let text = text.split("\n\n").next().unwrap_or_default();
    wrong(command, format!("Gateway::set: {}", text.strip_prefix("error: ").unwrap_or(text)))
}

fn wrong(command: &mut Command, message: impl std::fmt::Display) -> clap::Error {
    command.error(ErrorKind::ValueValidation, message)
}

/// The options of each place.
#[derive(Debug)]
pub(super) struct Found {
    line: ArgMatches,
    variable: ArgMatches,
    file: ArgMatches,
    code: ArgMatches,
}

impl Found {
    /// Returns the value of an option in the strongest place that has it, else its default.
    pub(super) fn one<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Option<&T> {
        let place = self.places().into_iter().find(|place| is_given(place, name));
        place.unwrap_or(&self.line).get_one(name)
    }

    /// Returns the values of an option that may be repeated: the environment's and the command
    /// line's, else the file's, else the code's.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let all = self.outside(|place| values(place, name));
        if all.is_empty() { values(&self.code, name) } else { all }
    }

    /// Returns what `values` finds in the environment and on the command line, else in the file.
    pub(super) fn outside<T>(&self, values: impl Fn(&ArgMatches) -> Vec<T>) -> Vec<T> {
        let mut outside = values(&self.variable);
        outside.extend(values(&self.line));
        if outside.is_empty() { values(&self.file) } else { outside }
    }

    /// Returns the options of the program's code.
    pub(super) const fn code(&self) -> &ArgMatches {
        &self.code
    }

    /// Returns the places, the strongest first.
    const fn places(&self) -> [&ArgMatches; 4] {
        [&self.line, &self.variable, &self.file, &self.code]
    }

    /// Returns the values of an option in all places, the strongest last.
    pub(super) fn every(&self, name: &str) -> Vec<String> {
        self.places().into_iter().rev().flat_map(|place| values(place, name)).collect()
    }

    /// Returns whether any place has an option.
    #[cfg(feature = "http-server")]
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.places().into_iter().any(|place| is_given(place, name))
    }

    /// Returns whether a flag is set.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.places().into_iter().any(|place| place.get_flag(name))
    }
}

fn is_given(place: &ArgMatches, name: &str) -> bool {
    place.value_source(name) == Some(ValueSource::CommandLine)
}

fn values(place: &ArgMatches, name: &str) -> Vec<String> {
    place.get_many::<String>(name).into_iter().flatten().cloned().collect()
}
