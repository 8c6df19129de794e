//! The identity of a daemon process: user, groups, root directory, limits. It is taken on once, for
//! good.
//!
//! The names are looked up in httpd's parent, where a wrong one stops the start; the process that
//! was forked only acts on ids, in the order chroot, groups, group, user, and checks the result.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Group, Uid, User};

use super::privileges;
use crate::httpd::unixd;
use crate::process_group::GroupOptions;

/// The identity of a group's processes.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// `None` when httpd is not root: then everything runs as its own user.
    credentials: Option<Credentials>,
    chroot: Option<PathBuf>,
    home: Option<PathBuf>,
    /// Whether the option `home` names the folder, and not the account.
    is_home_given: bool,
    user_name: Option<String>,
    umask: Option<u32>,
}

#[derive(Clone, Debug)]
struct Credentials {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    /// Looks up what `options` name.
    ///
    /// # Errors
    ///
    /// What there is not, or what may not be: no process runs as root.
    pub(super) fn resolve(options: &GroupOptions) -> Result<Self, String> {
        let is_root = Uid::effective().is_root();
        let user = match &options.user {
            Some(name) => Some(find_user("user", name)?),
            None => User::from_uid(Uid::from_raw(unixd::user_id())).ok().flatten(),
        };
        let uid = user.as_ref().map_or_else(|| Uid::from_raw(unixd::user_id()), |user| user.uid);
        let gid = match (&options.group, &options.user, &user) {
            (Some(name), _, _) => find_group("group", name)?,
            (None, Some(_), Some(user)) => user.gid,
            _ => Gid::from_raw(unixd::group_id()),
        };
        let home = match (&options.home, &options.user, &user) {
            (Some(home), _, _) => Some(PathBuf::from(home)),
            (None, Some(_), Some(user)) => Some(user.dir.clone()),
            _ => None,
        };
        let credentials = if is_root {
            if uid.is_root() {
                return Err(
                    "user=root: a daemon process does not run as root; name another user, \
                            or set httpd's User"
                        .into(),
                );
            }
            if gid.as_raw() == 0 {
                return Err("group=root: a daemon process does not run in root's group; name \
                            another group"
                    .into());
            }
            let groups = match &options.supplementary_groups {
                Some(names) => names
                    .iter()
                    .map(|name| find_group("supplementary-groups", name))
                    .collect::<Result<_, _>>()?,
                None => groups_of(user.as_ref(), gid),
            };
            Some(Credentials { uid, gid, groups })
        } else {
            let me = Uid::effective();
            if options.user.is_some() && uid != me {
                return Err(format!(
                    "user={}: only root can give its processes another user, and httpd runs as \
                     user id {me}",
                    options.user.as_deref().unwrap_or_default()
                ));
            }
            if options.chroot.is_some() {
                return Err(
                    "chroot: only root can change the root, and httpd does not run as root".into(),
                );
            }
            None
        };
        Ok(Self {
            credentials,
            chroot: options.chroot.as_ref().map(PathBuf::from),
            home,
            is_home_given: options.home.is_some(),
            user_name: user.map(|user| user.name),
            umask: options.umask,
        })
    }

    /// Takes the identity on. There is no way back, and none is left.
    ///
    /// # Errors
    ///
    /// Which step failed: the process must not go on.
    pub(super) fn take_on(&self) -> Result<(), String> {
        privileges::bound()?;
        if let Some(root) = &self.chroot {
            nix::unistd::chroot(root.as_path())
                .map_err(|error| failed("change the root to chroot=", root, error))?;
            nix::unistd::chdir("/").map_err(|error| failed("enter ", Path::new("/"), error))?;
        }
        if let Some(Credentials { uid, gid, groups }) = &self.credentials {
            nix::unistd::setgroups(groups)
                .map_err(|error| format!("cannot set the groups {groups:?}: {error}"))?;
            nix::unistd::setgid(*gid)
                .map_err(|error| format!("cannot set the group id {gid}: {error}"))?;
            nix::unistd::setuid(*uid)
                .map_err(|error| format!("cannot set the user id {uid}: {error}"))?;
        }
        privileges::drop_all(self.credentials.is_some(), unixd::wants_cores())?;
        if self.credentials.is_some() {
            // `setuid` may have done nothing (CVE-2014-0240): a process that can become root again
            // is root.
            if nix::unistd::setuid(Uid::from_raw(0)).is_ok() || Uid::effective().is_root() {
                return Err("root's privileges are not gone".into());
            }
        }
        if let Some(mask) = self.umask {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
        }
        if let Some(home) = &self.home {
            match nix::unistd::chdir(home.as_path()) {
                Ok(()) => {}
                Err(error) if self.is_home_given => {
                    return Err(format!(
                        "cannot enter home={} as user id {}: {error}; let that user enter each \
                         folder of the path, or name another one",
                        home.display(),
                        Uid::effective()
                    ));
                }
                // An account such as nobody has a home that is not there.
                Err(_) => nix::unistd::chdir("/")
                    .map_err(|error| failed("enter ", Path::new("/"), error))?,
            }
        }
        Ok(())
    }

