//! The sockets of a group's processes, made in httpd's parent: one for each slot, so that a process
//! which takes another's place takes its socket over.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat, umask};
use nix::unistd::{AccessFlags, Gid, Uid, access, fchownat};

/// The longest path that a Unix socket can have, in bytes (unix(7), `sun_path`).
const LONGEST: usize = 107;

/// The digits of the highest process id, which is 2^22 (proc(5), `pid_max`).
const PID_DIGITS: usize = 7;

/// The digits of the highest generation, an `int` of httpd's.
const GENERATION_DIGITS: usize = 10;

/// The longest part of a path that names a group, in bytes.
const LONGEST_GROUP: usize = 24;

/// Returns the path of a slot's socket: `<prefix>.<pid>.<generation>.<group>.<slot>.sock`.
pub(super) fn path(prefix: &Path, generation: i32, group: &str, slot: usize) -> PathBuf {
    let mut path = OsString::from(prefix);
    let (pid, group) = (std::process::id(), short(group));
    path.push(format!(".{pid}.{generation}.{group}.{slot}.sock"));
    path.into()
}

/// Returns the group's name as paths have it. A long one is cut and ends with a checksum, so that a
/// path has room for every name; `~` is in no name that an administrator can give.
fn short(group: &str) -> Cow<'_, str> {
    if group.len() <= LONGEST_GROUP {
        return group.into();
    }
    // FNV-1a.
    let sum = group
        .bytes()
        .fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // Names of groups are ASCII.
    format!("{}~{sum:08x}", &group[..LONGEST_GROUP - 9]).into()
}

/// Checks that the sockets of a group with so many slots can be made, in this httpd and after each
/// of its restarts.
///
/// # Errors
///
/// The path would be too long, or the folder cannot be used.
pub(super) fn check(prefix: &Path, group: &str, slots: usize) -> Result<(), String> {
    let highest = slots.saturating_sub(1).to_string();
    let numbers = PID_DIGITS + GENERATION_DIGITS + highest.len();
    let length =
        prefix.as_os_str().as_bytes().len() + format!("....{}.sock", short(group)).len() + numbers;
    if length > LONGEST {
        return Err(format!(
            "the paths of its sockets, {}.PID.GENERATION.{}.SLOT.sock, can have {length} bytes; \
             expected {LONGEST} at most: set a shorter RustSocketPrefix",
            prefix.display(),
            short(group)
        ));
    }
    let folder = folder(prefix);
    let refused = |problem: &dyn std::fmt::Display| {
        format!(
            "the folder \"{}\" of its sockets: {problem}; make the folder, or name another one with \
             RustSocketPrefix or DefaultRuntimeDir",
            folder.display()
        )
    };
    let metadata = std::fs::metadata(folder).map_err(|error| refused(&error))?;
    if !metadata.is_dir() {
        return Err(refused(&"not a folder"));
    }
    match access(folder, AccessFlags::W_OK | AccessFlags::X_OK) {
        // A user that only checks the configuration need not be the one that starts httpd.
        Err(nix::Error::EACCES) if !Uid::effective().is_root() => Ok(()),
        result => result.map_err(|error| refused(&io::Error::from(error))),
    }
}

/// Returns `path` as a process sees it whose root is `root`.
///
/// # Errors
///
/// The path is not below that root.
pub(super) fn seen_below(root: &Path, path: &Path) -> Result<PathBuf, String> {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().unwrap_or_default();
    match real(folder(path)).strip_prefix(real(root)) {
        Ok(below) => Ok(Path::new("/").join(below).join(name)),
        Err(_) => Err(format!(
            "httpd's children cannot see its sockets in \"{}\", as ChrootDir gives them the root \
             directory \"{}\"; set RustSocketPrefix to a path below that",
            folder(path).display(),
            root.display()
        )),
    }
}

