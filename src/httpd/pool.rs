//! APR pools: memory and values that live as long as a request or the configuration.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::mem::{align_of, needs_drop};
use std::ptr::NonNull;

use super::request::Request;
use super::table::Table;
use super::{Invariant, log};
use crate::sys;

/// The alignment of pool memory, in bytes (P9).
const ALIGN: usize = 8;

/// A pool of a request or of the configuration, which lives at least as long as `'p`.
///
/// `'p` is invariant, so that a value of one pool never counts as a value of another. Any thread of
/// httpd may clear a pool. So a value that a pool owns must be `Send` and must not borrow anything.
#[derive(Clone, Copy)]
pub struct Pool<'p> {
    pool: NonNull<sys::apr_pool_t>,
    lifetime: Invariant<'p>,
}

impl<'p> Pool<'p> {
    /// # Safety
    ///
    /// `pool` is a request's or a configuration's pool that lives at least as long as `'p`, and the
    /// calling thread may use it (P1, P2).
    #[must_use]
    pub(crate) const unsafe fn from_ptr(pool: *mut sys::apr_pool_t) -> Self {
        // SAFETY: P1; httpd hands out no null pools.
        let pool = unsafe { NonNull::new_unchecked(pool) };
        Self { pool, lifetime: PhantomData }
    }

    /// Returns the pool itself.
    #[must_use]
    pub(crate) const fn as_ptr(self) -> *mut sys::apr_pool_t {
        self.pool.as_ptr()
    }

