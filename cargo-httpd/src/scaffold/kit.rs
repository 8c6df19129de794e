//! The mod_rust of a project: a checkout on this machine, a git repository, or a version of the
//! registry.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use super::toml_string;

/// The checkout that this tool was built from; it may be gone since.
const BUILT_FROM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The choice of a mod_rust.
#[derive(Args, Debug, Default)]
pub(crate) struct KitArgs {
    /// Refer to this checkout of mod_rust: the one that this tool was built from, unless given.
    #[arg(long, value_name = "PATH", group = "reference")]
    kit: Option<PathBuf>,
    /// Refer to this git repository of mod_rust: containers, colleagues and CI can build that.
    #[arg(long, value_name = "URL", group = "reference")]
    git: Option<String>,
    /// The commit of --git.
    #[arg(long, value_name = "COMMIT", requires = "git", group = "commit")]
    rev: Option<String>,
    /// The branch of --git.
    #[arg(long, value_name = "NAME", requires = "git", group = "commit")]
    branch: Option<String>,
    /// The tag of --git.
    #[arg(long, value_name = "NAME", requires = "git", group = "commit")]
    tag: Option<String>,
    /// Refer to this version of the registry.
    #[arg(long, value_name = "VERSION", group = "reference")]
    version: Option<String>,
}

/// A mod_rust that a project can depend on.
#[derive(Clone, Debug)]
pub(crate) struct Kit {
    source: Source,
    /// A checkout on this machine, for its Cargo.lock and its alias.
    checkout: Option<PathBuf>,
}

#[derive(Clone, Debug)]
enum Source {
    /// The checkout.
    Path(PathBuf),
    /// The keys of a git dependency, as TOML.
    Git(String),
    Registry(String),
}

impl KitArgs {
    /// Returns the mod_rust that was chosen.
    ///
    /// # Errors
    /// Fails when there is none.
    pub(crate) fn find(&self) -> Result<Kit> {
        let built_from = Path::new(BUILT_FROM).canonicalize().ok().filter(|path| is_kit(path));
        if let Some(url) = &self.git {
            return Ok(Kit { source: Source::Git(self.git_keys(url)?), checkout: built_from });
        }
        if let Some(version) = &self.version {
            let source = Source::Registry(toml_string(Path::new(version))?);
            return Ok(Kit { source, checkout: built_from });
        }
        let found = match &self.kit {
            Some(path) => path.canonicalize().ok().filter(|path| is_kit(path)),
            None => built_from,
        };
        match (found, &self.kit) {
            (Some(path), _) => Ok(Kit { source: Source::Path(path.clone()), checkout: Some(path) }),
            (None, Some(asked_for)) => bail!(
                "--kit \"{}\": not a checkout of mod_rust; expected the Cargo.toml of package \
                 mod_rust and cargo-httpd/testkit in it",
                asked_for.display()
            ),
            (None, None) => bail!(
                "checkout \"{}\": gone since this tool was built from it; name another mod_rust \
                 with --kit PATH, --git URL or --version VERSION",
                BUILT_FROM.trim_end_matches("/cargo-httpd/..")
            ),
        }
    }

    fn git_keys(&self, url: &str) -> Result<String> {
        if !url.contains("://") {
            bail!(
                "--git \"{url}\": not a URL; expected one such as https://example.org/mod_rust or \
                 ssh://git@example.org/mod_rust"
            );
        }
        let mut keys = format!("git = {}", toml_string(Path::new(url))?);
        for (name, value) in [("rev", &self.rev), ("branch", &self.branch), ("tag", &self.tag)] {
            if let Some(value) = value {
                keys += &format!(", {name} = {}", toml_string(Path::new(value))?);
            }
        }
        Ok(keys)
    }
}

impl Kit {
    /// Returns the keys of a dependency on `mod_rust`, for the Cargo.toml in `folder`.
    pub(super) fn library(&self, folder: &Path) -> Result<String> {
        self.keys("", folder)
    }

    /// Returns the keys of a dependency on `httpd-testkit`.
    pub(super) fn testkit(&self, folder: &Path) -> Result<String> {
        self.keys("cargo-httpd/testkit", folder)
    }

    /// Returns the kit's name for people.
    pub(crate) fn name(&self) -> String {
        match &self.source {
            Source::Path(path) => format!("mod_rust in {}", path.display()),
            Source::Git(keys) => format!("mod_rust from {keys}"),
            Source::Registry(version) => format!("mod_rust {version} of the registry"),
        }
    }

