//! The headers that a module is built with: httpd's, APR's and APR-util's.

use std::path::{Path, PathBuf};

use crate::apxs::Apxs;
use crate::error::{LocateError, LocateErrorKind};
use crate::places;
use crate::probe::{self, Env};

/// The folders of the headers, and the preprocessor flags that they need.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Headers {
    /// httpd's folder, then APR's and APR-util's, each once.
    pub include_dirs: Vec<PathBuf>,
    /// `-D` flags that APR and httpd were built with: `-DLINUX`, `-D_REENTRANT`, `-D_GNU_SOURCE`.
    pub cppflags: Vec<String>,
    /// The apxs that said so, if one was used.
    pub apxs: Option<PathBuf>,
}

impl Headers {
    /// Looks for the headers: `HTTPD_INCLUDEDIR`, apxs, the known places; for APR's, `APR_CONFIG`
    /// and `APU_CONFIG`, those of apxs, `apr-1-config` and `apu-1-config` in `PATH`, the known
    /// places.
    ///
    /// # Errors
    /// Fails when `httpd.h`, `apr.h` or `apu.h` is in none of them.
    pub fn locate() -> Result<Self, LocateError> {
        Self::locate_in(&Env(&|name| std::env::var_os(name)))
    }

    /// Returns the arguments for a C compiler or for libclang: `-I` for each folder, then the
    /// flags.
    pub fn compiler_args(&self) -> Vec<String> {
        let includes = self.include_dirs.iter().map(|dir| format!("-I{}", dir.display()));
        includes.chain(self.cppflags.iter().cloned()).collect()
    }

    /// Returns the version in `ap_release.h`: `2.4.71`. `None` if the file does not say so.
    pub fn version(&self) -> Option<String> {
        let release = self.include_dirs.iter().map(|dir| dir.join("ap_release.h"));
        release
            .filter_map(|file| std::fs::read_to_string(file).ok())
            .find_map(|t| parse_release(&t))
    }

    pub(crate) fn locate_in(env: &Env<'_>) -> Result<Self, LocateError> {
        let asked_for = env.path("HTTPD_INCLUDEDIR");
        let apxs = Apxs::locate_in(env)?;
        let httpd = match (&asked_for, &apxs) {
            (Some(folder), _) if has(folder, "httpd.h") => folder.clone(),
            (Some(folder), _) => {
                let why = "which holds no httpd.h";
                return Err(LocateError::environment("HTTPD_INCLUDEDIR", folder, why));
            }
            (None, Some(apxs)) if has(apxs.include_dir(), "httpd.h") => {
                apxs.include_dir().to_owned()
            }
            (None, _) => known(places::HTTPD_INCLUDES, "httpd.h").ok_or_else(|| {
                let what = "Apache httpd's headers are not installed: no httpd.h from apxs, nor in \
                            the usual places.";
                LocateError::new(LocateErrorKind::HttpdHeaders, what)
            })?,
        };
        let of_apxs = apxs.as_ref().map(Apxs::config_programs);
        let apr = Library {
            variable: "APR_CONFIG",
            program: "apr-1-config",
            header: "apr.h",
            places: places::APR_INCLUDES,
        };
        let (apr_dir, apr_flags) = apr.locate(env, of_apxs.map(|programs| programs.0))?;
        let apu = Library {
            variable: "APU_CONFIG",
            program: "apu-1-config",
            header: "apu.h",
            places: places::APU_INCLUDES,
        };
        let (apu_dir, _) = apu.locate(env, of_apxs.map(|programs| programs.1))?;

        let mut include_dirs: Vec<PathBuf> = Vec::new();
        for dir in [httpd, apr_dir, apu_dir] {
            if !include_dirs.contains(&dir) {
                include_dirs.push(dir);
            }
        }
        let mut cppflags: Vec<String> = Vec::new();
        let of_httpd = apxs.iter().flat_map(Apxs::cppflags).cloned();
        for flag in apr_flags.into_iter().chain(of_httpd) {
            if flag.starts_with("-D") && !cppflags.contains(&flag) {
                cppflags.push(flag);
            }
        }
        let apxs = apxs.filter(|_| asked_for.is_none()).map(|apxs| apxs.path().to_owned());
        Ok(Self { include_dirs, cppflags, apxs })
    }
}

/// APR or APR-util.
struct Library {
    variable: &'static str,
    program: &'static str,
    header: &'static str,
    places: &'static [&'static str],
}

