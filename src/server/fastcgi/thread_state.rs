//! The FastCGI state of a worker thread: room for heads, and its way to the web server's log.

use std::sync::{Arc, Mutex, PoisonError};

use super::multiplexer::{Channel, IncomingHead};
use super::stderr::stderr;
use crate::gateway::Level;
use crate::server::site::{self, RequestLog};
use crate::server::stream::{StreamConnection, StreamProcess};

/// Room of a head that is kept for the next one, in bytes.
const KEEP: usize = 16 * 1024;

/// The state that a worker thread keeps for FastCGI.
pub(super) struct ThreadState {
    pub(super) spare: SpareHeads,
    /// Answers to records that want one at once.
    pub(super) replies: Vec<u8>,
    pub(super) log: Arc<StderrLog>,
}

/// Room for a head, kept from one request to the next.
#[derive(Default)]
pub(super) struct SpareHeads {
    kept: Option<(Box<IncomingHead>, Arc<Channel>)>,
}

/// Writes lines for the request that the thread works on to its STDERR.
#[derive(Default)]
pub(super) struct StderrLog {
    request: Mutex<Option<Addressee>>,
}

/// The request whose STDERR lines go to.
type Addressee = (Arc<StreamProcess>, Arc<StreamConnection>, u16);

impl ThreadState {
    /// Makes the state of the calling thread, and sends its log lines to STDERR.
    pub(super) fn new() -> Self {
        let log = Arc::new(StderrLog::default());
        site::sit_down(log.clone());
        Self { spare: SpareHeads::default(), replies: Vec::new(), log }
    }
}

impl SpareHeads {
    pub(super) fn take(&mut self) -> (Box<IncomingHead>, Arc<Channel>) {
        self.kept.take().unwrap_or_default()
    }

    /// Keeps it for another request.
    pub(super) fn put(&mut self, mut head: Box<IncomingHead>, mut channel: Arc<Channel>) {
        head.params.clear();
        head.params.shrink_to(KEEP);
        head.reader.reset();
        head.reader.shrink_to(KEEP);
        head.params_over = false;
        head.is_done();
        match Arc::get_mut(&mut channel) {
            Some(channel) => channel.reset(),
            // Somebody still looks at it.
            None => channel = Arc::default(),
        }
        self.kept = Some((head, channel));
    }
}

impl StderrLog {
    /// The thread works on this request from now on, or on none.
    pub(super) fn set(&self, request: Option<(&Arc<StreamProcess>, &Arc<StreamConnection>, u16)>) {
        let request = request
            .map(|(process, connection, id)| (Arc::clone(process), Arc::clone(connection), id));
        *self.request.lock().unwrap_or_else(PoisonError::into_inner) = request;
    }
}

impl RequestLog for StderrLog {
    fn log(&self, level: Level, message: &str) -> bool {
        let request = self.request.lock().unwrap_or_else(PoisonError::into_inner).clone();
        request.is_some_and(|(process, connection, id)| {
            stderr(&process, &connection, id, level, message)
        })
    }
}
