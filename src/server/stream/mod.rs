//! The engine of the byte-stream protocols: connections, worker threads, deadlines and the drain.
//! `server::serve` opens the listeners and calls `run` in each worker process; `server::fastcgi`,
//! `server::scgi` and `server::uwsgi` say what the bytes mean.
//!
//! The thread that calls `run` accepts connections and keeps time. As many worker threads as the
//! site's limits say wait on one epoll for all connections; each takes one event at a time, reads
//! what there is without waiting, and runs the application once a head is whole. An idle connection
//! and one that is slow to send its head hold no thread. A small request on a kept connection costs
//! three system calls: epoll_wait, recv and send.
//!
//! Output without room in its socket is parked with the connection, and written by the thread that
//! hears of room. A request gives its permit back while it waits: for a future, for a slow sender
//! of a body, or for a reader beyond the bounds of parked output. Then another thread is started,
//! unless one is idle. So the number of threads bounds the requests that run at once, and not those
//! that wait.
#![cfg(target_os = "linux")]

mod acceptor;
mod breaking;
mod buffer;
mod connection;
mod inbound;
mod output;
mod overload;
mod process;
pub(in crate::server) mod protocol;
mod read_ahead;
mod sending;
#[cfg(any(feature = "scgi", feature = "uwsgi"))]
pub(in crate::server) mod single;
#[cfg(test)]
pub(in crate::server) mod tests;

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use self::acceptor::Acceptor;
use crate::os::Event;
use crate::server::site::Site;
use crate::server::workers::pool::WorkerPool;
pub(in crate::server) use crate::server::workers::visits::us;

pub(in crate::server) use self::breaking::ResponseProgress;
pub(in crate::server) use self::buffer::{Buffer, ReadOutcome};
pub(in crate::server) use self::connection::{Due, StreamConnection};
pub(in crate::server) use self::inbound::{Inbound, gone};
pub(in crate::server) use self::output::{Framing, Output};
pub(in crate::server) use self::overload::put_refusal;
pub(in crate::server) use self::process::{StreamProcess, StreamWorker};
pub(in crate::server) use self::protocol::{AnyProtocol, BodyEnd, Protocol};
pub(in crate::server) use self::sending::{SendOutcome, Then, reply, reply_with, send};

/// The time that a peer which has its whole response has to send something more, which is thrown
/// away.
const LINGER: Duration = Duration::from_secs(2);

/// The longest time of that.
const LONGEST_LINGER: Duration = Duration::from_secs(30);

/// A listening socket, of TCP or of the Unix domain.
pub(in crate::server) struct StreamListener {
    /// The socket.
    pub(in crate::server) socket: OwnedFd,
    /// The protocol of its connections.
    pub(in crate::server) protocol: AnyProtocol,
    /// Its address, for people.
    pub(in crate::server) name: String,
    /// The addresses that may connect; empty for all (`FCGI_WEB_SERVER_ADDRS`). A peer on a Unix
    /// socket has no address and may.
    pub(in crate::server) allowed: Vec<IpAddr>,
}

/// Serves until `drain` is rung, and then until no connection is left or the site's graceful time
/// is up.
///
/// Threads may still be at requests that were given up when it comes back: end the process, do not
/// wait for them.
///
/// # Errors
///
/// Returns an error if the system has no descriptors or threads left at the start, or if epoll
/// fails.
pub(in crate::server) fn run(
    site: Arc<Site>,
    listeners: Vec<StreamListener>,
    drain: Event,
) -> io::Result<()> {
    let origins = listeners
        .iter()
        .map(|listener| process::ConnectionOrigin {
            protocol: listener.protocol,
            name: listener.name.clone(),
        })
        .collect();
    let process = Arc::new(StreamProcess::new(site, origins)?);
    let acceptor = Acceptor::new(process.clone(), listeners, drain)?;
    WorkerPool::start(&process)?;
    acceptor.run()
}
