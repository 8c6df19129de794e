//! The folder of one `run`: made at its start, removed at its end.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::process::{Pid, test_kill_process};

use super::conf::Parts;
use crate::built_module::BuiltModule;
use crate::progress::say;

/// The group's name in the template.
const PID_FILE: &str = "run/httpd.pid";

/// The one file in DocumentRoot, for applications that send files.
const SAMPLE: &str = "A file on disk, sent by httpd: ask for a part of it with a Range header, and \
    again with If-None-Match and its ETag.\n";

/// The longest path of a Unix socket, in bytes (unix(7), `sun_path`).
const LONGEST_SOCKET: usize = 107;

/// A server root: `conf/`, `run/`, `htdocs/`, and `modules` that leads to httpd's own.
pub(crate) struct ServerRoot {
    path: PathBuf,
    /// The number of sets of parts that were staged.
    staged: Cell<u32>,
}

impl ServerRoot {
    /// Returns the place of the server root for `port`, which serves the module with the library
    /// `library`: below the target folder, or below the system's folder for temporary files. It is
    /// the latter where httpd's children, under another account, cannot enter the target folder,
    /// and where the paths of a process group's sockets would be too long.
    pub(crate) fn place(
        target_dir: &Path,
        library: &str,
        group: &str,
        port: u16,
        as_root: bool,
    ) -> PathBuf {
        let usual = Self::usual_place(target_dir, port);
        // The form of src/daemon/socket.rs, with its longest numbers and our own group.
        let socket =
            format!("{}/run/rust.mod_{library}.4194304.2147483647.{group}.0.sock", usual.display());
        if socket.len() > LONGEST_SOCKET || as_root && !others_may_enter(&target_dir.join("httpd"))
        {
            return std::env::temp_dir()
                .join(temporary_name(port, &std::process::id().to_string()));
        }
        usual
    }

    /// Returns the process id of the httpd that runs with a server root for `port`, if one does.
    pub(crate) fn running(target_dir: &Path, port: u16) -> Option<i32> {
        let start = temporary_name(port, "");
        let temporary = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
        let temporary =
            temporary.filter(|entry| entry.file_name().to_string_lossy().starts_with(&start));
        std::iter::once(Self::usual_place(target_dir, port))
            .chain(temporary.map(|entry| entry.path()))
            .find_map(|root| {
                let pid = fs::read_to_string(root.join(PID_FILE)).ok()?.trim().parse().ok()?;
                test_kill_process(Pid::from_raw(pid)?).is_ok().then_some(pid)
            })
    }

    fn usual_place(target_dir: &Path, port: u16) -> PathBuf {
        target_dir.join(format!("httpd/run-{port}"))
    }

