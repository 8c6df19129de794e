//! Which application answers which path.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;

use crate::gateway::{Application, Error, Result};

/// An application at a URL path.
#[derive(Clone)]
pub(crate) struct Mount {
    /// The path without a slash at its end: empty for `/`.
    pub path: String,
    /// The application's name.
    pub name: Arc<str>,
    /// The application.
    pub application: Arc<dyn Application>,
}

/// The mount that a path belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Mounted<'m> {
    /// The application.
    pub application: &'m dyn Application,
    /// Its name.
    pub name: &'m str,
    /// The length of the mount point in the path.
    pub length: usize,
}

/// All mounts of a process.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    /// The longest first.
    all: Vec<Mount>,
}

impl Mounts {
    /// Makes a table of these; of two at the same path the later one counts.
    #[must_use]
    pub(crate) fn new(mounts: impl IntoIterator<Item = Mount>) -> Self {
        let mut all: Vec<Mount> = Vec::new();
        for mut mount in mounts {
            mount.path.truncate(mount.path.trim_end_matches('/').len());
            all.retain(|known| known.path != mount.path);
            all.push(mount);
        }
        all.sort_by_key(|mount| std::cmp::Reverse(mount.path.len()));
        Self { all }
    }

    /// Returns each application once.
    #[must_use]
    pub(crate) fn applications(&self) -> Vec<Arc<dyn Application>> {
        let mut applications: Vec<Arc<dyn Application>> = Vec::new();
        for mount in &self.all {
            if !applications.iter().any(|known| Arc::ptr_eq(known, &mount.application)) {
                applications.push(Arc::clone(&mount.application));
            }
        }
        applications
    }

    /// Returns the application at the longest mount that is a prefix of `path` up to a slash or its
    /// end.
    #[must_use]
    pub(crate) fn find(&self, path: &[u8]) -> Option<Mounted<'_>> {
        let mount = self.all.iter().find(|mount| {
            let rest = path.strip_prefix(mount.path.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || mount.path.is_empty())
        })?;
        Some(Mounted {
            application: &*mount.application,
            name: &mount.name,
            length: mount.path.len(),
        })
    }
}

/// Stands where no application is mounted.
pub(super) const NOBODY: Mounted<'static> =
    Mounted { application: &NotMounted, name: "", length: 0 };

struct NotMounted;

impl Application for NotMounted {
    fn call<'x>(
        &self,
        _environ: crate::Environ<'x>,
        _start_response: crate::StartResponse<'x>,
    ) -> Result<crate::Body<'x>> {
        Err(Error::with_status(StatusCode::NOT_FOUND, "nothing is mounted here"))
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mount").field("path", &self.path).field("name", &self.name).finish()
    }
}

impl fmt::Debug for Mounted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted")
            .field("name", &self.name)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::app_fn;

    fn mounts(paths: &[(&str, &str)]) -> Mounts {
        Mounts::new(paths.iter().map(|&(path, name)| Mount {
            path: path.into(),
            name: name.into(),
            application: Arc::new(app_fn(|_, _| Ok(crate::Body::empty()))),
        }))
    }

    #[test]
    fn the_longest_at_a_segment_border() {
        let mounts = mounts(&[("/", "root"), ("/a", "a"), ("/a/b/", "ab"), ("/a", "again")]);
        for (path, name, length) in [
            ("/", "root", 0),
            ("", "root", 0),
            ("*", "root", 0),
            ("/ab", "root", 0),
            ("/a", "again", 2),
            ("/a/", "again", 2),
            ("/a/bc", "again", 2),
            ("/a/b", "ab", 4),
            ("/a/b/c", "ab", 4),
        ] {
            let found = mounts.find(path.as_bytes()).unwrap();
            assert_eq!((found.name, found.length), (name, length), "{path}");
        }
    }

    #[test]
    fn nothing_at_other_paths() {
        let mounts = mounts(&[("/a", "a")]);
        assert!(mounts.find(b"/").is_none());
        assert!(mounts.find(b"/b").is_none());
    }
}
