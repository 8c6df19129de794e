//! The file with the master's process id.

use std::path::{Path, PathBuf};
use std::{fs, io, process};

/// It is removed when this is dropped, if it is still the master's own.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    text: String,
}

impl PidFile {
    /// Writes it, whole or not at all.
    ///
    /// # Errors
    ///
    /// When it cannot be written, with its path.
    pub(super) fn write(path: &Path) -> io::Result<Self> {
        let text = format!("{}\n", process::id());
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", process::id()));
        let beside = PathBuf::from(beside);
        let written = fs::write(&beside, &text).and_then(|()| fs::rename(&beside, path));
        if let Err(error) = written {
            let _ = fs::remove_file(&beside);
            let text = format!("--pid-file {}: {error}", path.display());
            return Err(io::Error::new(error.kind(), text));
        }
        Ok(Self { path: path.to_owned(), text })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
