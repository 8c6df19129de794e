//! Another user than root for the processes that run applications.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;

use nix::fcntl::AtFlags;
use nix::unistd::{
    Gid, Group, Uid, User, fchownat, geteuid, initgroups, setgid, setgroups, setuid,
};

/// The user and groups of the worker processes.
#[derive(Clone, Debug)]
pub(super) struct Privileges {
    uid: Uid,
    gid: Gid,
    /// The user's name, whose supplementary groups the system knows.
    name: Option<CString>,
}

impl Privileges {
    /// The account of `--user` and `--group`; `None` without either.
    ///
    /// # Errors
    ///
    /// There is no such user or group, or the program was not started by root.
    pub(super) fn find(user: Option<&str>, group: Option<&str>) -> Result<Option<Self>, String> {
        if user.is_none() && group.is_none() {
            return Ok(None);
        }
        if !geteuid().is_root() {
            return Err("--user and --group: the program was not started by root; start it as \
                        that user instead"
                .into());
        }
        let Some(user) = user else {
            return Err(
                "option \"--group\": it needs --user, or the processes would stay root's".into()
            );
        };
        let found = match user.strip_prefix('#').map(str::parse) {
            Some(Ok(number)) => User::from_uid(Uid::from_raw(number)),
            _ => User::from_name(user),
        };
        let found = found.map_err(|error| format!("--user {user}: {error}"))?;
        let found = found.ok_or_else(|| {
            format!("--user \"{user}\": no such user; expected a name, or a number such as #1000")
        })?;
        let gid = match group {
            None => found.gid,
            Some(group) => {
                let found = match group.strip_prefix('#').map(str::parse) {
                    Some(Ok(number)) => Group::from_gid(Gid::from_raw(number)),
                    _ => Group::from_name(group),
                };
                let found = found.map_err(|error| format!("--group {group}: {error}"))?;
                let found = found.ok_or_else(|| {
                    format!("--group \"{group}\": no such group; expected a name, or a number such as #1000")
                })?;
                found.gid
            }
        };
        if found.uid.is_root() {
            return Err(format!(
                "--user \"{user}\": applications do not run as root; expected another user"
            ));
        }
        Ok(Some(Self { uid: found.uid, gid, name: CString::new(found.name).ok() }))
    }

    /// Gives an open file to the user: a socket, a log.
    ///
    /// # Errors
    ///
    /// Those of `fchownat(2)`.
    pub(super) fn give(&self, file: impl AsFd) -> io::Result<()> {
        let flags = AtFlags::AT_EMPTY_PATH;
        Ok(fchownat(file, "", Some(self.uid), Some(self.gid), flags)?)
    }

    /// Makes the calling process the user's, for good. It must have one thread.
    ///
    /// # Errors
    ///
    /// The system refused a call.
    pub(super) fn take_on(&self) -> Result<(), String> {
        let refused = |what: &'static str| {
            move |error| format!("cannot become the user of --user: {what}: {error}")
        };
        match &self.name {
            Some(name) => initgroups(name, self.gid).map_err(refused("initgroups"))?,
            None => setgroups(&[self.gid]).map_err(refused("setgroups"))?,
        }
        setgid(self.gid).map_err(refused("setgid"))?;
        setuid(self.uid).map_err(refused("setuid"))?;
        if setuid(Uid::from_raw(0)).is_ok() {
            return Err("became the user of --user, but can become root again".into());
        }
        Ok(())
    }
}

/// Whether root started the program.
pub(super) fn is_root() -> bool {
    geteuid().is_root()
}
