//! Hooks: traits that a module implements, and the C functions that httpd calls for them.

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;

use super::guard;
use crate::gateway::panic;
use crate::httpd::suspend::{self, Connection};
use crate::httpd::{Brigade, HookStatus, Pool, Request, Server, log, mpm};
use crate::sys;

/// A hook that runs for each request.
pub(crate) trait RequestHook: 'static {
    /// Returns whether it declines the request, if a look tells: httpd asks for each request, and most
    /// are another module's. It has no panic guard, and cannot panic.
    fn passes_by(request: &Request<'_>) -> bool {
        let _ = request;
        false
    }

    /// Does its work, or declines.
    fn run(request: &Request<'_>) -> HookStatus;
}

/// Runs when the whole configuration has been read, also for `configtest`.
pub(crate) trait CheckConfigHook: 'static {
    /// # Errors
    ///
    /// What is wrong, a line each; httpd then does not start.
    fn run(pconf: Pool<'_>, main: Server<'_>) -> Result<(), Vec<String>>;
}

/// Runs in the parent when the configuration holds: at the start, and at each restart. Not for
/// `configtest`, and not in the first of the two passes over the configuration.
pub(crate) trait PostConfigHook: 'static {
    /// # Errors
    ///
    /// What stands in the way, a line each; httpd then does not start.
    fn run(pconf: Pool<'_>, main: Server<'_>) -> Result<(), Vec<String>>;
}

/// Runs before the configuration is read.
pub(crate) trait PreConfigHook: 'static {
    /// `pconf` is cleared when the configuration is read again.
    fn run(pconf: Pool<'_>);
}

/// Looks after things in httpd's parent from time to time.
pub(crate) trait MonitorHook: 'static {
    /// See [`Registrar::monitor`].
    fn run();
}

/// Runs in each child, after the fork and before its first request.
pub(crate) trait ChildInitHook: 'static {
    /// `pchild` is cleared when the child ends.
    fn run(pchild: Pool<'_>, main: Server<'_>);
}

/// Runs in a child that begins to end, with httpd 2.4.49 and later.
pub(crate) trait ChildStoppingHook: 'static {
    fn run();
}

/// The order of a hook among those of other modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Before the most.
    First,
    /// No preference.
    Middle,
    /// After all.
    ReallyLast,
}

impl Order {
    pub(super) const fn raw(self) -> i32 {
        (match self {
            Self::First => sys::APR_HOOK_FIRST,
            Self::Middle => sys::APR_HOOK_MIDDLE,
            Self::ReallyLast => sys::APR_HOOK_REALLY_LAST,
        }) as i32
    }
}

/// Registers hooks while httpd loads the module.
pub(crate) struct Registrar<'p> {
    pool: Pool<'p>,
}

