//! Thousands of requests at once that wait: who answers them, how late, and at what cost.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::gauge::{Gauge, percentile};
use super::wire::{self, Protocol, Wire};
use super::{OPENED, Scale, runtime};
use crate::server::Server;

/// Between two looks at the members.
const PAUSE: Duration = Duration::from_millis(50);

/// The figures of one peer. Times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Crowd {
    pub(crate) peer: &'static str,
    pub(crate) asked: usize,
    pub(crate) answered: usize,
    /// Of all requests; `None` if that one was not answered.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// The 99th of 100 over the wait, less one.
    pub(crate) over: Option<f64>,
    /// Kept connections that the server closed before it had read a request: it was sent again.
    pub(crate) closed: u32,
    /// The same for one request on each open connection, all sent at one moment.
    pub(crate) herd: Herd,
    /// CPU microseconds of the servers, a request.
    pub(crate) cpu_us: Option<f64>,
    /// Anonymous memory of the servers over that of idle ones, for each connection.
    pub(crate) memory_kib: f64,
    pub(crate) others: f64,
    /// One of the errors.
    pub(crate) error: Option<String>,
}

/// The requests that are all sent at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Herd {
    pub(crate) answered: usize,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// Kept connections that were closed while all connections were made ready for it.
    pub(crate) closed_before: u32,
    /// The same when it came.
    pub(crate) closed: u32,
}

/// The present task of the members.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Some requests, one after the other.
    Steady,
    /// One short request in their turn, so that each connection is open and kept.
    Gather(Instant),
    /// One more, now.
    Herd,
}

/// The members' common part.
struct Shared {
    port: u16,
    request: Vec<u8>,
    /// One that hardly waits.
    short: Vec<u8>,
    protocol: Protocol,
    rounds: u32,
    /// Those that are done with a phase, or failed.
    finished: AtomicU32,
    gathered: AtomicU32,
    stampeded: AtomicU32,
    /// Kept connections that were closed in each phase.
    closed: AtomicU32,
    closed_before: AtomicU32,
    closed_herd: AtomicU32,
    /// The time within which a kept connection is closed if its request has not been read.
    early: Duration,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    steady: Vec<f64>,
    herd: Vec<f64>,
    error: Option<String>,
}

impl Shared {
    fn log(&self, note: impl FnOnce(&mut Log)) {
        note(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Has a request answered, and returns the connection and the milliseconds. A server may close
    /// a kept connection before it has read the next request, which is counted in `closed`. Then
    /// the request is sent again, as browsers do.
    async fn ask(
        &self,
        mut wire: Wire,
        request: &[u8],
        closed: Option<&AtomicU32>,
    ) -> io::Result<(Wire, f64)> {
        let sent = Instant::now();
        match (wire.ask(request, self.protocol).await, closed) {
            (Err(error), Some(closed)) if is_closed(&error) && sent.elapsed() < self.early => {
                closed.fetch_add(1, Ordering::Relaxed);
                // Before the new one is opened, since both have a descriptor here.
                drop(wire);
                wire = Wire::connect(self.port).await?;
                wire.ask(request, self.protocol).await?;
            }
            (result, _) => result?,
        }
        Ok((wire, sent.elapsed().as_secs_f64() * 1000.0))
    }

    /// Keeps the first error.
    fn failed(&self, error: &io::Error) {
        self.log(|log| {
            log.error.get_or_insert_with(|| error.to_string());
        });
    }
}

/// Whether the connection was closed without a byte of an answer.
fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected
    )
}

/// Has each connection ask several times, one request after the other. The first requests are
/// spread over the length of a wait, so that from then on all wait at every moment.
///
/// # Errors
/// Returns an error if the client's runtime cannot be made. Failed requests are in the figures.
pub(crate) fn measure(
    peer: &'static str,
    server: &Server,
    protocol: Protocol,
    scale: &Scale,
) -> Result<Crowd> {
    let shared = Arc::new(Shared {
        port: server.port(),
        request: wire::wait(protocol, scale.wait.as_millis()),
        short: wire::wait(protocol, 1),
        protocol,
        rounds: scale.rounds,
        finished: AtomicU32::new(0),
        gathered: AtomicU32::new(0),
        stampeded: AtomicU32::new(0),
        closed: AtomicU32::new(0),
        closed_before: AtomicU32::new(0),
        closed_herd: AtomicU32::new(0),
        early: scale.wait / 2,
        log: Mutex::default(),
    });
    let mut gauge = Gauge::start(server);
    let run = lead(&shared, scale, &mut gauge);
    let (used, others) = runtime()?.block_on(run);

    let mut log = shared.log.lock().unwrap_or_else(PoisonError::into_inner);
    let asked = (scale.connections * scale.rounds) as usize;
    let answered = log.steady.len();
    let p99_ms = percentile(&mut log.steady, asked, 0.99);
    let wait_ms = scale.wait.as_secs_f64() * 1000.0;
    Ok(Crowd {
        peer,
        asked,
        answered,
        p50_ms: percentile(&mut log.steady, asked, 0.5),
        p99_ms,
        over: p99_ms.map(|p99| p99 / wait_ms - 1.0),
        closed: shared.closed.load(Ordering::Relaxed),
        herd: Herd {
            answered: log.herd.len(),
            p50_ms: percentile(&mut log.herd, scale.connections as usize, 0.5),
            p99_ms: percentile(&mut log.herd, scale.connections as usize, 0.99),
            closed_before: shared.closed_before.load(Ordering::Relaxed),
            closed: shared.closed_herd.load(Ordering::Relaxed),
        },
        cpu_us: (answered > 0).then(|| used as f64 / answered as f64),
        memory_kib: gauge.memory_kib(scale.connections),
        others,
        error: log.error.take(),
    })
}

