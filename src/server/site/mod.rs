//! The part that all gateways share: which application answers, the environ that it sees, how its
//! answer becomes a response, what is logged.
//!
//! A driver (CGI, FastCGI, SCGI, uwsgi, HTTP) decodes a request's head into
//! [`Params`](crate::protocol::params::Params). It has a [`Sink`] for the response and an
//! [`InputSource`](crate::gateway::InputSource) for the request body. It calls [`serve()`] on the
//! thread that has the request. `server::serve` makes the one [`Site`] of a process.

mod access;
mod access_format;
mod body;
mod current_log;
mod environ;
mod exchange;
mod fault_log;
mod file;
mod head;
mod log;
mod mounts;
mod overload;
mod page;
mod path;
mod process_info;
mod recycling;
mod redirect;
mod request;
mod running;
mod sink;

pub(crate) use self::access::AccessLog;
pub(crate) use self::access_format::AccessFormat;
pub(in crate::server) use self::body::too_large;
pub(crate) use self::current_log::{RequestLog, sit_down};
pub(crate) use self::fault_log::Fault;
pub(crate) use self::head::FinalHead;
pub(crate) use self::log::{Log, ThreadLog, parse_level};
pub(crate) use self::mounts::{Mount, Mounts};
pub(crate) use self::overload::{HeadBudget, HeadShare, Refusal};
pub(crate) use self::page::page;
pub(crate) use self::process_info::{Mode, ProcessInfo};
pub(crate) use self::recycling::Recycling;
#[cfg(any(feature = "cgi", feature = "scgi", feature = "uwsgi", test))]
pub(crate) use self::request::serve;
pub(crate) use self::request::{Request, ResponseEnd, Served, SuspendedRequest, start};
pub(crate) use self::running::RunningRequests;
pub(crate) use self::sink::{BreakOutcome, Breaker, OwnAnswer, Sink};

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use self::environ::SiteEnviron;
use self::mounts::NOBODY;
use crate::protocol::params::Params;

/// The applications of a process, and everything about it that its requests need.
#[derive(Debug)]
pub(crate) struct Site {
    /// Which application answers which path.
    pub mounts: Mounts,
    /// The facts of the process that stand in every environ.
    pub facts: ProcessInfo,
    /// The program's own log.
    pub log: Arc<Log>,
    /// One line a request, if wanted.
    pub access: Option<Arc<AccessLog>>,
    /// The limits after which this process is replaced, if it has any.
    pub recycling: Option<Recycling>,
    /// The requests that run, if their time is bounded.
    pub running: Option<RunningRequests>,
    /// The limits.
    pub limits: Limits,
    /// The time-outs.
    pub timeouts: Timeouts,
    /// The unfinished heads of all connections.
    pub heads: Arc<HeadBudget>,
}

impl Site {
    /// Adds a request to the access log that no application is asked for. `params` holds what is
    /// known of it.
    pub(crate) fn log_refusal(&self, mode: Mode, params: &Params, answer: (StatusCode, usize)) {
        if let Some(access) = &self.access {
            let path = SiteEnviron::locate(params, &self.facts, mode);
            let environ = SiteEnviron::new(params, &self.facts, mode, path, NOBODY);
            access.put(&environ, (Some(answer.0), answer.1 as u64));
        }
    }
}

/// The limits of a driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Threads that run applications.
    pub threads: usize,
    /// Connections at once; further ones wait in the listener's queue.
    pub connections: usize,
    /// Requests that may wait for a thread; further ones are refused with 503.
    pub queue: usize,
    /// A request's head in bytes: all its variables, or its HTTP headers.
    pub head: usize,
    /// The unfinished heads of all connections of a process, in bytes.
    pub heads: usize,
    /// A request's body in bytes; `None` for no limit.
    pub body: Option<u64>,
    /// The temporary files with request bodies, together, in bytes.
    pub spool: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            threads: 15,
            connections: 1024,
            queue: 1024,
            head: 128 * 1024,
            heads: 64 * 1024 * 1024,
            body: None,
            spool: 1 << 30,
        }
    }
}

/// The time-outs of a driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For a whole request head, from its first byte; and for the first byte of a connection.
    pub head: Duration,
    /// For a thread, once the head of a request is here.
    pub queue: Duration,
    /// For a whole request, once a thread has it; `None` for no limit.
    pub request: Option<Duration>,
    /// For the next piece of a request body.
    pub body: Duration,
    /// For room to write the next piece of a response.
    pub send: Duration,
    /// For the next request on a connection that is kept.
    pub keep_alive: Duration,
    /// For requests to finish when the process is to end.
    pub graceful: Duration,
    /// For the next request on a connection that is kept, while the process drains: a web server
    /// may be about to send one.
    pub drain_idle: Duration,
    /// For the first byte of a connection, while the process drains: it may just have been
    /// accepted, and what it was opened for is on its way.
    pub drain_first: Duration,
}

/// A process that is so late stood still, and its peers perhaps with it: a deadline measured no
/// silence then.
pub(crate) const STOOD_STILL: Duration = Duration::from_millis(40);

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(20),
            queue: Duration::from_secs(45),
            request: None,
            body: Duration::from_secs(60),
            send: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            graceful: Duration::from_secs(30),
            drain_idle: Duration::from_millis(100),
            drain_first: Duration::from_secs(1),
        }
    }
}