macro_rules! request_hook {
    ($($(#[$doc:meta])* $name:ident($function:ident);)*) => {$(
        $(#[$doc])*
        ///
        /// It runs after the modules of the one list and before those of the other, wherever
        /// their `LoadModule` lines stand.
        pub(crate) fn $name<H: RequestHook>(
            &self,
            after: &'static [ModuleName],
            before: &'static [ModuleName],
            order: Order,
        ) {
            let (after, before) = (names(after), names(before));
            // SAFETY: P11, in `register_hooks`; the lists of names live as long as the module.
            unsafe {
                sys::$function(Some(request::<H>), after, before, order.raw());
            }
        }
    )*};
}

/// A module's name in a list of those that a hook runs after or before. [`ModuleName::END`] ends
/// the list.
#[repr(transparent)]
pub(crate) struct ModuleName(*const c_char);

// SAFETY: a pointer to a string that lives forever.
unsafe impl Sync for ModuleName {}

impl ModuleName {
    /// The list's end.
    pub(crate) const END: Self = Self(std::ptr::null());

    /// `mod_alias.c` and its like.
    #[must_use]
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self(name.as_ptr())
    }
}

fn names(names: &'static [ModuleName]) -> *const *const c_char {
    match names.last() {
        None => std::ptr::null(),
        Some(last) => {
            assert!(last.0.is_null(), "a list of modules ends with ModuleName::END");
            names.as_ptr().cast()
        }
    }
}

impl<'p> Registrar<'p> {
    /// Returns the pool of the configuration that is about to be read.
    #[must_use]
    pub(crate) const fn pool(&self) -> Pool<'p> {
        self.pool
    }

    /// Answers. A request that the hook has [parked](suspend::Site::park) goes on later.
    pub(crate) fn handler<H: RequestHook>(&self, order: Order) {
        // SAFETY: P11, in `register_hooks`.
        unsafe {
            sys::ap_hook_handler(
                Some(handler::<H>),
                std::ptr::null(),
                std::ptr::null(),
                order.raw(),
            );
        }
    }

    request_hook! {
        /// Maps a URL to what answers it.
        translate_name(ap_hook_translate_name);
        /// Finds the file, and the directory sections that apply.
        map_to_storage(ap_hook_map_to_storage);
        /// The last word before the handler.
        fixups(ap_hook_fixups);
    }

    /// Checks the configuration as a whole.
    pub(crate) fn check_config<H: CheckConfigHook>(&self, order: Order) {
        // SAFETY: P11: `register_hooks` runs this, and the function lives as long as the module.
        unsafe {
            sys::ap_hook_check_config(
                Some(check_config::<H>),
                std::ptr::null(),
                std::ptr::null(),
                order.raw(),
            );
        }
    }

    /// Comes before the configuration.
    pub(crate) fn pre_config<H: PreConfigHook>(&self, order: Order) {
        // SAFETY: P11: `register_hooks` runs this, and the function lives as long as the module.
        unsafe {
            sys::ap_hook_pre_config(
                Some(pre_config::<H>),
                std::ptr::null(),
                std::ptr::null(),
                order.raw(),
            );
        }
    }

    /// Acts on the configuration.
    pub(crate) fn post_config<H: PostConfigHook>(&self, order: Order) {
        // SAFETY: P11: `register_hooks` runs this, and the function lives as long as the module.
        unsafe {
            sys::ap_hook_post_config(
                Some(post_config::<H>),
                std::ptr::null(),
                std::ptr::null(),
                order.raw(),
            );
        }
    }

    /// Looks after things in httpd's parent, every ten seconds or so.
    pub(crate) fn monitor<H: MonitorHook>(&self, order: Order) {
        // SAFETY: P11, in `register_hooks`.
        unsafe {
            sys::ap_hook_monitor(
                Some(monitor::<H>),
                std::ptr::null(),
                std::ptr::null(),
                order.raw(),
            );
        }
    }

    /// Lets requests be suspended: the hooks of their connections.
    pub(crate) fn connections(&self) {
        let (first, last) = (sys::APR_HOOK_REALLY_FIRST, WRAPPER);
        let (none, null) = (std::ptr::null(), std::ptr::null());
        // SAFETY: P11: `register_hooks` runs this, and the function lives as long as the module.
        unsafe { sys::ap_hook_process_connection(Some(visit), none, null, first) };
        // SAFETY: P11: as above.
        unsafe { sys::ap_hook_process_connection(Some(process), none, null, last) };
        // SAFETY: P11: as above.
        unsafe { sys::ap_hook_resume_connection(Some(resume), none, null, first) };
    }

    /// Prepares a child.
    pub(crate) fn child_init<H: ChildInitHook>(&self, order: Order) {
        // SAFETY: P11: `register_hooks` runs this, and the function lives as long as the module.
        unsafe {
            sys::ap_hook_child_init(
                Some(child_init::<H>),
                std::ptr::null(),
                std::ptr::null(),
                order.raw(),
            );
        }
    }

    /// Tells a child that it begins to end.
    pub(crate) fn child_stopping<H: ChildStoppingHook>(&self, order: Order) {
        // SAFETY: P11: as above.
        unsafe { sys::rust_hook_child_stopping(Some(child_stopping::<H>), order.raw()) };
    }
}

