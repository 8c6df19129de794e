//! Thousands of connections that are idle but for a message from time to time, and a few that echo
//! as fast as they can.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::gauge::{Gauge, percentile};
use super::wire::{self, Wire};
use super::{OPENED, Scale, runtime};
use crate::server::Server;

/// The time within which a message comes in time.
const IN_TIME_MS: f64 = 500.0;
/// Between two looks at the messages that are late.
const PAUSE: Duration = Duration::from_millis(20);

/// The kind of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Kind {
    WebSocket,
    Events,
}

/// The figures of one peer. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Live {
    pub(crate) peer: &'static str,
    pub(crate) kind: Kind,
    pub(crate) connections: u32,
    pub(crate) open: u32,
    /// The messages that are due in the time.
    pub(crate) due: usize,
    pub(crate) came: usize,
    pub(crate) in_time: usize,
    pub(crate) late_p50_ms: Option<f64>,
    pub(crate) late_p99_ms: Option<f64>,
    /// CPU microseconds of the servers, a message.
    pub(crate) cpu_us: Option<f64>,
    /// The same for opening a connection.
    pub(crate) opening_us: f64,
    /// Anonymous memory of the servers over that of idle ones, for each connection.
    pub(crate) memory_kib: f64,
    pub(crate) others: f64,
    pub(crate) error: Option<String>,
}

/// The members' common part.
struct Shared {
    port: u16,
    kind: Kind,
    request: Vec<u8>,
    open: AtomicU32,
    failed: AtomicU32,
    /// The microseconds of the system's clock between which messages count.
    window: (AtomicU64, AtomicU64),
    log: Mutex<(Vec<f64>, Option<String>)>,
}

/// Opens all connections, then counts the messages that come in the time of the run.
///
/// # Errors
/// Returns an error if the client's runtime cannot be made. What fails is in the figures.
pub(crate) fn measure(
    peer: &'static str,
    server: &Server,
    kind: Kind,
    scale: &Scale,
) -> Result<Live> {
    let ms = scale.period.as_millis();
    let shared = Arc::new(Shared {
        port: server.port(),
        kind,
        request: match kind {
            Kind::WebSocket => wire::upgrade(&format!("/waiting/socket/{ms}")),
            Kind::Events => wire::get(&format!("/waiting/events/{ms}")),
        },
        open: AtomicU32::new(0),
        failed: AtomicU32::new(0),
        window: (AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX)),
        log: Mutex::default(),
    });
    let mut gauge = Gauge::start(server);
    let (opening_us, (used, others)) = runtime()?.block_on(lead(&shared, scale, &mut gauge));

    let mut log = shared.log.lock().unwrap_or_else(PoisonError::into_inner);
    let open = shared.open.load(Ordering::Relaxed);
    let due = (scale.connections * scale.messages) as usize;
    let came = log.0.len();
    Ok(Live {
        peer,
        kind,
        connections: scale.connections,
        open,
        due,
        came,
        in_time: log.0.iter().filter(|late| **late <= IN_TIME_MS).count(),
        late_p50_ms: percentile(&mut log.0, due, 0.5),
        late_p99_ms: percentile(&mut log.0, due, 0.99),
        cpu_us: (came > 0).then(|| used as f64 / came as f64),
        opening_us: opening_us as f64 / f64::from(open.max(1)),
        memory_kib: gauge.memory_kib(open.max(1)),
        others,
        error: log.1.take(),
    })
}