impl Library {
    /// Returns the folder with the headers, and the preprocessor flags.
    fn locate(
        &self,
        env: &Env<'_>,
        of_apxs: Option<&Path>,
    ) -> Result<(PathBuf, Vec<String>), LocateError> {
        if let Some(program) = env.program(self.variable)? {
            return self.ask(&program).ok_or_else(|| {
                let why = format!("which names no folder with {}", self.header);
                LocateError::environment(self.variable, &program, &why)
            });
        }
        of_apxs
            .and_then(|program| self.ask(program))
            .or_else(|| env.in_path(&[self.program]).and_then(|program| self.ask(&program)))
            .or_else(|| known(self.places, self.header).map(|dir| (dir, default_flags())))
            .ok_or_else(|| {
                let what = format!(
                    "The headers of APR and APR-util are not installed: no {} from {}, nor in the \
                     usual places.",
                    self.header, self.program
                );
                LocateError::new(LocateErrorKind::AprHeaders, what)
            })
    }

    fn ask(&self, program: &Path) -> Option<(PathBuf, Vec<String>)> {
        let folder = PathBuf::from(probe::output(program, &["--includedir"])?.trim());
        // apu-1-config has no --cppflags, and APR-util needs none.
        let flags = match self.header {
            "apr.h" => flags(&probe::output(program, &["--cppflags"])?),
            _ => Vec::new(),
        };
        has(&folder, self.header).then_some((folder, flags))
    }
}

fn has(folder: &Path, header: &str) -> bool {
    folder.is_absolute() && folder.join(header).is_file()
}

fn known(places: &[&str], header: &str) -> Option<PathBuf> {
    places.iter().map(PathBuf::from).find(|folder| has(folder, header))
}

fn flags(text: &str) -> Vec<String> {
    shlex::split(text).unwrap_or_default()
}

/// Returns the flags that APR's configure finds on this system, for a machine without apr-1-config.
fn default_flags() -> Vec<String> {
    let text = if cfg!(target_os = "linux") {
        "-DLINUX -D_REENTRANT -D_GNU_SOURCE"
    } else if cfg!(target_os = "macos") {
        "-DDARWIN -DSIGPROCMASK_SETS_THREAD_MASK -DDARWIN_10"
    } else {
        "-D_REENTRANT -D_THREAD_SAFE"
    };
    flags(text)
}

/// Reads `ap_release.h`.
fn parse_release(text: &str) -> Option<String> {
    let number = |name: &str| {
        text.lines().find_map(|line| {
            let rest = line.strip_prefix("#define")?.trim_start().strip_prefix(name)?;
            rest.trim().parse::<u32>().ok()
        })
    };
    let major = number("AP_SERVER_MAJORVERSION_NUMBER")?;
    let minor = number("AP_SERVER_MINORVERSION_NUMBER")?;
    let patch = number("AP_SERVER_PATCHLEVEL_NUMBER")?;
    Some(format!("{major}.{minor}.{patch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_release() {
        let text = "#define AP_SERVER_BASEPRODUCT \"Apache\"\n\n\
                    #define AP_SERVER_MAJORVERSION_NUMBER 2\n\
                    #define AP_SERVER_MINORVERSION_NUMBER 4\n\
                    #define AP_SERVER_PATCHLEVEL_NUMBER   37\n\
                    #define AP_SERVER_PATCHLEVEL  APR_STRINGIFY(AP_SERVER_PATCHLEVEL_NUMBER) \\\n";
        assert_eq!(parse_release(text).as_deref(), Some("2.4.37"));
        assert_eq!(parse_release("#define AP_SERVER_MAJORVERSION_NUMBER 2\n"), None);
    }

    #[test]
    fn compiler_args_are_folders_then_flags() {
        let headers = Headers {
            include_dirs: vec!["/usr/include/httpd".into(), "/usr/include/apr-1".into()],
            cppflags: flags(" -DLINUX  -D_REENTRANT\n"),
            apxs: None,
        };
        assert_eq!(
            headers.compiler_args(),
            ["-I/usr/include/httpd", "-I/usr/include/apr-1", "-DLINUX", "-D_REENTRANT"]
        );
    }

    #[test]
    fn an_include_folder_without_the_header_is_an_error() {
        let env = |name: &str| (name == "HTTPD_INCLUDEDIR").then(|| "/".into());
        let error = Headers::locate_in(&Env(&env)).unwrap_err();
        assert_eq!(error.kind(), LocateErrorKind::Environment);
        assert!(error.to_string().starts_with("HTTPD_INCLUDEDIR is set to `/`"), "{error}");
    }
}
