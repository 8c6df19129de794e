//! The sockets of a group's processes, made in httpd's parent: one for each slot, so that a process
//! which takes another's place takes its socket over.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid};

/// The longest path that a Unix socket can have, in bytes (unix(7), `sun_path`).
const LONGEST: usize = 107;

/// Where the socket of a slot is: `<prefix>.<pid>.<generation>.<group>.<slot>.sock`.
pub(super) fn path(prefix: &Path, generation: i32, group: &str, slot: usize) -> PathBuf {
    let mut path = OsString::from(prefix);
    path.push(format!(".{}.{generation}.{group}.{slot}.sock", std::process::id()));
    path.into()
}

/// A listening socket at `path` that `owner` alone may connect to.
///
/// # Errors
///
/// What stands in the way, in words.
pub(super) fn listen(path: &Path, backlog: i32, owner: Option<Uid>) -> Result<OwnedFd, String> {
    let at = path.display();
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST {
        return Err(format!(
            "the socket's path {at} has {length} bytes, and {LONGEST} are allowed: set a shorter \
             RustSocketPrefix"
        ));
    }
    let wrong = |what: &str, error: io::Error| format!("cannot {what} the socket {at}: {error}");
    make_way(path).map_err(|error| wrong("make way for", error))?;
    // Nobody else may connect, not even for the moment until the mode is set.
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = bind(path, backlog);
    umask(before);
    let listener = bound.map_err(|error| wrong("make", error))?;
    if let Some(owner) = owner {
        nix::unistd::chown(path, Some(owner), None::<Gid>)
            .map_err(|error| wrong("give away", error.into()))?;
    }
    Ok(listener)
}

fn bind(path: &Path, backlog: i32) -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket)
}

/// Removes what an httpd with the same process id has left behind; one that lives is left alone.
fn make_way(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another module's process group of that name uses it; give the group another name",
        ));
    }
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_path_says_whose_it_is() {
        let path = path(Path::new("/run/httpd/rust"), 3, "shop", 2);
        assert_eq!(
            path,
            PathBuf::from(format!("/run/httpd/rust.{}.3.shop.2.sock", std::process::id()))
        );
    }

    #[test]
    fn nobody_else_may_connect() {
        let folder = tempdir();
        let path = folder.join("a.sock");
        let first = listen(&path, 5, None).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(listen(&path, 5, None).unwrap_err().contains("another module"));
        drop(first);
        listen(&path, 5, None).expect("a dead one makes way");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_path_that_is_too_long_is_told() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(120)));
        assert!(listen(&path, 5, None).unwrap_err().contains("RustSocketPrefix"));
    }

    fn tempdir() -> PathBuf {
        let path = std::env::temp_dir().join(format!("mod_rust-socket-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }
}
