//! The suspension of a connection: its worker goes back to the MPM, and a worker comes to go on.
//!
//! A handler [parks](Site::park) what waits, and [`answer`] has it return SUSPENDED. httpd's core
//! then returns to the wrapper around it ([`process`]), which puts a descriptor of ours into the
//! connection's socket and gives the connection to the MPM. When that descriptor can be read, the
//! MPM has a worker run the hooks of the connection, and the first of all is [`visit`].
//!
//! It rests on two facts of the MPM, which a test at first use checks (`RustAsync Auto`): it polls
//! the very socket that `ap_get_conn_socket` returns, and it has removed the socket from its set
//! before a worker gets the connection.

mod connection;
mod doorbell;
mod method;

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::request::Request;
use super::{HookStatus, log, mpm};
use crate::sys;
use connection::state;
use method::{Method, WaitIo, WriteCompletion};

pub(crate) use connection::Connection;
pub(crate) use doorbell::Doorbell;

/// The first release in which [`WriteCompletion`] works.
const OLDEST: (i32, i32, i32) = (2, 4, 58);

/// `SUSPENDED`, what a handler returns whose request goes on later.
const SUSPENDED: i32 = -3;

/// The descriptors of a child that are not kept for connections.
const RESERVE: u64 = 200;

/// A suspended request from one visit to the next.
///
/// It is dropped, without a visit, when the connection ends first.
pub(crate) trait Waiting {
    /// Goes on with the request, on a thread that has its connection.
    fn visit<'w>(self: Box<Self>) -> Visited<'w>
    where
        Self: 'w;

    /// Ends the request, as the MPM closes the connection.
    fn abandon(self: Box<Self>) -> HookStatus;
}

/// The result of a visit.
pub(crate) enum Visited<'w> {
    /// The request is over, with what a handler would return. `then` is called when httpd has finished
    /// it.
    Over { status: HookStatus, then: fn() },
    /// It waits on.
    Waits(Box<dyn Waiting + 'w>),
}

/// The panic guard around what a request does: its result is the number for httpd.
pub(crate) type Guard = fn(&Request<'_>, &mut dyn FnMut() -> HookStatus) -> i32;

/// The means to suspend connections of this process.
struct Means {
    method: &'static dyn Method,
    /// The functions that process a connection after the wrapper.
    next: Vec<unsafe extern "C" fn(*mut sys::conn_rec) -> i32>,
    /// The descriptors that connections with a [`Doorbell`] may take.
    most: usize,
}

static MEANS: OnceLock<Means> = OnceLock::new();

/// The descriptors that connections with a [`Doorbell`] take.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The connection that the wrapper of this thread has called the next functions for.
    static IN_HAND: Cell<*mut sys::conn_rec> = const { Cell::new(ptr::null_mut()) };
}

/// The record of a connection that has been suspended.
struct Record {
    doorbell: Arc<Doorbell>,
    /// The descriptors that it counts with.
    descriptors: usize,
    /// The client's socket while the doorbell is in its place.
    socket: Option<RawFd>,
    waiting: Option<(NonNull<sys::request_rec>, Box<dyn Waiting>)>,
}

/// Prepares a child for suspensions, if its MPM allows them. `wrapper` is the function that calls
/// [`process`], registered by the module `name`.
pub(crate) fn prepare(name: &CStr, wrapper: i32) {
    if !mpm::is_async() {
        return;
    }
    let method: &dyn Method = if mpm::can_wait_for_io() {
        &WaitIo
    } else if mpm::release() >= OLDEST {
        &WriteCompletion
    } else {
        return;
    };
    let next = after(name, wrapper);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = limit.unwrap_or(u64::MAX).saturating_sub(RESERVE);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if !next.is_empty() {
        let _ = MEANS.set(Means { method, next, most });
    }
}

/// Returns whether the descriptors that are kept for other things are free beyond this one, which is
/// the lowest that was.
pub(super) fn leaves_descriptors(last: &OwnedFd) -> bool {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let number = u64::try_from(last.as_raw_fd()).unwrap_or(u64::MAX);
    limit.is_none_or(|limit| number < limit.saturating_sub(RESERVE))
}

/// Sends what the network takes of a request's output before it is suspended: all of it if it must
/// not be suspended with some left.
pub(crate) fn send_before_wait(request: &Request<'_>) {
    if request.has_unsent_output() {
        if allows_unsent_output() {
            request.send_unsent();
        } else {
            request.send_all();
        }
    }
}

