//! The facts of a process that stand in every environ.

use std::sync::Arc;

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

/// The process. A clone is cheap.
#[derive(Clone, Debug)]
pub(crate) struct ProcessInfo {
    pub(super) pid: Arc<str>,
    pub(super) multithread: bool,
    pub(super) multiprocess: bool,
    pub(super) run_once: bool,
    /// Absolute paths that the program goes by.
    programs: Arc<[Vec<u8>]>,
    /// The web server is asked where it has the program.
    asks_place: bool,
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
        programs.retain(|path| path.starts_with(b"/"));
        Self {
            pid: std::process::id().to_string().into(),
            multithread: threads > 1,
            multiprocess,
            run_once,
            programs: programs.into(),
            asks_place: true,
        }
    }

    /// Takes the mounts' paths as whole paths, whatever the web server says of the program's place.
    #[must_use]
    pub(crate) fn with_whole_paths(mut self) -> Self {
        self.asks_place = false;
        self
    }

    /// Returns whether other processes run the same applications, on the same listeners.
    #[must_use]
    pub(crate) const fn multiprocess(&self) -> bool {
        self.multiprocess
    }

    /// Returns whether SCRIPT_NAME is the place that the web server has this very program at.
    ///
    /// A CGI program has no other request. For the others SCRIPT_FILENAME has to be exactly the
    /// program's path: SCRIPT_NAME alone may be the client's URL, and its last segment anything.
    pub(super) fn is_program(&self, mode: Mode, script_filename: Option<&[u8]>) -> bool {
        let is_named = |path: &[u8]| self.programs.iter().any(|program| program == path);
        self.asks_place && (mode == Mode::Cgi || script_filename.is_some_and(is_named))
    }
}
