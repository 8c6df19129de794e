//! Writing to a connection: output without room in its socket is parked with the connection, and
//! the thread that hears of room writes on. So a slow reader holds no thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use super::connection::{Due, StreamConnection, WatchedEvents};
use super::inbound::{Inbound, gone};
use super::output::Output;
use super::process::StreamProcess;
use super::protocol::BodyEnd;
use crate::gateway::{Level, Result};
use crate::os::{self, monotonic_us};
use crate::server::site::Fault;
use crate::server::workers::connections::Claims;

/// The most that is parked with one connection while its application produces more, in bytes.
/// Beyond it the application waits.
const CONNECTION: usize = 256 * 1024;

/// The most that a process parks, in bytes. Beyond it each response waits on its thread.
const PROCESS: usize = 256 * 1024 * 1024;

/// Room for the end of a request that was left in the socket, in bytes.
const SCRAP: usize = 16 * 1024;

/// The output of a connection that waits for room in its socket.
pub(in crate::server) struct Sending {
    parked: Mutex<Parked>,
    is_parked: AtomicBool,
    /// The thread with the right to write waits for the peer.
    waits: AtomicBool,
    /// The thread that writes parked output; others only note that there is room.
    claims: Claims,
    /// The peer has to take something until then; 0 for no time.
    due_us: AtomicU64,
    /// The requests that wait for room.
    waiters: Mutex<Vec<Waker>>,
}

/// Outputs in the order in which they are to be written. Its lock is the right to write.
pub(in crate::server) struct Parked {
    outputs: VecDeque<Output>,
    bytes: usize,
    then: Then,
    /// The bytes that all connections of the process have parked.
    total: Arc<AtomicUsize>,
}

/// The fate of a connection once its parked output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::server) enum Then {
    /// It goes on.
    Keep,
    /// It is closed.
    Close,
    /// It lingers, as not all of the request was read.
    Linger,
    /// It is reset, so that the response looks broken.
    Reset,
}

/// The place of an output after [`send()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum SendOutcome {
    /// All of it is in the socket.
    Whole,
    /// A part of it is parked.
    Parked,
}

impl Sending {
    pub(super) fn new(total: Arc<AtomicUsize>) -> Self {
        Self {
            parked: Mutex::new(Parked {
                outputs: VecDeque::new(),
                bytes: 0,
                then: Then::Keep,
                total,
            }),
            is_parked: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            claims: Claims::default(),
            due_us: AtomicU64::new(0),
            waiters: Mutex::default(),
        }
    }

    /// Returns whether nothing waits for room, so that a response can go on without a wait.
    pub(in crate::server) fn has_room(&self) -> bool {
        !self.is_parked() && !self.waits()
    }

    /// Has `waker` called when there is room, which may be at once.
    pub(in crate::server) fn wait_for_room(&self, waker: &Waker) {
        lock(&self.waiters).push(waker.clone());
        if self.has_room() {
            self.tell_of_room();
        }
    }

    /// Wakes the requests that wait for room: there is some, or there will be none.
    fn tell_of_room(&self) {
        let waiters = std::mem::take(&mut *lock(&self.waiters));
        waiters.into_iter().for_each(Waker::wake);
    }

