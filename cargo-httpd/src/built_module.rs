//! A built cdylib as httpd wants it: `libx.so` that exports `hello_module` becomes `mod_hello.so`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::Object;

/// A module's file, ready for `LoadModule`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BuiltModule {
    /// The symbol that httpd looks up: `hello_module`.
    pub(crate) symbol: String,
    /// `…/mod_hello.so`.
    pub(crate) path: PathBuf,
}

impl BuiltModule {
    /// Puts the module that cargo built as `library` into `folder`, under its own name.
    ///
    /// The file appears in one step, so that an httpd that starts or restarts in this moment maps
    /// the old or the new one, and a running one keeps what it has mapped.
    pub(crate) fn publish(library: &Path, folder: &Path) -> Result<Self> {
        let data =
            fs::read(library).with_context(|| format!("{} cannot be read", library.display()))?;
        let symbol = module_symbol(&data).with_context(|| format!("in {}", library.display()))?;
        let path = folder.join(file_name(&symbol));
        let write = || {
            fs::create_dir_all(folder)?;
            let draft = folder.join(format!(".{}.{}", file_name(&symbol), std::process::id()));
            fs::write(&draft, &data)?;
            // The permissions are those of cargo's own output: readable for httpd's children under
            // another account.
            fs::set_permissions(&draft, library.metadata()?.permissions())?;
            fs::rename(&draft, &path)
        };
        write().with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { symbol, path })
    }

    /// Returns the line for httpd's configuration.
    pub(crate) fn load_line(&self) -> String {
        format!("LoadModule {} \"{}\"", self.symbol, self.path.display())
    }
}

/// Returns the one exported symbol that ends in `_module`.
fn module_symbol(library: &[u8]) -> Result<String> {
    let file = object::File::parse(library).context("not a shared library")?;
    let exports = file.exports().context("its exported symbols cannot be read")?;
    let names = exports.iter().filter_map(|export| std::str::from_utf8(export.name()).ok());
    one_module(names)
}

fn one_module<'a>(exports: impl Iterator<Item = &'a str>) -> Result<String> {
    // Mach-O puts an underscore before the name that C sees.
    let bare = |name: &'a str| if cfg!(target_os = "macos") { &name[1..] } else { name };
    let mut found: Vec<_> = exports
        .map(bare)
        .filter(|name| name.strip_suffix("_module").is_some_and(|stem| !stem.is_empty()))
        .collect();
    found.sort_unstable();
    match found[..] {
        [name] => Ok(name.to_owned()),
        [] => bail!(
            "no symbol NAME_module is exported, so httpd cannot load it; define the module with \
             mod_rust::module!"
        ),
        _ => bail!(
            "symbols {}: httpd loads one module from a file; keep one module! in a crate",
            found.join(", ")
        ),
    }
}

fn file_name(symbol: &str) -> String {
    format!("mod_{}.so", symbol.strip_suffix("_module").unwrap_or(symbol))
}

/// The products of a build.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) module: BuiltModule,
    /// cargo's list of the files that it was built from.
    pub(crate) dep_info: PathBuf,
}

#[cfg(test)]
#[cfg(not(target_os = "macos"))]
mod tests {
    use super::*;

    #[test]
    fn the_symbol_names_the_file() {
        let exports = ["rust_eh_personality", "hello_module", "_module"];
        let symbol = one_module(exports.into_iter()).unwrap();
        assert_eq!(symbol, "hello_module");
        assert_eq!(file_name(&symbol), "mod_hello.so");
    }

    #[test]
    fn none_and_two_are_refused() {
        let none = one_module(["main"].into_iter()).unwrap_err().to_string();
        assert!(none.contains("mod_rust::module!"), "{none}");
        let two = one_module(["b_module", "a_module"].into_iter()).unwrap_err().to_string();
        assert!(two.starts_with("symbols a_module, b_module: httpd loads one module"), "{two}");
    }

    #[test]
    fn reads_the_symbols_of_a_real_module() {
        // httpd's own: each exports the module of its name among others.
        let httpd = httpd_config::Httpd::locate().unwrap();
        let data = fs::read(httpd.modules_dir().join("mod_alias.so")).unwrap();
        assert_eq!(module_symbol(&data).unwrap(), "alias_module");
        assert!(module_symbol(b"#!/bin/sh\n").is_err());
    }

    #[test]
    fn publishing_replaces_and_leaves_nothing_behind() {
        let httpd = httpd_config::Httpd::locate().unwrap();
        let library = httpd.modules_dir().join("mod_dir.so");
        let folder = std::env::temp_dir().join(format!("cargo-httpd-{}", std::process::id()));
        for _ in 0..2 {
            let module = BuiltModule::publish(&library, &folder).unwrap();
            assert_eq!(module.path, folder.join("mod_dir.so"));
            assert!(module.load_line().starts_with("LoadModule dir_module \"/"));
        }
        let names: Vec<_> = folder.read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["mod_dir.so"]);
        assert_eq!(fs::read(folder.join("mod_dir.so")).unwrap(), fs::read(library).unwrap());
        fs::remove_dir_all(folder).unwrap();
    }
}
