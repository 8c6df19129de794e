//! The mod_rust of a new project: a checkout, as long as the crate is not published.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// A checkout of mod_rust.
#[derive(Clone, Debug)]
pub(crate) struct Kit {
    path: PathBuf,
}

/// The checkout that this tool was built from; it may be gone since.
const BUILT_FROM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

impl Kit {
    /// The checkout at `asked_for`, or the one that this tool was built from.
    ///
    /// # Errors
    /// Fails when there is none.
    pub(crate) fn find(asked_for: Option<&Path>) -> Result<Self> {
        let path = asked_for.unwrap_or(Path::new(BUILT_FROM));
        let found = path.canonicalize().ok().filter(|path| is_kit(path));
        match (found, asked_for) {
            (Some(path), _) => Ok(Self { path }),
            (None, Some(asked_for)) => bail!(
                "--kit \"{}\": not a checkout of mod_rust; expected the Cargo.toml of package \
                 mod_rust and cargo-httpd/testkit in it",
                asked_for.display()
            ),
            (None, None) => bail!(
                "checkout \"{}\": gone since this tool was built from it; name another with --kit \
                 PATH, as the crate is not published",
                path.parent().unwrap_or(path).display()
            ),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn testkit(&self) -> PathBuf {
        self.path.join("cargo-httpd/testkit")
    }

    /// Returns its Cargo.lock, if it has one.
    pub(super) fn lock(&self) -> Option<String> {
        std::fs::read_to_string(self.path.join("Cargo.lock")).ok()
    }

    /// Returns the `.cargo/config.toml` of a project in `folder`, if that lies in the checkout: the
    /// alias there means a package of the checkout's workspace, which the project is none of.
    pub(super) fn alias(&self, folder: &Path) -> Result<Option<String>> {
        if !folder.starts_with(&self.path) {
            return Ok(None);
        }
        let manifest = self.path.join("cargo-httpd/Cargo.toml");
        // A text, as the checkout's own is: cargo splits it at blanks, and merges nothing else with it.
        let Some(manifest) = manifest.to_str().filter(|path| !path.contains(char::is_whitespace))
        else {
            bail!(
                "checkout \"{}\": its path has blanks, so a project in it cannot have the alias `cargo \
                 httpd`; make the project elsewhere",
                self.path.display()
            )
        };
        let line = format!("run --manifest-path {manifest} --bin cargo-httpd -- httpd");
        let line = super::toml_string(Path::new(&line))?;
        Ok(Some(format!(
            "# This project lies in the checkout of mod_rust, whose alias `httpd` would not find its \
             package from here.\n[alias]\nhttpd = {line}\n"
        )))
    }
}

fn is_kit(path: &Path) -> bool {
    let manifest = std::fs::read_to_string(path.join("Cargo.toml")).unwrap_or_default();
    manifest.lines().any(|line| line.trim() == "name = \"mod_rust\"")
        && path.join("cargo-httpd/testkit/Cargo.toml").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_own_checkout() {
        let kit = Kit::find(None).unwrap();
        assert!(kit.testkit().join("src/lib.rs").is_file());
        assert!(kit.lock().unwrap().contains("name = \"mod_rust\""));
    }

    #[test]
    fn another_must_be_one() {
        let error = Kit::find(Some(Path::new("/etc"))).unwrap_err().to_string();
        assert!(error.starts_with("--kit \"/etc\": not a checkout"), "{error}");
        let kit = Kit::find(None).unwrap();
        assert_eq!(Kit::find(Some(kit.path())).unwrap().path(), kit.path());
    }

    #[test]
    fn a_project_in_the_checkout_has_an_alias_of_its_own() {
        let kit = Kit::find(None).unwrap();
        assert_eq!(kit.alias(Path::new("/elsewhere/shop")).unwrap(), None);
        let alias = kit.alias(&kit.path().join("shop")).unwrap().unwrap();
        assert!(alias.contains("\nhttpd = \"run --manifest-path /"), "{alias}");
    }
}
