//! APR pools: memory and values that live as long as a request or the configuration.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::mem::{align_of, needs_drop};
use std::ptr::NonNull;

use super::log;
use super::table::Table;
use crate::sys;

/// The alignment of pool memory, in bytes (P9).
const ALIGN: usize = 8;

/// A pool that lives at least as long as `'p`.
#[derive(Clone, Copy)]
pub struct Pool<'p> {
    pool: NonNull<sys::apr_pool_t>,
    lifetime: PhantomData<(&'p (), *mut ())>,
}

impl<'p> Pool<'p> {
    /// # Safety
    ///
    /// `pool` is a pool of httpd's that lives at least as long as `'p`, and the calling thread may
    /// use it (P1, P2).
    #[must_use]
    pub const unsafe fn from_ptr(pool: *mut sys::apr_pool_t) -> Self {
        // SAFETY: P1; httpd hands out no null pools.
        let pool = unsafe { NonNull::new_unchecked(pool) };
        Self { pool, lifetime: PhantomData }
    }

    /// The pool itself.
    #[must_use]
    pub const fn as_ptr(self) -> *mut sys::apr_pool_t {
        self.pool.as_ptr()
    }

    /// A copy of `bytes`, with a NUL behind it that is not part of the slice.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> &'p [u8] {
        // SAFETY: P9, P11; the source has that many bytes.
        let copy =
            unsafe { sys::apr_pstrmemdup(self.as_ptr(), bytes.as_ptr().cast(), bytes.len()) };
        // SAFETY: apr_pstrmemdup copied that many bytes into the pool (P9).
        unsafe { std::slice::from_raw_parts(copy.cast(), bytes.len()) }
    }

    /// A copy of `bytes` as a C string. It ends at the first NUL among them, if there is one.
    #[must_use]
    pub fn c_str(self, bytes: &[u8]) -> &'p CStr {
        let copy = self.bytes(bytes);
        // SAFETY: `Pool::bytes` puts a NUL behind the copy.
        unsafe { CStr::from_ptr(copy.as_ptr().cast()) }
    }

    /// A path as directives have it: relative to ServerRoot (`ap_server_root_relative`).
    #[must_use]
    pub fn server_path(self, path: &str) -> Option<&'p CStr> {
        let path = self.c_str(path.as_bytes());
        // SAFETY: P11.
        let full = unsafe { sys::ap_server_root_relative(self.as_ptr(), path.as_ptr()) };
        // SAFETY: P5, in this pool.
        (!full.is_null()).then(|| unsafe { CStr::from_ptr(full) })
    }

    /// A path in the folder for what lives as long as httpd runs (`ap_runtime_dir_relative`).
    #[must_use]
    pub fn runtime_path(self, name: &str) -> Option<&'p CStr> {
        let name = self.c_str(name.as_bytes());
        // SAFETY: P11.
        let full = unsafe { sys::ap_runtime_dir_relative(self.as_ptr(), name.as_ptr()) };
        // SAFETY: P5, in this pool.
        (!full.is_null()).then(|| unsafe { CStr::from_ptr(full) })
    }

    /// Moves a value into the pool, to be dropped when the pool is cleared.
    pub fn keep<T>(self, value: T) -> Kept<T> {
        if needs_drop::<T>() || align_of::<T>() > ALIGN {
            let value = NonNull::from(Box::leak(Box::new(value)));
            // SAFETY: P6, P11; `drop_boxed::<T>` gets the box's own pointer, once.
            unsafe {
                sys::apr_pool_cleanup_register(
                    self.as_ptr(),
                    value.as_ptr().cast(),
                    Some(drop_boxed::<T>),
                    Some(sys::apr_pool_cleanup_null),
                );
            }
            return Kept(value);
        }
        // SAFETY: P9, P11.
        let place = unsafe { sys::apr_palloc(self.as_ptr(), size_of::<T>().max(1)) }.cast::<T>();
        // SAFETY: the place is fresh, large enough and aligned (P9).
        unsafe { place.write(value) };
        // SAFETY: P9: not null.
        Kept(unsafe { NonNull::new_unchecked(place) })
    }

    /// As [`keep`](Self::keep), as a reference that lives as long as the pool is known to.
    pub fn own<T>(self, value: T) -> &'p T {
        let kept = self.keep(value);
        // SAFETY: P9: it stays until the pool is cleared, and the pool lives for `'p`.
        unsafe { &*kept.as_ptr() }
    }

    /// Runs `cleanup` when the pool is cleared or destroyed.
    pub fn on_clear(self, cleanup: impl FnOnce() + 'static) {
        struct OnDrop<F: FnOnce()>(Option<F>);
        impl<F: FnOnce()> Drop for OnDrop<F> {
            fn drop(&mut self) {
                if let Some(run) = self.0.take() {
                    run();
                }
            }
        }
        self.keep(OnDrop(Some(cleanup)));
    }

    /// Runs `f` when the pool is cleared or destroyed, before anything in it or below it is: before
    /// the pools of requests that are still there.
    pub fn before_clear(self, f: extern "C" fn()) {
        // SAFETY: P11; `call` gets the function itself.
        unsafe {
            sys::apr_pool_pre_cleanup_register(self.as_ptr(), f as *const c_void, Some(call));
        }
    }

    /// The table that all modules share under `key`, made by the first that asks for it.
    ///
    /// Whoever stores something else under such a key breaks this: the keys are the kit's own.
    #[must_use]
    pub fn shared_table(self, key: &'static CStr) -> Table<'p> {
        let mut table = std::ptr::null_mut();
        // SAFETY: P11.
        unsafe { sys::apr_pool_userdata_get(&raw mut table, key.as_ptr(), self.as_ptr()) };
        if !table.is_null() {
            // SAFETY: P3: what is stored under the key is a table in this very pool.
            return unsafe { Table::from_ptr(table.cast()) };
        }
        let table = Table::new(self);
        // SAFETY: P11; the key is copied, and the table lives as long as the pool.
        unsafe {
            sys::apr_pool_userdata_set(table.as_ptr().cast(), key.as_ptr(), None, self.as_ptr());
        }
        table
    }
}

/// A value in a pool. It is as good as a reference for as long as the pool's configuration record
/// or request is in use, and the kit hands it out only within that time (P3, P4).
pub struct Kept<T: ?Sized>(NonNull<T>);

impl<T: ?Sized> Kept<T> {
    /// # Safety
    ///
    /// The value lives in a pool whose life bounds every use of the result (P3, P4).
    #[must_use]
    pub unsafe fn from_ref(value: &T) -> Self {
        Self(NonNull::from(value))
    }

    /// The value's address, which tells it from others.
    #[must_use]
    pub const fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T: ?Sized> std::ops::Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: P3, P4: the pool outlives the record that holds this.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized> Clone for Kept<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Kept<T> {}

// SAFETY: it gives shared access only, to a value that itself may be shared.
unsafe impl<T: ?Sized + Sync> Send for Kept<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for Kept<T> {}

impl<T: ?Sized + std::fmt::Debug> std::fmt::Debug for Kept<T> {
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
        // SAFETY: P6: `Pool::keep` leaked this box, and the cleanup runs once.
        drop(unsafe { Box::from_raw(value.cast::<T>()) });
    });
    sys::RUST_APR_SUCCESS
}
