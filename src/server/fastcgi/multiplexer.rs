//! The requests of a connection: those whose heads are on their way, and those that run.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::piece::RecordPiece;
use crate::os::monotonic_us;
use crate::protocol::fastcgi::{ParamsReader, RequestFlow, Role};
use crate::protocol::params::Params;
use crate::server::site::{HeadBudget, HeadShare};
use crate::server::stream::{Due, StreamConnection, StreamProcess, StreamWorker, us};
use crate::server::workers::connections::Entry as _;

/// The most input that is kept for a request which does not read, in bytes.
pub(super) const QUEUE: usize = 256 * 1024;

/// The requests of a connection.
#[derive(Default)]
pub(super) struct Multiplexer {
    table: Mutex<RequestTable>,
    /// Requests that are off the table, and whose responses are not sent to their ends.
    pub(super) ending: AtomicUsize,
}

/// The state shared by the thread that reads the connection and those that run its requests.
#[derive(Default)]
pub(super) struct RequestTable {
    pub(super) requests: Vec<RequestEntry>,
    /// A request has come to its end here.
    pub(super) served: bool,
    /// The connection is closed when the last request has ended.
    pub(super) close: bool,
    /// No thread reads on, as a queue is full.
    pub(super) stalled: bool,
    /// The record that is being read, while no thread reads.
    pub(super) piece: RecordPiece,
    /// Requests for other threads to run than the one that has read them.
    #[allow(clippy::vec_box, reason = "the reader has made the box already")]
    pub(super) ready: Vec<Box<CompleteHead>>,
}

/// A request from its BEGIN_REQUEST to its END_REQUEST.
pub(super) struct RequestEntry {
    pub(super) id: u16,
    pub(super) flow: RequestFlow,
    pub(super) keep_conn: bool,
    pub(super) begun_us: u64,
    pub(super) channel: Arc<Channel>,
    /// While it is on its way; `None` once the request runs.
    pub(super) head: Option<Box<IncomingHead>>,
}

/// A head that is being read.
#[derive(Default)]
pub(super) struct IncomingHead {
    pub(super) params: Params,
    pub(super) reader: ParamsReader,
    /// The PARAMS have ended. Without a length of the input, it is not known whether there is any.
    pub(super) params_over: bool,
    /// The bytes that have come.
    size: usize,
    share: Option<HeadShare>,
}

/// A request whose head is whole.
pub(super) struct CompleteHead {
    pub(super) id: u16,
    pub(super) role: Role,
    pub(super) keep_conn: bool,
    pub(super) head: Box<IncomingHead>,
    pub(super) channel: Arc<Channel>,
}

impl CompleteHead {
    /// Tells whether the web server sends no more of the body once it has the response's head.
    pub(super) fn is_half_duplex(&self) -> bool {
        let software = self.head.params.get(b"SERVER_SOFTWARE").unwrap_or_default();
        software.starts_with(b"nginx")
    }
}

const THERE: u8 = 0;
const ABORTED: u8 = 1;
const GONE: u8 = 2;

/// The channel from the thread that reads the connection to the one that runs the request.
#[derive(Default)]
pub(super) struct Channel {
    client: AtomicU8,
    queue: Mutex<InputQueue>,
    news: Condvar,
    /// Nobody needs to be woken before that is set.
    waits: AtomicBool,
}

/// Input that was read by somebody else.
#[derive(Default)]
pub(super) struct InputQueue {
    pub(super) bytes: Vec<u8>,
    /// All of the input has come.
    pub(super) over: bool,
    pub(super) waker: Option<Waker>,
}

/// Returns the requests of a connection.
pub(super) fn multiplexer(connection: &StreamConnection) -> &Multiplexer {
    connection.state()
}

/// Takes a request off its connection. Returns whether that is to be closed now, or `None` if the
/// request was off already.
pub(super) fn take_off(
    process: &StreamProcess,
    connection: &Arc<StreamConnection>,
    (id, channel, keep_conn): (u16, &Arc<Channel>, bool),
) -> Option<bool> {
    let mut table = multiplexer(connection).table();
    let own = |entry: &RequestEntry| entry.id == id && Arc::ptr_eq(&entry.channel, channel);
    let at = table.requests.iter().position(own)?;
    table.requests.swap_remove(at);
    process.requests.fetch_sub(1, Ordering::Relaxed);
    table.served = true;
    table.close |= !keep_conn;
    table.set_due(process, connection, false, monotonic_us());
    let closes = (table.close || process.closes_kept()) && table.requests.is_empty();
    table.close |= closes;
    // Unread input may have been in the way.
    let stalled = std::mem::take(&mut table.stalled);
    drop(table);
    if stalled && !closes && connection.claim() {
        process.resume(connection);
    }
    Some(closes)
}

/// The bytes in the buffer go to the connection.
pub(super) fn put_down(
    worker: &mut StreamWorker,
    connection: &StreamConnection,
    piece: RecordPiece,
) {
    let partial = !worker.buffer.is_empty();
    let mut table = multiplexer(connection).table();
    table.set_due(&worker.process, connection, partial, monotonic_us());
    table.piece = piece;
    drop(table);
    let mut kept = connection.kept();
    kept.rest.extend_from_slice(worker.buffer.unread());
    drop(kept);
    worker.buffer.clear();
}

