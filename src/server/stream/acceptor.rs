//! The first thread of a process: accepts connections, keeps time, and drains.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::StreamListener;
use super::connection::{Due, StreamConnection};
use super::overload;
use super::process::StreamProcess;
use super::process::StreamWorker;
use super::us;
use crate::gateway::{Code, Level};
use crate::os::{self, Epoll, Event, Ready, Trigger, monotonic_us};
use crate::server::site::{Fault, STOOD_STILL};
use crate::server::workers::connections::Entry as _;
use crate::server::workers::pollers::Ticks;

/// Tokens of what the acceptor waits for; a listener has its index.
const DRAIN: u64 = u64::MAX;
const BELL: u64 = u64::MAX - 1;
const TICKER: u64 = u64::MAX - 2;

/// The pause after an accept that failed: there were no descriptors left, say.
const ACCEPT_PAUSE_US: u64 = 100_000;

/// The interval between looks at connections while the process drains.
const DRAIN_SWEEP_US: u64 = 20_000;

/// The interval between looks at waiting requests while all threads are busy.
const OVERLOAD_SWEEP_US: u64 = 100_000;

/// Connections that are accepted before anything else is looked at, where no other process would
/// take one of them.
const ACCEPT_AT_ONCE: usize = 64;

/// The acceptor of a process.
pub(super) struct Acceptor {
    process: Arc<StreamProcess>,
    epoll: Epoll,
    drain: Event,
    listeners: Vec<(OwnedFd, Vec<IpAddr>)>,
    /// Whether the listeners are watched.
    accepting: bool,
    /// When to accept again after a failure.
    accept_us: Option<u64>,
    /// When to look at the connections' times next.
    sweep_us: u64,
    /// The interval of that while there are connections.
    every_us: u64,
    /// Until when a drain may take.
    drained_us: Option<u64>,
    ticks: Ticks,
    /// Refuses requests while all threads are busy.
    refuser: StreamWorker,
}

