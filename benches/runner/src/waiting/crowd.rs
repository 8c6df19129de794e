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
use super::{Scale, runtime};
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
    /// The same for one request of each connection, all sent at one moment.
    pub(crate) herd_p99_ms: Option<f64>,
    /// Kept connections that were closed before a request was read: it was sent again.
    pub(crate) reopened: u32,
    /// CPU microseconds of the servers, a request.
    pub(crate) cpu_us: Option<f64>,
    /// Anonymous memory of the servers over that of idle ones, for each connection.
    pub(crate) memory_kib: f64,
    pub(crate) others: f64,
    /// One of the errors.
    pub(crate) error: Option<String>,
}

/// The members' common part.
struct Shared {
    port: u16,
    request: Vec<u8>,
    protocol: Protocol,
    rounds: u32,
    /// Those that have their answers, or failed.
    finished: AtomicU32,
    stampeded: AtomicU32,
    reopened: AtomicU32,
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

    /// Has a request answered, and returns the milliseconds. A server may close a kept connection
    /// before it has read the next request, which is then sent again, as browsers do.
    async fn ask(&self, wire: &mut Wire, kept: bool) -> io::Result<f64> {
        let sent = Instant::now();
        match wire.ask(&self.request, self.protocol).await {
            Err(error) if kept && is_closed(&error) && sent.elapsed() < self.early => {
                self.reopened.fetch_add(1, Ordering::Relaxed);
                *wire = Wire::connect(self.port).await?;
                wire.ask(&self.request, self.protocol).await?;
            }
            result => result?,
        }
        Ok(sent.elapsed().as_secs_f64() * 1000.0)
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
    let path = format!("/waiting/wait/{}", scale.wait.as_millis());
    let shared = Arc::new(Shared {
        port: server.port(),
        request: match protocol {
            Protocol::Http => wire::get(&path),
            Protocol::FastCgi => wire::fastcgi(&path),
        },
        protocol,
        rounds: scale.rounds,
        finished: AtomicU32::new(0),
        stampeded: AtomicU32::new(0),
        reopened: AtomicU32::new(0),
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
        herd_p99_ms: percentile(&mut log.herd, scale.connections as usize, 0.99),
        reopened: shared.reopened.load(Ordering::Relaxed),
        cpu_us: (answered > 0).then(|| used as f64 / answered as f64),
        memory_kib: gauge.memory_kib(scale.connections),
        others,
        error: log.error.take(),
    })
}

/// Sends the members off, and returns the CPU time that the servers and that others used.
async fn lead(shared: &Arc<Shared>, scale: &Scale, gauge: &mut Gauge<'_>) -> (u64, f64) {
    let (signal, herd) = watch::channel(false);
    let start = Instant::now();
    let mut members = JoinSet::new();
    for index in 0..scale.connections {
        let at = start + scale.wait * index / scale.connections;
        members.spawn(member(Arc::clone(shared), at, herd.clone()));
    }
    let wanted = scale.wait * (1 + scale.rounds);
    let all = |count: &AtomicU32| count.load(Ordering::Relaxed) == scale.connections;
    gauge.watch(start + wanted + scale.grace, || all(&shared.finished)).await;
    let used = gauge.used();
    if all(&shared.finished) {
        // Each of them receives it.
        let _ = signal.send(true);
        let end = Instant::now() + scale.wait + scale.grace;
        while !all(&shared.stampeded) && Instant::now() < end {
            sleep(PAUSE).await;
        }
    }
    members.shutdown().await;
    used
}

async fn member(shared: Arc<Shared>, at: Instant, mut herd: watch::Receiver<bool>) {
    sleep_until(at).await;
    let wire = steady(&shared).await;
    if let Err(error) = &wire {
        shared.failed(error);
    }
    shared.finished.fetch_add(1, Ordering::Relaxed);
    if herd.wait_for(|begins| *begins).await.is_err() {
        return;
    }
    let stampede = async {
        let mut wire = wire?;
        let late = shared.ask(&mut wire, true).await?;
        shared.log(|log| log.herd.push(late));
        Ok::<_, io::Error>(())
    };
    if let Err(error) = &stampede.await {
        shared.failed(error);
    }
    shared.stampeded.fetch_add(1, Ordering::Relaxed);
}

async fn steady(shared: &Shared) -> io::Result<Wire> {
    let mut wire = Wire::connect(shared.port).await?;
    for round in 0..shared.rounds {
        let late = shared.ask(&mut wire, round > 0).await?;
        shared.log(|log| log.steady.push(late));
    }
    Ok(wire)
}
