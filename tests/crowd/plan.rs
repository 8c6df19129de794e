//! The composition of a crowd, and its server.

use std::time::Duration;

use httpd_testkit::{Mpm, Server};

/// The behaviour of a slow client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Keeps its connection, and asks for `hello` now and then.
    Idle,
    /// Takes 20 KiB, a few at a time: httpd's own buffers hold them.
    Small,
    /// Takes 2 MiB in the same way: they do not.
    Large,
    /// Sends a short body byte by byte.
    Sender,
    /// Sends so slowly, or nothing, that mod_reqtimeout gives it up.
    Staller,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Idle, Self::Small, Self::Large, Self::Sender, Self::Staller];

    pub(crate) const fn shown(self) -> &'static str {
        match self {
            Self::Idle => "idle, `hello` now and then",
            Self::Small => "reads 20 KiB slowly",
            Self::Large => "reads 2 MiB slowly",
            Self::Sender => "sends byte by byte",
            Self::Staller => "sends too slowly: 408",
        }
    }
}

/// A crowd, and what it is served with.
pub(crate) struct Plan {
    /// The number of clients of each [`Kind`].
    pub(crate) clients: [usize; 5],
    /// The processes of the group, and the threads of each.
    pub(crate) processes: usize,
    pub(crate) threads: usize,
    /// httpd's children and the threads of each.
    ///
    /// By httpd's design, each slow upload, and each slow download that is larger than httpd's
    /// buffers, holds a thread. A child without a free thread closes idle kept connections. The
    /// connections spread unevenly, so one child must have enough threads for all.
    pub(crate) children: usize,
    pub(crate) child_threads: usize,
    /// The time of the fast clients without the crowd, and with all of it.
    pub(crate) alone: Duration,
    pub(crate) together: Duration,
    /// The pause of an idle client.
    pub(crate) silence: Duration,
    /// A reader takes so many bytes in each of these times.
    pub(crate) reads: (usize, Duration),
    /// A sender's bytes, and the time between two of them.
    pub(crate) sends: (usize, Duration),
    /// The least value that counts as the embedded application's p99, in microseconds. A core may
    /// be given to another process for a moment.
    pub(crate) at_least_us: u64,
    /// mod_reqtimeout gives a body so many seconds, and one more for each 500 bytes.
    pub(crate) body_seconds: u32,
}

impl Plan {
    pub(crate) fn all_clients(&self) -> usize {
        self.clients.iter().sum()
    }

    /// Starts the server, and waits for the group.
    pub(crate) fn start(&self) -> Server {
        let Self { processes, threads, body_seconds, .. } = self;
        let server = Server::builder()
            .mpm(Mpm::Event)
            .module("mod_rust.so")
            .load("reqtimeout")
            .children(self.children)
            .threads(self.child_threads)
            .log_level("warn mpm_event:trace1")
            .file("htdocs/hello.txt", "Hello, world\n")
            .patience(Duration::from_secs(60))
            .conf(&format!(
                "RustDaemonProcess app processes={processes} threads={threads}
RustAppAlias /hello hello process-group=app
RustAppAlias /probe probe process-group=app
RustAppAlias /embedded hello
RustAppAlias /reference probe
# Each child takes its share of the connections, however busy its threads are.
AsyncRequestWorkerFactor 200
ListenBackLog 4096
KeepAliveTimeout 600
Timeout 60
RequestReadTimeout header=20-40,MinRate=500 body={body_seconds},MinRate=500
# On loopback the system's own buffers would take 2 MiB at once, and no client would be slow.
SendBufferSize 16384
CustomLog /dev/null \"%h\""
            ))
            .start();
        server.group("app").wait_ready(self.processes);
        server
    }
}
