//! A request that waits without a thread, and its waker.
//!
//! Such a request lies with its connection, which nobody has claimed: whoever claims the connection
//! visits the request. An event of the connection does so as for any connection, and the waker by a
//! job. A claim that fails is seen by the thread that has the connection, before it gives the
//! connection back. So no call is lost, and there are never two visits at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::Wake;

use super::connection::ChildConnection;
use super::exchange::ExchangeState;
use super::inbound::InboundState;
use super::input::InputState;
use super::output::FrameOutput;
use super::place::Place;
use super::process::DaemonProcess;
use super::serve::RequestRecord;
use super::variables::KeptRequest;
use super::worker::DaemonWorker;
use crate::gateway;
use crate::server::workers::connections::Entry as _;
use crate::server::workers::pool::WorkerPool;

/// A request between two visits.
#[derive(Debug)]
pub(super) struct SuspendedRequest {
    pub(super) record: RequestRecord,
    pub(super) request: Arc<KeptRequest>,
    pub(super) place: Place,
    pub(super) exchange: ExchangeState,
    pub(super) inbound: InboundState,
    pub(super) input: InputState,
    /// Output without room yet. Usually there is none.
    pub(super) output: FrameOutput,
    pub(super) stage: Stage,
}

/// The stage of a request that waits.
#[derive(Debug)]
pub(super) enum Stage {
    /// The application is not done.
    Waiting(gateway::Suspended),
    /// The application is done, with an error or without, and there is no room for the last frame.
    Ending(bool),
}

/// The waker of a request.
#[derive(Debug)]
pub(super) struct RequestWaker {
    process: Weak<DaemonProcess>,
    token: u64,
    is_over: AtomicBool,
}

impl RequestWaker {
    pub(super) fn new(process: &Arc<DaemonProcess>, connection: &ChildConnection) -> Self {
        let (process, token) = (Arc::downgrade(process), connection.token());
        Self { process, token, is_over: AtomicBool::new(false) }
    }

    /// Notes that the request is over. A later call has no effect, and one at this moment leads to
    /// a look at the connection for nothing.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

impl Wake for RequestWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_over.load(Ordering::Acquire) {
            return;
        }
        let Some(process) = self.process.upgrade() else { return };
        let Some(connection) = process.pool.connections.get(self.token) else { return };
        if connection.claim() {
            visit_soon(&process, connection);
        }
    }
}

/// Queues a visit of the request on a connection that is claimed.
pub(super) fn visit_soon(process: &DaemonProcess, connection: Arc<ChildConnection>) {
    process.pool.submit_visit(Box::new(move |worker: &mut DaemonWorker| {
        WorkerPool::<DaemonProcess>::catch(worker, Some(&connection), |worker| {
            worker.serve(&connection, false);
        });
    }));
}
