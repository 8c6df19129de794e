//! Files that the master makes at paths it was given: logs, sockets, the pid file.
//!
//! Root may be the master, and the folder another user's, such as that of `--user`. So a path is
//! walked once, and no symbolic link is followed but root's and the master's own. From there on the
//! folder is a descriptor, and what is changed in it is a file that is open.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

/// The most links in a path, as the kernel has it.
const LINKS: usize = 40;

/// The folder and the name of a file that need not be there.
#[derive(Debug)]
pub(super) struct Place {
    folder: OwnedFd,
    name: OsString,
    /// The name is a descriptor's in /proc, and stands for what is open there.
    is_descriptor: bool,
}

/// A file that was made here. It is removed when this is dropped, unless another file has its place.
#[derive(Debug)]
pub(super) struct OwnFile {
    place: Place,
    /// It is kept open, so that no other file gets its inode number.
    file: OwnedFd,
}

impl Place {
    /// Finds the folder of `path`.
    ///
    /// # Errors
    ///
    /// There is no such folder, or a symbolic link of another user is in the way.
    pub(super) fn find(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let root = || openat(AT_FDCWD, "/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
        let mut folder = root()?;
        let mut left = names(&path);
        let mut links = 0;
        while let Some(name) = left.pop() {
            let is_last = left.is_empty();
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let found = match openat(&folder, &*name, flags, Mode::empty()) {
                Err(Errno::ENOENT) if is_last => {
                    return Ok(Self { folder, name, is_descriptor: false });
                }
                found => found?,
            };
            let status = fstat(&found)?;
            if kind(&status) != SFlag::S_IFLNK {
                if is_last {
                    return Ok(Self { folder, name, is_descriptor: false });
                }
                folder = found;
                continue;
            }
            check_owner(&status, &name)?;
            if is_last && fstatfs(&folder)?.filesystem_type() == PROC_SUPER_MAGIC {
                return Ok(Self { folder, name, is_descriptor: true });
            }
            links += 1;
            if links > LINKS {
                return Err(Errno::ELOOP.into());
            }
            let target = readlinkat(&found, "")?;
            if Path::new(&target).is_absolute() {
                folder = root()?;
            }
            left.extend(names(Path::new(&target)));
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "expected the path of a file"))
    }

    /// Opens a file to add to its end, and says whether it was made.
    ///
    /// # Errors
    ///
    /// Those of `openat(2)`; and what is there may be another file under a name that its owner gave
    /// it.
    pub(super) fn append(&self) -> io::Result<(File, bool)> {
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let open =
            |more| openat(&self.folder, &*self.name, flags | more, Mode::from_bits_truncate(0o640));
        if self.is_descriptor {
            return Ok((File::from(open(OFlag::empty())?), false));
        }
        match open(OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW) {
            Err(Errno::EEXIST) => {}
            made => return Ok((File::from(made?), true)),
        }
        // A pipe that nobody reads is an error, and no wait.
        let file = open(OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK)?;
        let status = fstat(&file)?;
        if kind(&status) != SFlag::S_IFREG {
            check_owner(&status, &self.name)?;
        } else if status.st_nlink > 1 {
            return Err(io::Error::other("the file has another name too; expected one name"));
        }
        Ok((File::from(file), false))
    }

    /// Puts a new file with this text in the place of what is there.
    ///
    /// # Errors
    ///
    /// The file cannot be made. Nothing has changed then.
    pub(super) fn replace(self, text: &str) -> io::Result<OwnFile> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let mut beside = self.name.clone();
        beside.push(format!(".{:016x}", u64::from_ne_bytes(random)));
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o644);
        let mut file = File::from(openat(&self.folder, &*beside, flags, mode)?);
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| Ok(renameat(&self.folder, &*beside, &self.folder, &*self.name)?));
        if let Err(error) = written {
            let _ = unlinkat(&self.folder, &*beside, UnlinkatFlags::NoRemoveDir);
            return Err(error);
        }
        Ok(OwnFile { place: self, file: file.into() })
    }

    /// Takes a socket that the process has bound here as its own: `prepare` gets its descriptor.
    ///
    /// # Errors
    ///
    /// Another file has its place, or `prepare` fails.
    pub(super) fn own_socket(
        self,
        prepare: impl FnOnce(&OwnedFd) -> io::Result<()>,
    ) -> io::Result<OwnFile> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let socket = openat(&self.folder, &*self.name, flags, Mode::empty())?;
        let status = fstat(&socket)?;
        let is_own = kind(&status) == SFlag::S_IFSOCK
            && status.st_uid == geteuid().as_raw()
            && status.st_nlink == 1;
        if !is_own {
            return Err(io::Error::other("another file has taken the socket's place"));
        }
        prepare(&socket)?;
        Ok(OwnFile { place: self, file: socket })
    }

    /// Removes what is there.
    ///
    /// # Errors
    ///
    /// Those of `unlinkat(2)`.
    pub(super) fn remove(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, &*self.name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Returns what is known of the file that is there; no link is followed.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be asked.
    pub(super) fn status(&self) -> io::Result<FileStat> {
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        Ok(nix::sys::stat::fstatat(&self.folder, &*self.name, flags)?)
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let is_own = match (self.place.status(), fstat(&self.file)) {
            (Ok(there), Ok(own)) => (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino),
            _ => false,
        };
        if is_own {
            let _ = self.place.remove();
        }
    }
}

/// Sets the mode of the file that `file` stands for, which may be open as a path only.
///
/// # Errors
///
/// Those of `chmod(2)`.
pub(super) fn set_mode(file: &OwnedFd, mode: u32) -> io::Result<()> {
    // fchmod(2) refuses such a descriptor; its name in /proc leads to the file itself.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// Returns whether the status is a socket's.
pub(super) fn is_socket(status: &FileStat) -> bool {
    kind(status) == SFlag::S_IFSOCK
}

fn kind(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT
}

/// Refuses a link, a pipe or a device that another user may have put there. A link with several
/// names may have got one of them from anybody.
fn check_owner(status: &FileStat, name: &OsStr) -> io::Result<()> {
    let is_trusted = status.st_uid == 0 || status.st_uid == geteuid().as_raw();
    if is_trusted && status.st_nlink == 1 {
        return Ok(());
    }
    let what = if kind(status) == SFlag::S_IFLNK { "symbolic link" } else { "file" };
    let text = format!(
        "{what} \"{}\": it is of user #{}; expected one of root or of this user",
        name.display(),
        status.st_uid
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// The names in a path, the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let names = path
        .components()
        .rev()
        .filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir));
    names.map(|component| component.as_os_str().to_owned()).collect()
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
