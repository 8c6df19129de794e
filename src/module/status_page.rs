//! A section of mod_status's page: its optional hook `status_hook`.

use super::guard;
use super::hooks::{Order, Registrar};
use crate::httpd::{Brigade, HookStatus, Request};
use crate::sys;

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