/// Returns the folder that a path with this beginning is in.
fn folder(prefix: &Path) -> &Path {
    prefix.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a listening socket at `path` that `owner` alone may connect to.
///
/// # Errors
///
/// What stands in the way, in words.
pub(super) fn listen(path: &Path, backlog: i32, owner: Option<Uid>) -> Result<OwnedFd, String> {
    let at = path.display();
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST {
        return Err(format!(
            "the socket's path {at} has {length} bytes; expected {LONGEST} at most: set a shorter \
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
        give(path, owner).map_err(|error| wrong("give away", error))?;
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

/// Gives the socket file at `path` to `owner`, and nothing else that may have taken its place: no
/// link is followed, and the file that is looked at is the one that is given away.
fn give(path: &Path, owner: Uid) -> io::Result<()> {
    let file = open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    let kind = SFlag::from_bits_truncate(fstat(&file)?.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFSOCK {
        return Err(io::Error::other("another file has taken its place"));
    }
    Ok(fchownat(&file, "", Some(owner), None::<Gid>, AtFlags::AT_EMPTY_PATH)?)
}

/// Removes what an httpd with the same process id has left behind; one that lives is left alone.
fn make_way(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "another file is there"));
        }
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
    fn the_path_names_module_group_and_slot() {
        let path = path(Path::new("/run/httpd/rust"), 3, "shop", 2);
        assert_eq!(
            path,
            PathBuf::from(format!("/run/httpd/rust.{}.3.shop.2.sock", std::process::id()))
        );
    }

    #[test]
    fn every_name_of_a_group_has_room() {
        let long = "x".repeat(64);
        let (one, other) = (format!("{long}1"), format!("{long}2"));
        assert_eq!(short("shop"), "shop");
        assert_eq!(short(&long[..24]), &long[..24]);
        for name in [&one, &other] {
            assert_eq!(short(name).len(), LONGEST_GROUP);
        }
        assert_ne!(short(&one), short(&other));
        // The longest of all fits wherever the check says so.
        let folder = std::env::temp_dir();
        let room = LONGEST - (7 + 10 + 3 + LONGEST_GROUP + "..... sock".len() - 1);
        for (length, fits) in [(room, true), (room + 1, false)] {
            let name = "p".repeat(length - folder.as_os_str().len() - 1);
            let prefix = folder.join(name);
            assert_eq!(check(&prefix, &one, 1000).is_ok(), fits, "{length}");
            let path = path(&prefix, i32::MAX, &one, 999);
            let pid = std::process::id().to_string();
            let longest = path.as_os_str().len() + PID_DIGITS - pid.len();
            assert_eq!(longest <= LONGEST, fits, "{path:?}");
        }
    }

    #[test]
    fn a_file_as_folder_is_reported() {
        let wrong = check(Path::new("/nowhere/rust"), "shop", 2).unwrap_err();
        assert!(wrong.starts_with("the folder \"/nowhere\" of its sockets: No such"), "{wrong}");
        let wrong = check(Path::new("/etc/passwd/rust"), "shop", 2).unwrap_err();
        assert!(wrong.contains("\"/etc/passwd\" of its sockets: not a folder"), "{wrong}");
    }

    #[test]
    fn paths_below_another_root() {
        let folder = tempdir("root");
        std::fs::create_dir_all(folder.join("run")).unwrap();
        std::os::unix::fs::symlink(folder.join("run"), folder.join("link")).unwrap();
        let seen = |path: &str| seen_below(&folder, &folder.join(path));
        assert_eq!(seen("run/a.sock").unwrap(), Path::new("/run/a.sock"));
        assert_eq!(seen("link/a.sock").unwrap(), Path::new("/run/a.sock"));
        assert_eq!(seen("a.sock").unwrap(), Path::new("/a.sock"));
        let wrong = seen_below(&folder, Path::new("/run/a.sock")).unwrap_err();
        assert!(wrong.contains("ChrootDir") && wrong.contains("RustSocketPrefix"), "{wrong}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn nothing_but_the_socket_is_given_away() {
        let folder = tempdir("give");
        let (path, file) = (folder.join("a.sock"), folder.join("file"));
        let _listener = listen(&path, 5, Some(Uid::current())).unwrap();
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&path, folder.join("link")).unwrap();
        for other in [file, folder.join("link")] {
            let error = give(&other, Uid::current()).unwrap_err().to_string();
            assert_eq!(error, "another file has taken its place", "{other:?}");
            assert!(listen(&other, 5, None).unwrap_err().contains("another file is there"));
            assert!(std::fs::symlink_metadata(&other).is_ok(), "it is left alone");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn other_users_may_not_connect() {
        let folder = tempdir("connect");
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
    fn a_path_that_is_too_long_is_reported() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(120)));
        assert!(listen(&path, 5, None).unwrap_err().contains("RustSocketPrefix"));
    }

    fn tempdir(name: &str) -> PathBuf {
        let name = format!("mod_rust-socket-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }
}