impl Acceptor {
    pub(super) fn new(
        process: Arc<StreamProcess>,
        listeners: Vec<StreamListener>,
        drain: Event,
    ) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(&drain, DRAIN, Trigger::Level)?;
        epoll.add(&process.bell, BELL, Trigger::Level)?;
        epoll.add(process.pool.ticker(), TICKER, Trigger::Level)?;
        let timeouts = &process.site.timeouts;
        let least = timeouts.head.min(timeouts.keep_alive).min(timeouts.send).min(timeouts.queue);
        let least = least.min(timeouts.body);
        // So much later than said a connection may be closed.
        let every = (least / 8).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let mut acceptor = Self {
            refuser: StreamWorker::new(&process),
            process,
            epoll,
            drain,
            listeners: Vec::new(),
            accepting: false,
            accept_us: None,
            sweep_us: 0,
            every_us: us(every),
            drained_us: None,
            ticks: Ticks::default(),
        };
        for listener in listeners {
            os::set_nonblocking(&listener.socket)?;
            os::set_nodelay(&listener.socket);
            acceptor.listeners.push((listener.socket, listener.allowed));
        }
        acceptor.watch(true)?;
        Ok(acceptor)
    }

    /// Serves until there is no more to do.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut ready = Ready::with_capacity(16);
        loop {
            let now_us = monotonic_us();
            if self.accept_us.is_some_and(|at_us| now_us >= at_us) {
                self.accept_us = None;
                self.watch(true)?;
            }
            if now_us >= self.sweep_us {
                self.sweep(now_us);
            }
            if let Some(until_us) = self.drained_us {
                let left = self.process.pool.connections.count();
                if left == 0 || now_us >= until_us {
                    return self.end(left);
                }
            }
            let timeout = self.next_us().map(|at_us| at_us.saturating_sub(now_us));
            let timeout = timeout.map(Duration::from_micros);
            let wait = |timeout| self.epoll.wait(&mut ready, timeout);
            self.process.pool.wait(&mut self.ticks, timeout, wait)?;
            for token in ready.tokens() {
                match token {
                    DRAIN => self.begin_to_drain()?,
                    BELL => self.rung()?,
                    TICKER => self.process.pool.ticker().clear(),
                    index => self.accept(index as usize)?,
                }
            }
        }
    }

    /// When there is something to do, if nothing happens before.
    fn next_us(&self) -> Option<u64> {
        let sweep = (self.process.pool.connections.count() > 0).then_some(self.sweep_us);
        [sweep, self.accept_us, self.drained_us].into_iter().flatten().min()
    }

    /// Watches the listeners, or leaves connections in their queues.
    fn watch(&mut self, accept: bool) -> io::Result<()> {
        if accept == self.accepting {
            return Ok(());
        }
        self.accepting = accept;
        for (index, (socket, _)) in self.listeners.iter().enumerate() {
            if accept {
                self.epoll.add_shared(socket, index as u64)?;
            } else {
                self.epoll.remove(socket)?;
            }
        }
        Ok(())
    }

    fn accept(&mut self, index: usize) -> io::Result<()> {
        let limit = self.process.site.limits.connections.max(1);
        let is_shared = self.process.site.facts.multiprocess();
        for _ in 0..if is_shared { 1 } else { ACCEPT_AT_ONCE } {
            if !self.accepting {
                return Ok(());
            }
            if self.process.pool.connections.count() >= limit {
                return self.is_full(index, limit);
            }
            match os::accept(&self.listeners[index].0) {
                Ok(Some(socket)) => {
                    if is_shared {
                        // The kernel wakes who watches longest: the next connection is another's.
                        let listener = &self.listeners[index].0;
                        self.epoll.remove(listener)?;
                        self.epoll.add_shared(listener, index as u64)?;
                    }
                    self.take_in(socket, index);
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    let pause = ACCEPT_PAUSE_US / 1000;
                    self.process.complain_of(index, Fault::CannotAccept, Level::Error, || {
                        format!("cannot accept connections: {error}; trying again in {pause} ms")
                    });
                    self.accept_us = Some(monotonic_us() + ACCEPT_PAUSE_US);
                    return self.watch(false);
                }
            }
        }
        Ok(())
    }

    /// Takes the connections that wait in the listeners: closed with them, they would be reset.
    fn accept_last(&mut self) {
        let limit = self.process.site.limits.connections.max(1);
        for index in 0..self.listeners.len() {
            while self.process.pool.connections.count() < limit
                && let Ok(Some(socket)) = os::accept(&self.listeners[index].0)
            {
                self.take_in(socket, index);
            }
        }
    }

    fn is_full(&mut self, index: usize, limit: usize) -> io::Result<()> {
        self.process.complain_of(index, Fault::Full, Level::Warn, || {
            format!(
                "there are {limit} connections, as many as are allowed (--max-connections); further \
                 ones wait until one is closed"
            )
        });
        self.watch(false)?;
        self.process.full.store(true, Ordering::Release);
        // One may have gone before that was set.
        if self.process.pool.connections.count() < limit {
            self.process.bell.ring();
        }
        Ok(())
    }

    fn take_in(&mut self, socket: OwnedFd, index: usize) {
        let process = &self.process;
        let allowed = &self.listeners[index].1;
        if !allowed.is_empty()
            && let Some(ip) = os::peer_ip(&socket)
            && !allowed.iter().any(|allowed| allowed.to_canonical() == ip)
        {
            process.complain_of(index, Fault::Refused, Level::Warn, || {
                format!("peer {ip}: it may not connect: it is not in FCGI_WEB_SERVER_ADDRS")
            });
            return;
        }
        let protocol = process.protocol(index);
        let make = |socket, token| {
            let parked = process.parked.clone();
            StreamConnection::new(socket, token, index, protocol, parked, &process.site.heads)
        };
        let Ok(connection) = process.pool.connections.add(socket, make) else { return };
        let now_us = monotonic_us();
        connection.expect(Due::FirstByte, now_us + us(process.site.timeouts.head));
        if process.pool.connections.count() == 1 {
            self.sweep_us = now_us + self.every_us;
        }
        if process.pool.watch(&connection).is_err() {
            process.forget(&connection);
        }
    }

    /// A worker thread rang: there is room for connections, or one less to wait for.
    fn rung(&mut self) -> io::Result<()> {
        self.process.bell.clear();
        let has_room =
            self.process.pool.connections.count() < self.process.site.limits.connections.max(1);
        if has_room && self.process.full.swap(false, Ordering::AcqRel) && self.drained_us.is_none()
        {
            self.watch(true)?;
        }
        Ok(())
    }

    /// Takes no more connections; those that are idle are closed by who looks at them next.
    fn begin_to_drain(&mut self) -> io::Result<()> {
        self.epoll.remove(&self.drain)?;
        self.watch(false)?;
        self.accept_last();
        self.listeners.clear();
        self.accept_us = None;
        self.process.drain();
        self.every_us = self.every_us.min(DRAIN_SWEEP_US);
        self.sweep_us = 0;
        let graceful = us(self.process.site.timeouts.graceful);
        self.drained_us = Some(monotonic_us().saturating_add(graceful));
        self.process.pool.connections.each(|connection| {
            if connection.claim() {
                self.process.resume(connection);
            }
        });
        Ok(())
    }

    fn end(self, left: usize) -> io::Result<()> {
        if left > 0 {
            let line = Code::DrainAbandoned.line(format_args!(
                "gave up waiting for {left} connections: the time for it is up \
                 (--graceful-timeout)"
            ));
            self.process.site.log.line(Level::Warn, &line);
        }
        // A thread at rest ends at once; one that is stuck is not waited for any longer.
        let patience = Duration::from_millis(if left > 0 { 100 } else { 1000 });
        self.process.pool.stop(patience);
        Ok(())
    }

    /// Closes connections whose time is up.
    fn sweep(&mut self, now_us: u64) {
        let process = &self.process;
        // The first one of a drain is due at 0.
        let since_us = if self.sweep_us == 0 { now_us } else { self.sweep_us };
        let stood_still = || monotonic_us().saturating_sub(since_us) > us(STOOD_STILL);
        process.pool.connections.each(|connection| {
            if connection.sending.is_overdue(now_us) {
                let time = process.site.timeouts.send;
                return process.too_slow(connection, time, "--send-timeout");
            }
            let is_due = || connection.due().filter(|(_, at_us)| now_us >= *at_us);
            if is_due().is_none() || !connection.claim() {
                return;
            }
            // Somebody may have worked on it meanwhile.
            match is_due() {
                // Readable bytes are queued work, and not silence: a thread comes for them.
                Some((due, _))
                    if (due == Due::Head || !connection.is_busy())
                        && (due == Due::End || !is_readable(connection))
                        && !(stood_still() && waits_again(process, connection, due)) =>
                {
                    time_is_up(process, connection, due);
                }
                _ => {
                    if !connection.release() {
                        process.resume(connection);
                    }
                }
            }
        });
        process.pool.suspended.look(now_us);
        let mut every_us = self.every_us;
        if process.pool.is_busy() {
            overload::look(process, &mut self.refuser, now_us);
            every_us = every_us.min(OVERLOAD_SWEEP_US);
        }
        self.sweep_us = now_us + every_us;
    }
}

