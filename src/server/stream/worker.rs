//! A worker thread's state, and the hand-over of a connection to its protocol.

use std::sync::Arc;

use super::buffer::Buffer;
use super::connection::Connection;
use super::output::Output;
use super::process::StreamProcess;
use super::protocol::ThreadStates;
use crate::gateway::{Code, Error, Level};
use crate::protocol::params::Params;

/// The state that a worker thread keeps from one request to the next.
pub(in crate::server) struct Worker {
    pub(in crate::server) process: Arc<StreamProcess>,
    pub(in crate::server) buffer: Buffer,
    pub(in crate::server) output: Output,
    /// The destination of raw bytes that come while a response is written.
    pub(in crate::server) ahead: Vec<u8>,
    pub(in crate::server) params: Params,
    /// Requests are refused, and not run.
    pub(in crate::server) refuses: bool,
    /// The state that protocols keep for this thread.
    pub(in crate::server) states: ThreadStates,
}

impl Worker {
    pub(super) fn new(process: &Arc<StreamProcess>) -> Self {
        Self {
            process: process.clone(),
            buffer: Buffer::new(),
            output: Output::new(),
            ahead: Vec::new(),
            params: Params::new(),
            refuses: false,
            states: ThreadStates::default(),
        }
    }

    /// Ends a connection that a panic outside of the application has broken off.
    pub(super) fn panicked(&mut self, connection: Option<&Connection>, error: &Error) {
        let line = Code::WorkerPanicked.line(format_args!("a worker thread {error}"));
        self.process.site.log.line(Level::Error, &line);
        if let Some(connection) = connection {
            self.process.cut(connection);
        }
        self.buffer.clear();
        self.output.clear();
    }

    /// Works on a connection that the calling thread has claimed, as [`Protocol::serve`].
    ///
    /// [`Protocol::serve`]: super::Protocol::serve
    pub(super) fn serve(&mut self, connection: &Arc<Connection>, hung_up: bool) {
        connection.protocol().serve(self, connection, hung_up);
    }
}
