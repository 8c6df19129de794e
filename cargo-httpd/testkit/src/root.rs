//! The throwaway server root: a folder that the unprivileged children can read.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

/// A temporary folder with `htdocs` and `run` in it, removed when dropped.
#[derive(Debug)]
pub(crate) struct Root(TempDir);

impl Root {
    pub(crate) fn create() -> io::Result<Self> {
        let base = base()?;
        let folder = tempfile::Builder::new().prefix("httpd-").tempdir_in(base)?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let root = Self(folder);
        root.folder(Path::new("htdocs"))?;
        root.folder(Path::new("run"))?;
        Ok(root)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file below the root, whatever the umask, and the folders to it.
    pub(crate) fn write(&self, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        let path = Path::new(path);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            let message = format!("{} is not a relative path below the root", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.folder(path.parent().unwrap_or(Path::new("")))?;
        let file = self.path().join(path);
        fs::write(&file, bytes)?;
        fs::set_permissions(&file, Permissions::from_mode(mode))
    }

    /// Makes a folder that everybody may write to.
    pub(crate) fn scratch(&self, name: &str) -> io::Result<()> {
        let folder = self.path().join(name);
        fs::create_dir(&folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o1777))
    }

    /// Leaves the folder where it is, and returns its path.
    pub(crate) fn keep(&mut self) -> PathBuf {
        self.0.disable_cleanup(true);
        self.path().to_owned()
    }

    fn folder(&self, relative: &Path) -> io::Result<()> {
        let mut folder = self.path().to_owned();
        for part in relative.components() {
            folder.push(part);
            if !folder.is_dir() {
                fs::create_dir(&folder)?;
                fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
            }
        }
        Ok(())
    }
}

/// True when httpd drops its privileges: the files are then read by another user.
pub(crate) fn is_privileged() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the folder for temporary files, or `/tmp` where `TMPDIR` is closed to httpd's user.
fn base() -> io::Result<PathBuf> {
    let wanted = std::env::temp_dir();
    if !is_privileged() {
        return Ok(wanted);
    }
    let candidates = [wanted.clone(), "/tmp".into(), "/var/tmp".into()];
    candidates.into_iter().find(|folder| is_open_to_all(folder)).ok_or_else(|| {
        let message = format!(
            "httpd's user may not enter {}, /tmp or /var/tmp: set TMPDIR to a folder that all may \
             enter",
            wanted.display()
        );
        io::Error::new(io::ErrorKind::PermissionDenied, message)
    })
}

/// True if any user may enter `folder`.
pub(crate) fn is_open_to_all(folder: &Path) -> bool {
    folder.canonicalize().is_ok_and(|folder| {
        folder.ancestors().all(|part| fs::metadata(part).is_ok_and(|meta| meta.mode() & 0o001 != 0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_readable_and_below_the_root() {
        let root = Root::create().unwrap();
        root.write("htdocs/a/b.txt", b"x", 0o644).unwrap();
        let mode = |path| fs::metadata(root.path().join(path)).unwrap().mode() & 0o777;
        assert_eq!((mode("htdocs/a/b.txt"), mode("htdocs/a"), mode("")), (0o644, 0o755, 0o755));
        for path in ["/etc/x", "../x", "htdocs/../../x"] {
            let error = root.write(path, b"x", 0o644).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
    }

    #[test]
    fn a_kept_root_stays() {
        let mut root = Root::create().unwrap();
        let path = root.keep();
        drop(root);
        assert!(path.is_dir());
        fs::remove_dir_all(path).unwrap();
    }
}