fn is_readable(connection: &StreamConnection) -> bool {
    os::poll(connection, (true, false), None, Some(Duration::ZERO))
        .is_ok_and(|(polled, _)| polled.readable)
}

/// Gives a connection that is idle in a drain its time once more.
fn waits_again(process: &StreamProcess, connection: &StreamConnection, due: Due) -> bool {
    let waits = due == Due::Request && process.is_draining() && !process.closes_kept();
    if waits {
        connection.expect(due, monotonic_us().saturating_add(process.keep_alive_us()));
    }
    waits
}

/// Closes a connection that nobody works on.
fn time_is_up(process: &StreamProcess, connection: &StreamConnection, due: Due) {
    if due == Due::Request && process.is_draining() {
        return process.forget(connection);
    }
    let timeouts = &process.site.timeouts;
    let (level, what) = match due {
        Due::FirstByte => (Level::Info, "it sent nothing"),
        Due::Head => (Level::Warn, "it sent no whole request head"),
        Due::Request => (Level::Debug, "it sent no other request"),
        Due::End => (Level::Debug, "it did not close"),
    };
    let (time, option) = match due {
        Due::FirstByte | Due::Head => (timeouts.head, "--head-timeout"),
        Due::Request => (timeouts.keep_alive, "--keep-alive"),
        Due::End => (super::LINGER, "no option"),
    };
    process.complain(connection, Fault::Late, level, || {
        format!("{what} within {time:?} ({option}); closing the connection")
    });
    process.cut(connection);
}
