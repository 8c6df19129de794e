//! Configuration records: made and merged by httpd's rules, dropped with their pool.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU8;

use super::guard;
use crate::httpd::{Pool, Request, Server};
use crate::sys;

/// A per-directory or per-server configuration record.
///
/// httpd makes an empty record for each section, and directives fill it. It merges the sections of
/// a request from the outermost inwards.
///
/// ```
/// use mod_rust::httpd::Pool;
/// use mod_rust::module::Config;
///
/// #[derive(Default)]
/// struct Shop {
///     shelves: Option<u32>,
/// }
///
/// impl Config for Shop {
///     fn merge(&self, inner: &Self, _pool: Pool<'_>) -> Self {
///         Self { shelves: inner.shelves.or(self.shelves) }
///     }
/// }
/// ```
pub trait Config: Default + Send + Sync + 'static {
    /// Merges `inner` over `self`: the inner section's values win. The result lives in `pool`.
    #[must_use]
    fn merge(&self, inner: &Self, pool: Pool<'_>) -> Self;
}

impl Config for () {
    fn merge(&self, _inner: &Self, _pool: Pool<'_>) {}
}

/// The record that httpd keeps in place of one whose creation or merge panicked. It is never read:
/// whatever holds it answers 500. httpd would take a null for a section that says nothing.
static FAILED: AtomicU8 = AtomicU8::new(0);

/// Makes a new record in `pool`, as httpd keeps it.
pub(super) fn create<C: Config>(pool: Pool<'_>) -> *mut c_void {
    guard::needed("create configuration", failed(), || pool.store(C::default()).as_ptr().cast())
}

/// Lays `inner` over `base`, in `pool`. A record that failed makes the result one, too.
///
/// # Safety
///
/// Both are records that [`create`] or this made, of this type, in pools that live as long as
/// `pool` (P4, P6).
pub(super) unsafe fn merge<C: Config>(
    pool: Pool<'_>,
    base: *mut c_void,
    inner: *mut c_void,
) -> *mut c_void {
    match (whole::<C>(base), whole::<C>(inner)) {
        (Some(base), Some(inner)) => {
            // SAFETY: the caller's word; nobody writes to a record while httpd merges it.
            let base = unsafe { base.as_ref() };
            // SAFETY: as for `base`.
            let inner = unsafe { inner.as_ref() };
            guard::needed("merge configuration", failed(), || {
                pool.store(base.merge(inner, pool)).as_ptr().cast()
            })
        }
        _ => failed(),
    }
}

/// Returns the place of a record, unless it has failed.
pub(crate) fn whole<C>(record: *mut c_void) -> Option<NonNull<C>> {
    if record == failed() { None } else { NonNull::new(record.cast()) }
}

fn failed() -> *mut c_void {
    FAILED.as_ptr().cast()
}

/// Returns a record for a hook to read. For one that failed it panics, which the guard of the hook
/// makes a 500 of.
///
/// # Safety
///
/// [`create`] or [`merge`] made the record, of this type, and it lives for `'c` (P4, P6).
#[track_caller]
unsafe fn readable<'c, C>(record: *mut c_void) -> &'c C {
    let record = whole(record).expect(
        "a configuration record that holds here could not be made; see its line in the log",
    );
    // SAFETY: the caller's word; after the configuration is read nobody writes to it (P3).
    unsafe { record.as_ref() }
}

/// A module, its configuration records, and its note for a request.
///
/// # Safety
///
/// `module` returns the record that [`record`](super::record()) made for this type, and no other
/// type that implements this returns it too: httpd then keeps, under that module's index, records
/// and notes of these types only.
pub(crate) unsafe trait Records: 'static {
    /// The per-directory record.
    type Dir: Config;
    /// The per-server record.
    type Server: Config;
    /// The note that the module makes for a request.
    type Note: Send + 'static;

    /// Returns the module's own record, which httpd knows it by.
    fn module() -> *mut sys::module;

