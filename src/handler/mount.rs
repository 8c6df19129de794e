//! Mount points: which URLs an application answers without a file behind them.

use std::ffi::CStr;

use super::instance::{Instance, NamedApplication};
use super::selection::Selection;
use crate::httpd::{Pattern, PoolRef};

/// One `RustAppAlias` or `RustAppAliasMatch`.
pub(super) struct AliasMount {
    pub(super) at: At,
    /// The application, or `None` when it is another module's.
    pub(super) application: Option<PoolRef<NamedApplication>>,
    /// The text in place of a file name: `rust:` and the application.
    pub(super) file: PoolRef<CStr>,
    /// The process group that the alias chooses, if any.
    pub(super) process_group: Option<Selection>,
    /// The application as built for the options that hold where nothing else is said.
    pub(super) usual: Instance,
}

/// The place of a mount.
pub(super) enum At {
    /// A path without a slash at its end; empty for `/`.
    Path(String),
    /// A regular expression.
    Pattern(Pattern),
}

impl AliasMount {
    /// Returns PATH_INFO, the end of `path`, if this mount answers it.
    pub(super) fn matches<'r>(&self, path: &'r CStr) -> Option<&'r CStr> {
        let bytes = path.to_bytes();
        let start = match &self.at {
            At::Path(prefix) => {
                let rest = bytes.strip_prefix(prefix.as_bytes())?;
                (rest.is_empty() || rest[0] == b'/').then_some(prefix.len())?
            }
            At::Pattern(pattern) => path_info(bytes, pattern.find(path)?),
        };
        Some(&path[start..])
    }

    /// Returns the path of the mount point, if it does not depend on the request.
    pub(super) fn path(&self) -> Option<&str> {
        match &self.at {
            At::Path(path) => Some(path),
            At::Pattern(_) => None,
        }
    }
}

/// Returns the offset of PATH_INFO after a regular expression matched `found`. That is the end of
/// the match if the match starts with the path and ends with a segment; otherwise SCRIPT_NAME is
/// the whole path.
fn path_info(path: &[u8], found: (usize, usize)) -> usize {
    let (start, mut end) = found;
    while end > 0 && path[..end].ends_with(b"/") {
        end -= 1;
    }
    if start == 0 && path.get(end).is_none_or(|&next| next == b'/') { end } else { path.len() }
}

#[cfg(test)]
mod tests {
    use super::path_info;

    #[test]
    fn patterns_leave_whole_segments() {
        for (path, found, expected) in [
            ("/", (0, 1), 0),
            ("/api/v1/x", (0, 7), 7),
            ("/api/v1/x", (0, 8), 7),
            ("/api/v1", (0, 7), 7),
            ("/api/v10", (0, 7), 8),
            ("/x/y.rs", (4, 7), 7),
        ] {
            assert_eq!(path_info(path.as_bytes(), found), expected, "{path} {found:?}");
        }
    }
}
