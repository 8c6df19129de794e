//! The ErrorLog: one line a record, for a request or for a server.

use std::cell::Cell;
use std::ffi::CString;
use std::io::{self, Write as _};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use super::request::Request;
use super::server::Server;
use super::syslog::Syslog;
use crate::gateway::escape::push_escaped;
use crate::gateway::{Code, Level, panic};
use crate::sys;

/// The record of the module that logs, from which httpd knows `LogLevel rust:…`.
static MODULE: AtomicPtr<sys::module> = AtomicPtr::new(ptr::null_mut());

/// Whether this is a process that has none of httpd's log files.
static DETACHED: AtomicBool = AtomicBool::new(false);

/// The system's log, in such a process that has it instead of standard error.
static SYSLOG: OnceLock<Syslog> = OnceLock::new();

thread_local! {
    /// The request that this thread is working on. No destructor: threads of the parent have it.
    static CURRENT: Cell<*mut sys::request_rec> = const { Cell::new(ptr::null_mut()) };
}

/// The process that reads the configuration: httpd's parent.
static PARENT: AtomicU32 = AtomicU32::new(0);

/// Names the module on whose behalf is logged from now on. Called while httpd reads its
/// configuration.
pub(crate) fn set_module(module: *mut sys::module) {
    MODULE.store(module, Ordering::Relaxed);
    PARENT.store(std::process::id(), Ordering::Relaxed);
}

/// Returns the module's name, as in `LogLevel` and in the names of files: `mod_x`.
#[must_use]
pub(crate) fn module_name() -> Option<&'static str> {
    let module = MODULE.load(Ordering::Relaxed);
    if module.is_null() {
        return None;
    }
    // SAFETY: P7: `set_module` got the record of a loaded module, which is not null.
    let name = unsafe { (*module).name };
    // SAFETY: P5; the kit's `module!` made it of a literal.
    let name = unsafe { std::ffi::CStr::from_ptr(name) }.to_str().ok()?;
    Some(name.strip_suffix(".c").unwrap_or(name))
}

/// Has this process log to standard error alone from here on, for no server: its log files are not
/// httpd's any more. With `ErrorLog syslog` standard error is nothing, and the system's log is
/// asked.
pub(crate) fn only_to_stderr() {
    DETACHED.store(true, Ordering::Relaxed);
    if let Some(main) = Server::main() {
        if let Some(syslog) = Syslog::of(main) {
            let _ = SYSLOG.set(syslog);
        }
        // SAFETY: the server is valid, as its type says (P3).
        let kept = unsafe { sys::rust_log_server_level(main.as_ptr(), module_index()) };
        // SAFETY: P13: one thread, in a process of its own; what is for no server is held against
        // this.
        unsafe { sys::ap_default_loglevel = kept };
    }
}

/// Runs `f`, which closes descriptors that are not its own: that of the system's log is closed
/// before and opened again afterwards where it is needed. Else the C library would go on to use its
/// number.
pub(crate) fn with_syslog_closed<T>(f: impl FnOnce() -> T) -> T {
    // SAFETY: P13: one thread.
    unsafe { libc::closelog() };
    let result = f();
    if let Some(syslog) = SYSLOG.get() {
        syslog.open();
    }
    result
}

/// Returns the last level whose records are kept for `request`; `None` keeps all.
#[must_use]
pub(crate) fn request_level(request: &Request<'_>) -> Option<Level> {
    // SAFETY: the wrapper keeps the record valid (P1).
    let kept = unsafe { sys::rust_log_request_level(request.as_ptr(), module_index()) };
    [Level::Trace, Level::Debug, Level::Info, Level::Warn]
        .into_iter()
        .find(|level| raw(*level) <= kept)
        .map_or(Some(Level::Error), |level| (level != Level::Trace).then_some(level))
}