/// Returns whether a request may be suspended while the network has not taken all of its output.
pub(super) fn allows_unsent_output() -> bool {
    MEANS.get().is_some_and(|means| means.method.allows_unsent_output())
}

/// Returns the functions that process a connection after that of the module `name` with this order.
fn after(name: &CStr, order: i32) -> Vec<unsafe extern "C" fn(*mut sys::conn_rec) -> i32> {
    // SAFETY: it returns the hooks, which nobody changes once the configuration is read (P3).
    let hooks = unsafe { sys::ap_hook_get_process_connection() };
    // SAFETY: P3: as above.
    let Some(hooks) = (unsafe { hooks.as_ref() }) else { return Vec::new() };
    let (first, count) = (hooks.elts.cast::<sys::ap_LINK_process_connection_t>(), hooks.nelts);
    // SAFETY: P3: APR's array of this type has so many elements.
    let hooks = unsafe { std::slice::from_raw_parts(first, usize::try_from(count).unwrap_or(0)) };
    let own = |hook: &&sys::ap_LINK_process_connection_t| {
        // SAFETY: P5: the name of the module that registered the function, which is loaded.
        hook.nOrder == order && unsafe { CStr::from_ptr(hook.szName) } == name
    };
    let mut rest = hooks.iter();
    if rest.by_ref().find(own).is_none() {
        return Vec::new();
    }
    rest.filter_map(|hook| hook.pFunc).collect()
}

/// Processes a connection by the functions after the wrapper, and gives it to the MPM if a request
/// of this module was suspended meanwhile.
pub(crate) fn process(connection: Connection) -> i32 {
    let Some(means) = MEANS.get() else { return sys::DECLINED };
    if connection.state().is_none() || connection.is_secondary() || connection.is_clogged() {
        return sys::DECLINED;
    }
    let before = IN_HAND.replace(connection.as_ptr());
    let mut status = sys::DECLINED;
    for process in &means.next {
        // SAFETY: P11: httpd would call the function with the same connection.
        status = unsafe { process(connection.as_ptr()) };
        if status != sys::DECLINED {
            break;
        }
    }
    IN_HAND.set(before);
    if status == sys::OK.cast_signed()
        && connection.state() == Some(state::SUSPENDED)
        && let Some(record) = record(connection)
        && is_waiting(record)
    {
        leave(connection, record);
    }
    status
}

/// Returns whether a request of the connection has been suspended at some time. Most connections have
/// none: the hooks for the others cost them nothing more.
pub(crate) fn has_suspended(connection: Connection) -> bool {
    record(connection).is_some()
}

/// Goes on with the connection's request, if one waits. Returns what the hook returns.
pub(crate) fn visit(connection: Connection, guard: Guard) -> i32 {
    let Some(record) = record(connection) else { return sys::DECLINED };
    // SAFETY: P23: this thread has the connection, and nobody else its record.
    let Some((request, waiting)) = (unsafe { (*record.as_ptr()).waiting.take() }) else {
        return sys::DECLINED;
    };
    if let Some(means) = MEANS.get() {
        means.method.come_back(connection);
    }
    let mut waiting = Some(waiting);
    let mut waits_on = None;
    let mut after: Option<fn()> = None;
    let status = guarded(request, guard, &mut || match waiting.take().map(Waiting::visit) {
        Some(Visited::Over { status, then }) => {
            after = Some(then);
            status
        }
        Some(Visited::Waits(waiting)) => {
            waits_on = Some(waiting);
            HookStatus::Done
        }
        None => HookStatus::Done,
    });
    if let Some(waiting) = waits_on {
        // SAFETY: P23: as above.
        unsafe { (*record.as_ptr()).waiting = Some((request, waiting)) };
        leave(connection, record);
    } else {
        finish(request, status);
        if let Some(then) = after {
            then();
        }
    }
    sys::OK.cast_signed()
}

/// Takes a connection back from the MPM, which has resumed it: the client's socket is in its place
/// again. The request of a connection that is about to be closed ends.
pub(crate) fn resumed(connection: Connection, guard: Guard) {
    let Some(record) = record(connection) else { return };
    restore(connection, record);
    let is_closing = connection
        .state()
        .is_some_and(|state| (state::LINGER..=state::LINGER_SHORT).contains(&state));
    if !is_closing {
        return;
    }
    // SAFETY: P23: this thread has the connection, and nobody else its record.
    let Some((request, waiting)) = (unsafe { (*record.as_ptr()).waiting.take() }) else { return };
    if let Some(means) = MEANS.get() {
        means.method.come_back(connection);
    }
    connection.abort();
    let mut waiting = Some(waiting);
    let status =
        guarded(request, guard, &mut || waiting.take().map_or(HookStatus::Done, Waiting::abandon));
    finish(request, status);
}

