//! The CGI variables of a request, as httpd makes them for its own gateways (server/util_script.c).

use std::cell::Cell;

use super::request::Request;
use crate::sys;

thread_local! {
    /// Whether httpd is asked for PATH_TRANSLATED.
    static TRANSLATING: Cell<bool> = const { Cell::new(false) };
}

impl Request<'_> {
    /// Puts the CGI variables into the environment (`ap_add_common_vars`, `ap_add_cgi_vars`).
    pub(crate) fn add_cgi_variables(&self) {
        struct RestoreVariables(bool);
        impl Drop for RestoreVariables {
            fn drop(&mut self) {
                TRANSLATING.set(self.0);
            }
        }
        // SAFETY: P11: `self` keeps the record valid (P1).
        unsafe { sys::ap_add_common_vars(self.as_ptr()) };
        let _restore = RestoreVariables(TRANSLATING.replace(true));
        // SAFETY: P11: `self` keeps the record valid (P1).
        unsafe { sys::ap_add_cgi_vars(self.as_ptr()) };
    }

    /// Returns whether this is the look-up of [`add_cgi_variables`](Self::add_cgi_variables) for
    /// PATH_TRANSLATED, which wants only the name and nothing of the disk.
    #[must_use]
    pub(crate) fn is_translated_only(&self) -> bool {
        TRANSLATING.get() && self.is_subrequest()
    }
}