unsafe extern "C" fn child_stopping<H: ChildStoppingHook>(
    _pchild: *mut sys::apr_pool_t,
    _graceful: i32,
) {
    // prefork calls it in its handler of SIGTERM, which may have interrupted an application.
    if !panic::is_catching() {
        guard::callback("child_stopping", (), H::run);
    }
}

/// The order of the hook around httpd's core, which processes connections at
/// `APR_HOOK_REALLY_LAST`.
pub(crate) const WRAPPER: i32 = sys::APR_HOOK_REALLY_LAST.cast_signed() - 1;

unsafe extern "C" fn visit(connection: *mut sys::conn_rec) -> i32 {
    // SAFETY: P1, P2: it does not leave this function.
    let connection = unsafe { Connection::from_ptr(connection) };
    if suspend::has_suspended(connection) {
        guarded_visit(connection)
    } else {
        HookStatus::Declined.into_raw()
    }
}

/// Does what few connections need, apart from the hook that runs for each request of all.
#[inline(never)]
fn guarded_visit(connection: Connection) -> i32 {
    let closes = HookStatus::Done.into_raw();
    guard::callback("process_connection", closes, || suspend::visit(connection, guarded))
}

unsafe extern "C" fn process(connection: *mut sys::conn_rec) -> i32 {
    // SAFETY: P1, P2: it does not leave this function.
    let connection = unsafe { Connection::from_ptr(connection) };
    let closes = HookStatus::Done.into_raw();
    guard::callback("process_connection", closes, || suspend::process(connection))
}

unsafe extern "C" fn resume(connection: *mut sys::conn_rec, _: *mut sys::request_rec) {
    // SAFETY: P1, P2: it does not leave this function.
    let connection = unsafe { Connection::from_ptr(connection) };
    if suspend::has_suspended(connection) {
        guarded_resume(connection);
    }
}

/// Does the same for [`resume`].
#[inline(never)]
fn guarded_resume(connection: Connection) {
    guard::callback("resume_connection", (), || suspend::resumed(connection, guarded));
}

fn guarded(request: &Request<'_>, f: &mut dyn FnMut() -> HookStatus) -> i32 {
    guard::request(request, f)
}

unsafe extern "C" fn monitor<H: MonitorHook>(
    _pool: *mut sys::apr_pool_t,
    _main: *mut sys::server_rec,
) -> i32 {
    guard::callback("monitor", (), H::run);
    HookStatus::Declined.into_raw()
}

/// # Safety
///
/// As httpd calls a `register_hooks` function (P6).
pub(super) unsafe fn register(pool: *mut sys::apr_pool_t, hooks: impl FnOnce(&Registrar<'_>)) {
    // SAFETY: P3: httpd gives the configuration's pool for the time of this call.
    let registrar = Registrar { pool: unsafe { Pool::from_ptr(pool) } };
    guard::needed("register_hooks", (), || hooks(&registrar));
}

unsafe extern "C" fn request<H: RequestHook>(raw: *mut sys::request_rec) -> i32 {
    scoped(raw, PhantomData::<H>)
}

unsafe extern "C" fn handler<H: RequestHook>(raw: *mut sys::request_rec) -> i32 {
    let status = scoped(raw, PhantomData::<H>);
    // SAFETY: P1, P2: it does not leave this function.
    suspend::answer(&unsafe { Request::from_ptr(raw) }, status)
}

/// Gives the request a lifetime that ends here.
fn scoped<H: RequestHook>(raw: *mut sys::request_rec, _: PhantomData<H>) -> i32 {
    // SAFETY: P1, P2: it does not leave this function.
    let request = unsafe { Request::from_ptr(raw) };
    if H::passes_by(&request) {
        return HookStatus::Declined.into_raw();
    }
    guard::request(&request, || H::run(&request))
}

unsafe extern "C" fn check_config<H: CheckConfigHook>(
    pconf: *mut sys::apr_pool_t,
    _plog: *mut sys::apr_pool_t,
    _ptemp: *mut sys::apr_pool_t,
    main: *mut sys::server_rec,
) -> i32 {
    let failed = HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR).into_raw();
    guard::callback("check_config", failed, || checked(pconf, main, H::run))
}