/// Returns what a handler returns for a request: `status`, or SUSPENDED if the request was parked.
pub(crate) fn answer(request: &Request<'_>, status: i32) -> i32 {
    if !is_parked(request) {
        return status;
    }
    if status == sys::OK.cast_signed() {
        return SUSPENDED;
    }
    // The handler failed after that.
    let record = record(request.connection());
    // SAFETY: P23: this thread has the connection, and nobody else its record.
    drop(record.and_then(|record| unsafe { (*record.as_ptr()).waiting.take() }));
    status
}

/// Returns whether a request was parked, and has not been visited since.
pub(crate) fn is_parked(request: &Request<'_>) -> bool {
    let connection = request.connection();
    IN_HAND.get() == connection.as_ptr() && record(connection).is_some_and(is_waiting)
}

fn is_waiting(record: NonNull<Record>) -> bool {
    // SAFETY: P23: this thread has the connection, and nobody else its record.
    unsafe { (*record.as_ptr()).waiting.is_some() }
}

/// Calls `f` for a request through the guard.
fn guarded(
    request: NonNull<sys::request_rec>,
    guard: Guard,
    f: &mut dyn FnMut() -> HookStatus,
) -> i32 {
    // SAFETY: P23: the request is there until `finish` or the end of its connection.
    let request = unsafe { Request::from_ptr(request.as_ptr()) };
    guard(&request, f)
}

/// Ends a request as httpd's core does after a handler: it is answered, logged and destroyed.
fn finish(request: NonNull<sys::request_rec>, status: i32) {
    let request = request.as_ptr();
    if status >= 100 {
        // The status of the handler's own response would pass for that of an earlier error.
        // SAFETY: P23: the request is there, and this thread has it.
        unsafe { (*request).status = 200 };
    }
    // SAFETY: P23: as above; a handler's result, as ap_process_async_request does it.
    unsafe { sys::ap_die(status, request) };
    // SAFETY: P23: as above; nobody uses the request after it.
    unsafe { sys::ap_process_request_after_handler(request) };
}

/// Gives a connection to the MPM, with the doorbell in the place of its socket.
#[cold]
fn leave(connection: Connection, record: NonNull<Record>) {
    let (Some(means), Some(socket)) = (MEANS.get(), connection.descriptor()) else { return };
    // SAFETY: P23: this thread has the connection, and nobody else its record.
    let record = unsafe { &mut *record.as_ptr() };
    record.socket = Some(socket);
    connection.set_descriptor(record.doorbell.descriptor());
    means.method.leave(connection);
}

/// Puts the client's socket back into its place.
fn restore(connection: Connection, record: NonNull<Record>) {
    // SAFETY: P23: this thread has the connection, and nobody else its record.
    let record = unsafe { &mut *record.as_ptr() };
    let Some(socket) = record.socket.take() else { return };
    if connection.descriptor() == Some(record.doorbell.descriptor()) {
        connection.set_descriptor(socket);
    } else {
        // The MPM has closed what it took for the client's socket.
        record.doorbell.lose();
        // SAFETY: P23: the socket was the connection's, and httpd has lost sight of it.
        unsafe { libc::close(socket) };
    }
}

/// Returns the place for this module's record in a connection.
fn slot(connection: Connection) -> Option<NonNull<*mut Record>> {
    let index = usize::try_from(log::module_index()).ok()?;
    // SAFETY: P1, P2: the connection is there, and this thread has it.
    let vector = unsafe { (*connection.as_ptr()).conn_config };
    // SAFETY: P6: the vector is an array of pointers with one for each module.
    NonNull::new(unsafe { vector.cast::<*mut Record>().add(index) })
}

fn record(connection: Connection) -> Option<NonNull<Record>> {
    // SAFETY: the place is one of the vector's, and this module alone writes to it.
    slot(connection).and_then(|slot| NonNull::new(unsafe { slot.as_ptr().read() }))
}

