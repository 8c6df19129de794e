//! The interface between the engine and a protocol.
//!
//! A protocol is a folder beside this one, a unit struct that implements [`Protocol`], and one line
//! in `server/serve/drivers.rs`. The engine accepts, keeps time and waits; a protocol says what the
//! bytes mean. [`single`](super::single) implements most of a protocol with one request per
//! connection.

use std::any::Any;
use std::sync::Arc;

use super::connection::StreamConnection;
use super::process::StreamProcess;
use super::process::StreamWorker;

/// A byte-stream protocol.
pub(in crate::server) trait Protocol: Send + Sync {
    /// Returns its name, as on the command line.
    fn name(&self) -> &'static str;

    /// Makes what it keeps for each connection: [`StreamConnection::state`] returns it.
    fn new_state(&self) -> Box<dyn Any + Send + Sync> {
        Box::new(())
    }

    /// Works on a connection that the calling thread has claimed, until there is nothing to read,
    /// or another thread reads on, or it is closed. After its peer has `hung_up` no other event
    /// tells of the end behind what is to be read.
    fn serve(&self, worker: &mut StreamWorker, connection: &Arc<StreamConnection>, hung_up: bool);

    /// Runs a request that a reader of the connection has left for another thread.
    fn run_ready(&self, _worker: &mut StreamWorker, _connection: &Arc<StreamConnection>) {}

    /// Returns whether requests run on a connection that no thread has claimed.
    fn is_busy(&self, _connection: &StreamConnection) -> bool {
        false
    }

    /// Returns whether a client that sends no more may still want an answer.
    fn may_half_close(&self) -> bool {
        false
    }

    /// Tells the requests of a connection that it is broken.
    fn cut(&self, _process: &StreamProcess, _connection: &StreamConnection) {}
}

/// A protocol, as listeners and connections name it.
pub(in crate::server) type AnyProtocol = &'static dyn Protocol;

/// The end of a request body, as it is found among the bytes that come.
pub(in crate::server) trait BodyEnd: Copy {
    /// Takes note of bytes that have come.
    fn pass(&mut self, bytes: &[u8]);

    /// Returns whether all of the body has come, or nothing tells.
    fn is_here(&self) -> bool;

    /// Returns how many bytes of a body are known to be on their way or here, whose length the head did
    /// not tell.
    fn body(&self) -> u64 {
        0
    }

    /// Returns how many bytes are to come, where the last one has to stay in the socket: closed
    /// with it, the connection is reset, whatever closes it.
    fn left(&self) -> Option<u64> {
        None
    }
}

/// The state that protocols keep for a thread, one value of each type.
#[derive(Default)]
pub(in crate::server) struct ThreadStates(Vec<Box<dyn Any>>);

impl ThreadStates {
    /// Returns the state of this type, made at the first call.
    pub(in crate::server) fn get<T: Any>(&mut self, make: impl FnOnce() -> T) -> &mut T {
        let index = self.0.iter().position(|state| state.is::<T>()).unwrap_or_else(|| {
            self.0.push(Box::new(make()));
            self.0.len() - 1
        });
        self.0[index].downcast_mut().expect("the state of this type was found here")
    }
}
