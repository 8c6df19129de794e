//! Memory that an httpd child needed for a while.

/// Gives what malloc keeps of freed memory back to the system.
///
/// malloc keeps it for the next one who asks, in an arena that only some threads use, and where
/// anything small lies above it gives none of it back by itself. After a large response for a client
/// that did not read, that would be the size of the response, for good, in each of the arenas.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: P17: it may be called at any time.
        unsafe { libc::malloc_trim(0) };
    }
}