unsafe extern "C" fn post_config<H: PostConfigHook>(
    pconf: *mut sys::apr_pool_t,
    _plog: *mut sys::apr_pool_t,
    _ptemp: *mut sys::apr_pool_t,
    main: *mut sys::server_rec,
) -> i32 {
    if mpm::is_first_pass() || mpm::is_check_only() {
        return HookStatus::Ok.into_raw();
    }
    let failed = HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR).into_raw();
    guard::callback("post_config", failed, || checked(pconf, main, H::run))
}

/// Runs a hook over the configuration, and says what is wrong with it.
fn checked(
    pconf: *mut sys::apr_pool_t,
    main: *mut sys::server_rec,
    run: fn(Pool<'_>, Server<'_>) -> Result<(), Vec<String>>,
) -> i32 {
    let failed = HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR).into_raw();
    // SAFETY: P3: httpd gives the configuration's pool for the time of this call.
    let pool = unsafe { Pool::from_ptr(pconf) };
    // SAFETY: P3: httpd gives its main server, which lives longer than this call.
    let Some(main) = (unsafe { Server::from_ptr(main) }) else { return failed };
    match run(pool, main) {
        Ok(()) => HookStatus::Ok.into_raw(),
        Err(lines) => {
            for line in lines {
                log::startup(main, &line);
            }
            failed
        }
    }
}

unsafe extern "C" fn pre_config<H: PreConfigHook>(
    pconf: *mut sys::apr_pool_t,
    _plog: *mut sys::apr_pool_t,
    _ptemp: *mut sys::apr_pool_t,
) -> i32 {
    let failed = HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR);
    let status = guard::callback("pre_config", failed, || {
        // SAFETY: P3: httpd gives the configuration's pool for the time of this call.
        H::run(unsafe { Pool::from_ptr(pconf) });
        HookStatus::Ok
    });
    status.into_raw()
}

unsafe extern "C" fn child_init<H: ChildInitHook>(
    pchild: *mut sys::apr_pool_t,
    main: *mut sys::server_rec,
) {
    guard::callback("child_init", (), || {
        // SAFETY: P3: the child's pool.
        let pool = unsafe { Pool::from_ptr(pchild) };
        // SAFETY: P3: httpd gives its main server, which lives longer than this call.
        if let Some(main) = unsafe { Server::from_ptr(main) } {
            H::run(pool, main);
        }
    });
}

/// Adds to mod_status's page.
pub(crate) trait StatusPageHook: 'static {
    /// Returns the section: HTML, or lines of `Name: value` where `is_short` (`?auto`) asks for
    /// them.
    fn section(request: &Request<'_>, is_short: bool) -> String;
}

impl Registrar<'_> {
    /// Adds a section to mod_status's page, if that module is there.
    pub(crate) fn status_page<H: StatusPageHook>(&self) {
        // SAFETY: APR calls the function back with the signature of the hook's name, which
        // `section` has.
        let hook =
            unsafe { std::mem::transmute::<Raw, unsafe extern "C" fn()>(section::<H> as Raw) };
        // SAFETY: P11, in `register_hooks`; the name is a literal.
        unsafe {
            sys::apr_optional_hook_add(
                c"status_hook".as_ptr(),
                Some(hook),
                std::ptr::null(),
                std::ptr::null(),
                Order::Middle.raw(),
            );
        }
    }
}

type Raw = unsafe extern "C" fn(*mut sys::request_rec, i32) -> i32;

unsafe extern "C" fn section<H: StatusPageHook>(raw: *mut sys::request_rec, flags: i32) -> i32 {
    guard::callback("status_hook", (), || {
        // SAFETY: P1, P2: it does not leave this function.
        let request = unsafe { Request::from_ptr(raw) };
        let text = H::section(&request, flags & sys::AP_STATUS_SHORT.cast_signed() != 0);
        if !text.is_empty() {
            let mut brigade = Brigade::new(&request);
            brigade.push_bytes(text.into());
            // mod_status itself finds out that the client has gone.
            let _ = request.pass(&mut brigade);
        }
    });
    HookStatus::Ok.into_raw()
}
