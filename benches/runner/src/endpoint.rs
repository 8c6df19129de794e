//! The endpoints of the peers: seven requests, the same for all of them.

use serde::Serialize;

/// Bytes that `/echo` gets.
pub(crate) const ECHO_SIZE: usize = 65536;
/// Connections of the run that looks at the slowest requests.
const CROWD: u32 = 64;

/// One of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Endpoint {
    /// `GET /hello`: 13 bytes of known length.
    Hello,
    /// `GET /hello` again, on more connections than the applications have threads: for the slowest.
    Crowd,
    /// `GET /axum`: the same answer from an axum Router inside httpd.
    Axum,
    /// `GET /awaiting`: the same from a handler that awaits once, and so suspends its request.
    Awaiting,
    /// `POST /echo`: 64 KiB back, of known length.
    Echo,
    /// `GET /stream`: 1 MiB in 64 writes of 16 KiB, of unknown length.
    Stream,
    /// `GET /environ`: every environ key and value, a line each.
    Environ,
}

impl Endpoint {
    /// All of them, in the order of the tables.
    pub(crate) const ALL: [Self; 7] = [
        Self::Hello,
        Self::Crowd,
        Self::Axum,
        Self::Awaiting,
        Self::Echo,
        Self::Stream,
        Self::Environ,
    ];

    /// Returns its name on the command line and in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Crowd => "crowd",
            Self::Axum => "axum",
            Self::Awaiting => "awaiting",
            Self::Echo => "echo",
            Self::Stream => "stream",
            Self::Environ => "environ",
        }
    }

    /// Returns the path that is requested.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Hello | Self::Crowd => "/hello",
            Self::Axum => "/axum",
            Self::Awaiting => "/awaiting",
            Self::Echo => "/echo",
            Self::Stream => "/stream",
            Self::Environ => "/environ",
        }
    }

    /// Returns its description for a table.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Hello => "GET, 13 bytes",
            Self::Crowd => "hello on 64 connections: what the slowest wait for",
            Self::Axum => "hello from an axum Router inside httpd, against the C handler's hello",
            Self::Awaiting => "the same from a handler that awaits once: the request suspends",
            Self::Echo => "POST, 64 KiB back",
            Self::Stream => "GET, 1 MiB in 64 writes of 16 KiB, chunked",
            Self::Environ => "GET, every environ key and value",
        }
    }

    /// The endpoint of the C handler that it is compared with.
    pub(crate) fn reference(self) -> Self {
        match self {
            Self::Axum | Self::Awaiting => Self::Hello,
            other => other,
        }
    }

    /// Connections of its own, where the number is what it is about.
    pub(crate) fn connections(self) -> Option<u32> {
        (self == Self::Crowd).then_some(CROWD)
    }

    /// True if one request of it is worth counting: a crowd's is a hello's.
    pub(crate) fn is_counted(self) -> bool {
        self != Self::Crowd
    }

    /// Bytes to post, for a POST.
    pub(crate) fn post(self) -> Option<usize> {
        (self == Self::Echo).then_some(ECHO_SIZE)
    }

    /// Requests of the short and of the long run whose difference gives the counts of one request.
    pub(crate) fn count_requests(self) -> (u32, u32) {
        match self {
            Self::Hello | Self::Crowd | Self::Axum | Self::Awaiting | Self::Environ => (200, 1200),
            Self::Echo | Self::Stream => (20, 120),
        }
    }
}
