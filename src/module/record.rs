//! The module record that httpd loads, and the command table behind it.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::config::{self, Config, Records};
use super::directive::{Parameters, Project};
use super::guard;
use super::hooks::{self, CheckConfigHook, Order, Registrar};
use crate::gateway::Code;
use crate::httpd::{Pool, Server};
use crate::sys;

/// A loadable module.
pub(crate) trait Definition: Records {
    /// Its name in httpd, `mod_x.c`, for `<IfModule>` and for the order of hooks.
    const NAME: &'static CStr;

    /// Its command table, ended by an empty row.
    const COMMANDS: Commands;

    /// Registers its hooks.
    fn hooks(registrar: &Registrar<'_>);
}

/// The largest number of directives of a module.
pub(crate) const MOST_DIRECTIVES: usize = 64;

/// A command table, with an empty row at its end.
pub(crate) type Commands = [sys::command_rec; MOST_DIRECTIVES + 1];

/// A command table without directives.
pub(crate) const NO_COMMANDS: Commands = {
    // SAFETY: a row of zeroes is the end of a command table.
    [unsafe { std::mem::zeroed::<sys::command_rec>() }; MOST_DIRECTIVES + 1]
};

/// Returns the record that a module exports under its name.
#[must_use]
pub(crate) const fn record<D: Definition>() -> sys::module {
    // SAFETY: a module record of zeroes is one without callbacks.
    let mut record: sys::module = unsafe { std::mem::zeroed() };
    record.version = sys::RUST_MODULE_MAGIC_NUMBER_MAJOR;
    record.minor_version = sys::RUST_MODULE_MAGIC_NUMBER_MINOR;
    record.module_index = -1;
    record.name = D::NAME.as_ptr();
    record.magic = sys::RUST_MODULE_MAGIC_COOKIE;
    record.create_dir_config = Some(create_dir::<D>);
    record.merge_dir_config = Some(merge_dir::<D>);
    record.create_server_config = Some(create_server::<D>);
    record.merge_server_config = Some(merge_server::<D>);
    record.cmds = (&raw const *DirectiveTable::<D>::ROWS).cast();
    record.register_hooks = Some(register_hooks::<D>);
    record
}

struct DirectiveTable<D>(std::marker::PhantomData<D>);

impl<D: Definition> DirectiveTable<D> {
    const ROWS: &'static Commands = &D::COMMANDS;
}

/// The per-server record of a module.
pub(crate) struct OfServer<D>(std::marker::PhantomData<D>);

impl<D: Records> Project<D::Server> for OfServer<D> {
    const IS_PER_SERVER: bool = true;

    unsafe fn project(parameters: &Parameters<'_>, _: *mut c_void) -> Option<NonNull<D::Server>> {
        // SAFETY: P3: httpd gives the server that it reads the configuration for.
        let vector = unsafe { (*parameters.raw().server).module_config };
        // SAFETY: P3: httpd gives the server that it reads the configuration for.
        let record = unsafe { sys::ap_get_module_config(vector, D::module()) };
        config::whole(record)
    }
}

unsafe extern "C" fn create_dir<D: Definition>(
    pool: *mut sys::apr_pool_t,
    _dir: *mut c_char,
) -> *mut c_void {
    create::<D::Dir>(pool)
}

unsafe extern "C" fn create_server<D: Definition>(
    pool: *mut sys::apr_pool_t,
    _server: *mut sys::server_rec,
) -> *mut c_void {
    create::<D::Server>(pool)
}

unsafe extern "C" fn merge_dir<D: Definition>(
    pool: *mut sys::apr_pool_t,
    base: *mut c_void,
    inner: *mut c_void,
) -> *mut c_void {
    merge::<D::Dir>(pool, base, inner)
}

unsafe extern "C" fn merge_server<D: Definition>(
    pool: *mut sys::apr_pool_t,
    base: *mut c_void,
    inner: *mut c_void,
) -> *mut c_void {
    merge::<D::Server>(pool, base, inner)
}

fn create<C: Config>(pool: *mut sys::apr_pool_t) -> *mut c_void {
    // SAFETY: P3, P4: the pool that httpd wants the record in.
    config::create::<C>(unsafe { Pool::from_ptr(pool) })
}

fn merge<C: Config>(
    pool: *mut sys::apr_pool_t,
    base: *mut c_void,
    inner: *mut c_void,
) -> *mut c_void {
    // SAFETY: P3, P4: the pool that httpd wants the record in.
    let pool = unsafe { Pool::from_ptr(pool) };
    // SAFETY: P4, P6: httpd merges records that `create` or `merge` made for this module.
    unsafe { config::merge::<C>(pool, base, inner) }
}

/// The module of this library that httpd has loaded, if it has.
static LOADED: AtomicPtr<sys::module> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn register_hooks<D: Definition>(pool: *mut sys::apr_pool_t) {
    let register = |registrar: &Registrar<'_>| {
        if !LOADED.load(Ordering::Relaxed).is_null() {
            // The statics of this library are the first module's.
            registrar.check_config::<Second<D>>(Order::First);
            return;
        }
        LOADED.store(D::module(), Ordering::Relaxed);
        registrar.pool().on_clear(|| LOADED.store(std::ptr::null_mut(), Ordering::Relaxed));
        guard::start_over();
        registrar.check_config::<Whole<D>>(Order::First);
        D::hooks(registrar);
    };
    // SAFETY: P6: httpd calls this as `register_hooks`.
    unsafe { hooks::register(pool, register) };
}

/// Looks whether the module's hooks and records could be made, before anything relies on them.
struct Whole<D>(std::marker::PhantomData<D>);

impl<D: Definition> CheckConfigHook for Whole<D> {
    fn run(pconf: Pool<'_>, main: Server<'_>) -> Result<(), Vec<String>> {
        main.remember_as_main(pconf);
        if !guard::is_incomplete() {
            return Ok(());
        }
        Err(vec![Code::ModuleIncomplete.line(format_args!(
            "module {}: its hooks, or a configuration record, could not be made; the line \
             {} above says why",
            D::NAME.to_string_lossy(),
            Code::HookPanicked
        ))])
    }
}

/// Refuses a second module of the same library.
struct Second<D>(std::marker::PhantomData<D>);

impl<D: Definition> CheckConfigHook for Second<D> {
    fn run(_: Pool<'_>, _: Server<'_>) -> Result<(), Vec<String>> {
        Err(vec![Code::ModuleTwice.line(format_args!(
            "module {}: its library holds another module, which is loaded already; build \
             each module as a library of its own",
            D::NAME.to_string_lossy()
        ))])
    }
}