    /// Copies `bytes` into the pool, with a NUL after the end of the slice.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> &'p [u8] {
        // SAFETY: P9, P11; the source has that many bytes.
        let copy =
            unsafe { sys::apr_pstrmemdup(self.as_ptr(), bytes.as_ptr().cast(), bytes.len()) };
        // SAFETY: apr_pstrmemdup copied that many bytes into the pool (P9).
        unsafe { std::slice::from_raw_parts(copy.cast(), bytes.len()) }
    }

    /// Copies `bytes` into the pool as a C string, which ends at the first NUL.
    #[must_use]
    pub fn c_str(self, bytes: &[u8]) -> &'p CStr {
        let copy = self.bytes(bytes);
        // SAFETY: `Pool::bytes` puts a NUL behind the copy.
        unsafe { CStr::from_ptr(copy.as_ptr().cast()) }
    }

    /// Resolves a path relative to ServerRoot, like httpd's directives (`ap_server_root_relative`).
    #[must_use]
    pub fn server_path(self, path: &str) -> Option<&'p CStr> {
        let path = self.c_str(path.as_bytes());
        // SAFETY: P11: 'p keeps the pool valid, and the path ends with NUL.
        let full = unsafe { sys::ap_server_root_relative(self.as_ptr(), path.as_ptr()) };
        // SAFETY: the path ends with NUL (P5), and was made in this pool, which lives for 'p.
        (!full.is_null()).then(|| unsafe { CStr::from_ptr(full) })
    }

    /// Returns a path in the folder for files that live as long as httpd runs
    /// (`ap_runtime_dir_relative`).
    #[must_use]
    pub(crate) fn runtime_path(self, name: &str) -> Option<&'p CStr> {
        let name = self.c_str(name.as_bytes());
        // SAFETY: P11: 'p keeps the pool valid, and the name ends with NUL.
        let full = unsafe { sys::ap_runtime_dir_relative(self.as_ptr(), name.as_ptr()) };
        // SAFETY: the path ends with NUL (P5), and was made in this pool, which lives for 'p.
        (!full.is_null()).then(|| unsafe { CStr::from_ptr(full) })
    }

    /// Moves a value into the pool. It is dropped when httpd clears the pool, perhaps on another
    /// thread.
    pub fn own<T: Send + 'static>(self, value: T) -> &'p T {
        let place = self.store(value);
        // SAFETY: `store` wrote the value there. It stays until the pool is cleared, which is after
        // 'p, and nobody else has the pointer.
        unsafe { place.as_ref() }
    }

    /// Runs `cleanup` when the pool is cleared or destroyed, perhaps on another thread.
    pub fn on_clear(self, cleanup: impl FnOnce() + Send + 'static) {
        struct OnDrop<F: FnOnce()>(Option<F>);
        impl<F: FnOnce()> Drop for OnDrop<F> {
            fn drop(&mut self) {
                if let Some(run) = self.0.take() {
                    run();
                }
            }
        }
        self.store(OnDrop(Some(cleanup)));
    }

    /// Moves a value into the pool, as [`own`](Self::own) does, and returns its place.
    pub(crate) fn store<T: Send + 'static>(self, value: T) -> NonNull<T> {
        if needs_drop::<T>() || align_of::<T>() > ALIGN {
            let value = NonNull::from(Box::leak(Box::new(value)));
            // SAFETY: P6, P11; `drop_boxed::<T>` gets the box's own pointer, once. T is Send, so
            // any thread may drop it (P2).
            unsafe {
                sys::apr_pool_cleanup_register(
                    self.as_ptr(),
                    value.as_ptr().cast(),
                    Some(drop_boxed::<T>),
                    Some(sys::apr_pool_cleanup_null),
                );
            }
            return value;
        }
        // SAFETY: P9: 'p keeps the pool valid.
        let place = unsafe { sys::apr_palloc(self.as_ptr(), size_of::<T>().max(1)) }.cast::<T>();
        // SAFETY: the place is fresh, large enough and aligned (P9).
        unsafe { place.write(value) };
        // SAFETY: P9: not null.
        unsafe { NonNull::new_unchecked(place) }
    }

    /// Moves a value into the pool, to be referred to from record to record.
    ///
    /// # Safety
    ///
    /// See [`PoolRef::from_ref`].
    pub(crate) unsafe fn keep<T: Send + 'static>(self, value: T) -> PoolRef<T> {
        PoolRef(self.store(value))
    }

    /// Runs `f` when the pool is cleared or destroyed, before anything in it or below it is: before
    /// the pools of requests that are still there.
    pub(crate) fn before_clear(self, f: extern "C" fn()) {
        // SAFETY: P11; `call` gets the function itself.
        unsafe {
            sys::apr_pool_pre_cleanup_register(self.as_ptr(), f as *const c_void, Some(call));
        }
    }

    /// Returns the table that all modules of the kit share under `key` in this pool. The first that
    /// asks makes it.
    #[must_use]
    pub(crate) fn shared_table(self, key: SharedKey) -> Table<'p> {
        // SAFETY: the pool lives for 'p, as this type says.
        unsafe { shared_table(self.as_ptr(), key) }
    }
}

/// The pool of httpd's process, which outlives every configuration and with it the module's code.
/// So it takes tables of strings, and neither values nor callbacks.
#[derive(Clone, Copy)]
pub(crate) struct ProcessPool<'p> {
    pool: NonNull<sys::apr_pool_t>,
    lifetime: Invariant<'p>,
}

impl<'p> ProcessPool<'p> {
    /// # Safety
    ///
    /// `pool` is the pool of httpd's process, and this is the thread of httpd's parent (P13).
    pub(crate) const unsafe fn from_ptr(pool: *mut sys::apr_pool_t) -> Self {
        // SAFETY: httpd's process record has a pool.
        let pool = unsafe { NonNull::new_unchecked(pool) };
        Self { pool, lifetime: PhantomData }
    }

    /// Returns the pool itself.
    pub(crate) const fn as_ptr(self) -> *mut sys::apr_pool_t {
        self.pool.as_ptr()
    }

    /// Returns the table that all modules of the kit share under `key`.
    pub(crate) fn shared_table(self, key: SharedKey) -> Table<'p> {
        // SAFETY: the process's pool lives for 'p, as this type says.
        unsafe { shared_table(self.as_ptr(), key) }
    }
}