/// Sends the members off, and returns the CPU time that the servers and that others used up to the
/// end of the first phase.
async fn lead(shared: &Arc<Shared>, scale: &Scale, gauge: &mut Gauge<'_>) -> (u64, f64) {
    let (signal, phase) = watch::channel(Phase::Steady);
    let start = Instant::now();
    let mut members = JoinSet::new();
    for index in 0..scale.connections {
        let at = start + scale.wait * index / scale.connections;
        // Its turn to gather.
        let turn = Duration::from_secs(1) * index / OPENED;
        members.spawn(member(Arc::clone(shared), at, turn, phase.clone()));
    }
    let wanted = scale.wait * (1 + scale.rounds);
    let all = |count: &AtomicU32| count.load(Ordering::Relaxed) == scale.connections;
    gauge.watch(start + wanted + scale.grace, || all(&shared.finished)).await;
    let used = gauge.used();
    let gathering = Duration::from_secs(1) * scale.connections / OPENED;
    let phases = [
        (Phase::Gather(Instant::now()), &shared.finished, &shared.gathered, gathering),
        (Phase::Herd, &shared.gathered, &shared.stampeded, scale.wait),
    ];
    for (phase, before, after, needed) in phases {
        if !all(before) {
            break;
        }
        // Each of them receives it.
        let _ = signal.send(phase);
        let end = Instant::now() + needed + scale.grace;
        while !all(after) && Instant::now() < end {
            sleep(PAUSE).await;
        }
    }
    members.shutdown().await;
    used
}

async fn member(
    shared: Arc<Shared>,
    at: Instant,
    turn: Duration,
    mut phase: watch::Receiver<Phase>,
) {
    sleep_until(at).await;
    let steady = done(&shared, steady(&shared), &shared.finished).await;

    let gather = async {
        let mut begin = at;
        let is_now = |phase: &Phase| match phase {
            Phase::Gather(now) => {
                begin = *now;
                true
            }
            _ => false,
        };
        phase.wait_for(is_now).await.map_err(io::Error::other)?;
        sleep_until(begin + turn).await;
        let wire = steady.ok_or_else(gone)?;
        Ok(shared.ask(wire, &shared.short, Some(&shared.closed_before)).await?.0)
    };
    let gathered = done(&shared, gather, &shared.gathered).await;

    let stampede = async {
        phase.wait_for(|phase| *phase == Phase::Herd).await.map_err(io::Error::other)?;
        let wire = gathered.ok_or_else(gone)?;
        let (wire, late) = shared.ask(wire, &shared.request, Some(&shared.closed_herd)).await?;
        shared.log(|log| log.herd.push(late));
        Ok(wire)
    };
    done(&shared, stampede, &shared.stampeded).await;
}

/// Has a member do its part of a phase, after which it is counted. The connection is kept.
async fn done(
    shared: &Shared,
    part: impl Future<Output = io::Result<Wire>>,
    count: &AtomicU32,
) -> Option<Wire> {
    let result = part.await;
    count.fetch_add(1, Ordering::Relaxed);
    result.inspect_err(|error| shared.failed(error)).ok()
}

/// Returns the error of a member whose connection failed in an earlier phase.
fn gone() -> io::Error {
    io::Error::other("the connection had failed before")
}

async fn steady(shared: &Shared) -> io::Result<Wire> {
    let mut wire = Wire::connect(shared.port).await?;
    for round in 0..shared.rounds {
        let closed = (round > 0).then_some(&shared.closed);
        let (kept, late) = shared.ask(wire, &shared.request, closed).await?;
        wire = kept;
        shared.log(|log| log.steady.push(late));
    }
    Ok(wire)
}