/// Runs `f` with `request` as the one that log records of this thread belong to.
pub(crate) fn with_request<T>(request: &Request<'_>, f: impl FnOnce() -> T) -> T {
    struct RestoreRequest(*mut sys::request_rec);
    impl Drop for RestoreRequest {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = RestoreRequest(CURRENT.replace(request.as_ptr()));
    f()
}

/// Writes a record for `request` to the ErrorLog of its virtual host.
pub fn request(request: &Request<'_>, level: Level, message: &str) {
    if request_logs(request, level) {
        write_request(request.as_ptr(), level, message);
    }
}

/// Tells whether the ErrorLog keeps records of this level for `request`.
#[must_use]
pub fn request_logs(request: &Request<'_>, level: Level) -> bool {
    // SAFETY: the wrapper keeps the record valid (P1).
    raw(level) <= unsafe { sys::rust_log_request_level(request.as_ptr(), module_index()) }
}

/// Writes a record for a server, or on standard error without one.
pub fn server(server: Option<Server<'_>>, level: Level, message: &str) {
    let server = server.map_or(ptr::null_mut(), Server::as_ptr);
    if !server.is_null() {
        // SAFETY: the server is valid, as its type said, and not null (P3).
        let kept = unsafe { sys::rust_log_server_level(server, module_index()) };
        if raw(level) > kept {
            return;
        }
    }
    write_server(server, raw(level), message);
}

/// Writes a configuration error, which goes out whatever LogLevel says.
pub(crate) fn startup(server: Server<'_>, message: &str) {
    write_server(
        server.as_ptr(),
        sys::APLOG_EMERG.cast_signed() | sys::APLOG_STARTUP.cast_signed(),
        message,
    );
}

/// Writes a record for this thread's current request, or for the main server.
pub fn here(level: Level, message: &str) {
    if !here_logs(level) {
        return;
    }
    let current = CURRENT.get();
    if DETACHED.load(Ordering::Relaxed) {
        let main = Server::main().filter(|_| SYSLOG.get().is_some());
        write_server(main.map_or(ptr::null_mut(), Server::as_ptr), raw(level), message);
    } else if current.is_null() {
        server(main_server(), level, message);
    } else {
        write_request(current, level, message);
    }
}

/// Runs what may be an application's code, in a callback that has nobody to tell: a panic in it is
/// logged, and goes no further.
pub(super) fn guarded(what: &str, f: impl FnOnce()) {
    if let Err(error) = panic::catch(f) {
        here(Code::HookPanicked.level(), &Code::HookPanicked.line(format_args!("{what} {error}")));
    }
}

/// Tells whether the ErrorLog keeps records of this level from [`here`].
#[must_use]
pub fn here_logs(level: Level) -> bool {
    let current = CURRENT.get();
    let kept = if current.is_null() {
        let Some(main) = main_server() else {
            return !is_beside_parent()
                || matches!(level, Level::Error | Level::Warn | Level::Info);
        };
        // SAFETY: the server is valid, as its type says (P3).
        unsafe { sys::rust_log_server_level(main.as_ptr(), module_index()) }
    } else {
        // SAFETY: P1: `with_request` has it on the stack below.
        unsafe { sys::rust_log_request_level(current, module_index()) }
    };
    raw(level) <= kept
}

/// Returns the main server, for a thread that may look at it.
fn main_server<'s>() -> Option<Server<'s>> {
    if is_beside_parent() { None } else { Server::main() }
}

/// Returns whether this is another thread of httpd's parent than httpd's own, started by a module's
/// code. httpd clears the configuration and opens its logs while such a thread runs, so it looks at
/// neither.
fn is_beside_parent() -> bool {
    let process = std::process::id();
    process == PARENT.load(Ordering::Relaxed)
        && rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned() != process
}

fn write_request(request: *mut sys::request_rec, level: Level, message: &str) {
    let message = text(message);
    // SAFETY: P1, P11; the format takes one string.
    unsafe {
        sys::ap_log_rerror_(
            FILE.as_ptr(),
            0,
            module_index(),
            raw(level),
            0,
            request,
            c"%s".as_ptr(),
            message.as_ptr(),
        );
    }
}

fn write_server(server: *mut sys::server_rec, level: i32, message: &str) {
    if server.is_null() && is_beside_parent() {
        // Nobody is to be told where standard error cannot be written to.
        let mut line = String::from("mod_rust: ");
        push_escaped(&mut line, message.as_bytes());
        let _ = writeln!(io::stderr(), "{line}");
        return;
    }
    let message = text(message);
    // SAFETY: P3, P11; the format takes one string.
    unsafe {
        sys::ap_log_error_(
            FILE.as_ptr(),
            0,
            module_index(),
            level,
            0,
            server,
            c"%s".as_ptr(),
            message.as_ptr(),
        );
    }
}

const FILE: &std::ffi::CStr = c"mod_rust";

fn text(message: &str) -> CString {
    CString::new(message.replace('\0', "\\0")).unwrap_or_default()
}

/// Returns the index of the module in httpd's vectors, or -1.
pub(super) fn module_index() -> i32 {
    let module = MODULE.load(Ordering::Relaxed);
    if module.is_null() {
        return -1; // APLOG_NO_MODULE
    }
    // SAFETY: P7: `set_module` got the record of a loaded module, which is not null.
    unsafe { (*module).module_index }
}

const fn raw(level: Level) -> i32 {
    (match level {
        Level::Error => sys::APLOG_ERR,
        Level::Warn => sys::APLOG_WARNING,
        Level::Info => sys::APLOG_INFO,
        Level::Debug => sys::APLOG_DEBUG,
        Level::Trace => sys::APLOG_TRACE1,
    }) as i32
}
