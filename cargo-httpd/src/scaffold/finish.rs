//! The last touches of a project, for which other programs are asked: rustfmt, cargo, git.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::cargo;
use crate::progress::say;

/// Formats the packages in `folder` and completes its Cargo.lock.
///
/// Without rustfmt long lines stay, and without a network the first build completes Cargo.lock.
pub(crate) fn tidy(folder: &Path, format: &[&str]) {
    // Names of other lengths than the templates' wrap elsewhere.
    succeeds(cargo::args(cargo::command(), format), folder);
    // Builds with --locked need it.
    if !succeeds(cargo::args(cargo::command(), ["update", "--workspace"]), folder) {
        say("Cargo.lock is not complete yet: the first build completes it");
    }
}

/// Makes `folder` a git repository, as `cargo new` does, unless it lies in one that does not
/// ignore it.
pub(crate) fn init_git(folder: &Path) {
    let git = |args: &[&str]| cargo::args(Command::new("git"), args);
    let is_inside = succeeds(git(&["rev-parse", "--is-inside-work-tree"]), folder);
    if !is_inside || succeeds(git(&["check-ignore", "--quiet", "."]), folder) {
        succeeds(git(&["init", "--quiet"]), folder);
    }
}

fn succeeds(mut command: Command, folder: &Path) -> bool {
    let command = command.current_dir(folder).stdin(Stdio::null());
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
