//! Files that are written and removed together, or not at all.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::progress::say;

/// A change of some files, each of them once. Dropped before [`Change::keep`], it is taken back.
#[derive(Debug, Default)]
pub(crate) struct Change {
    done: Vec<Done>,
}

#[derive(Debug)]
struct Done {
    path: PathBuf,
    /// The place of the file that was there before, if there was one.
    before: Option<PathBuf>,
}

impl Change {
    /// Writes a file, which appears in one step. What a running httpd has mapped of the one before
    /// stays as it was.
    pub(crate) fn put(&mut self, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        let draft = beside(path, "new");
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            fs::write(&draft, bytes)?;
            fs::set_permissions(&draft, fs::Permissions::from_mode(mode))
        };
        write().with_context(|| format!("{} cannot be written", draft.display()))?;
        let before = self.set_aside(path)?;
        self.done.push(Done { path: path.to_owned(), before });
        fs::rename(&draft, path).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&mut self, path: &Path) -> Result<()> {
        if let Some(before) = self.set_aside(path)? {
            self.done.push(Done { path: path.to_owned(), before: Some(before) });
            fs::remove_file(path)
                .with_context(|| format!("{} cannot be removed", path.display()))?;
        }
        Ok(())
    }

    /// Moves a file.
    pub(super) fn move_to(&mut self, path: &Path, to: &Path) -> Result<()> {
        let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        self.put(to, &bytes, 0o644)?;
        self.remove(path)
    }

    /// Makes the change final.
    pub(crate) fn keep(mut self) -> Result<()> {
        for done in std::mem::take(&mut self.done) {
            if let Some(before) = done.before {
                fs::remove_file(&before)
                    .with_context(|| format!("{} cannot be removed", before.display()))?;
            }
        }
        Ok(())
    }

    /// Returns a second name for the file at `path`, if there is one. It stays where it is, so that
    /// whoever reads it now finds the old one or the new one.
    fn set_aside(&self, path: &Path) -> Result<Option<PathBuf>> {
        let before = beside(path, "old");
        match fs::hard_link(path, &before) {
            Ok(()) => Ok(Some(before)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("{} cannot be kept aside", path.display()))
            }
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        for done in self.done.drain(..).rev() {
            let undone = match &done.before {
                // Of two names for one file rename leaves both.
                Some(before) => fs::rename(before, &done.path).and_then(|()| gone(before)),
                None => gone(&done.path),
            };
            if let Err(error) = undone {
                let path = done.path.display();
                say(&format!("warning: {path} cannot be put back as it was: {error}"));
            }
        }
    }
}

fn gone(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns a name beside `path` that no pattern of a configuration reads.
fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{what}-{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("cargo-httpd-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn files(folder: &Path) -> Vec<(String, String)> {
        let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn change(folder: &Path) -> Change {
        let mut change = Change::default();
        change.put(&folder.join("new"), b"new", 0o644).unwrap();
        change.put(&folder.join("old"), b"changed", 0o644).unwrap();
        change.remove(&folder.join("gone")).unwrap();
        change.remove(&folder.join("never there")).unwrap();
        change.move_to(&folder.join("moved"), &folder.join("elsewhere")).unwrap();
        change
    }

    #[test]
    fn all_or_nothing() {
        let folder = folder("change");
        let made = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        for name in ["old", "gone", "moved"] {
            fs::write(folder.join(name), name).unwrap();
        }
        let before = files(&folder);
        drop(change(&folder));
        assert_eq!(files(&folder), before);
        change(&folder).keep().unwrap();
        let after = [made("elsewhere", "moved"), made("new", "new"), made("old", "changed")];
        assert_eq!(files(&folder), after);
        fs::remove_dir_all(folder).unwrap();
    }
}