    /// Returns what holds for a request, all sections that apply to it merged.
    fn dir<'r>(request: &Request<'r>) -> &'r Self::Dir {
        // SAFETY: the wrapper keeps the record valid (P1).
        let vector = unsafe { (*request.as_ptr()).per_dir_config };
        // SAFETY: P6: the vector of a request.
        let record = unsafe { Self::get(vector) };
        // SAFETY: P4, P6: httpd made it with `create` or `merge` of this type.
        unsafe { readable(record) }
    }

    /// Returns the same, unless it could not be made.
    fn whole_dir<'r>(request: &Request<'r>) -> Option<&'r Self::Dir> {
        // SAFETY: the wrapper keeps the record valid (P1).
        let vector = unsafe { (*request.as_ptr()).per_dir_config };
        // SAFETY: P6: the vector of a request.
        let record = whole(unsafe { Self::get(vector) })?;
        // SAFETY: P4, P6: httpd made it with `create` or `merge` of this type.
        Some(unsafe { record.as_ref() })
    }

    /// Returns what holds for a server.
    fn server<'s>(server: Server<'s>) -> &'s Self::Server {
        // SAFETY: P6: the vector of a server.
        let record = unsafe { Self::get(server.module_config()) };
        // SAFETY: P3, P6: httpd made it with `create` or `merge` of this type.
        unsafe { readable(record) }
    }

    /// Returns what holds for requests to a server that no section applies to.
    fn usual_dir<'s>(server: Server<'s>) -> &'s Self::Dir {
        // SAFETY: P6: the vector of a server.
        let record = unsafe { Self::get(server.usual_config()) };
        // SAFETY: P3, P6: httpd made it with `create` or `merge` of this type.
        unsafe { readable(record) }
    }

    /// Returns the module's note for a request, if it has made one.
    fn noted<'r>(request: &Request<'r>) -> Option<&'r Self::Note> {
        // SAFETY: the wrapper keeps the record valid (P1).
        let vector = unsafe { (*request.as_ptr()).request_config };
        // SAFETY: P6: the vector of a request.
        let note = unsafe { Self::get(vector) };
        // SAFETY: `note` alone puts something under this module's index, of this type and in the
        // request's pool, which outlives 'r (P1). It is not written to but through cells.
        unsafe { note.cast::<Self::Note>().as_ref() }
    }

    /// Makes a note for a request, for this module's later hooks.
    fn note<'r>(request: &Request<'r>, value: Self::Note) -> &'r Self::Note {
        let note = request.pool().own(value);
        // SAFETY: the wrapper keeps the record valid (P1).
        let vector = unsafe { (*request.as_ptr()).request_config };
        // SAFETY: P6: the vector of a request.
        let place = unsafe { Self::place(vector) };
        // SAFETY: the place is one of the vector's, and this thread has the request (P2).
        unsafe { place.write(std::ptr::from_ref(note).cast_mut().cast()) };
        note
    }

    /// Returns what the module keeps in a vector of httpd's. `ap_get_module_config` does it, which is
    /// a macro in some releases and a function in others.
    ///
    /// # Safety
    ///
    /// The contract of [`place`](Self::place).
    unsafe fn get(vector: *mut sys::ap_conf_vector_t) -> *mut c_void {
        // SAFETY: the caller's word.
        let place = unsafe { Self::place(vector) };
        // SAFETY: the place is one of the vector's.
        unsafe { place.read() }
    }

    /// Returns the module's place in a vector of httpd's.
    ///
    /// # Safety
    ///
    /// httpd made the vector, which has a place for each module that is loaded (P6).
    unsafe fn place(vector: *mut sys::ap_conf_vector_t) -> *mut *mut c_void {
        // SAFETY: P7: `Records::module` returns the static of a loaded module.
        let index = unsafe { (*Self::module()).module_index };
        let index = usize::try_from(index).expect("a loaded module has an index");
        // SAFETY: the caller's word: an array of pointers with one for each module.
        unsafe { vector.cast::<*mut c_void>().add(index) }
    }
}
