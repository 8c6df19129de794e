//! FastCGI 1.0: responder, authorizer and filter, several requests at once over one connection. The
//! engine runs it; the codec is [`protocol::fastcgi`](crate::protocol::fastcgi).
//!
//! The thread that has claimed a connection reads its records. A request whose input has all come
//! is run after the claim was given back, so that other threads read what follows: other requests,
//! an ABORT_REQUEST, the end. A request whose input is still on its way is run under the claim, and
//! reads its connection itself; what it finds of other requests goes into their queues, or to
//! another thread. FastCGI has no flow control for a request: an input that nobody reads delays
//! what stands behind it once its queue is full.
//!
//! An application knows its role by `FCGI_ROLE` in the environ, where the web server says it, and
//! by what it was mounted for. A filter reads the request body and, behind it, the
//! `FCGI_DATA_LENGTH` bytes of the file that it filters.
//!
//! A response that breaks off ends without END_REQUEST, with a record that is no FastCGI and with
//! the connection, reset where that is possible: no END_REQUEST is what lighttpd and mod_proxy_fcgi
//! take for broken, the other two are what nginx does. If other requests run on it, it is closed
//! after them.
//!
//! The way of a request: `connection` reads records (`records`), `request` runs the application
//! over `input` and `response`. Each knows only those behind it, and `multiplexer`, which has the
//! requests of a connection.
#![cfg(target_os = "linux")]

mod breaking;
mod connection;
mod input;
mod multiplexer;
mod piece;
mod records;
mod request;
mod response;
mod stderr;
#[cfg(test)]
mod tests;
mod thread_state;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::multiplexer::{Multiplexer, multiplexer};
use super::stream::{Protocol, StreamConnection, StreamProcess, StreamWorker};

/// FastCGI 1.0.
pub(super) struct FastCgi;

impl Protocol for FastCgi {
    fn name(&self) -> &'static str {
        "fastcgi"
    }

    fn new_state(&self) -> Box<dyn Any + Send + Sync> {
        Box::<Multiplexer>::default()
    }

    fn serve(&self, worker: &mut StreamWorker, connection: &Arc<StreamConnection>, hung_up: bool) {
        connection::serve(worker, connection, hung_up);
    }

    fn run_ready(&self, worker: &mut StreamWorker, connection: &Arc<StreamConnection>) {
        connection::run_ready(worker, connection);
    }

    fn is_busy(&self, connection: &StreamConnection) -> bool {
        multiplexer(connection).is_busy()
    }

    fn cut(&self, process: &StreamProcess, connection: &StreamConnection) {
        process.requests.fetch_sub(multiplexer(connection).break_off(), Ordering::Relaxed);
    }
}
