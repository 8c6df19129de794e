//! Looking things up: the environment, `PATH`, and what a program prints.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::LocateError;

/// The source of a search's variables: the process's environment, or a test's table.
pub(crate) struct Env<'a>(pub(crate) &'a dyn Fn(&str) -> Option<OsString>);

impl Env<'_> {
    /// Returns the variable as a path. An empty one counts as unset.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        (self.0)(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// Returns the first of `names` that stands in a folder of `PATH`.
    pub(crate) fn in_path(&self, names: &[&str]) -> Option<PathBuf> {
        let path = (self.0)("PATH")?;
        let folders: Vec<_> = std::env::split_paths(&path).filter(|f| f.is_absolute()).collect();
        names.iter().find_map(|name| folders.iter().map(|f| f.join(name)).find(|p| is_program(p)))
    }

    /// Returns the program that `name` holds: a path, or a name to look up in `PATH`.
    ///
    /// # Errors
    /// Fails when the variable is set and no such program exists.
    pub(crate) fn program(&self, name: &str) -> Result<Option<PathBuf>, LocateError> {
        let Some(value) = self.path(name) else { return Ok(None) };
        let found = if value.components().count() == 1 {
            value.to_str().and_then(|value| self.in_path(&[value]))
        } else {
            is_program(&value).then(|| value.clone())
        };
        match found {
            Some(program) => Ok(Some(program)),
            None => Err(LocateError::environment(name, &value, "and no such program exists")),
        }
    }
}

/// Returns the standard output of `program`, whatever its exit status, or `None` if it does not
/// run.
///
/// Its standard error is dropped: httpd complains there about what a search does not need.
pub(crate) fn output<S: AsRef<OsStr>>(program: &Path, args: &[S]) -> Option<String> {
    let output = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()
}

/// True for a file that may be executed.
pub(crate) fn is_program(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocateErrorKind;

    fn table(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
    }

    #[test]
    fn an_empty_variable_is_unset() {
        let env = table(&[("APXS", "")]);
        assert_eq!(Env(&env).path("APXS"), None);
        assert_eq!(Env(&env).program("APXS").unwrap(), None);
    }

    #[test]
    fn a_bare_name_is_looked_up_in_path() {
        let env = table(&[("PATH", "/nonexistent:bin:/bin:/usr/bin"), ("APXS", "sh")]);
        let found = Env(&env).program("APXS").unwrap().unwrap();
        assert!(found.is_absolute() && found.ends_with("sh"), "{found:?}");
        assert_eq!(Env(&env).in_path(&["no-such-program", "sh"]), Some(found));
    }

    #[test]
    fn a_variable_that_names_nothing_is_an_error() {
        let env = table(&[("PATH", "/bin"), ("APXS", "/nonexistent/apxs"), ("HTTPD", "no-such")]);
        for name in ["APXS", "HTTPD"] {
            let error = Env(&env).program(name).unwrap_err();
            assert_eq!(error.kind(), LocateErrorKind::Environment);
            assert!(error.what().starts_with(name), "{error}");
        }
    }

    #[test]
    fn a_folder_is_not_a_program() {
        assert!(!is_program(Path::new("/")));
        assert!(is_program(Path::new("/bin/sh")));
    }

    #[test]
    fn output_is_read_for_every_exit_status() {
        let script = ["-c", "echo yes; echo no >&2; exit 3"];
        assert_eq!(output(Path::new("/bin/sh"), &script).as_deref(), Some("yes\n"));
        assert_eq!(output::<&str>(Path::new("/nonexistent"), &[]), None);
    }
}
