//! Descriptors that a process was started with.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

static TAKEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// Takes over a descriptor that whoever started the process left open for it, and has it closed on
/// exec. Safe code outside of the crate must not take a descriptor that another part of the process
/// owns, so this is private. It is to be called at the start of the process, before anything else
/// has opened one.
///
/// # Errors
///
/// No descriptor has this number, it was taken before, or it is a standard one.
pub(crate) fn inherit(number: RawFd) -> io::Result<OwnedFd> {
    let invalid = |what: &str| {
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("descriptor {number} {what}")))
    };
    if number <= 2 {
        return invalid("is a standard one");
    }
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.contains(&number) {
        return invalid("is named twice");
    }
    // /proc says so without anybody's claiming that it is open.
    if !std::path::Path::new(&format!("/proc/self/fd/{number}")).exists() {
        return invalid("is not open");
    }
    taken.push(number);
    // SAFETY: P18: it is open, was left to this process, and nobody takes it a second time.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&owned, FdFlags::CLOEXEC)?;
    Ok(owned)
}

/// Returns whether a descriptor stays open when the process starts another program.
///
/// # Errors
///
/// Those of `fcntl(2)`.
pub(crate) fn keep_on_exec(fd: impl AsFd, keep: bool) -> io::Result<()> {
    let mut flags = fcntl_getfd(&fd)?;
    flags.set(FdFlags::CLOEXEC, !keep);
    Ok(fcntl_setfd(&fd, flags)?)
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use super::*;

    #[test]
    fn once_and_only_what_is_open() {
        let (read, _write) = std::io::pipe().unwrap();
        let number = read.into_raw_fd();
        let owned = inherit(number).unwrap();
        assert!(inherit(number).is_err(), "a second time");
        assert!(fcntl_getfd(&owned).unwrap().contains(FdFlags::CLOEXEC));
        keep_on_exec(&owned, true).unwrap();
        assert!(fcntl_getfd(&owned).unwrap().is_empty());
        for wrong in [-1, 0, 2, 1_000_000] {
            assert!(inherit(wrong).is_err(), "{wrong}");
        }
    }
}
