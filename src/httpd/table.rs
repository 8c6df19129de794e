//! APR tables: `headers_in`, `headers_out`, `subprocess_env`, `notes`.

use std::ffi::CStr;
use std::marker::PhantomData;

use super::Invariant;
use super::pool::Pool;
use crate::sys;

/// A table of a request. Keys match in any case, and a key may occur several times.
///
/// `'r` is invariant: the entries live in a pool of exactly that lifetime, which does not end
/// before the table.
#[derive(Clone, Copy)]
pub struct Table<'r> {
    table: *mut sys::apr_table_t,
    lifetime: Invariant<'r>,
}

impl<'r> Table<'r> {
    /// # Safety
    ///
    /// `table` is a table of a request or of a pool that lives for `'r` (P1, P2).
    #[must_use]
    pub(crate) const unsafe fn from_ptr(table: *mut sys::apr_table_t) -> Self {
        Self { table, lifetime: PhantomData }
    }

    /// Makes an empty table in `pool`.
    #[must_use]
    pub fn new(pool: Pool<'r>) -> Self {
        // SAFETY: P11: 'r keeps the pool valid.
        let table = unsafe { sys::apr_table_make(pool.as_ptr(), 8) };
        Self { table, lifetime: PhantomData }
    }

    /// Returns the first value of `key`.
    #[must_use]
    pub fn get(self, key: &CStr) -> Option<&'r [u8]> {
        // SAFETY: P11: 'r keeps the table valid, and the key ends with NUL.
        let value = unsafe { sys::apr_table_get(self.table, key.as_ptr()) };
        if value.is_null() {
            return None;
        }
        // SAFETY: P5; values live in the request's pool (P1).
        Some(unsafe { CStr::from_ptr(value) }.to_bytes())
    }

    /// Returns the first value of `key`, given as bytes.
    #[must_use]
    pub fn get_bytes(self, key: &[u8]) -> Option<&'r [u8]> {
        self.find(|name| name.eq_ignore_ascii_case(key))
    }

    /// Returns the first value of `key`. The case of the key matters, like in an environment.
    #[must_use]
    pub fn get_exact(self, key: &[u8]) -> Option<&'r [u8]> {
        self.find(|name| name == key)
    }

    fn find(self, is: impl Fn(&[u8]) -> bool) -> Option<&'r [u8]> {
        let mut found = None;
        self.each_while(|name, value| {
            if is(name) {
                found = Some(value);
            }
            found.is_none()
        });
        found
    }

    /// Replaces all values of `key` by one.
    pub fn set(self, pool: Pool<'r>, key: &CStr, value: &[u8]) {
        let value = pool.c_str(value);
        // SAFETY: P2, P11; the key is copied by `set` and the value lives in the pool.
        unsafe { sys::apr_table_set(self.table, key.as_ptr(), value.as_ptr()) };
    }

    /// Replaces all values of `key` by a static string.
    pub fn set_static(self, key: &'static CStr, value: &'static CStr) {
        // SAFETY: P2, P11; both live forever.
        unsafe { sys::apr_table_setn(self.table, key.as_ptr(), value.as_ptr()) };
    }

    /// Adds a value to `key`.
    pub fn add(self, pool: Pool<'r>, key: &[u8], value: &[u8]) {
        let (key, value) = (pool.bytes(key).as_ptr(), pool.bytes(value).as_ptr());
        // SAFETY: P2, P11; both live in the pool, and `Pool::bytes` puts a NUL behind each.
        unsafe { sys::apr_table_addn(self.table, key.cast(), value.cast()) };
    }

    /// Adds a value to `key`. Both are copied into the table's own pool.
    pub(crate) fn add_copy(self, key: &CStr, value: &CStr) {
        // SAFETY: P2, P11; APR copies both.
        unsafe { sys::apr_table_add(self.table, key.as_ptr(), value.as_ptr()) };
    }

    /// Removes every value of `key`.
    pub fn unset(self, key: &CStr) {
        // SAFETY: P11: 'r keeps the table valid, and the key ends with NUL.
        unsafe { sys::apr_table_unset(self.table, key.as_ptr()) };
    }

    /// Removes all entries after the first `keep`.
    pub fn truncate(self, keep: usize) {
        let mut kept = Vec::new();
        self.each_while(|key, value| {
            if kept.len() < keep {
                kept.push((key, value));
            }
            kept.len() < keep
        });
        self.clear();
        for (key, value) in kept {
            // SAFETY: P2, P11; both stood in the table, with a NUL behind them (P5).
            unsafe {
                sys::apr_table_addn(self.table, key.as_ptr().cast(), value.as_ptr().cast());
            }
        }
    }

    /// Removes all entries.
    pub fn clear(self) {
        // SAFETY: P11: 'r keeps the table valid; its strings stay in the pool.
        unsafe { sys::apr_table_clear(self.table) };
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(self) -> usize {
        self.entries().len()
    }

    /// Tells whether the table is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Visits the entries in order.
    pub fn each(self, mut visit: impl FnMut(&'r [u8], &'r [u8])) {
        self.each_while(|key, value| {
            visit(key, value);
            true
        });
    }

    /// Visits the entries in order until `visit` returns `false`. Do not change the table
    /// meanwhile.
    pub fn each_while(self, mut visit: impl FnMut(&'r [u8], &'r [u8]) -> bool) {
        for index in 0.. {
            // Looked up anew each time: a visitor that changes the table does no harm.
            let Some(entry) = self.entries().get(index) else { return };
            let (key, value) = (entry.key, entry.val);
            if key.is_null() || value.is_null() {
                continue;
            }
            // SAFETY: the key ends with NUL (P5), in a pool that lives for 'r.
            let key = unsafe { CStr::from_ptr(key) }.to_bytes();
            // SAFETY: the value ends with NUL (P5), in a pool that lives for 'r.
            let value = unsafe { CStr::from_ptr(value) }.to_bytes();
            if !visit(key, value) {
                return;
            }
        }
    }

    fn entries(&self) -> &[sys::apr_table_entry_t] {
        // SAFETY: P11; a table's first member is its array.
        let array = unsafe { sys::apr_table_elts(self.table) };
        // SAFETY: P1: the array lives as long as the table.
        let array = unsafe { &*array };
        if array.nelts == 0 {
            return &[];
        }
        // SAFETY: an array has `nelts` elements of its type.
        unsafe { std::slice::from_raw_parts(array.elts.cast(), array.nelts as usize) }
    }
}
