//! The options of a process group: what `RustDaemonProcess name key=value…` says.
//!
//! Names and meanings are those of mod_wsgi's WSGIDaemonProcess, less what is Python's. Some
//! defaults are not, and there are options that mod_wsgi lacks:
//!
//! | option | mod_wsgi's default | default | why |
//! | --- | --- | --- | --- |
//! | `display-name` | none | `%{GROUP}` | a process that `ps` shows as httpd's tells nobody whose it is |
//! | `queue-timeout` | 0 (off) | 45s | who has waited so long has mostly left; its expiry says that the group is too small |
//! | `startup-timeout` | 0 (off) | 60s | a factory that hangs keeps its group without a process for ever |
//! | `header-buffer-size` | 32K, a line | 1M, the whole head | one bound for all headers of a response, and no reason to be tight |
//! | `response-flush-delay` | 5ms | 0 | the bridge says where an application flushes, and where it only pauses |
//! | `request-timeout` | 0 (off) | 0 (off) | only the administrator knows whether requests may last for hours (events, downloads); `queue-timeout` and `queue-size` bound what a hang does meanwhile |
//! | `memory-limit` | 0, hard | 0, soft | over the limit a process is replaced and finishes its requests; `malloc` does not fail under them |
//! | `queue-size` | no such option | 100 | a waiting line that is longer than `listen-backlog` was only ever served late; a refusal at once costs less |
//! | `crash-backoff` | none: a fork at once | 1s | an application that dies at its start must not keep a CPU busy with starts |
//! | `jitter` | none | 10% | processes that started together must not all be replaced at the same moment |
//! | `min-processes`, `max-processes` | no such options | those of `processes` | as many processes as the load needs |
//!
//! All other defaults are mod_wsgi's. Each limit works by itself, whatever the others are.

mod parse;
mod table;

use std::time::Duration;

pub use table::{OPTIONS, OptionDoc};

