//! The options of one mount of the probe.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

/// The options of the probe, set by `RustAppOption` and its like. `/config` shows them.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Options {
    /// The directory that `/file` serves from; without it there is no file to serve.
    pub root: Option<Directory>,
    /// Whether `/exit`, `/abort` and `/segv` do what they say.
    pub allow_crash: bool,
    /// Anything: to see with `/config` which of several values reached this mount.
    pub note: String,
}

/// A directory that was there when the options were read.
#[derive(Debug, Deserialize)]
#[serde(try_from = "PathBuf")]
pub struct Directory {
    given: PathBuf,
    real: PathBuf,
}

impl Directory {
    /// Its path without symbolic links and dots.
    #[must_use]
    pub fn real(&self) -> &Path {
        &self.real
    }
}

impl TryFrom<PathBuf> for Directory {
    type Error = String;

    fn try_from(given: PathBuf) -> Result<Self, String> {
        if !given.is_absolute() {
            return Err("expected the absolute path of a directory".into());
        }
        match given.canonicalize() {
            Ok(real) if real.is_dir() => Ok(Self { given, real }),
            Ok(_) => Err("expected a directory, but it is something else".into()),
            Err(error) => Err(format!("expected a directory: {error}")),
        }
    }
}

impl Serialize for Directory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.given.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Options, String> {
        let options: mod_rust::gateway::Options = pairs.iter().copied().collect();
        options.read().map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_needed() {
        let options = read(&[]).unwrap();
        assert!(options.root.is_none() && !options.allow_crash && options.note.is_empty());
    }

    #[test]
    fn says_what_is_wrong_with_root() {
        for (root, expected) in [
            ("here", "option \"root\": value \"here\": expected the absolute path of a directory"),
            (
                "/dev/null",
                "option \"root\": value \"/dev/null\": expected a directory, but it is something \
                 else",
            ),
        ] {
            assert_eq!(read(&[("root", root)]).unwrap_err(), expected);
        }
        let missing = read(&[("root", "/no/such")]).unwrap_err();
        assert!(missing.contains("expected a directory: No such file"), "{missing}");
    }

    #[test]
    fn says_which_options_there_are() {
        assert_eq!(
            read(&[("rot", "/")]).unwrap_err(),
            "option \"rot\" is unknown; allowed are root, allow-crash, note"
        );
    }
}