    /// Waits for the right to write.
    pub(in crate::server) fn writer(&self) -> MutexGuard<'_, Parked> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the right to write, unless another thread has it.
    pub(in crate::server) fn try_writer(&self) -> Option<MutexGuard<'_, Parked>> {
        match self.parked.try_lock() {
            Ok(parked) => Some(parked),
            Err(std::sync::TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }

    /// Whether output waits for room.
    pub(in crate::server) fn is_parked(&self) -> bool {
        self.is_parked.load(Ordering::Acquire)
    }

    /// Whether the thread with the right to write waits for the peer.
    pub(super) fn waits(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// Whether the peer took nothing of what is parked in time.
    pub(super) fn is_overdue(&self, now_us: u64) -> bool {
        let due_us = self.due_us.load(Ordering::Acquire);
        due_us != 0 && now_us >= due_us
    }
}

impl Parked {
    /// Decides the fate of the connection behind what is parked. Returns whether nothing is.
    pub(in crate::server) fn finish(&mut self, then: Then) -> bool {
        if self.outputs.is_empty() {
            return true;
        }
        self.then = self.then.max(then);
        false
    }

    fn push(&mut self, output: Output) {
        self.bytes += output.left();
        self.outputs.push_back(output);
    }

    /// Writes as much as there is room for. Returns whether that was all.
    fn write(&mut self, connection: &StreamConnection, wrote: &mut bool) -> Result<bool> {
        while let Some(output) = self.outputs.front_mut() {
            let before = output.left();
            let whole = write(connection, output);
            let written = before - output.left();
            *wrote |= written > 0;
            self.bytes -= written;
            self.total.fetch_sub(written, Ordering::Relaxed);
            if !whole? {
                return Ok(false);
            }
            self.outputs.pop_front();
        }
        Ok(true)
    }

    fn clear(&mut self) {
        self.outputs.clear();
        self.total.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A panic leaves nothing half done behind this lock.
fn lock(waiters: &Mutex<Vec<Waker>>) -> MutexGuard<'_, Vec<Waker>> {
    waiters.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes all that is collected. What has no room in the socket is parked; beyond the bounds the
/// calling thread waits for the client. With `then` the response ends here.
///
/// # Errors
///
/// [`ClientGone`](crate::gateway::ErrorKind::ClientGone) when nobody is there to take it, or not in
/// time. A part may have gone out: the connection is of no more use.
pub(in crate::server) fn send(
    inbound: &Inbound<'_, impl BodyEnd>,
    output: &mut Output,
    then: Option<Then>,
) -> Result<SendOutcome> {
    let (process, connection) = (inbound.process, inbound.connection);
    let mut parked = match connection.sending.try_writer() {
        Some(parked) => parked,
        // Another request of the connection may wait for the client.
        None => process.wait_for_client(|| connection.sending.writer()),
    };
    if !inbound.progress.go_on() {
        return Err(gone());
    }
    output.close();
    if parked.outputs.is_empty() && write(connection, output)? {
        return Ok(SendOutcome::Whole);
    }
    if park(process, &mut parked, output, then) {
        connection.sending.is_parked.store(true, Ordering::Release);
        expect(process, connection);
        drop(parked);
        // After the lock is free: the thread that hears of room needs it.
        process.watch(connection, |watched| watched.room = true);
        return Ok(SendOutcome::Parked);
    }
    process.watch(connection, |watched| watched.room = false);
    connection.sending.due_us.store(0, Ordering::Release);
    connection.sending.waits.store(true, Ordering::Release);
    while !parked.write(connection, &mut false)? {
        inbound.wait_to_write()?;
    }
    connection.sending.is_parked.store(false, Ordering::Release);
    while !write(connection, output)? {
        inbound.wait_to_write()?;
    }
    connection.sending.waits.store(false, Ordering::Release);
    connection.sending.tell_of_room();
    Ok(SendOutcome::Whole)
}

/// Writes or parks answers that no application has made, and never waits. Returns whether the
/// connection is of further use.
pub(in crate::server) fn reply(
    process: &StreamProcess,
    connection: &StreamConnection,
    output: &mut Output,
) -> bool {
    let parked = loop {
        match connection.sending.try_writer() {
            Some(parked) => break parked,
            None if connection.sending.waits() => return false,
            // Another thread is about to give it back.
            None => thread::yield_now(),
        }
    };
    reply_with((process, connection), parked, output, None).is_some()
}

/// Works like [`reply`] with the right to write. Returns `None` if the connection is of no further
/// use.
pub(in crate::server) fn reply_with(
    (process, connection): (&StreamProcess, &StreamConnection),
    mut parked: MutexGuard<'_, Parked>,
    output: &mut Output,
    then: Option<Then>,
) -> Option<SendOutcome> {
    output.close();
    if parked.outputs.is_empty() && write(connection, output).ok()? {
        return Some(SendOutcome::Whole);
    }
    if !park(process, &mut parked, output, then) {
        return None;
    }
    connection.sending.is_parked.store(true, Ordering::Release);
    expect(process, connection);
    drop(parked);
    process.watch(connection, |watched| watched.room = true);
    Some(SendOutcome::Parked)
}

/// Parks what is left of an output, if the bounds allow it.
fn park(
    process: &StreamProcess,
    parked: &mut Parked,
    output: &mut Output,
    then: Option<Then>,
) -> bool {
    let left = output.left();
    // One piece is in memory already, and behind its end an application produces no more.
    if then.is_none() && parked.bytes > 0 && parked.bytes + left > CONNECTION {
        return false;
    }
    if process.parked.fetch_add(left, Ordering::Relaxed) + left > PROCESS {
        process.parked.fetch_sub(left, Ordering::Relaxed);
        return false;
    }
    parked.push(output.take());
    parked.then = parked.then.max(then.unwrap_or(Then::Keep));
    true
}

fn expect(process: &StreamProcess, connection: &StreamConnection) {
    let due_us = monotonic_us() + super::us(process.site.timeouts.send);
    connection.sending.due_us.store(due_us, Ordering::Release);
}

/// Writes as much as there is room for. Returns whether that was all.
fn write(connection: &StreamConnection, output: &mut Output) -> Result<bool> {
    while !output.is_empty() {
        let mut slices = Output::room();
        let count = output.slices(&mut slices);
        let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        let sent = match &slices[..count] {
            [one] => os::send(connection, one),
            slices => os::send_vectored(connection, slices),
        };
        let sent = sent.map_err(|_| gone())?.unwrap_or(0);
        output.written(sent);
        // A short write need not be repeated to learn that there is no more room.
        if sent < offered && !connection.room.widen(connection) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl StreamProcess {
    /// Writes parked output after an event of the connection. Any thread may: reading it is another
    /// right.
    pub(super) fn send_parked(&self, connection: &Arc<StreamConnection>) {
        let sending = &connection.sending;
        if !sending.is_parked() || !sending.claims.claim() {
            return;
        }
        loop {
            // A thread that writes has the events repeated when it leaves something.
            if let Some(parked) = sending.try_writer() {
                self.write_parked(connection, parked);
            }
            if sending.claims.release() {
                return;
            }
        }
    }

    fn write_parked(&self, connection: &StreamConnection, mut parked: MutexGuard<'_, Parked>) {
        let mut wrote = false;
        let whole = parked.write(connection, &mut wrote);
        if wrote {
            expect(self, connection);
        }
        match whole {
            Ok(false) => return,
            Ok(true) if !connection.sending.is_parked() => return,
            Ok(true) => {}
            Err(_) => {
                parked.clear();
                connection.sending.due_us.store(0, Ordering::Release);
                drop(parked);
                return self.cut(connection);
            }
        }
        let then = std::mem::replace(&mut parked.then, Then::Keep);
        connection.sending.due_us.store(0, Ordering::Release);
        self.watch(connection, |watched| {
            watched.room = false;
            watched.muted &= then != Then::Linger;
        });
        match then {
            Then::Keep => {
                if connection.due().is_some_and(|(due, _)| due == Due::Request) {
                    connection.expect(Due::Request, monotonic_us() + self.keep_alive_us());
                }
            }
            Then::Close => {
                // The end of the request, so that the connection is closed without a reset.
                let _ = os::receive(connection, &mut [0; SCRAP]);
                connection.expect(Due::End, monotonic_us());
            }
            Then::Linger => connection.linger(),
            Then::Reset => os::reset_on_close(connection),
        }
        connection.sending.is_parked.store(false, Ordering::Release);
        drop(parked);
        connection.sending.tell_of_room();
        match then {
            Then::Keep | Then::Linger => {}
            // Without a shutdown, which would end a response that is to look broken.
            Then::Close | Then::Reset => self.forget(connection),
        }
    }

    /// Changes the events that a connection is watched for.
    pub(super) fn watch(
        &self,
        connection: &StreamConnection,
        change: impl FnOnce(&mut WatchedEvents),
    ) {
        let mut watched = connection.watched.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut watched);
        self.pool.watch_for(connection, !watched.muted, watched.room);
    }

    /// Breaks a connection off whose peer took nothing of its response in time.
    pub(super) fn too_slow(&self, connection: &StreamConnection, time: Duration, limit: &str) {
        self.complain(connection, Fault::Slow, Level::Warn, || {
            format!(
                "it took nothing of its response for {time:?} ({limit}); closing the connection"
            )
        });
        self.cut(connection);
    }
}