/// Gives a connection back whose next bytes have no room in their queue. The thread that makes room
/// has another read on. Returns `false` if there is room by now: then the caller reads on.
pub(super) fn leave_stalled(connection: &StreamConnection) -> bool {
    connection.claims().release_stalled(|| multiplexer(connection).table().stalled)
}

/// Whether other requests are on the connection, which is then closed behind them.
pub(super) fn leaves_others(connection: &StreamConnection) -> bool {
    let mut table = multiplexer(connection).table();
    table.close = true;
    !table.requests.is_empty()
}

impl Multiplexer {
    pub(super) fn table(&self) -> MutexGuard<'_, RequestTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is broken: the requests that run are told, and those whose heads were on
    /// their way are none any more. How many these were.
    pub(super) fn break_off(&self) -> usize {
        let mut table = self.table();
        table.close = true;
        let before = table.requests.len();
        table.requests.retain(|entry| entry.head.is_none());
        for entry in &table.requests {
            entry.channel.break_off();
        }
        before - table.requests.len()
    }

    /// Returns whether requests run.
    pub(super) fn is_busy(&self) -> bool {
        self.table().requests.iter().any(|entry| entry.head.is_none())
    }
}

impl IncomingHead {
    /// Notes that so many bytes more have come. Returns whether `budget` has room for them.
    pub(super) fn grows(&mut self, more: usize, budget: &Arc<HeadBudget>) -> bool {
        self.size += more;
        self.share.get_or_insert_with(|| budget.share()).set(self.size)
    }

    /// Notes that the head is whole or given up.
    pub(super) fn is_done(&mut self) {
        self.size = 0;
        if let Some(share) = &mut self.share {
            share.clear();
        }
    }
}

impl RequestTable {
    pub(super) fn position(&self, id: u16) -> Option<usize> {
        self.requests.iter().position(|entry| entry.id == id)
    }

    /// Says until when what has to come next.
    pub(super) fn set_due(
        &self,
        process: &StreamProcess,
        connection: &StreamConnection,
        partial: bool,
        now_us: u64,
    ) {
        let timeouts = &process.site.timeouts;
        let heads = self.requests.iter().filter(|entry| entry.head.is_some());
        if let Some(begun_us) = heads.map(|entry| entry.begun_us).min() {
            connection.expect(Due::Head, begun_us + us(timeouts.head));
        } else if !self.requests.is_empty() {
            connection.expect_nothing();
        } else {
            match connection.due().map(|(due, _)| due) {
                Some(Due::Head | Due::End) => {}
                Some(Due::FirstByte | Due::Request) if !partial => {}
                None if !partial => {
                    connection.expect(Due::Request, now_us + process.keep_alive_us());
                }
                _ => connection.expect(Due::Head, now_us + us(timeouts.head)),
            }
        }
    }
}

impl Channel {
    /// For another request.
    pub(super) fn reset(&mut self) {
        *self.client.get_mut() = THERE;
        *self.waits.get_mut() = false;
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        queue.bytes.clear();
        queue.bytes.shrink_to(16 * 1024);
        (queue.over, queue.waker) = (false, None);
    }

    /// The web server wants no more of it: the connection goes on.
    pub(super) fn abort(&self) {
        let _ = self.client.compare_exchange(THERE, ABORTED, Ordering::AcqRel, Ordering::Acquire);
        self.tell();
    }

    /// The connection is broken.
    pub(super) fn break_off(&self) {
        self.client.store(GONE, Ordering::Release);
        self.tell();
    }

    /// Whether nobody wants an answer any more.
    pub(super) fn is_gone(&self) -> bool {
        self.client.load(Ordering::Acquire) != THERE
    }

    /// Whether the connection goes on though nobody wants this answer.
    pub(super) fn is_aborted(&self) -> bool {
        self.client.load(Ordering::Acquire) == ABORTED
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, InputQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells who runs the request that something has changed.
    pub(super) fn tell(&self) {
        if self.waits.load(Ordering::SeqCst) {
            let waker = self.queue().waker.clone();
            self.news.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// From here on it is told of what changes.
    pub(super) fn listen(&self, waker: Option<Waker>) -> MutexGuard<'_, InputQueue> {
        self.waits.store(true, Ordering::SeqCst);
        let mut queue = self.queue();
        if waker.is_some() {
            queue.waker = waker;
        }
        queue
    }

    /// Waits for news, having [listened](Self::listen).
    pub(super) fn wait<'l>(
        &self,
        queue: MutexGuard<'l, InputQueue>,
        timeout: std::time::Duration,
    ) -> MutexGuard<'l, InputQueue> {
        let news =
            |queue: &mut InputQueue| queue.bytes.is_empty() && !queue.over && !self.is_gone();
        let waited = self.news.wait_timeout_while(queue, timeout, news);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
