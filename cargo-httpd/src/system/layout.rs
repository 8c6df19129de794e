//! The folders in which a distribution keeps httpd's modules and their configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use httpd_config::Httpd;

use crate::ensure::program;

/// The system's httpd, with the place of its configuration.
#[derive(Debug)]
pub(crate) struct System {
    pub(super) httpd: Httpd,
    root: PathBuf,
    pub(super) layout: Layout,
}

/// The ways of the distributions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Debian and Ubuntu: `mods-available`, and links from `mods-enabled` that `a2enmod` makes.
    Debian { a2enmod: PathBuf, a2dismod: PathBuf, apache2ctl: PathBuf },
    /// Fedora, RHEL and others: what lies in `conf.modules.d` and `conf.d` is in force.
    ConfD,
}

impl System {
    /// The system's httpd.
    ///
    /// # Errors
    /// Fails when there is none, or its configuration is kept in another way: with what to do by
    /// hand.
    pub(crate) fn find() -> Result<Self> {
        let httpd = Httpd::locate()?;
        let root = httpd
            .root()
            .map(Path::to_owned)
            .with_context(|| format!("`{} -V` names no HTTPD_ROOT", httpd.program().display()))?;
        let Some(layout) = layout(&root) else {
            bail!(
                "{root} is laid out neither as on Debian (mods-available, and a2enmod, both of the \
                 package apache2) nor as on Fedora (conf.modules.d and conf.d); copy the module that \
                 `cargo httpd build` makes to {modules}, and put its LoadModule line and your \
                 configuration into httpd.conf",
                root = root.display(),
                modules = httpd.modules_dir().display(),
            )
        };
        Ok(Self { httpd, root, layout })
    }

    /// Returns the name of the distribution.
    pub(crate) fn name(&self) -> String {
        format!("{} in {}", self.httpd.server_string(), self.root.display())
    }

    /// Returns the place of a module's file.
    pub(crate) fn module_file(&self, name: &str) -> PathBuf {
        self.httpd.modules_dir().join(format!("mod_{name}.so"))
    }

    /// Returns the place of the file that loads a module.
    pub(super) fn load_file(&self, name: &str) -> PathBuf {
        match self.layout {
            Layout::Debian { .. } => self.root.join(format!("mods-available/{name}.load")),
            // After the MPM and httpd's own modules, which have 00 to 10.
            Layout::ConfD => self.root.join(format!("conf.modules.d/20-{name}.conf")),
        }
    }

    /// Returns the place of the file that configures it.
    pub(super) fn conf_file(&self, name: &str) -> PathBuf {
        match self.layout {
            Layout::Debian { .. } => self.root.join(format!("mods-available/{name}.conf")),
            Layout::ConfD => self.root.join(format!("conf.d/{name}.conf")),
        }
    }

    /// True if `a2enmod` has enabled the module.
    pub(super) fn is_enabled(&self, name: &str) -> bool {
        self.root.join(format!("mods-enabled/{name}.load")).is_symlink()
    }

    /// Returns the folder of the manifests.
    pub(super) fn manifests(&self) -> PathBuf {
        self.root.join("cargo-httpd")
    }

    /// Returns the folders that an installation writes to.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let conf: &[&str] = match self.layout {
            Layout::Debian { .. } => &["", "mods-available", "mods-enabled"],
            Layout::ConfD => &["", "conf.modules.d", "conf.d"],
        };
        let modules = self.httpd.modules_dir().to_owned();
        conf.iter().map(|name| self.root.join(name)).chain([modules]).collect()
    }
}

fn layout(root: &Path) -> Option<Layout> {
    let has = |name: &str| root.join(name).is_dir();
    if has("mods-available") && has("mods-enabled") {
        let [a2enmod, a2dismod, apache2ctl] = ["a2enmod", "a2dismod", "apache2ctl"].map(program);
        return Some(Layout::Debian {
            a2enmod: a2enmod?,
            a2dismod: a2dismod?,
            apache2ctl: apache2ctl?,
        });
    }
    (has("conf.modules.d") && has("conf.d")).then_some(Layout::ConfD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let root = std::env::temp_dir().join(format!("cargo-httpd-layout-{}", std::process::id()));
        let make = |name: &str| std::fs::create_dir_all(root.join(name)).unwrap();
        make("");
        assert_eq!(layout(&root), None);
        make("conf.modules.d");
        assert_eq!(layout(&root), None);
        make("conf.d");
        assert_eq!(layout(&root), Some(Layout::ConfD));
        std::fs::remove_dir_all(root).unwrap();
    }
}