    /// Makes the folder; what an earlier run left there goes away. Nobody may be listening on its
    /// port.
    pub(crate) fn create(path: PathBuf, modules_dir: &Path) -> Result<Self> {
        let make = || {
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::create_dir(&path)?;
            for name in ["conf", "run", "htdocs"] {
                fs::create_dir(path.join(name))?;
            }
            fs::write(path.join("conf/mime.types"), super::conf::MIME_TYPES)?;
            fs::write(path.join("htdocs/sample.txt"), SAMPLE)?;
            std::os::unix::fs::symlink(modules_dir, path.join("modules"))
        };
        make().with_context(|| format!("the server root {} cannot be made", path.display()))?;
        Ok(Self { path, staged: Cell::new(0) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Copies `parts` into a folder of their own, and says where they are then. httpd reads them
    /// again at a graceful restart, whenever that happens to be: it must not see what the user has
    /// half saved by then, for it would end.
    pub(crate) fn stage(&self, parts: &Parts) -> Result<Parts> {
        let number = self.staged.get() + 1;
        self.staged.set(number);
        let folder = |number: u32| self.path.join(format!("conf/{number}"));
        // httpd may be reading the last set just now; the one before it is in nobody's use.
        if let Some(before_last) = number.checked_sub(2) {
            let _ = fs::remove_dir_all(folder(before_last));
        }
        let folder = folder(number);
        let copy = |file: &Path, name: &str| -> Result<PathBuf> {
            let to = folder.join(name);
            fs::copy(file, &to).with_context(|| format!("{} cannot be copied", file.display()))?;
            Ok(to)
        };
        fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let module = &parts.module;
        let name = module.path.file_name().and_then(|name| name.to_str()).unwrap_or("module.so");
        let extra = parts.extra_conf.as_deref().map(|file| copy(file, "extra.conf")).transpose()?;
        Ok(Parts {
            module: BuiltModule { symbol: module.symbol.clone(), path: copy(&module.path, name)? },
            application_conf: copy(&parts.application_conf, "application.conf")?,
            extra_conf: extra,
        })
    }

    /// Returns the configuration file.
    pub(crate) fn conf_file(&self) -> PathBuf {
        self.path.join("conf/httpd.conf")
    }
}

impl Drop for ServerRoot {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            say(&format!("warning: {} cannot be removed: {error}", self.path.display()));
        }
    }
}

/// Returns the name of a server root in the system's folder for temporary files.
fn temporary_name(port: u16, process: &str) -> String {
    format!("cargo-httpd-run-{port}-{process}")
}

/// True if every folder on the way to `path` that exists lets any account through.
fn others_may_enter(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.ancestors()
        .filter_map(|folder| folder.metadata().ok())
        .all(|meta| meta.permissions().mode() & 0o001 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_comes_and_goes() {
        let path = std::env::temp_dir().join(format!("cargo-httpd-root-{}", std::process::id()));
        for _ in 0..2 {
            let root = ServerRoot::create(path.clone(), Path::new("/usr/lib")).unwrap();
            assert!(root.path().join("htdocs").is_dir());
            assert_eq!(fs::read_link(root.path().join("modules")).unwrap(), Path::new("/usr/lib"));
            fs::write(root.conf_file(), "Listen 1").unwrap();
        }
        assert!(!path.exists());
    }

    #[test]
    fn staged_parts_outlive_their_originals() {
        let path = std::env::temp_dir().join(format!("cargo-httpd-stage-{}", std::process::id()));
        let root = ServerRoot::create(path.join("root"), Path::new("/usr/lib")).unwrap();
        let parts = Parts {
            module: BuiltModule { symbol: "x_module".into(), path: path.join("mod_x.so") },
            application_conf: path.join("httpd.conf"),
            extra_conf: None,
        };
        assert!(root.stage(&parts).is_err());
        for text in ["one", "two", "three"] {
            fs::write(&parts.module.path, text).unwrap();
            fs::write(&parts.application_conf, text).unwrap();
            let staged = root.stage(&parts).unwrap();
            fs::write(&parts.application_conf, "half").unwrap();
            assert_eq!(fs::read_to_string(staged.application_conf).unwrap(), text);
            assert_eq!(fs::read_to_string(&staged.module.path).unwrap(), text);
            assert!(staged.module.path.ends_with("mod_x.so") && staged.extra_conf.is_none());
        }
        let sets = root.path().join("conf").read_dir().unwrap();
        assert_eq!(sets.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count(), 2);
        drop(root);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_closed_folder_is_left_for_the_temporary_one() {
        let closed =
            std::env::temp_dir().join(format!("cargo-httpd-closed-{}", std::process::id()));
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let target = closed.join("target");
        assert_eq!(
            ServerRoot::place(&target, "shop", "shop", 80, false),
            target.join("httpd/run-80")
        );
        let place = ServerRoot::place(&target, "shop", "shop", 80, true);
        assert!(!place.starts_with(&closed), "{place:?}");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(
            ServerRoot::place(&target, "shop", "shop", 80, true),
            target.join("httpd/run-80")
        );
        fs::remove_dir(&closed).unwrap();
    }

    #[test]
    fn a_deep_folder_is_left_for_the_temporary_one() {
        let module = "hello_shop";
        // The rest of the path takes 71 bytes.
        for (length, usual) in [(107 - 71, true), (107 - 70, false)] {
            let target = PathBuf::from(format!("/{:x<1$}", "", length - 1));
            let root = ServerRoot::place(&target, module, "stock", 8080, false);
            assert_eq!(root.starts_with(&target), usual, "{length}: {root:?}");
        }
    }
}
