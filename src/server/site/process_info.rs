//! The facts of a process that stand in every environ.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The protocol that a request came by: `mod_rust.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub(crate) enum Mode {
    /// One request from the process environment.
    Cgi,
    /// FastCGI 1.0.
    FastCgi,
    /// HTTP/1.1 or HTTP/2.
    Http,
    /// SCGI.
    Scgi,
    /// uWSGI's binary protocol.
    Uwsgi,
}

impl Mode {
    /// Returns its name, as on the command line and in `mod_rust.mode`.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cgi => "cgi",
            Self::FastCgi => "fastcgi",
            Self::Http => "http",
            Self::Scgi => "scgi",
            Self::Uwsgi => "uwsgi",
        }
    }
}

/// The process.
#[derive(Clone, Debug)]
pub(crate) struct ProcessInfo {
    pub(super) pid: String,
    pub(super) multithread: bool,
    pub(super) multiprocess: bool,
    pub(super) run_once: bool,
    /// Paths that the program goes by.
    programs: Vec<Vec<u8>>,
}

impl ProcessInfo {
    /// Makes those of the calling process, with so many threads for requests; `multiprocess` if
    /// other processes may run the same applications, `run_once` if it ends after one request.
    #[must_use]
    pub(crate) fn new(threads: usize, multiprocess: bool, run_once: bool) -> Self {
        let mut programs = Vec::new();
        if let Some(name) = std::env::args_os().next() {
            programs.push(name.into_encoded_bytes());
        }
        if let Ok(path) = std::env::current_exe() {
            programs.push(path.into_os_string().into_encoded_bytes());
        }
        Self {
            pid: std::process::id().to_string(),
            multithread: threads > 1,
            multiprocess,
            run_once,
            programs,
        }
    }

    /// Returns whether other processes run the same applications, on the same listeners.
    #[must_use]
    pub(crate) const fn multiprocess(&self) -> bool {
        self.multiprocess
    }

    /// Whether SCRIPT_NAME is where the web server has this very program, because it started it:
    /// SCRIPT_FILENAME says so, or the name at the end of it.
    pub(super) fn is_program(&self, script_name: &[u8], script_filename: Option<&[u8]>) -> bool {
        let last = |path| Path::new(OsStr::from_bytes(path)).file_name().map(OsStr::as_bytes);
        self.programs.iter().any(|program| {
            script_filename == Some(program)
                || (!script_name.is_empty() && last(script_name) == last(program))
        })
    }
}
