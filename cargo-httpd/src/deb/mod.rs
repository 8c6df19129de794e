//! A Debian package of a product: the module where apache2 has its own, with the files that load
//! and configure it, enabled by Debian's own helper for modules.
//!
//! It is put together in a folder and packed by dpkg-deb, which every Debian has. What it depends
//! on says dpkg-shlibdeps, which comes with apache2's headers.

mod control;
mod tools;
mod version;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use httpd_config::{Headers, Httpd};

use crate::fill::fill;
use crate::product::Product;

pub(crate) use control::Maintainer;

/// The maintainer scripts, by name.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../templates/deb/postinst.in")),
    ("postrm", include_str!("../../templates/deb/postrm.in")),
    ("prerm", include_str!("../../templates/deb/prerm.in")),
];
const CHANGELOG: &str = include_str!("../../templates/deb/changelog.in");
const LOAD: &str = include_str!("../../templates/deb/load.in");

/// A package to make.
#[derive(Debug)]
pub(crate) struct Deb<'p> {
    pub(crate) product: &'p Product,
    /// Its number among the packages of this version.
    pub(crate) revision: u32,
    pub(crate) maintainer: Maintainer,
    /// The folder of the product's package, where its licence may be.
    pub(crate) source: &'p Path,
}

impl Deb<'_> {
    /// Makes the package in `folder`, and returns its file.
    pub(crate) fn make(&self, httpd: &Httpd, headers: &Headers, folder: &Path) -> Result<PathBuf> {
        let modules_dir = httpd.modules_dir();
        if modules_dir != Path::new("/usr/lib/apache2/modules") {
            bail!(
                "modules folder \"{}\": not that of Debian's httpd; unset HTTPD, APXS and \
                 HTTPD_MODULESDIR, or package on Debian or Ubuntu",
                modules_dir.display()
            );
        }
        let version = version::of(&self.product.about.version, self.revision)?;
        let architecture = tools::architecture()?;
        let name = self.name();
        let tree = folder.join(format!("{name}.tree"));
        clear(&tree)?;
        self.fill(&tree, &version)?;
        let depends = self.depends(httpd, headers, folder)?;
        let control = control::control(&control::Facts {
            name: &name,
            version: &version,
            architecture: &architecture,
            maintainer: &self.maintainer,
            depends: &depends,
            kilobytes: kilobytes(&tree)?,
            module: self.product.module(),
            about: &self.product.about,
        });
        put(&tree, "DEBIAN/control", control.as_bytes(), 0o644)?;
        let file = folder.join(format!("{name}_{version}_{architecture}.deb"));
        tools::pack(&tree, &file)?;
        fs::remove_dir_all(&tree)?;
        Ok(file)
    }

    /// `libapache2-mod-shop`, as Debian's policy for modules has it.
    pub(crate) fn name(&self) -> String {
        format!("libapache2-mod-{}", self.product.module().replace('_', "-"))
    }

    /// Writes the files of the package.
    fn fill(&self, tree: &Path, version: &str) -> Result<()> {
        let module = self.product.module();
        let module_file = format!("/usr/lib/apache2/modules/mod_{module}.so");
        let values = [("MODULE", module), ("MODULE_FILE", module_file.as_str())];
        let file = &self.product.file.path;
        put(tree, &module_file[1..], &read(file)?, 0o644)?;
        tools::strip(&tree.join(&module_file[1..]))?;
        if let Some(program) = &self.product.program {
            let place = format!("usr/bin/{}", program.name);
            put(tree, &place, &read(&program.file)?, 0o755)?;
            tools::strip(&tree.join(place))?;
        }
        let available = format!("etc/apache2/mods-available/{module}");
        put(tree, &format!("{available}.load"), fill(LOAD, &values).as_bytes(), 0o644)?;
        put(tree, &format!("{available}.conf"), self.product.conf.as_bytes(), 0o644)?;
        let conffiles = format!("/{available}.conf\n/{available}.load\n");
        put(tree, "DEBIAN/conffiles", conffiles.as_bytes(), 0o644)?;
        for (name, script) in SCRIPTS {
            put(tree, &format!("DEBIAN/{name}"), fill(script, &values).as_bytes(), 0o755)?;
        }
        let doc = format!("usr/share/doc/{}", self.name());
        let copyright = control::copyright(&self.product.about, &self.maintainer, self.source)?;
        put(tree, &format!("{doc}/copyright"), copyright.as_bytes(), 0o644)?;
        let changelog = fill(
            CHANGELOG,
            &[
                ("PACKAGE", &self.name()),
                ("VERSION", version),
                ("MAINTAINER", &self.maintainer.to_string()),
                ("DATE", &tools::date()?),
            ],
        );
        put(tree, &format!("{doc}/changelog.Debian"), changelog.as_bytes(), 0o644)?;
        tools::compress(&tree.join(format!("{doc}/changelog.Debian")))?;
        let sums = md5sums(tree)?;
        put(tree, "DEBIAN/md5sums", sums.as_bytes(), 0o644)
    }

    /// Returns the dependencies of the package: the libraries that it is linked with, an httpd of
    /// its module magic number, and none older than the one that it was built for (RUST0104).
    fn depends(&self, httpd: &Httpd, headers: &Headers, folder: &Path) -> Result<String> {
        let file = &self.product.file.path;
        let program = self.product.program.as_ref().map(|program| program.file.as_path());
        let libraries = tools::libraries(folder, [Some(file.as_path()), program])?;
        let version = headers.version().context("the headers of httpd do not say their version")?;
        let api = httpd.mmn().major;
        let httpd = format!("apache2-api-{api}, apache2-bin (>= {version}~)");
        Ok(if libraries.is_empty() { httpd } else { format!("{libraries}, {httpd}") })
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