/// A key of the kit's own: a table is stored under it, and nothing else.
#[derive(Clone, Copy)]
pub(crate) struct SharedKey(&'static CStr);

impl SharedKey {
    /// Makes a key of a name that starts with `mod_rust:`. Another does not compile in a constant.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        let (bytes, prefix) = (name.to_bytes(), b"mod_rust:");
        let mut at = 0;
        while at < prefix.len() {
            assert!(bytes[at] == prefix[at], "a shared key starts with mod_rust:");
            at += 1;
        }
        Self(name)
    }
}

/// # Safety
///
/// `pool` lives for `'p`, and the calling thread may use it.
unsafe fn shared_table<'p>(pool: *mut sys::apr_pool_t, key: SharedKey) -> Table<'p> {
    let key = key.0.as_ptr();
    let mut table = std::ptr::null_mut();
    // SAFETY: P11: the caller's pool, and a key that ends with NUL.
    unsafe { sys::apr_pool_userdata_get(&raw mut table, key, pool) };
    if table.is_null() {
        // SAFETY: P11: the caller's pool.
        let made = unsafe { sys::apr_table_make(pool, 8) };
        table = made.cast();
        // SAFETY: P11; APR copies the key, and the table lives as long as the pool.
        unsafe { sys::apr_pool_userdata_set(table, key, None, pool) };
    }
    // SAFETY: `SharedKey` is made by the kit alone, which stores a table of this pool under each.
    unsafe { Table::from_ptr(table.cast()) }
}

/// A value in a pool that outlives each use of this, without a lifetime to say so: configuration
/// records and notes of requests refer to others by it.
pub(crate) struct PoolRef<T: ?Sized>(NonNull<T>);

impl<T: ?Sized> PoolRef<T> {
    /// # Safety
    ///
    /// Nobody uses the result or a copy of it once the value is gone, and nobody writes to the
    /// value meanwhile but through cells. A value in `pconf` fits, where the result stays in
    /// records of that configuration and in the hooks that run under it (P3). So does a value in a
    /// record's or note's own pool, where the result stays in that record or note (P4).
    #[must_use]
    pub(crate) unsafe fn from_ref(value: &T) -> Self {
        Self(NonNull::from(value))
    }

    /// Refers to a value by the pointer that it was made with.
    ///
    /// # Safety
    ///
    /// The contract of [`from_ref`](Self::from_ref).
    #[must_use]
    pub(crate) const unsafe fn from_ptr(value: NonNull<T>) -> Self {
        Self(value)
    }

    /// Returns the value's address, which tells it from others.
    #[must_use]
    pub(crate) const fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }

    /// Returns the value for as long as the request lives that it is needed for.
    pub(crate) const fn get<'r>(self, _: &Request<'r>) -> &'r T {
        // SAFETY: the constructor's promise: a value that a hook of this request got hold of lives
        // in its configuration or in its pool, which both outlive 'r (P1, P3).
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized> std::ops::Deref for PoolRef<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the constructor's promise: the value is there for each use of this (P3, P4).
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized> Clone for PoolRef<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for PoolRef<T> {}

// SAFETY: it gives shared access only, to a value that itself may be shared. The pool drops the
// value, not this.
unsafe impl<T: ?Sized + Sync> Send for PoolRef<T> {}
// SAFETY: it gives shared access only.
unsafe impl<T: ?Sized + Sync> Sync for PoolRef<T> {}

impl<T: ?Sized + std::fmt::Debug> std::fmt::Debug for PoolRef<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

unsafe extern "C" fn call(f: *mut c_void) -> sys::apr_status_t {
    // SAFETY: P6: `Pool::before_clear` registered a function of this type.
    let f = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn()>(f) };
    f();
    sys::RUST_APR_SUCCESS
}

unsafe extern "C" fn drop_boxed<T>(value: *mut c_void) -> sys::apr_status_t {
    // A drop that panics must not unwind into APR (P10).
    log::guarded("the end of a value in a pool", || {
        // SAFETY: P6: `Pool::store` leaked this box, and the cleanup runs once.
        drop(unsafe { Box::from_raw(value.cast::<T>()) });
    });
    sys::RUST_APR_SUCCESS
}
