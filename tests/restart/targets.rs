//! The requests of a load's clients, and the servers that answer: embedded applications, process
//! groups, and mod_wsgi's daemon mode for comparison. The soak test uses them too.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use httpd_testkit::{Builder, Mpm, Response, Server};

use crate::load::{Target, Upload};

const FILE: usize = 100_000;

/// The targets of the clients: httpd's own files for comparison, and applications.
pub(crate) const TARGETS: &[Target] = &[
    Target {
        method: "GET",
        path: "/small.txt",
        body: None,
        answer: |response| response.body == b"small\n",
        allowed: &[],
    },
    Target {
        method: "GET",
        path: "/hello",
        body: None,
        answer: |response| response.body == b"Hello, world\n",
        allowed: &[],
    },
    Target {
        method: "GET",
        path: "/large.bin",
        body: None,
        answer: |response| is(response, FILE, b'f'),
        allowed: &[],
    },
    // A hundredth of a second between two chunks: on its way for a fifth of a second.
    Target {
        method: "GET",
        path: "/probe/stream?chunks=20&size=500&ms=10",
        body: None,
        answer: |response| is(response, 10_000, b'x'),
        allowed: &[],
    },
    Target {
        method: "GET",
        path: "/probe/bytes/200000",
        body: None,
        answer: |response| response.body.len() == 200_000,
        allowed: &[],
    },
    Target {
        method: "POST",
        path: "/probe/echo",
        body: Some(Upload { pieces: 10, size: 2000, pause: Duration::from_millis(10) }),
        answer: |response| is(response, 20_000, b'u'),
        allowed: &[],
    },
    Target {
        method: "GET",
        path: "/probe/wait?ms=50",
        body: None,
        answer: |response| response.body == b"waited 50 ms\n",
        allowed: &[],
    },
    Target {
        method: "POST",
        path: "/probe/discard",
        body: Some(Upload { pieces: 2, size: 30_000, pause: Duration::from_millis(20) }),
        answer: |response| response.text().contains("\"length\": 60000,"),
        allowed: &[],
    },
];

fn is(response: &Response, length: usize, byte: u8) -> bool {
    response.body.len() == length && response.body.iter().all(|&each| each == byte)
}

/// The number of clients.
pub(crate) const CLIENTS: usize = 12;

/// The mode of the applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    Embedded,
    Daemon,
    ModWsgi,
}

/// A process group of mod_wsgi's and ours alike.
const PROCESSES: &str = "processes=2 threads=10";

impl Gateway {
    fn conf(self) -> String {
        match self {
            Self::Embedded => "RustAppAlias /hello hello\nRustAppAlias /probe probe".to_owned(),
            Self::Daemon => format!(
                "RustDaemonProcess app {PROCESSES}\n\
                 RustAppAlias /hello hello process-group=app\n\
                 RustAppAlias /probe probe process-group=app"
            ),
            Self::ModWsgi => format!(
                "WSGIChunkedRequest On\n\
                 WSGISocketPrefix {{root}}/run/wsgi\n\
                 WSGIDaemonProcess app {PROCESSES}\n\
                 WSGIProcessGroup app\nWSGIApplicationGroup %{{GLOBAL}}\n\
                 WSGIScriptAlias /hello {{root}}/app/same.wsgi\n\
                 WSGIScriptAlias /probe {{root}}/app/same.wsgi\n\
                 <Directory \"{{root}}/app\">\nRequire all granted\n</Directory>"
            ),
        }
    }

    /// Returns a server for the load, configured for the restarts.
    pub(crate) fn server(self, mpm: Mpm) -> Builder {
        let builder = match self {
            Self::Embedded | Self::Daemon => Server::builder().module("mod_rust.so"),
            Self::ModWsgi => Server::builder().load("wsgi"),
        };
        builder
            .mpm(mpm)
            .conf(&self.conf())
            .children(if mpm == Mpm::Prefork { 16 } else { 2 })
            .threads(16)
            .log_level("info")
            .file("app/same.wsgi", include_str!("same.wsgi"))
            .file("htdocs/small.txt", "small\n")
            .file("htdocs/large.bin", vec![b'f'; FILE])
    }
}

impl FromStr for Gateway {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "embedded" => Ok(Self::Embedded),
            "daemon" => Ok(Self::Daemon),
            "mod_wsgi" => Ok(Self::ModWsgi),
            _ => Err("expected embedded, daemon or mod_wsgi"),
        }
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Daemon => "daemon",
            Self::ModWsgi => "mod_wsgi",
        })
    }
}
