//! Regular expressions as httpd's directives have them.

use std::ffi::{CStr, CString};

use crate::sys;

/// A compiled regular expression (`ap_regcomp`), freed when it is dropped.
///
/// ```no_run
/// use mod_rust::httpd::Pattern;
///
/// let pattern = Pattern::new("b+").expect("a valid expression");
/// assert_eq!(pattern.find(c"abbc"), Some((1, 3)));
/// ```
pub struct Pattern(Box<sys::ap_regex_t>);

// SAFETY: it owns what its pointers refer to, which no thread has to itself. It is only read
// between `new` and `drop`, and PCRE's matching takes it shared.
unsafe impl Send for Pattern {}
// SAFETY: the same holds for shared access.
unsafe impl Sync for Pattern {}

impl Pattern {
    /// Compiles `expression`. Returns `None` if it is not a regular expression.
    #[must_use]
    pub fn new(expression: &str) -> Option<Self> {
        let expression = CString::new(expression).ok()?;
        // SAFETY: a record of zeroes is one that `ap_regcomp` has not filled in yet.
        let mut regex: Box<sys::ap_regex_t> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: the record is this function's own, and the expression ends with NUL.
        let status = unsafe {
            sys::ap_regcomp(
                &raw mut *regex,
                expression.as_ptr(),
                sys::AP_REG_EXTENDED.cast_signed(),
            )
        };
        // A failed call leaves nothing to free (`ap_pregcomp` frees nothing either).
        (status == 0).then_some(Self(regex))
    }

    /// Finds the first match, and returns its start and end.
    #[must_use]
    pub fn find(&self, text: &CStr) -> Option<(usize, usize)> {
        let mut found = [sys::ap_regmatch_t { rm_so: -1, rm_eo: -1 }];
        // SAFETY: `new` compiled it, `drop` has not run, and the array has one entry, as is said.
        let status = unsafe {
            sys::ap_regexec(&raw const *self.0, text.as_ptr(), found.len(), found.as_mut_ptr(), 0)
        };
        if status != 0 {
            return None;
        }
        Some((usize::try_from(found[0].rm_so).ok()?, usize::try_from(found[0].rm_eo).ok()?))
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        // SAFETY: `new` compiled it, and this runs once.
        unsafe { sys::ap_regfree(&raw mut *self.0) };
    }
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pattern").finish_non_exhaustive()
    }
}
