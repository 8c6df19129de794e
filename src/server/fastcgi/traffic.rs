//! The requests of a connection: those whose heads are on their way, and those that run.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::protocol::fastcgi::{Flow, ParamsReader, Role};
use crate::protocol::params::Params;
use crate::server::stream::{Connection, Due, EngineProcess as Process, us};

/// What of a request's input is kept for it while it does not read, in bytes.
pub(super) const INBOX: usize = 256 * 1024;

/// The requests of a connection, and who writes to it.
#[derive(Default)]
pub(in crate::server) struct Traffic {
    table: Mutex<Table>,
    writer: Mutex<()>,
}

/// What whoever reads the connection, and whoever runs a request of it, have to agree upon.
#[derive(Default)]
pub(super) struct Table {
    pub(super) requests: Vec<Entry>,
    /// A request has come to its end here.
    pub(super) served: bool,
    /// The connection is closed when the last request has ended.
    pub(super) close: bool,
    /// Nobody reads on, as an inbox is full.
    pub(super) choked: bool,
}

/// A request from its BEGIN_REQUEST to its END_REQUEST.
pub(super) struct Entry {
    pub(super) id: u16,
    pub(super) flow: Flow,
    pub(super) keep_conn: bool,
    pub(super) begun_us: u64,
    pub(super) line: Arc<Line>,
    /// While it is on its way; `None` once the request runs.
    pub(super) head: Option<Box<Head>>,
}

/// A head that is being read.
#[derive(Default)]
pub(super) struct Head {
    pub(super) params: Params,
    pub(super) reader: ParamsReader,
    /// The PARAMS have ended. Without a length of the input, it is not known whether there is any.
    pub(super) params_over: bool,
}

/// A request whose head is whole.
pub(super) struct Request {
    pub(super) id: u16,
    pub(super) role: Role,
    pub(super) keep_conn: bool,
    pub(super) head: Box<Head>,
    pub(super) line: Arc<Line>,
}

const THERE: u8 = 0;
const ABORTED: u8 = 1;
const GONE: u8 = 2;

/// From who reads the connection to who runs the request.
#[derive(Default)]
pub(super) struct Line {
    client: AtomicU8,
    inbox: Mutex<Inbox>,
    news: Condvar,
    /// Nobody needs to be woken before that is set.
    waits: AtomicBool,
}

/// Input that was read by somebody else.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) bytes: Vec<u8>,
    /// All of the input has come.
    pub(super) over: bool,
    pub(super) waker: Option<Waker>,
}

impl Traffic {
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is broken: the requests that run are told, and those whose heads were on their
    /// way are none any more. How many these were.
    pub(in crate::server) fn break_off(&self) -> usize {
        let mut table = self.table();
        table.close = true;
        let before = table.requests.len();
        table.requests.retain(|entry| entry.head.is_none());
        for entry in &table.requests {
            entry.line.break_off();
        }
        before - table.requests.len()
    }

    /// Who has it writes, whole records only.
    pub(super) fn writer(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`writer`](Self::writer), if nobody else has it.
    pub(super) fn try_writer(&self) -> Option<MutexGuard<'_, ()>> {
        self.writer.try_lock().ok()
    }

    /// Whether requests run, or the end of one is being written.
    pub(in crate::server) fn is_busy(&self) -> bool {
        self.table().requests.iter().any(|entry| entry.head.is_none())
            || self.try_writer().is_none()
    }
}

impl Table {
    pub(super) fn position(&self, id: u16) -> Option<usize> {
        self.requests.iter().position(|entry| entry.id == id)
    }

    /// Says until when what has to come next.
    pub(super) fn set_due(
        &self,
        process: &Process,
        connection: &Connection,
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
                    connection.expect(Due::Request, now_us + us(timeouts.keep_alive));
                }
                _ => connection.expect(Due::Head, now_us + us(timeouts.head)),
            }
        }
    }
}

impl Line {
    /// For another request.
    pub(super) fn reset(&mut self) {
        *self.client.get_mut() = THERE;
        *self.waits.get_mut() = false;
        let inbox = self.inbox.get_mut().unwrap_or_else(PoisonError::into_inner);
        inbox.bytes.clear();
        inbox.bytes.shrink_to(16 * 1024);
        (inbox.over, inbox.waker) = (false, None);
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

    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells who runs the request that something has changed.
    pub(super) fn tell(&self) {
        if self.waits.load(Ordering::SeqCst) {
            let waker = self.inbox().waker.clone();
            self.news.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// From here on it is told of what changes.
    pub(super) fn listen(&self, waker: Option<Waker>) -> MutexGuard<'_, Inbox> {
        self.waits.store(true, Ordering::SeqCst);
        let mut inbox = self.inbox();
        if waker.is_some() {
            inbox.waker = waker;
        }
        inbox
    }

    /// Waits for news, having [listened](Self::listen).
    pub(super) fn wait<'l>(
        &self,
        inbox: MutexGuard<'l, Inbox>,
        timeout: std::time::Duration,
    ) -> MutexGuard<'l, Inbox> {
        let news = |inbox: &mut Inbox| inbox.bytes.is_empty() && !inbox.over && !self.is_gone();
        let waited = self.news.wait_timeout_while(inbox, timeout, news);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