/// Returns the CPU time of the opening, and that of the messages with that of others.
async fn lead(shared: &Arc<Shared>, scale: &Scale, gauge: &mut Gauge<'_>) -> (u64, (u64, f64)) {
    let start = Instant::now();
    let mut members = JoinSet::new();
    for index in 0..scale.connections {
        let at = start + Duration::from_secs(1) * index / OPENED;
        members.spawn(member(Arc::clone(shared), at));
    }
    let ramp = Duration::from_secs(1) * scale.connections / OPENED;
    let count = || shared.open.load(Ordering::Relaxed) + shared.failed.load(Ordering::Relaxed);
    gauge.watch(start + ramp + scale.grace, || count() == scale.connections).await;
    let (opening_us, _) = gauge.used();

    gauge.restart();
    let begin = now_us();
    let length = scale.period * scale.messages;
    shared.window.1.store(begin + length.as_micros() as u64, Ordering::Relaxed);
    shared.window.0.store(begin, Ordering::Relaxed);
    let end = Instant::now() + length;
    gauge.watch(end, || false).await;
    let used = gauge.used();
    // The last ones may be late.
    let due = (scale.connections * scale.messages) as usize;
    let came = || shared.log.lock().unwrap_or_else(PoisonError::into_inner).0.len();
    while came() < due && Instant::now() < end + scale.grace / 4 {
        sleep(PAUSE).await;
    }
    members.shutdown().await;
    (opening_us, used)
}

async fn member(shared: Arc<Shared>, at: Instant) {
    sleep_until(at).await;
    let result = async {
        let mut wire = Wire::connect(shared.port).await?;
        let status = if shared.kind == Kind::WebSocket { "101" } else { "200" };
        wire.open(&shared.request, status).await?;
        shared.open.fetch_add(1, Ordering::Relaxed);
        listen(&shared, wire).await
    };
    // It has no end of its own.
    let Err(error) = result.await;
    shared.failed.fetch_add(1, Ordering::Relaxed);
    let mut log = shared.log.lock().unwrap_or_else(PoisonError::into_inner);
    log.1.get_or_insert_with(|| error.to_string());
}

async fn listen(shared: &Shared, mut wire: Wire) -> io::Result<std::convert::Infallible> {
    loop {
        let due = match shared.kind {
            Kind::WebSocket => wire.message().await?,
            Kind::Events => wire.event().await?,
        };
        let (begin, end) = &shared.window;
        if (begin.load(Ordering::Relaxed)..end.load(Ordering::Relaxed)).contains(&due) {
            let late = now_us().saturating_sub(due) as f64 / 1000.0;
            shared.log.lock().unwrap_or_else(PoisonError::into_inner).0.push(late);
        }
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as u64
}

/// One round of one peer that echoes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Echo {
    pub(crate) round: u32,
    pub(crate) peer: &'static str,
    pub(crate) messages_s: f64,
    /// CPU microseconds of the servers, a message.
    pub(crate) cpu_us: f64,
    pub(crate) others: f64,
}

/// Sends messages on some WebSockets, each one when the one before has come back.
///
/// # Errors
/// Returns an error if a connection does not open or ends, or another message comes back.
pub(crate) fn echo(round: u32, peer: &'static str, server: &Server, scale: &Scale) -> Result<Echo> {
    let mut gauge = Gauge::start(server);
    let port = server.port();
    runtime()?.block_on(async {
        let count = Arc::new(AtomicU64::new(0));
        let mut members = JoinSet::new();
        for _ in 0..scale.sockets {
            let mut wire = Wire::connect(port).await?;
            wire.open(&wire::upgrade("/waiting/echo"), "101").await?;
            let count = Arc::clone(&count);
            members.spawn(async move {
                let frame = wire::frame();
                loop {
                    if let Err(error) = wire.echo(&frame).await {
                        return error;
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Warm by then.
        sleep(scale.echo / 4).await;
        gauge.restart();
        let (before, begin) = (count.load(Ordering::Relaxed), Instant::now());
        tokio::select! {
            () = sleep(scale.echo) => {}
            Some(ended) = members.join_next() => bail!("a WebSocket ended: {}", ended?),
        }
        let messages = (count.load(Ordering::Relaxed) - before) as f64;
        let (used, others) = gauge.used();
        let messages_s = messages / begin.elapsed().as_secs_f64();
        members.shutdown().await;
        Ok(Echo { round, peer, messages_s, cpu_us: used as f64 / messages.max(1.0), others })
    })
}
