//! Formats of one's own for LogFormat: mod_log_config's `ap_register_log_handler`.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use super::guard;
use crate::httpd::{Pool, Request, SharedKey};
use crate::sys;

/// The text of a format in the access log.
pub(crate) trait LogFormatHook: 'static {
    /// `^xy`: a caret and two characters (mod_log_config.c, `parse_log_item`).
    const TAG: &'static CStr;

    /// Returns the text for a request, where `name` is what stands in braces; `None` makes a `-`.
    fn text<'r>(request: &Request<'r>, name: &str) -> Option<&'r CStr>;
}

/// The handler that each format has last got: mod_log_config knows one, and several modules of the
/// kit may have the same.
const LATEST: SharedKey = SharedKey::new(c"mod_rust:log_formats:1");

/// The one that another module had registered before this one did.
static PREVIOUS: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Registers a format with mod_log_config, if that module is there. For the pre-config hook, as
/// formats are read with the configuration.
pub(crate) fn register<H: LogFormatHook>(pconf: Pool<'_>) {
    // SAFETY: P11; the name is a literal.
    let found = unsafe { sys::apr_dynamic_fn_retrieve(c"ap_register_log_handler".as_ptr()) };
    let Some(found) = found else { return };
    // SAFETY: the optional function of this name has this signature (mod_log_config.h).
    let register = unsafe { std::mem::transmute::<unsafe extern "C" fn(), Register>(found) };
    let latest = pconf.shared_table(LATEST);
    let address = latest.get_bytes(H::TAG.to_bytes()).and_then(|text| {
        let text = std::str::from_utf8(text).ok()?;
        text.parse::<usize>().ok()
    });
    let previous = std::ptr::with_exposed_provenance_mut(address.unwrap_or_default());
    PREVIOUS.store(previous, Ordering::Release);
    let own = (text::<H> as Handler as *const c_void).expose_provenance();
    latest.set(pconf, H::TAG, own.to_string().as_bytes());
    // SAFETY: P11; the tag lives as long as the module.
    unsafe {
        register(pconf.as_ptr(), H::TAG.as_ptr().cast_mut(), text::<H>, 0);
    }
}

type Handler = unsafe extern "C" fn(*mut sys::request_rec, *mut c_char) -> *const c_char;
type Register = unsafe extern "C" fn(*mut sys::apr_pool_t, *mut c_char, Handler, i32);

unsafe extern "C" fn text<H: LogFormatHook>(
    raw: *mut sys::request_rec,
    name: *mut c_char,
) -> *const c_char {
    let own = guard::callback("log format", std::ptr::null(), || {
        // SAFETY: P1, P2: it does not leave this function.
        let request = unsafe { Request::from_ptr(raw) };
        let name = if name.is_null() {
            ""
        } else {
            // SAFETY: P5: what stands in the format's braces.
            unsafe { CStr::from_ptr(name) }.to_str().unwrap_or_default()
        };
        H::text(&request, name).map_or(std::ptr::null(), CStr::as_ptr)
    });
    let previous = PREVIOUS.load(Ordering::Acquire);
    if !own.is_null() || previous.is_null() {
        return own;
    }
    // SAFETY: P3: another module of this configuration has registered such a function, and is
    // loaded for as long as this one.
    let previous = unsafe { std::mem::transmute::<*mut c_void, Handler>(previous) };
    // SAFETY: httpd gave both for the handler of this format.
    unsafe { previous(raw, name) }
}