    fn keys(&self, below: &str, folder: &Path) -> Result<String> {
        Ok(match &self.source {
            Source::Path(kit) => {
                let place = match folder.strip_prefix(kit) {
                    // The project goes where the checkout goes.
                    Ok(inner) => inner.iter().map(|_| "..").collect::<PathBuf>().join(below),
                    Err(_) => kit.join(below),
                };
                let place = place.components().collect::<PathBuf>();
                format!("path = {}", toml_string(&place)?)
            }
            Source::Git(keys) => keys.clone(),
            Source::Registry(version) => format!("version = {version}"),
        })
    }

    /// Returns its Cargo.lock, if it has one.
    pub(super) fn lock(&self) -> Option<String> {
        std::fs::read_to_string(self.checkout.as_ref()?.join("Cargo.lock")).ok()
    }

    /// Returns the `.cargo/config.toml` of a project in `folder`, if that lies in the checkout: the
    /// alias there means a package of the checkout's workspace, which the project is none of.
    pub(super) fn alias(&self, folder: &Path) -> Result<Option<String>> {
        let Some(checkout) = self.checkout.as_ref().filter(|path| folder.starts_with(path)) else {
            return Ok(None);
        };
        let manifest = checkout.join("cargo-httpd/Cargo.toml");
        // A text, as the checkout's own is: cargo splits it at blanks, and merges nothing else with it.
        let Some(manifest) = manifest.to_str().filter(|path| !path.contains(char::is_whitespace))
        else {
            bail!(
                "checkout \"{}\": its path has blanks, so a project in it cannot have the alias `cargo \
                 httpd`; make the project elsewhere",
                checkout.display()
            )
        };
        let line = format!("run --manifest-path {manifest} --bin cargo-httpd -- httpd");
        let line = toml_string(Path::new(&line))?;
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

    fn checkout() -> PathBuf {
        Path::new(BUILT_FROM).canonicalize().unwrap()
    }

    #[test]
    fn the_tools_own_checkout() {
        let kit = KitArgs::default().find().unwrap();
        let (path, elsewhere) = (checkout(), Path::new("/elsewhere/shop"));
        assert_eq!(kit.library(elsewhere).unwrap(), format!("path = \"{}\"", path.display()));
        let testkit = format!("path = \"{}/cargo-httpd/testkit\"", path.display());
        assert_eq!(kit.testkit(elsewhere).unwrap(), testkit);
        assert!(kit.lock().unwrap().contains("name = \"mod_rust\""));
        // Within it, as it may be moved.
        let inner = path.join("target/shop");
        assert_eq!(kit.library(&inner).unwrap(), "path = \"../..\"");
        assert_eq!(kit.testkit(&inner).unwrap(), "path = \"../../cargo-httpd/testkit\"");
    }

    #[test]
    fn another_must_be_one() {
        let at = |path: &Path| KitArgs { kit: Some(path.to_owned()), ..KitArgs::default() }.find();
        let error = at(Path::new("/etc")).unwrap_err().to_string();
        assert!(error.starts_with("--kit \"/etc\": not a checkout"), "{error}");
        assert!(at(&checkout()).unwrap().name().starts_with("mod_rust in /"));
    }

    #[test]
    fn repositories_and_versions() {
        let git = |url: &str, rev: Option<&str>| {
            let rev = rev.map(str::to_owned);
            KitArgs { git: Some(url.to_owned()), rev, ..KitArgs::default() }.find()
        };
        let url = "https://example.org/mod_rust";
        let folder = checkout().join("shop");
        let keys = |kit: Kit| (kit.library(&folder).unwrap(), kit.testkit(&folder).unwrap());
        let plain = format!("git = \"{url}\"");
        assert_eq!(keys(git(url, None).unwrap()), (plain.clone(), plain.clone()));
        let commit = format!("{plain}, rev = \"9aa4\"");
        assert_eq!(keys(git(url, Some("9aa4")).unwrap()), (commit.clone(), commit));
        let error = git("git@example.org:mod_rust", None).unwrap_err().to_string();
        assert!(error.contains("not a URL; expected"), "{error}");
        let version = KitArgs { version: Some("0.1".to_owned()), ..KitArgs::default() };
        assert_eq!(keys(version.find().unwrap()).1, "version = \"0.1\"");
    }

    #[test]
    fn a_project_in_the_checkout_has_an_alias_of_its_own() {
        let kit = KitArgs::default().find().unwrap();
        assert_eq!(kit.alias(Path::new("/elsewhere/shop")).unwrap(), None);
        let alias = kit.alias(&checkout().join("shop")).unwrap().unwrap();
        assert!(alias.contains("\nhttpd = \"run --manifest-path /"), "{alias}");
    }
}
