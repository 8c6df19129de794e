//! The folders of the sources, and those that the benchmark may write to.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::rivals::Rivals;

/// A longer path leaves no room for a Unix socket's name, which may have 107 bytes in all.
const LONGEST_SCRATCH: usize = 64;

/// The checkout of mod_rust that the benchmark measures.
pub(crate) struct Checkout {
    root: PathBuf,
    target: PathBuf,
    scratch: PathBuf,
    temporary: bool,
}

impl Checkout {
    /// Finds the workspace that this program was built from, and makes the scratch folders.
    ///
    /// # Errors
    /// Fails when cargo does not describe the workspace, or a scratch folder cannot be made.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let root = root.context("the benchmark's package has no folder two levels up")?.to_owned();
        let target = target_folder(&root)?;
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

    /// Returns the workspace's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the rivals from PyPI, installed or not.
    pub(crate) fn rivals(&self) -> Rivals {
        Rivals::below(&self.target)
    }

    /// Returns the default file of the results.
    pub(crate) fn default_json(&self) -> PathBuf {
        self.target.join("httpd/bench.json")
    }

    /// Returns the folder in which servers run and products are built. httpd's children can read
    /// it.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// True if the scratch folder is outside the target folder.
    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if self.temporary {
            // The rest of a temporary folder does no harm.
            let _ = std::fs::remove_dir_all(&self.scratch);
        }
    }
}

/// Returns the folder that cargo builds in.
fn target_folder(root: &Path) -> Result<PathBuf> {
    let mut command = cargo();
    command.current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = command.output().context("cargo does not run")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let target = metadata["target_directory"].as_str();
    Ok(target.context("cargo metadata: no target folder in its answer")?.into())
}

/// Returns a command that runs the cargo that built this program.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// True if this process is root: then httpd's children run as another user.
pub(crate) fn is_root() -> bool {
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
