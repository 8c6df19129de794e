//! Rivals that come from PyPI and not from the system's packages: mod_wsgi as its author releases
//! it, and uWSGI. They live in a Python environment below the target folder, which `--rivals`
//! makes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The packages that pip installs. Both compile C: mod_wsgi needs apxs, and both need Python's
/// headers.
const PACKAGES: [&str; 2] = ["mod_wsgi", "uWSGI"];

/// The Python environment, made or not.
pub(crate) struct Rivals {
    folder: PathBuf,
}

impl Rivals {
    /// Returns its place below the target folder.
    pub(crate) fn below(target: &Path) -> Self {
        Self { folder: target.join("httpd/rivals") }
    }

    /// Makes the environment and installs the rivals, or what is missing of it.
    ///
    /// # Errors
    /// Fails when python3 or pip fails; their messages went to standard error.
    pub(crate) fn install(&self) -> Result<()> {
        // The system's Python, for which mod_wsgi is linked; a version manager's may have no libpython.
        let system = Path::new("/usr/bin/python3");
        let python = if system.exists() { system.as_os_str() } else { OsStr::new("python3") };
        if !self.folder.join("bin/pip").is_file() {
            let mut venv = Command::new(python);
            venv.args(["-m", "venv"]).arg(&self.folder);
            run(&mut venv, "install python3-venv (Debian, Ubuntu)")?;
        }
        let mut pip = Command::new(self.folder.join("bin/pip"));
        pip.args(["install", "--disable-pip-version-check"]).args(PACKAGES);
        run(&mut pip, "they need gcc, apache2-dev and python3-dev (Debian, Ubuntu)")
    }

    /// mod_wsgi of that environment: its DSO, and the environment for `WSGIPythonHome`.
    pub(crate) fn wsgi(&self) -> Option<(PathBuf, &Path)> {
        let versions = std::fs::read_dir(self.folder.join("lib")).ok()?.flatten();
        let folders = versions.map(|v| v.path().join("site-packages/mod_wsgi/server"));
        let files = folders.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten());
        let mut files = files.flatten().map(|entry| entry.path());
        let module = files.find(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("mod_wsgi") && name.ends_with(".so")
        })?;
        Some((module, &self.folder))
    }

    /// uWSGI's program, and what belongs on its command line to run in that environment. The
    /// system's program serves too, if it is there.
    ///
    /// # Errors
    /// Fails when there is none: the error says how to get one.
    pub(crate) fn uwsgi(&self) -> Result<(PathBuf, Vec<String>)> {
        let own = self.folder.join("bin/uwsgi");
        if own.is_file() {
            let home = self.folder.display().to_string();
            return Ok((own, vec!["--virtualenv".into(), home]));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|folder| folder.join("uwsgi"));
        let Some(program) = found.into_iter().find(|program| program.is_file()) else {
            bail!("uWSGI is not installed; `cargo httpd bench --rivals` builds it from PyPI")
        };
        // Debian's has its Python in a plugin of its own.
        Ok((program, vec!["--plugin".into(), "python3".into()]))
    }

    /// Names and versions of what pip installed, for the report.
    pub(crate) fn versions(&self) -> Vec<String> {
        let folders = std::fs::read_dir(self.folder.join("lib")).into_iter().flatten().flatten();
        let packages = folders
            .filter_map(|folder| std::fs::read_dir(folder.path().join("site-packages")).ok())
            .flat_map(|packages| packages.flatten());
        let mut versions: Vec<_> =
            packages.filter_map(|entry| version(&entry.file_name().to_string_lossy())).collect();
        versions.sort_unstable();
        versions
    }
}

/// `mod_wsgi-6.1.1.dist-info` and `uWSGI-2.0.31-py3.11.egg-info` are folders or files that pip
/// leaves.
fn version(name: &str) -> Option<String> {
    let name = name.strip_suffix(".dist-info").or_else(|| name.strip_suffix(".egg-info"))?;
    let mut parts = name.split('-');
    let (package, version) = (parts.next()?, parts.next()?);
    let known = PACKAGES.iter().find(|known| known.eq_ignore_ascii_case(package))?;
    Some(format!("{known} {version}"))
}

fn run(command: &mut Command, remedy: &str) -> Result<()> {
    let program = Path::new(command.get_program()).display().to_string();
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{program}` does not run; {remedy}"))?;
    if !status.success() {
        bail!("`{program}` ended with {status}; {remedy}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_names_that_pip_leaves() {
        for (name, expected) in [
            ("mod_wsgi-6.1.1.dist-info", Some("mod_wsgi 6.1.1")),
            ("mod_wsgi-6.1.1-py3.11.egg-info", Some("mod_wsgi 6.1.1")),
            ("uwsgi-2.0.31.dist-info", Some("uWSGI 2.0.31")),
            ("pip-23.0.1.dist-info", None),
            ("mod_wsgi", None),
        ] {
            assert_eq!(version(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn an_environment_that_is_not_there_has_nothing() {
        let rivals = Rivals::below(Path::new("/nonexistent"));
        assert!(rivals.wsgi().is_none() && rivals.versions().is_empty());
    }
}