/// Counts descriptors. `None` if there are not so many.
fn take(descriptors: usize) -> Option<()> {
    let most = MEANS.get().map_or(0, |means| means.most);
    if TAKEN.fetch_add(descriptors, Ordering::Relaxed).saturating_add(descriptors) <= most {
        return Some(());
    }
    TAKEN.fetch_sub(descriptors, Ordering::Relaxed);
    None
}

/// The place of a request that may be suspended.
#[derive(Clone, Copy)]
pub(crate) struct Site<'q, 'r> {
    request: &'q Request<'r>,
    connection: Connection,
}

impl<'q, 'r> Site<'q, 'r> {
    /// Returns the site of a request, if it may be suspended: it is its connection's only one, no
    /// subrequest, and no internal redirect of another, and the MPM can do it.
    pub(crate) fn of(request: &'q Request<'r>) -> Option<Self> {
        let connection = request.connection();
        (IN_HAND.get() == connection.as_ptr() && request.is_initial())
            .then_some(Self { request, connection })
    }

    /// Returns the connection's doorbell, and makes it at the first call. `descriptors` are those of
    /// a request that waits: its client's, the doorbell's, and any others.
    ///
    /// `None` if not so many are left for it.
    pub(crate) fn doorbell(self, descriptors: usize) -> Option<Arc<Doorbell>> {
        if let Some(mut record) = record(self.connection) {
            // SAFETY: P23: this thread has the connection, and nobody else its record.
            let record = unsafe { record.as_mut() };
            let more = descriptors.saturating_sub(record.descriptors);
            if more > 0 {
                take(more)?;
                record.descriptors += more;
            }
            return Some(Arc::clone(&record.doorbell));
        }
        take(descriptors)?;
        // The MPM closes connections that threads have, when the process is stopped.
        let socket = self.connection.descriptor().filter(|socket| *socket >= 0);
        let doorbell = socket.and_then(|socket| Doorbell::new(socket).ok());
        let Some(doorbell) = doorbell.map(Arc::new) else {
            TAKEN.fetch_sub(descriptors, Ordering::Relaxed);
            return None;
        };
        let kept = Arc::clone(&doorbell);
        self.keep(Record { doorbell: kept, descriptors, socket: None, waiting: None });
        Some(doorbell)
    }

    fn keep(self, record: Record) {
        let Some(slot) = slot(self.connection) else { return };
        let record = Box::into_raw(Box::new(record));
        // SAFETY: the place is one of the vector's, and this module alone writes to it.
        unsafe { slot.as_ptr().write(record) };
        let connection = self.connection.as_ptr();
        // SAFETY: P1, P2: the connection is there, and this thread has it.
        let pool = unsafe { (*connection).pool };
        // SAFETY: P6, P11: `release` gets the connection whose pool it is.
        unsafe {
            sys::apr_pool_pre_cleanup_register(pool, connection.cast(), Some(release));
        }
    }

    /// Has `waiting` be visited, once the handler has returned OK.
    pub(crate) fn park(self, waiting: Box<dyn Waiting + 'r>) {
        let Some(record) = record(self.connection) else { return };
        // SAFETY: P23: the lifetime is that of the request. It ends with `finish`, which is called
        // when nothing waits, or with the connection's pool, before which `release` drops it.
        let waiting: Box<dyn Waiting> = unsafe { std::mem::transmute(waiting) };
        let Some(request) = NonNull::new(self.request.as_ptr()) else { return };
        // SAFETY: P23: this thread has the connection, and nobody else its record.
        unsafe { (*record.as_ptr()).waiting = Some((request, waiting)) };
    }
}

/// Drops the record of a connection whose pool is about to be cleared.
unsafe extern "C" fn release(connection: *mut c_void) -> sys::apr_status_t {
    // SAFETY: P6: `Site::keep` registered it with its connection, which is there (P2).
    let connection = unsafe { Connection::from_ptr(connection.cast()) };
    let Some(record) = record(connection) else { return sys::RUST_APR_SUCCESS };
    restore(connection, record);
    if let Some(slot) = slot(connection) {
        // SAFETY: the place is one of the vector's, and this module alone writes to it.
        unsafe { slot.as_ptr().write(ptr::null_mut()) };
    }
    // SAFETY: `Site::keep` made this box, and the place has forgotten it.
    let record = unsafe { Box::from_raw(record.as_ptr()) };
    TAKEN.fetch_sub(record.descriptors, Ordering::Relaxed);
    log::guarded("the end of a connection with a waiting request", move || drop(record));
    sys::RUST_APR_SUCCESS
}
