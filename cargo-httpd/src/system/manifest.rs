//! The record of an installation: a file of JSON beside httpd's configuration.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The end of the name of a module's predecessor.
pub(super) const PREVIOUS: &str = ".previous";

/// One installation.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Manifest {
    /// The module's name, without `mod_`.
    pub(crate) module: String,
    /// The package that it was built from.
    pub(crate) package: String,
    pub(crate) version: String,
    pub(super) files: Vec<Installed>,
}

/// A file, as it was written.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Installed {
    pub(super) path: PathBuf,
    pub(super) sha256: String,
}

/// The state of an installed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Unchanged,
    Changed,
    Gone,
}

impl Installed {
    pub(super) fn new(path: PathBuf, bytes: &[u8]) -> Self {
        Self { path, sha256: sha256(bytes) }
    }

    pub(super) fn state(&self) -> Result<State> {
        match fs::read(&self.path) {
            Ok(bytes) if sha256(&bytes) == self.sha256 => Ok(State::Unchanged),
            Ok(_) => Ok(State::Changed),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(State::Gone),
            Err(error) => {
                Err(error).with_context(|| format!("{} cannot be read", self.path.display()))
            }
        }
    }
}

impl Manifest {
    /// Reads the manifest of `module` in `folder`, if there is one.
    pub(super) fn read(folder: &Path, module: &str) -> Result<Option<Self>> {
        let file = Self::file(folder, module);
        match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(|| {
                format!("manifest \"{}\": not a record of `cargo httpd install`", file.display())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
        }
    }

    /// All of them, by module.
    pub(super) fn all(folder: &Path) -> Result<Vec<Self>> {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        let mut modules: Vec<_> = entries
            .filter_map(|entry| {
                entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned)
            })
            .collect();
        modules.sort();
        let manifests = modules.iter().map(|module| Self::read(folder, module));
        manifests.filter_map(Result::transpose).collect()
    }

    pub(super) fn file(folder: &Path, module: &str) -> PathBuf {
        folder.join(format!("{module}.json"))
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Returns the state of `file`. A file that was put back by hand, out of its predecessor, counts
    /// as unchanged.
    pub(super) fn state(&self, file: &Installed) -> Result<State> {
        let state = file.state()?;
        match self.of(&with_suffix(&file.path, PREVIOUS)) {
            Some(previous) if state == State::Changed => {
                Installed { path: file.path.clone(), sha256: previous.sha256.clone() }.state()
            }
            _ => Ok(state),
        }
    }

    pub(super) fn of(&self, path: &Path) -> Option<&Installed> {
        self.files.iter().find(|file| file.path == path)
    }
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let folder = std::env::temp_dir().join(format!("cargo-httpd-json-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(Manifest::all(&folder).unwrap(), []);
        let file = folder.join("mod_shop.so");
        fs::write(&file, "module").unwrap();
        let manifest = Manifest {
            module: "shop".into(),
            package: "my-shop".into(),
            version: "0.1.0".into(),
            files: vec![Installed::new(file.clone(), b"module")],
        };
        fs::write(Manifest::file(&folder, "shop"), manifest.bytes().unwrap()).unwrap();
        assert_eq!(Manifest::read(&folder, "shop").unwrap().as_ref(), Some(&manifest));
        assert_eq!(Manifest::read(&folder, "other").unwrap(), None);
        assert_eq!(Manifest::all(&folder).unwrap(), [manifest]);

        let installed = Installed::new(file.clone(), b"module");
        assert_eq!(installed.state().unwrap(), State::Unchanged);
        fs::write(&file, "changed").unwrap();
        assert_eq!(installed.state().unwrap(), State::Changed);
        fs::remove_file(&file).unwrap();
        assert_eq!(installed.state().unwrap(), State::Gone);

        fs::write(Manifest::file(&folder, "shop"), "{}").unwrap();
        assert!(Manifest::all(&folder).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
