//! The detection of a capability.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use httpd_config::{Headers, Httpd, LocateError, LocateErrorKind, ModuleFile};

use super::libclang;

/// The way to detect a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// httpd itself.
    Httpd,
    /// The headers of httpd, APR and APR-util.
    Headers,
    /// libclang's shared library, as bindgen finds it.
    Libclang,
    /// A program of this name.
    Program(&'static str),
    /// A module of httpd, by its name without `mod_`.
    Module(&'static str),
    /// A module of Python's own, which Debian may have in another package.
    Python(&'static str),
    /// A Python module that a package of the system brings: the first `python3` in `PATH` may be
    /// another.
    SystemPython(&'static str),
}

/// The result of a probe.
#[derive(Debug)]
pub(crate) enum Finding {
    /// It is there: which, and where.
    Found(String),
    /// It is not, with the reason if one is known.
    Missing(String),
    /// It is there and does not work, or a variable points nowhere: a package does not help.
    Broken(String),
}

impl Probe {
    pub(crate) fn look(self) -> Finding {
        match self {
            Self::Httpd => match Httpd::locate() {
                Ok(httpd) => Finding::Found(about_httpd(&httpd)),
                Err(error) => not_located(&error),
            },
            Self::Headers => match Headers::locate() {
                Ok(headers) => Finding::Found(about_headers(&headers)),
                Err(error) => not_located(&error),
            },
            Self::Libclang => match libclang::locate() {
                Ok(found) => {
                    Finding::Found(format!("{} ({})", found.version, found.path.display()))
                }
                Err(error) if error.is_environment => Finding::Broken(error.what),
                Err(error) => Finding::Missing(error.what),
            },
            Self::Program(name) => match program(name) {
                Some(path) => Finding::Found(path.display().to_string()),
                None => Finding::Missing(format!("no `{name}` in PATH")),
            },
            Self::Python(name) => python(&["python3"], name),
            Self::SystemPython(name) => python(&["python3", "/usr/bin/python3"], name),
            Self::Module(name) => match Httpd::locate().map(|httpd| httpd.module(name)) {
                Ok(ModuleFile::Static) => Finding::Found("compiled into httpd".to_owned()),
                Ok(ModuleFile::Dso(path)) => Finding::Found(path.display().to_string()),
                Ok(ModuleFile::Missing) => Finding::Missing(format!("no mod_{name}.so")),
                // Said once, for httpd itself.
                Err(_) => Finding::Missing("no httpd".to_owned()),
            },
        }
    }
}

/// Returns the program `name` in `PATH` or in a folder of system programs, which `PATH` need not
/// have.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_absolute() && is_program(path))
}

fn python(interpreters: &[&str], module: &str) -> Finding {
    let imports = |path: &PathBuf| {
        let import = Command::new(path)
            .args(["-c", &format!("import {module}")])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
        import.is_ok_and(|status| status.success())
    };
    let found: Vec<_> = interpreters.iter().filter_map(|name| program(name)).collect();
    match found.iter().find(|path| imports(path)) {
        Some(path) => Finding::Found(path.display().to_string()),
        None if found.is_empty() => Finding::Missing("no `python3` in PATH".to_owned()),
        None => Finding::Missing(format!("`python3` has no {module}")),
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn about_httpd(httpd: &Httpd) -> String {
    let mpms: Vec<_> = httpd.mpms().into_iter().map(|mpm| mpm.name()).collect();
    format!(
        "{}, MMN {}, MPMs {} ({}, modules in {})",
        httpd.server_string(),
        httpd.mmn(),
        mpms.join(" "),
        httpd.program().display(),
        httpd.modules_dir().display()
    )
}

fn about_headers(headers: &Headers) -> String {
    let version = headers.version().unwrap_or_else(|| "unknown version".to_owned());
    let dirs: Vec<_> = headers.include_dirs.iter().map(|dir| dir.display().to_string()).collect();
    let apxs = match &headers.apxs {
        Some(apxs) => format!("through {}", apxs.display()),
        None => "without apxs".to_owned(),
    };
    format!("{version} in {} ({apxs})", dirs.join(" "))
}

fn not_located(error: &LocateError) -> Finding {
    match error.kind() {
        LocateErrorKind::Environment | LocateErrorKind::Unusable => {
            Finding::Broken(error.to_string())
        }
        _ => Finding::Missing(error.what().trim_end_matches('.').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs() {
        assert!(program("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(program("no-such-program"), None);
        assert!(matches!(Probe::Program("no-such-program").look(), Finding::Missing(_)));
    }

    #[test]
    fn python_modules() {
        assert!(matches!(Probe::Python("no_such_module").look(), Finding::Missing(_)));
        assert!(matches!(Probe::SystemPython("no_such_module").look(), Finding::Missing(_)));
    }

    #[test]
    fn modules() {
        assert!(matches!(Probe::Module("so").look(), Finding::Found(_)));
        assert!(matches!(Probe::Module("no_such").look(), Finding::Missing(_)));
    }
}
