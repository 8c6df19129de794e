//! The sockets of process groups on this machine:
//! `<prefix>.<parent>.<generation>.<group>.<slot>.sock`. A long name of a group is cut there, and
//! ends with `~` and a checksum.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The run folders of httpd's packages.
const USUAL: [&str; 3] = ["/run/apache2", "/run/httpd", "/usr/local/apache2/logs"];

/// One process group of one generation of one httpd.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The folder and the beginning of the files' names.
    pub(crate) prefix: PathBuf,
    /// The process id of httpd's parent.
    pub(crate) parent: u32,
    /// Counted up by every graceful restart.
    pub(crate) generation: u64,
    pub(crate) group: String,
}

/// The slots of each group, by number.
pub(crate) type Found = BTreeMap<Key, BTreeMap<u64, PathBuf>>;

/// The place of the sockets.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Where {
    /// RustSocketPrefix of the httpd.
    #[arg(long, value_name = "PREFIX", conflicts_with = "root")]
    socket_prefix: Option<PathBuf>,
    /// ServerRoot of the httpd, or its run folder [default: the usual ones, and those of `cargo
    /// httpd run`].
    #[arg(long, value_name = "SERVER_ROOT")]
    root: Option<PathBuf>,
}

impl Where {
    /// Returns every socket of a group, whether somebody listens or not. `target` is the target
    /// folder of the project around the current folder, if there is one.
    ///
    /// # Errors
    /// Fails when a folder that was named cannot be read.
    pub(crate) fn look(&self, target: Option<&Path>) -> Result<Found> {
        let mut found = Found::new();
        if let Some(prefix) = &self.socket_prefix {
            // Absolute, so that the folder is there when the prefix is a bare name.
            let prefix = std::path::absolute(prefix)?;
            let folder = prefix.parent().unwrap_or(Path::new("/"));
            let name = prefix.file_name().unwrap_or_default().to_string_lossy();
            scan(folder, Some(&name), &mut found)
                .with_context(|| format!("--socket-prefix: `{}`", folder.display()))?;
        } else if let Some(root) = &self.root {
            scan(root, None, &mut found)
                .with_context(|| format!("--root: `{}`", root.display()))?;
            for below in ["run", "logs"] {
                // A ServerRoot has one of them, a run folder none.
                let _ = scan(&root.join(below), None, &mut found);
            }
        } else {
            for folder in USUAL.iter().map(PathBuf::from).chain(run_folders(target)) {
                // Most machines have one of them.
                let _ = scan(&folder, None, &mut found);
            }
        }
        Ok(found)
    }

    /// The sockets of one prefix.
    #[cfg(test)]
    pub(super) fn of_prefix(prefix: &Path) -> Self {
        Self { socket_prefix: Some(prefix.to_owned()), root: None }
    }

    /// Names the searched places, for an error.
    pub(crate) fn describe(&self) -> String {
        match (&self.socket_prefix, &self.root) {
            (Some(prefix), _) => format!("with sockets at `{}.*`", prefix.display()),
            (_, Some(root)) => format!("with sockets in `{}`", root.display()),
            _ => format!(
                "with sockets in {} or in a folder of `cargo httpd run`; name the place with \
                 --socket-prefix or --root",
                USUAL.join(", ")
            ),
        }
    }
}

/// Returns the run folders of this project's `cargo httpd run`.
fn run_folders(target: Option<&Path>) -> Vec<PathBuf> {
    let below = |folder: PathBuf, start: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let named = entries.filter(|e| e.file_name().to_string_lossy().starts_with(start));
        named.map(|entry| entry.path().join("run")).collect()
    };
    let mut folders = below(std::env::temp_dir(), "cargo-httpd-run-");
    if let Some(target) = target {
        folders.extend(below(target.join("httpd"), "run-"));
    }
    folders
}

fn scan(folder: &Path, prefix: Option<&str>, found: &mut Found) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some((start, parent, generation, group, slot)) = parse(&name, prefix) else { continue };
        let (prefix, group) = (folder.join(start), group.to_owned());
        let key = Key { prefix, parent, generation, group };
        found.entry(key).or_default().insert(slot, path);
    }
    Ok(())
}

/// Prefix, parent, generation, group and slot of a socket's name. Prefix and group may have dots,
/// so without a `prefix` the first two numbers that stand together are parent and generation.
fn parse<'n>(name: &'n str, prefix: Option<&str>) -> Option<(&'n str, u32, u64, &'n str, u64)> {
    let (rest, slot) = name.strip_suffix(".sock")?.rsplit_once('.')?;
    let slot = slot.parse().ok()?;
    let mut dots = rest.match_indices('.').map(|(at, _)| at);
    dots.find_map(|at| {
        let (start, rest) = (&rest[..at], &rest[at + 1..]);
        if prefix.is_some_and(|prefix| prefix != start) {
            return None;
        }
        let mut parts = rest.splitn(3, '.');
        let parent = parts.next()?.parse().ok()?;
        let generation = parts.next()?.parse().ok()?;
        let group = parts.next().filter(|group| !group.is_empty())?;
        Some((start, parent, generation, group, slot))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sockets() {
        for (name, prefix, expected) in [
            ("rust.12.3.shop.0.sock", None, Some(("rust", 12, 3, "shop", 0))),
            ("rust.12.3.my.shop.2.10.sock", None, Some(("rust", 12, 3, "my.shop.2", 10))),
            ("my.rust.12.3.shop.0.sock", None, Some(("my.rust", 12, 3, "shop", 0))),
            ("rust.12.3.shop.0.sock", Some("rust"), Some(("rust", 12, 3, "shop", 0))),
            ("rust.12.3.shop.0.sock", Some("ru"), None),
            ("a.1.2.b.3.4.c.0.sock", Some("a.1.2.b"), Some(("a.1.2.b", 3, 4, "c", 0))),
            ("wsgi.12.0.1.sock", None, None),
            ("rust.12.3.shop.0.lock", None, None),
            ("cgid.sock", None, None),
        ] {
            assert_eq!(parse(name, prefix), expected, "{name}");
        }
    }

    #[test]
    fn slots_are_gathered_by_group() {
        let folder = std::env::temp_dir().join(format!("cargo-httpd-sock-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("run")).unwrap();
        for name in ["r.5.0.a.0.sock", "r.5.0.a.1.sock", "r.5.1.a.0.sock", "other"] {
            std::fs::write(folder.join("run").join(name), "").unwrap();
        }
        let root = Where { socket_prefix: None, root: Some(folder.clone()) };
        let found = root.look(None).unwrap();
        let slots: Vec<_> = found.iter().map(|(key, s)| (key.generation, s.len())).collect();
        assert_eq!(slots, [(0, 2), (1, 1)]);
        let prefix = Where { socket_prefix: Some(folder.join("run/r")), root: None };
        assert_eq!(prefix.look(None).unwrap(), found);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(root.look(None).unwrap_err().to_string().starts_with("--root: `"));
    }
}
