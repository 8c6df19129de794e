//! `server_rec`: the main server and its virtual hosts.

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use super::pool::ProcessPool;
use crate::sys;

/// The main server of the configuration in force; null while httpd reads one. httpd's own
/// `ap_server_conf` will not do: from 2.4.37 to 2.4.57 it points into the cleared pool of the
/// earlier configuration until the next one has been read.
static MAIN: AtomicPtr<sys::server_rec> = AtomicPtr::new(ptr::null_mut());

/// A server of the configuration: a virtual host, or the main server.
#[derive(Clone, Copy)]
pub struct Server<'s> {
    server: NonNull<sys::server_rec>,
    lifetime: PhantomData<(&'s (), *mut ())>,
}

impl<'s> Server<'s> {
    /// # Safety
    ///
    /// `server` is a server of httpd's that lives for `'s` (P3), or null.
    #[must_use]
    pub(crate) unsafe fn from_ptr(server: *mut sys::server_rec) -> Option<Self> {
        Some(Self { server: NonNull::new(server)?, lifetime: PhantomData })
    }

    /// Returns the main server of the configuration in force, once that has been checked.
    #[must_use]
    pub(crate) fn main() -> Option<Self> {
        // SAFETY: P3: `remember_as_main` takes the pointer back when the configuration's pool is
        // cleared, which is before the server goes.
        unsafe { Self::from_ptr(MAIN.load(Ordering::Acquire)) }
    }

    /// Makes this the [main](Self::main) server until the configuration's pool is cleared.
    pub(crate) fn remember_as_main(self, pconf: super::pool::Pool<'_>) {
        MAIN.store(self.as_ptr(), Ordering::Release);
        pconf.on_clear(|| MAIN.store(ptr::null_mut(), Ordering::Release));
    }

    /// Returns the server itself.
    #[must_use]
    pub(crate) const fn as_ptr(self) -> *mut sys::server_rec {
        self.server.as_ptr()
    }

    /// Iterates over this server and those after it: over all, from the main server.
    pub(crate) fn iter(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |server| {
            let next = server.raw().next;
            // SAFETY: P3: the list of servers lives as long as each of them.
            unsafe { Self::from_ptr(next) }
        })
    }

    /// Returns what ErrorLog says where that is the system's log.
    pub(super) fn syslog(self) -> Option<&'s [u8]> {
        let name: *const c_char = self.raw().error_fname;
        if name.is_null() || !self.raw().error_log.is_null() {
            return None;
        }
        // SAFETY: the name ends with NUL (P5), and lives as long as the server (P3).
        Some(unsafe { CStr::from_ptr(name) }.to_bytes())
    }

    /// Returns `ServerName`, or httpd's substitute for it.
    #[must_use]
    pub fn name(self) -> &'s [u8] {
        let name: *const c_char = self.raw().server_hostname;
        if name.is_null() {
            return b"";
        }
        // SAFETY: the name ends with NUL (P5), and lives as long as the server (P3).
        unsafe { CStr::from_ptr(name) }.to_bytes()
    }

    /// Returns `ServerAdmin`.
    pub(crate) fn admin(self) -> Option<&'s [u8]> {
        let admin: *const c_char = self.raw().server_admin;
        // SAFETY: the address ends with NUL (P5), and lives as long as the server (P3).
        (!admin.is_null()).then(|| unsafe { CStr::from_ptr(admin) }.to_bytes())
    }

    /// Tells whether this is a virtual host.
    #[must_use]
    pub fn is_virtual(self) -> bool {
        self.raw().is_virtual != 0
    }

    /// Returns the directive `Timeout`.
    #[must_use]
    pub fn timeout(self) -> Duration {
        Duration::from_micros(self.raw().timeout.max(0).cast_unsigned())
    }

    /// Returns the pool of httpd's process, which outlives every configuration.
    ///
    /// # Safety
    ///
    /// This is httpd's parent: in a child, several threads would use the pool at the same time.
    pub(crate) unsafe fn process_pool(self) -> ProcessPool<'s> {
        let process = self.raw().process;
        // SAFETY: P3: each server refers to the process's record.
        let pool = unsafe { (*process).pool };
        // SAFETY: P13, by the caller's word: the parent has one thread. The pool outlives every
        // server.
        unsafe { ProcessPool::from_ptr(pool) }
    }

    /// Returns the program's name in the memory that httpd was started with.
    pub(crate) fn program_name(self) -> Option<*const c_char> {
        let process = self.raw().process;
        // SAFETY: P3: each server refers to the process's record.
        let arguments = unsafe { (*process).argv };
        if arguments.is_null() {
            return None;
        }
        // SAFETY: P3: there is one at least, or the null that ends them.
        let name = unsafe { *arguments };
        (!name.is_null()).then_some(name)
    }

    /// Returns the modules' configuration for this server.
    pub(crate) fn module_config(self) -> *mut sys::ap_conf_vector_t {
        self.raw().module_config
    }

    /// Returns the sections' configuration that holds outside of sections.
    pub(crate) fn usual_config(self) -> *mut sys::ap_conf_vector_t {
        self.raw().lookup_defaults
    }

    const fn raw(&self) -> &sys::server_rec {
        // SAFETY: P3; nobody writes to it while requests are served.
        unsafe { self.server.as_ref() }
    }
}
