//! Signals are the MPM's: threads of one's own must not get any.

use std::mem::MaybeUninit;

/// Ends the process here and now: nothing is freed, nothing is waited for, and no lock is taken.
pub(crate) fn end_process() -> ! {
    end_process_with(0)
}

/// Ends the process as [`end_process`] does, with an exit status.
pub(crate) fn end_process_with(status: i32) -> ! {
    // SAFETY: it takes a number.
    unsafe { libc::_exit(status) }
}

/// Blocks every signal in the calling thread, and in those that it starts from here on; but for
/// those that say that the thread itself has gone wrong: they end the process, whoever sends them.
#[cfg(feature = "tower")]
pub(crate) fn block_all() {
    mask(libc::SIG_BLOCK, &all());
}

/// Runs `f` with every signal blocked, so that the threads which it starts get none.
pub(crate) fn with_all_blocked<T>(f: impl FnOnce() -> T) -> T {
    struct RestoreMask(libc::sigset_t);
    impl Drop for RestoreMask {
        fn drop(&mut self) {
            mask(libc::SIG_SETMASK, &self.0);
        }
    }
    let _restore = RestoreMask(mask(libc::SIG_BLOCK, &all()));
    f()
}

fn all() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: it fills the set in.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    for fault in
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP]
    {
        // SAFETY: the set is filled in, and these are signals.
        unsafe { libc::sigdelset(set.as_mut_ptr(), fault) };
    }
    // SAFETY: filled in above.
    unsafe { set.assume_init() }
}

/// Changes the thread's mask and returns what it was.
fn mask(how: libc::c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut before = MaybeUninit::zeroed();
    // SAFETY: both point to sets.
    unsafe { libc::pthread_sigmask(how, std::ptr::from_ref(set), before.as_mut_ptr()) };
    // SAFETY: filled in above, or zeroes, which are a set too.
    unsafe { before.assume_init() }
}
