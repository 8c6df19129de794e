//! Debian's own programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo;

/// Returns the architecture that packages of this machine have: `amd64`.
pub(super) fn architecture() -> Result<String> {
    let mut command = Command::new("dpkg");
    command.arg("--print-architecture");
    Ok(run(command, "dpkg")?.trim().to_owned())
}

/// Returns the packages with the libraries that a file is linked with, with their versions:
/// `libc6 (>= 2.34), libgcc-s1 (>= 4.2)`.
pub(super) fn libraries(folder: &Path, file: &Path) -> Result<String> {
    // It wants to be called in the tree of a source package.
    let source = folder.join("shlibdeps");
    let debian = source.join("debian");
    fs::create_dir_all(&debian)
        .and_then(|()| {
            fs::write(debian.join("control"), "Source: x\n\nPackage: x\nArchitecture: any\n")
        })
        .with_context(|| format!("{} cannot be written", debian.display()))?;
    let mut command = Command::new("dpkg-shlibdeps");
    // -x: what httpd itself has is said by its magic number.
    command.args(["-O", "--warnings=0", "-xapache2-bin"]).current_dir(&source);
    command.arg(format!("-e{}", file.display()));
    let said = run(command, "dpkg-dev")?;
    fs::remove_dir_all(&source)?;
    Ok(said.trim().strip_prefix("shlibs:Depends=").unwrap_or_default().to_owned())
}

/// Packs `tree`, as owned by root.
pub(super) fn pack(tree: &Path, file: &Path) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "--build"]).arg(tree).arg(file);
    run(command, "dpkg").map(drop)
}

/// Takes from a module or a program what only a debugger reads, as Debian's policy wants it.
pub(super) fn strip(file: &Path) -> Result<()> {
    let mut command = Command::new("strip");
    command.args(["--strip-unneeded", "--remove-section=.comment", "--"]).arg(file);
    run(command, "binutils").map(drop)
}

/// Returns the sums that `debsums` and `dpkg --verify` compare with.
pub(super) fn md5sums(tree: &Path, files: &[PathBuf]) -> Result<String> {
    let mut command = Command::new("md5sum");
    command.arg("--").args(files).current_dir(tree);
    run(command, "coreutils")
}

/// Puts `file.gz` in the place of `file`: without a time, so that a package can be made again.
pub(super) fn compress(file: &Path) -> Result<()> {
    let mut command = Command::new("gzip");
    command.args(["-9", "-n", "--"]).arg(file);
    run(command, "gzip").map(drop)
}

/// Returns the date of a changelog: that of SOURCE_DATE_EPOCH, or now.
pub(super) fn date() -> Result<String> {
    let mut command = Command::new("date");
    command.args(["-u", "-R"]).env("LC_ALL", "C");
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        command.arg(format!("-d@{epoch}"));
    }
    Ok(run(command, "coreutils")?.trim().to_owned())
}

fn run(mut command: Command, package: &str) -> Result<String> {
    let shown = cargo::shown(&command);
    let output = command.stdin(Stdio::null()).output().with_context(|| {
        format!("command `{shown}`: it does not run; install Debian's package {package}")
    })?;
    if !output.status.success() {
        bail!("command `{shown}`: it failed:\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
