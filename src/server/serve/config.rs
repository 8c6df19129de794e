//! The configuration of a program: its options, checked.

#[cfg(feature = "fastcgi")]
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::address::Address;
use super::privileges::Privileges;
use crate::gateway::{Level, Options};
use crate::os::monotonic_us;
use crate::process_group::Recycle;
#[cfg(feature = "http-server")]
use crate::server::http::HttpOptions;
use crate::server::site::{AccessFormat, Limits, Mode, Timeouts};

/// The protocols that this program was built with and that are listened for.
pub(super) const PROTOCOLS: &[Mode] = &[
    #[cfg(feature = "fastcgi")]
    Mode::FastCgi,
    #[cfg(feature = "scgi")]
    Mode::Scgi,
    #[cfg(feature = "uwsgi")]
    Mode::Uwsgi,
    #[cfg(feature = "http-server")]
    Mode::Http,
];

/// The configuration of a program.
#[derive(Clone, Debug)]
pub(super) struct ProgramConfig {
    pub(super) listeners: Vec<Wanted>,
    /// Those of the program's code, where nothing else says what to serve.
    pub(super) own_listeners: Vec<Wanted>,
    /// `--cgi`.
    pub(super) cgi: bool,
    pub(super) workers: usize,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    /// Requests after which a worker is replaced.
    pub(super) requests: Option<u64>,
    /// The largest random reduction of that number, in percent.
    pub(super) jitter: u8,
    /// Resident memory above which a worker is replaced.
    pub(super) memory: Option<u64>,
    /// For the applications of a worker to be built.
    pub(super) start_timeout: Duration,
    #[cfg_attr(not(feature = "tower"), expect(dead_code, reason = "services have the runtime"))]
    pub(super) runtime_threads: usize,
    /// Paths with the names of applications.
    pub(super) mounts: Vec<(String, String)>,
    /// The mounts have `--url-prefix` in front of them.
    pub(super) has_prefix: bool,
    /// Each application's, by its place among the program's.
    pub(super) options: Vec<Options>,
    /// `--backlog`.
    pub(super) backlog: i32,
    #[cfg(feature = "http-server")]
    pub(super) http: HttpOptions,
    /// From FCGI_WEB_SERVER_ADDRS: who may connect to FastCGI listeners; empty for all.
    #[cfg(feature = "fastcgi")]
    pub(super) web_servers: Vec<IpAddr>,
    pub(super) log: LogTarget,
    pub(super) level: Level,
    pub(super) access: Option<LogTarget>,
    pub(super) access_format: AccessFormat,
    pub(super) privileges: Option<Privileges>,
    pub(super) socket_mode: Option<u32>,
    pub(super) pid_file: Option<PathBuf>,
}

impl ProgramConfig {
    /// Returns the listeners that an option names, else those of the code.
    pub(super) fn all_listeners(&self) -> &[Wanted] {
        if self.listeners.is_empty() { &self.own_listeners } else { &self.listeners }
    }

    /// Returns the limits after which this process is replaced, if it has any.
    pub(super) fn recycle(&self) -> Option<Recycle> {
        let chance = monotonic_us() ^ u64::from(std::process::id()) << 32;
        (self.requests.is_some() || self.memory.is_some())
            .then(|| Recycle::alone(self.requests, self.jitter, self.memory, chance))
    }
}

/// One `--fastcgi ADDR` or its like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) protocol: Mode,
    pub(super) address: Address,
}

/// The destination of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LogTarget {
    /// `-`.
    Standard,
    File(PathBuf),
}

impl LogTarget {
    pub(super) fn parse(text: &str) -> Self {
        if text == "-" { Self::Standard } else { Self::File(text.into()) }
    }
}
