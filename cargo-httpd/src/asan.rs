//! AddressSanitizer for modules: the flags that build them with it, and its runtime for an httpd
//! that was built without.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo;

/// Environment variables of a build with AddressSanitizer. `-Z` flags are for nightly compilers;
/// `RUSTC_BOOTSTRAP` has the stable one take them.
pub(crate) const BUILD: [(&str, &str); 2] =
    [("RUSTC_BOOTSTRAP", "1"), ("RUSTFLAGS", "-Zsanitizer=address")];

/// The compiler's target and where its libraries are.
pub(crate) struct Toolchain {
    /// The host's target triple. A build names it, so that build scripts stay without the
    /// sanitizer.
    pub(crate) target: String,
    libraries: PathBuf,
}

impl Toolchain {
    /// Asks rustc.
    ///
    /// # Errors
    /// Fails when rustc does not run, or answers in a way that this tool does not know.
    pub(crate) fn find() -> Result<Self> {
        let version = rustc(&["-vV"])?;
        let target = version.lines().find_map(|line| line.strip_prefix("host: "));
        let target = target.context("`rustc -vV` names no host")?.trim().to_owned();
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
        let libraries = sysroot.join("lib/rustlib").join(&target).join("lib");
        Ok(Self { target, libraries })
    }

    /// Makes a shared library of the sanitizer's runtime in `folder`, for `LD_PRELOAD`: httpd's own
    /// program has none. Returns its path.
    ///
    /// # Errors
    /// Fails when the toolchain has no such runtime, or `ar` or `cc` fails.
    pub(crate) fn runtime(&self, folder: &Path) -> Result<PathBuf> {
        let archive = self.archive()?;
        let objects = folder.join("objects");
        if objects.exists() {
            fs::remove_dir_all(&objects)?;
        }
        fs::create_dir_all(&objects)?;
        run(Command::new("ar").arg("x").arg(&archive).current_dir(&objects))?;
        let mut parts = Vec::new();
        for entry in fs::read_dir(&objects)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Its section `.preinit_array` may stand in a program only.
            if !name.starts_with("asan_preinit") {
                parts.push(path);
            }
        }
        let library = folder.join("librust_asan.so");
        let libraries = ["-lpthread", "-ldl", "-lm", "-lrt", "-lresolv"];
        let mut link = Command::new("cc");
        run(link.arg("-shared").arg("-o").arg(&library).args(parts).args(libraries))?;
        fs::remove_dir_all(&objects)?;
        Ok(library)
    }

    fn archive(&self) -> Result<PathBuf> {
        let entries = fs::read_dir(&self.libraries)
            .with_context(|| format!("{} cannot be read", self.libraries.display()))?;
        let is_runtime = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("librustc-") && name.ends_with("_rt.asan.a")
        };
        let found = entries.filter_map(|entry| Some(entry.ok()?.path())).find(is_runtime);
        found
            .with_context(|| format!("no AddressSanitizer runtime in {}", self.libraries.display()))
    }
}

/// Returns the value of `HTTPD_TESTKIT_WRAP` that has httpd run with `runtime`. Leaks are not
/// looked for: httpd leaves its pools to the system at its end.
pub(crate) fn wrapper(runtime: &Path) -> String {
    format!("env LD_PRELOAD={} ASAN_OPTIONS=detect_leaks=0", runtime.display())
}

fn rustc(args: &[&str]) -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(args).output().context("rustc does not run")?;
    if !output.status.success() {
        bail!("`rustc {}` failed", args.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status();
    let shown = || cargo::shown(command);
    let status = match status {
        Ok(status) => status,
        Err(error) => bail!("`{}` does not run: {error}", shown()),
    };
    if !status.success() {
        bail!("`{}` failed", shown());
    }
    Ok(())
}
