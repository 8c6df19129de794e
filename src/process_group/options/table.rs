//! Every option in one table, from which the documentation is checked.

/// The documentation of one option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionDoc {
    /// Its name.
    pub name: &'static str,
    /// The kind of its value: `count`, `time`, `size`, …
    pub takes: &'static str,
    /// Its value where it is not given.
    pub default: &'static str,
    /// Its effect, in one sentence.
    pub meaning: &'static str,
}

const fn doc(
    name: &'static str,
    takes: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> OptionDoc {
    OptionDoc { name, takes, default, meaning }
}

/// All options of `RustDaemonProcess`.
pub const OPTIONS: &[OptionDoc] = &[
    doc("processes", "count", "1", "number of processes: both min-processes and max-processes"),
    doc("min-processes", "count", "1", "minimum number of processes"),
    doc(
        "max-processes",
        "count",
        "min-processes",
        "maximum number of processes, started under load",
    ),
    doc("threads", "count", "15", "worker threads of a process; 0 for one that takes no requests"),
    doc(
        "runtime-threads",
        "count",
        "0",
        "threads of the runtime for services; 0 is one for each core, 2 at most",
    ),
    doc("display-name", "text", "%{GROUP}", "title of the processes; %{GROUP} is (rust:name)"),
    doc("user", "name or #uid", "httpd's User", "user of the processes; never root"),
    doc("group", "name or #gid", "the user's", "group of the processes"),
    doc("supplementary-groups", "list", "the user's", "supplementary groups, replacing all others"),
    doc("umask", "octal", "httpd's", "umask of the processes"),
    doc(
        "home",
        "path",
        "the user's",
        "working directory; httpd's own for httpd's own user; / if the user cannot enter its home",
    ),
    doc("chroot", "path", "none", "root directory of the processes"),
    doc("lang", "text", "httpd's", "environment variable LANG"),
    doc("locale", "text", "httpd's", "environment variable LC_ALL"),
    doc("socket-user", "name or #uid", "httpd's User", "owner of the group's sockets"),
    doc("listen-backlog", "count", "100", "pending connections of each socket"),
    doc("connect-timeout", "time", "15s", "longest wait of a request for a process; then 503"),
    doc(
        "socket-timeout",
        "time",
        "0",
        "longest pause of a read or write on the bridge; 0 is httpd's Timeout",
    ),
    doc(
        "response-socket-timeout",
        "time",
        "0",
        "longest pause of a write to the client; 0 is socket-timeout",
    ),
    doc(
        "queue-timeout",
        "time",
        "45s",
        "longest wait of a request for a thread; then 504; 0 is off",
    ),
    doc(
        "queue-size",
        "count",
        "100",
        "requests that may wait for a thread; further ones get a 503",
    ),
    doc("receive-buffer-size", "size", "0", "receive buffer of the sockets; 0 is the system's"),
    doc(
        "send-buffer-size",
        "size",
        "0",
        "send buffer of the sockets; 0 is the system's, and `256K` once a response filled it",
    ),
    doc("header-buffer-size", "size", "1M", "largest head of a response; beyond it 500"),
    doc(
        "response-buffer-size",
        "size",
        "8M",
        "bytes of a response that httpd buffers for a slow client",
    ),
    doc("response-flush-delay", "time", "0", "delay of a flush, in which further data may join it"),
    doc("maximum-requests", "count", "0", "requests after which a process is replaced; 0 is off"),
    doc("restart-interval", "time", "0", "time after which a process is replaced; 0 is off"),
    doc("jitter", "percent", "10%", "largest random reduction of the two options above"),
    doc("inactivity-timeout", "time", "0", "idle time after which the processes end; 0 is off"),
    doc("request-timeout", "time", "0", "longest time of a request; then 504; 0 is off"),
    doc("startup-timeout", "time", "60s", "longest time until a process is ready; 0 is off"),
    doc("graceful-timeout", "time", "15s", "time of a replaced process to finish its requests"),
    doc("eviction-timeout", "time", "0", "the same time after SIGUSR1; 0 is graceful-timeout"),
    doc("shutdown-timeout", "time", "5s", "time of a stopped process to finish its requests"),
    doc("cpu-time-limit", "time", "0", "CPU time after which a process is replaced; 0 is off"),
    doc("cpu-priority", "nice value", "httpd's", "priority of the processes, -20 to 19"),
    doc("memory-limit", "size", "0", "resident memory above which a process is replaced; 0 is off"),
    doc("virtual-memory-limit", "size", "0", "address space of a process (RLIMIT_AS); 0 is off"),
    doc("stack-size", "size", "0", "stack of a worker thread; 0 is Rust's own, 2M"),
    doc("crash-backoff", "time", "1s", "pause after a failed start; doubles each time, up to 1min"),
];

/// Options of mod_wsgi that are none here, each with the reason and what to use.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("python-home", PYTHON),
    ("python-path", PYTHON),
    ("python-eggs", PYTHON),
    ("switch-interval", "there is no interpreter lock to hand over: leave it out"),
    (
        "interrupt-timeout",
        "a thread that is stuck in Rust code cannot be interrupted: request-timeout answers the \
         client and replaces the process",
    ),
    (
        "deadlock-timeout",
        "there is no interpreter lock to wait for: request-timeout finds requests that hang",
    ),
    ("script-user", SCRIPT),
    ("script-group", SCRIPT),
    (
        "server-metrics",
        "applications do not read httpd's scoreboard: the status application and mod_status show \
         what the processes do",
    ),
];

const PYTHON: &str = "there is no Python: an application is linked into its module and gets its \
                      settings from RustAppOption";

const SCRIPT: &str = "there are no scripts with owners: an application is linked into its module, \
                      which LoadModule names; RustRestrictProcess says which groups may be chosen";
