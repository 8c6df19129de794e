//! Where the sources are, and where the benchmark may write.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::rivals::Rivals;
use crate::project::Project;

/// A longer path leaves no room for a Unix socket's name, which may have 107 bytes in all.
const LONGEST_SCRATCH: usize = 64;

/// The checkout of mod_rust that the tool runs in.
pub(super) struct Checkout {
    root: PathBuf,
    target: PathBuf,
    scratch: PathBuf,
    temporary: bool,
}

impl Checkout {
    /// The workspace around the current folder.
    ///
    /// # Errors
    /// When it is not mod_rust's, or the scratch folder cannot be made.
    pub(super) fn find() -> Result<Self> {
        let project = Project::load()
            .context("cargo httpd bench measures mod_rust itself: run it in a checkout of it")?;
        let (root, target) = (project.root, project.target_dir);
        if !root.join("benches/c_handler").is_dir() {
            bail!(
                "cargo httpd bench measures mod_rust itself: run it in a checkout of it, not in `{}`",
                root.display()
            );
        }
        let wanted = target.join("httpd/bench");
        std::fs::create_dir_all(&wanted)
            .with_context(|| format!("cannot make `{}`", wanted.display()))?;
        let temporary = !suits(&wanted);
        let scratch = if temporary { temporary_folder()? } else { wanted };
        let checkout = Self { root, target, scratch, temporary };
        for folder in ["build", "run", "count"] {
            let folder = checkout.scratch.join(folder);
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make `{}`", folder.display()))?;
        }
        Ok(checkout)
    }

    /// The workspace's root.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What comes from PyPI, installed or not.
    pub(super) fn rivals(&self) -> Rivals {
        Rivals::below(&self.target)
    }

    /// Where the results go unless the command line says otherwise.
    pub(super) fn default_json(&self) -> PathBuf {
        self.target.join("httpd/bench.json")
    }

    /// Where servers run and products are built. httpd's children can read it.
    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// True if the scratch folder is outside the target folder.
    pub(super) fn is_temporary(&self) -> bool {
        self.temporary
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if self.temporary {
            // What is left of a temporary folder does no harm.
            let _ = std::fs::remove_dir_all(&self.scratch);
        }
    }
}

/// True if this process is root: then httpd's children run as another user.
pub(super) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// True if sockets fit into the folder and httpd's children can reach it.
fn suits(folder: &Path) -> bool {
    let reachable = |folder: &Path| {
        folder.metadata().is_ok_and(|meta| !is_root() || meta.permissions().mode() & 0o001 != 0)
    };
    folder.as_os_str().len() <= LONGEST_SCRATCH && folder.ancestors().all(reachable)
}

fn temporary_folder() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("mod_rust-bench-{}", std::process::id()));
    // Not create_dir_all: a folder that somebody else made is none of ours.
    std::fs::create_dir(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_does_not_suit() {
        assert!(suits(Path::new("/")));
        assert!(!suits(Path::new(&format!("/{}", "x".repeat(LONGEST_SCRATCH)))));
    }
}