    /// Returns the variables for the environment: HOME, USER and LOGNAME.
    pub(super) fn environment(&self) -> Vec<(&'static str, CString)> {
        let home = self.home.as_deref().and_then(Path::to_str);
        let name = self.user_name.as_deref().filter(|_| self.home.is_some());
        [("HOME", home), ("USER", name), ("LOGNAME", name)]
            .into_iter()
            .filter_map(|(key, value)| Some((key, CString::new(value?).ok()?)))
            .collect()
    }
}

/// Checks that all that `options` name exists and may be used.
///
/// # Errors
///
/// What is wrong, and what is allowed.
pub(crate) fn check(options: &GroupOptions) -> Result<(), String> {
    Identity::resolve(options)?;
    socket_owner(options).map(drop)
}

/// Checks that the folders are there that `options` name.
///
/// # Errors
///
/// Which one is not, and why.
pub(super) fn check_folders(options: &GroupOptions) -> Result<(), String> {
    let is_folder = |option: &str, path: &str, within: &Path| {
        find_folder(within, Path::new(path)).map_err(|error| match &options.chroot {
            Some(root) if option == "home" => {
                format!("{option}={path}: below chroot={root}: {error}")
            }
            _ => format!("{option}={path}: {error}"),
        })
    };
    let top = Path::new("/");
    if let Some(root) = &options.chroot {
        is_folder("chroot", root, top)?;
    }
    match &options.home {
        Some(home) => is_folder("home", home, options.chroot.as_deref().map_or(top, Path::new)),
        None => Ok(()),
    }
}

/// Finds out whether `path` is a folder for a process whose root is `root`.
fn find_folder(root: &Path, path: &Path) -> std::io::Result<()> {
    let mut here = root.to_owned();
    for part in path.strip_prefix("/").unwrap_or(path) {
        here.push(part);
        // A link below another root leads to what only a process with that root can tell.
        if root != Path::new("/") && std::fs::symlink_metadata(&here)?.is_symlink() {
            return Ok(());
        }
    }
    match std::fs::metadata(&here)?.is_dir() {
        true => Ok(()),
        false => Err(std::io::ErrorKind::NotADirectory.into()),
    }
}

/// Returns the user that may connect to the group's sockets: that of httpd's children. Returns
/// `None` if httpd is not root, as all is its own user's.
///
/// # Errors
///
/// There is no such user.
pub(super) fn socket_owner(options: &GroupOptions) -> Result<Option<Uid>, String> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    match &options.socket_user {
        None => Ok(Some(Uid::from_raw(unixd::user_id()))),
        Some(name) => Ok(Some(find_user("socket-user", name)?.uid)),
    }
}

/// Sets the limits of `options` for this process.
///
/// # Errors
///
/// Which limit could not be set.
pub(super) fn limit(options: &GroupOptions) -> Result<(), String> {
    let set = |resource, name: &str, limit: u64| {
        setrlimit(resource, limit, limit).map_err(|error| {
            format!("cannot set {name}={limit}: {error}; httpd's own limit may be lower")
        })
    };
    // `cpu-time-limit` is none of these: the process looks at its own time, and the system would
    // kill it with its requests.
    if let Some(limit) = options.virtual_memory_limit {
        set(Resource::RLIMIT_AS, "virtual-memory-limit", limit)?;
    }
    Ok(())
}

/// Returns the account that `option` names.
fn find_user(option: &str, name: &str) -> Result<User, String> {
    let found = match number(option, name)? {
        Some(id) => User::from_uid(Uid::from_raw(id)),
        None => User::from_name(name),
    };
    found
        .map_err(|error| format!("{option}={name}: {error}"))?
        .ok_or_else(|| format!("{option}={name}: there is no such user"))
}

/// Returns the group that `option` names.
fn find_group(option: &str, name: &str) -> Result<Gid, String> {
    if let Some(id) = number(option, name)? {
        return Ok(Gid::from_raw(id));
    }
    Group::from_name(name)
        .map_err(|error| format!("{option}={name}: {error}"))?
        .map(|group| group.gid)
        .ok_or_else(|| format!("{option}={name}: there is no such group"))
}

fn number(option: &str, name: &str) -> Result<Option<u32>, String> {
    let number = name.strip_prefix('#').map(str::parse).transpose();
    number.map_err(|_| format!("{option}={name}: not a number after #"))
}

/// Returns the groups that `initgroups` would set. They are looked up in the parent, as a chroot
/// may hide /etc/group.
fn groups_of(user: Option<&User>, gid: Gid) -> Vec<Gid> {
    user.and_then(|user| {
        let name = CString::new(user.name.as_str()).ok()?;
        nix::unistd::getgrouplist(&name, gid).ok()
    })
    .unwrap_or_else(|| vec![gid])
}

fn failed(what: &str, path: &Path, error: nix::Error) -> String {
    format!("cannot {what}{}: {error}", path.display())
}
