//! Debian packages: of a module, where apache2 has its own, and of a gateway program, as a service of
//! systemd.
//!
//! One is put together in a folder and packed by dpkg-deb, which every Debian has. What it depends
//! on says dpkg-shlibdeps.

mod control;
mod module;
mod service;
mod tools;
mod version;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::fill::fill;
use crate::project::About;

pub(crate) use control::Maintainer;
pub(crate) use module::module;
pub(crate) use service::service;

const CHANGELOG: &str = include_str!("../../templates/deb/changelog.in");

/// The facts of a package that do not depend on its content.
#[derive(Debug)]
pub(crate) struct Deb<'p> {
    /// Its number among the packages of this version.
    pub(crate) revision: u32,
    pub(crate) maintainer: Maintainer,
    pub(crate) about: &'p About,
    /// The folder of the product's package, where its licence may be.
    pub(crate) source: &'p Path,
}

/// The content of a package.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) name: String,
    depends: String,
    /// The summary of a product without a description.
    summary: &'static str,
    /// The lines of the description that say what the package has.
    has: String,
    files: Vec<File>,
    /// The maintainer scripts, by name.
    scripts: Vec<(&'static str, String)>,
}

/// An installed file, by its path below the root.
#[derive(Debug)]
struct File {
    path: String,
    bytes: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Program,
    Library,
    Text,
    /// A file that the administrator may change.
    Conffile,
}

impl Deb<'_> {
    /// Makes the package in `folder`, and returns its file.
    pub(crate) fn make(&self, content: &Content, folder: &Path) -> Result<PathBuf> {
        let version = version::of(&self.about.version, self.revision)?;
        let architecture = tools::architecture()?;
        let name = &content.name;
        let tree = folder.join(format!("{name}.tree"));
        clear(&tree)?;
        content.fill(&tree)?;
        self.document(&tree, name, &version)?;
        put(&tree, "DEBIAN/md5sums", md5sums(&tree)?.as_bytes(), 0o644)?;
        let control = control::control(&control::Facts {
            name,
            version: &version,
            architecture: &architecture,
            maintainer: &self.maintainer,
            depends: &content.depends,
            kilobytes: kilobytes(&tree)?,
            summary: content.summary,
            has: &content.has,
            about: self.about,
        });
        put(&tree, "DEBIAN/control", control.as_bytes(), 0o644)?;
        let file = folder.join(format!("{name}_{version}_{architecture}.deb"));
        tools::pack(&tree, &file)?;
        fs::remove_dir_all(&tree)?;
        Ok(file)
    }

    /// Writes the licence and the changelog.
    fn document(&self, tree: &Path, name: &str, version: &str) -> Result<()> {
        let doc = format!("usr/share/doc/{name}");
        let copyright = control::copyright(self.about, &self.maintainer, self.source)?;
        put(tree, &format!("{doc}/copyright"), copyright.as_bytes(), 0o644)?;
        let changelog = fill(
            CHANGELOG,
            &[
                ("PACKAGE", name),
                ("VERSION", version),
                ("MAINTAINER", &self.maintainer.to_string()),
                ("DATE", &tools::date()?),
            ],
        );
        put(tree, &format!("{doc}/changelog.Debian"), changelog.as_bytes(), 0o644)?;
        tools::compress(&tree.join(format!("{doc}/changelog.Debian")))
    }
}

impl Content {
    /// Writes the files and the scripts.
    fn fill(&self, tree: &Path) -> Result<()> {
        let mut conffiles = String::new();
        for File { path, bytes, kind } in &self.files {
            let mode = if *kind == Kind::Program { 0o755 } else { 0o644 };
            put(tree, path, bytes, mode)?;
            match kind {
                Kind::Program | Kind::Library => tools::strip(&tree.join(path))?,
                Kind::Conffile => conffiles += &format!("/{path}\n"),
                Kind::Text => {}
            }
        }
        put(tree, "DEBIAN/conffiles", conffiles.as_bytes(), 0o644)?;
        for (name, script) in &self.scripts {
            put(tree, &format!("DEBIAN/{name}"), script.as_bytes(), 0o755)?;
        }
        Ok(())
    }
}

impl File {
    fn of(path: impl Into<String>, bytes: impl Into<Vec<u8>>, kind: Kind) -> Self {
        Self { path: path.into(), bytes: bytes.into(), kind }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn put(tree: &Path, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let file = tree.join(path);
    let write = || {
        for folder in file.ancestors().skip(1).take_while(|folder| *folder != tree) {
            fs::create_dir_all(folder)?;
            // The mode does not depend on this account's umask.
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        fs::set_permissions(tree, fs::Permissions::from_mode(0o755))?;
        fs::write(&file, bytes)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))
    };
    write().with_context(|| format!("{} cannot be written", file.display()))
}

fn clear(folder: &Path) -> Result<()> {
    let clear = || {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)
    };
    clear().with_context(|| format!("{} cannot be cleared", folder.display()))
}

/// Returns the installed files below `tree`, by their path there.
fn files(tree: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(below) = path.strip_prefix(tree) {
                found.push(below.to_owned());
            }
        }
    }
    found.retain(|path| !path.starts_with("DEBIAN"));
    found.sort();
    Ok(found)
}

/// Returns the size that the package has when it is installed, as Debian counts it.
fn kilobytes(tree: &Path) -> Result<u64> {
    let mut kilobytes = 0;
    for file in files(tree)? {
        kilobytes += tree.join(file).metadata()?.len().div_ceil(1024);
    }
    Ok(kilobytes)
}

fn md5sums(tree: &Path) -> Result<String> {
    let files = files(tree)?;
    // dpkg keeps those of conffiles itself.
    let files: Vec<_> = files.into_iter().filter(|file| !file.starts_with("etc")).collect();
    tools::md5sums(tree, &files)
}
