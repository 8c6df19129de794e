//! Configuration records: made and merged by httpd's rules, dropped with their pool.

use std::ffi::c_void;

use crate::httpd::{Kept, Pool, Request, Server};
use crate::sys;

/// A per-directory or per-server configuration record.
///
/// httpd makes an empty one for each section that needs it, directives fill it, and sections that
/// apply to the same request are merged from the outermost inwards.
pub trait Config: Default + Send + Sync + 'static {
    /// `inner` laid over `self`: what the inner section says holds. The result lives in `pool`.
    #[must_use]
    fn merge(&self, inner: &Self, pool: Pool<'_>) -> Self;
}

impl Config for () {
    fn merge(&self, _inner: &Self, _pool: Pool<'_>) {}
}

/// A new record in `pool`, as httpd keeps it.
pub(super) fn create<C: Config>(pool: Pool<'_>) -> *mut c_void {
    pool.keep(C::default()).as_ptr().cast()
}

/// `inner` over `base`, in `pool`.
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
    // SAFETY: the caller's word.
    let base = unsafe { &*base.cast::<C>() };
    // SAFETY: the caller's word.
    let inner = unsafe { &*inner.cast::<C>() };
    pool.keep(base.merge(inner, pool)).as_ptr().cast()
}

/// A module whose configuration records are `Dir` and `Server`.
pub trait Records: 'static {
    /// The per-directory record.
    type Dir: Config;
    /// The per-server record.
    type Server: Config;

    /// The module's own record, which httpd knows it by.
    fn module() -> *mut sys::module;

    /// What holds for a request, all sections that apply to it merged.
    fn dir<'r>(request: &Request<'r>) -> &'r Self::Dir {
        // SAFETY: P1.
        let vector = unsafe { (*request.as_ptr()).per_dir_config };
        // SAFETY: P6, P11.
        let record = unsafe { sys::ap_get_module_config(vector, Self::module()) };
        // SAFETY: P4, P6: httpd made it with `create` or `merge` of this type.
        unsafe { &*record.cast::<Self::Dir>() }
    }

    /// What holds for a server.
    fn server<'s>(server: Server<'s>) -> &'s Self::Server {
        // SAFETY: P3, P6, P11.
        let record = unsafe { sys::ap_get_module_config(server.module_config(), Self::module()) };
        // SAFETY: P3, P6: httpd made it with `create` or `merge` of this type.
        unsafe { &*record.cast::<Self::Server>() }
    }

    /// What holds for requests to a server that no section applies to.
    fn usual_dir<'s>(server: Server<'s>) -> &'s Self::Dir {
        // SAFETY: P3, P6, P11.
        let record = unsafe { sys::ap_get_module_config(server.usual_config(), Self::module()) };
        // SAFETY: P3, P6: httpd made it with `create` or `merge` of this type.
        unsafe { &*record.cast::<Self::Dir>() }
    }

    /// What this module has noted for a request, if anything.
    fn noted<'r, T>(request: &Request<'r>) -> Option<&'r Kept<T>>
    where
        Self: Note<T>,
    {
        // SAFETY: P1.
        let vector = unsafe { (*request.as_ptr()).request_config };
        // SAFETY: P11.
        let note = unsafe { sys::ap_get_module_config(vector, Self::module()) };
        // SAFETY: P4: only `note` puts something there, and of this type.
        unsafe { note.cast::<Kept<T>>().as_ref() }
    }

    /// Notes something for a request, for this module's later hooks.
    fn note<T>(request: &Request<'_>, value: Kept<T>)
    where
        Self: Note<T>,
    {
        let place = request.pool().keep(value);
        // SAFETY: P1.
        let vector = unsafe { (*request.as_ptr()).request_config };
        // SAFETY: P7.
        let module = unsafe { &*Self::module() };
        // SAFETY: P6: the vector has a place for each module.
        unsafe { module.set_config(vector, place.as_ptr().cast()) };
    }
}

/// Says of which type a module's notes are: one type a module, which is what makes
/// [`Records::noted`] sound.
///
/// # Safety
///
/// A module implements this for one `T` only.
pub unsafe trait Note<T>: Records {}

impl sys::module {
    /// `ap_set_module_config`, which is a macro in some releases and a function in others.
    unsafe fn set_config(&self, vector: *mut sys::ap_conf_vector_t, value: *mut c_void) {
        let index = usize::try_from(self.module_index).expect("a loaded module has an index");
        // SAFETY: P6; the vector is an array of pointers with one for each module.
        let place = unsafe { vector.cast::<*mut c_void>().add(index) };
        // SAFETY: as above.
        unsafe { place.write(value) };
    }
}