/// One process group: its name and what its `RustDaemonProcess` says.
///
/// `None` is off, or what the field's line says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupOptions {
    /// The group's name: 1 to 64 of `A-Z a-z 0-9 _ . -`.
    pub name: String,
    /// Processes that are always there, 1 at least.
    pub min_processes: u32,
    /// Processes under load; one more exists while one is replaced.
    pub max_processes: u32,
    /// Applications are told that other processes serve too: as soon as the number of processes was
    /// given at all, even as 1, as there may be other machines.
    pub multiprocess: bool,
    /// Worker threads of a process; 0 is a service process, which takes no requests.
    pub threads: u32,
    /// Threads of the runtime for services; 0 is the usual number.
    pub runtime_threads: usize,
    /// The title of its processes.
    pub display_name: String,
    /// Runs as this user; `None` is httpd's.
    pub user: Option<String>,
    /// Runs as this group; `None` is the user's own.
    pub group: Option<String>,
    /// Just these supplementary groups; `None` is those of the user.
    pub supplementary_groups: Option<Vec<String>>,
    /// The umask; `None` is httpd's.
    pub umask: Option<u32>,
    /// The working directory; `None` is the user's home if it is not httpd's user, or `/` where
    /// that cannot be entered.
    pub home: Option<String>,
    /// The root directory.
    pub chroot: Option<String>,
    /// LANG.
    pub lang: Option<String>,
    /// LC_ALL.
    pub locale: Option<String>,
    /// The owner of the sockets; `None` is httpd's user.
    pub socket_user: Option<String>,
    /// Connections that wait to be accepted.
    pub listen_backlog: u32,
    /// The longest wait of a request for a process that takes it.
    pub connect_timeout: Duration,
    /// For each read and write between httpd's child and the process; `None` is httpd's Timeout.
    pub socket_timeout: Option<Duration>,
    /// For each write to the client; `None` is `socket_timeout`.
    pub response_socket_timeout: Option<Duration>,
    /// The longest wait of a request for a thread.
    pub queue_timeout: Option<Duration>,
    /// SO_RCVBUF of the bridge's sockets; `None` is the system's.
    pub receive_buffer_size: Option<u64>,
    /// SO_SNDBUF of the bridge's sockets; `None` is the system's.
    pub send_buffer_size: Option<u64>,
    /// The most that the head of a response may have, in bytes.
    pub header_buffer_size: u64,
    /// The most of a response that httpd's child keeps for a slow client, in bytes.
    pub response_buffer_size: u64,
    /// The time for which httpd's child lets a flush of the application's wait for more to go
    /// along.
    pub response_flush_delay: Duration,
    /// A process is replaced after so many requests.
    pub maximum_requests: Option<u64>,
    /// A process is replaced after so long.
    pub restart_interval: Option<Duration>,
    /// The processes of a group go, to come back with the next request, after so long without one.
    pub inactivity_timeout: Option<Duration>,
    /// The longest that a request may take; its process is replaced.
    pub request_timeout: Option<Duration>,
    /// The longest that the applications of a process may take to be built.
    pub startup_timeout: Option<Duration>,
    /// The time that a process which is replaced has to finish its requests.
    pub graceful_timeout: Duration,
    /// The same after SIGUSR1.
    pub eviction_timeout: Duration,
    /// The time that a process which is stopped has to finish its requests.
    pub shutdown_timeout: Duration,
    /// A process is replaced after so much CPU time.
    pub cpu_time_limit: Option<Duration>,
    /// Its nice value, -20 to 19; `None` is httpd's.
    pub cpu_priority: Option<i32>,
    /// A process is replaced when it has more than so many bytes resident.
    pub memory_limit: Option<u64>,
    /// RLIMIT_AS in bytes.
    pub virtual_memory_limit: Option<u64>,
    /// The stack of a worker thread in bytes; `None` is Rust's.
    pub stack_size: Option<u64>,
    /// Requests that may wait for a thread, in the whole group.
    pub queue_size: u32,
    /// The pause after a process whose start failed; twice as long after each further failure in a
    /// row, up to a minute.
    pub crash_backoff: Duration,
    /// By how many percent `maximum_requests` and `restart_interval` are shortened at most, by
    /// chance, for each process.
    pub jitter: u8,
}

impl GroupOptions {
    /// Makes a group of this name with the default of every option.
    ///
    /// # Errors
    ///
    /// The name is not one.
    pub fn new(name: &str) -> Result<Self, String> {
        Self::parse(name, &[])
    }

    /// Reads the arguments of `RustDaemonProcess` after the name.
    ///
    /// ```
    /// use mod_rust::internal::process_group::GroupOptions;
    ///
    /// let group = GroupOptions::parse("shop", &["processes=2", "memory-limit=256M"])?;
    /// assert_eq!((group.min_processes, group.max_processes), (2, 2));
    /// assert_eq!(group.memory_limit, Some(256 << 20));
    /// let wrong = GroupOptions::parse("shop", &["thread=5"]).unwrap_err();
    /// assert_eq!(wrong, "option \"thread\" is unknown; did you mean \"threads\"?");
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An option is unknown or its value is not allowed: the text names the option, the value and
    /// what is allowed.
    pub fn parse(name: &str, arguments: &[&str]) -> Result<Self, String> {
        parse::parse(name, arguments)
    }

    /// Slots of the group: one more than there may be processes, for a replacement.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.max_processes + 1
    }

    /// Returns the worker threads of a process: a service process has one, for CONTROL.
    #[must_use]
    pub const fn workers(&self) -> u32 {
        if self.threads == 0 { 1 } else { self.threads }
    }

    /// Returns whether its processes take requests.
    #[must_use]
    pub const fn listens(&self) -> bool {
        self.threads > 0
    }
}

/// Returns whether `name` may be the name of a group.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(good) {
        return Err(format!(
            "\"{}\" is not a name for a process group: expected 1 to 64 letters, digits, \"_\", \
             \".\" or \"-\"",
            name.escape_debug()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
