//! Regular expressions as httpd's directives have them.

use std::ffi::{CStr, CString};
use std::ptr::NonNull;

use super::pool::Pool;
use crate::sys;

/// A compiled regular expression (`ap_pregcomp`), in a pool that outlives it.
#[derive(Debug)]
pub struct Pattern(NonNull<sys::ap_regex_t>);

// SAFETY: it is only read after it was compiled, and PCRE's matching takes it shared.
unsafe impl Send for Pattern {}
// SAFETY: as above.
unsafe impl Sync for Pattern {}

impl Pattern {
    /// Compiles `expression`. `None` when it is not one.
    #[must_use]
    pub fn new(expression: &str, pool: Pool<'_>) -> Option<Self> {
        let expression = CString::new(expression).ok()?;
        // SAFETY: P11.
        let regex = unsafe {
            sys::ap_pregcomp(pool.as_ptr(), expression.as_ptr(), sys::AP_REG_EXTENDED.cast_signed())
        };
        NonNull::new(regex).map(Self)
    }

    /// Start and end of the first match.
    #[must_use]
    pub fn find(&self, text: &CStr) -> Option<(usize, usize)> {
        let mut found = [sys::ap_regmatch_t { rm_so: -1, rm_eo: -1 }];
        // SAFETY: the array has one entry, as is said.
        let status = unsafe {
            sys::ap_regexec(self.0.as_ptr(), text.as_ptr(), found.len(), found.as_mut_ptr(), 0)
        };
        if status != 0 {
            return None;
        }
        Some((usize::try_from(found[0].rm_so).ok()?, usize::try_from(found[0].rm_eo).ok()?))
    }
}
