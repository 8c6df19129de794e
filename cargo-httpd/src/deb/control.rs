//! The texts that a package says of itself.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::fill::fill;
use crate::project::About;

const CONTROL: &str = include_str!("../../templates/deb/control.in");

/// The maintainer of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Maintainer(String);

impl Maintainer {
    /// `asked_for`, else `DEBFULLNAME` and `DEBEMAIL`, the first author in Cargo.toml, or git's
    /// user.
    ///
    /// # Errors
    /// Fails when none of these says a name and an address.
    pub(crate) fn find(asked_for: Option<&str>, about: &About) -> Result<Self> {
        if let Some(asked_for) = asked_for {
            return parse(asked_for).with_context(|| {
                format!("--maintainer \"{asked_for}\": not a name with an address; expected one such as \"Jo <jo@example.org>\"")
            });
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let environment = variable("DEBFULLNAME").zip(variable("DEBEMAIL"));
        let git = || git("user.name").zip(git("user.email"));
        let found = environment
            .map(|(name, email)| format!("{name} <{email}>"))
            .or_else(|| about.authors.iter().find(|author| parse(author).is_some()).cloned())
            .or_else(|| git().map(|(name, email)| format!("{name} <{email}>")));
        match found.as_deref().and_then(parse) {
            Some(maintainer) => Ok(maintainer),
            None => bail!(
                "the Debian package has no maintainer; give --maintainer 'Jo <jo@example.org>', set \
                 DEBFULLNAME and DEBEMAIL, or add authors to Cargo.toml"
            ),
        }
    }
}

impl fmt::Display for Maintainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn parse(text: &str) -> Option<Maintainer> {
    let (name, email) = text.trim().strip_suffix('>')?.split_once('<')?;
    let is_good = !name.trim().is_empty()
        && email.contains('@')
        && !text.contains(|c: char| c.is_control() || c == ',');
    is_good.then(|| Maintainer(format!("{} <{}>", name.trim(), email.trim())))
}

fn git(key: &str) -> Option<String> {
    let output = Command::new("git").args(["config", key]).stderr(Stdio::null()).output().ok()?;
    let value = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !value.is_empty()).then_some(value)
}

/// The parts of `DEBIAN/control`.
pub(super) struct Facts<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) architecture: &'a str,
    pub(super) maintainer: &'a Maintainer,
    pub(super) depends: &'a str,
    pub(super) kilobytes: u64,
    /// The summary of a product without a description.
    pub(super) summary: &'a str,
    /// The lines of the description that say what the package has.
    pub(super) has: &'a str,
    pub(super) about: &'a About,
}

/// Returns the text of `DEBIAN/control`.
pub(super) fn control(facts: &Facts<'_>) -> String {
    let about = facts.about;
    let homepage = match about.homepage.as_ref().or(about.repository.as_ref()) {
        Some(url) if !url.contains(char::is_whitespace) => format!("Homepage: {url}\n"),
        _ => String::new(),
    };
    let description = about.description.as_deref().unwrap_or_default();
    let mut lines = description.lines().map(str::trim).filter(|line| !line.is_empty());
    let summary = lines.next().unwrap_or(facts.summary).trim_end_matches('.');
    let more = lines.map(|line| format!(" {line}\n .\n")).collect::<String>();
    let description = more + facts.has;
    fill(
        CONTROL,
        &[
            ("PACKAGE", facts.name),
            ("VERSION", facts.version),
            ("ARCHITECTURE", facts.architecture),
            ("MAINTAINER", &facts.maintainer.0),
            ("INSTALLED_SIZE", &facts.kilobytes.to_string()),
            ("DEPENDS", facts.depends),
            ("HOMEPAGE", &homepage),
            ("SUMMARY", summary),
            ("DESCRIPTION", &description),
        ],
    )
}

/// Returns the text of the copyright file: the licence as Cargo.toml names it, and its text if that
/// is there.
pub(super) fn copyright(about: &About, maintainer: &Maintainer, source: &Path) -> Result<String> {
    let holders = if about.authors.is_empty() {
        maintainer.to_string()
    } else {
        about.authors.join("\n           ")
    };
    let license = about.license.as_deref().unwrap_or("not stated in Cargo.toml");
    let named = about.license_file.as_ref().map(|file| source.join(file));
    let usual = ["LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING"];
    let folders = [source, source.parent().unwrap_or(source)];
    let usual = folders.iter().flat_map(|folder| usual.iter().map(|name| folder.join(name)));
    let file = named.into_iter().chain(usual).find(|file| file.is_file());
    let mut text = format!("Copyright: {holders}\nLicense: {license}\n");
    if let Some(file) = file {
        let license = std::fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        text += "\n";
        text += &license;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintainers() {
        let about =
            About { authors: vec!["Jo".into(), "Jo <jo@example.org>".into()], ..About::default() };
        let of = |asked_for| Maintainer::find(asked_for, &about).map(|found| found.to_string());
        assert_eq!(of(Some("Al <al@example.org>")).unwrap(), "Al <al@example.org>");
        assert!(of(Some("Al")).unwrap_err().to_string().contains("Jo <jo@example.org>"));
        for text in ["<a@b>", "Al <al>", "Al <a@b", "A,l <a@b>", "A\nl <a@b>"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_control_file() {
        let about = About {
            description: Some("Sells fruit.\nAnd vegetables.".into()),
            homepage: Some("https://shop.example".into()),
            ..About::default()
        };
        let text = control(&Facts {
            name: "libapache2-mod-shop",
            version: "0.1.0-1",
            architecture: "amd64",
            maintainer: &parse("Jo <jo@example.org>").unwrap(),
            depends: "libc6 (>= 2.34)",
            kilobytes: 7,
            summary: "web application",
            has: " This package has a module.",
            about: &about,
        });
        assert!(text.starts_with("Package: libapache2-mod-shop\nVersion: 0.1.0-1\n"), "{text}");
        let rest = "Homepage: https://shop.example\nDescription: Sells fruit\n And vegetables.\n .\n \
                    This package has a module.";
        assert!(text.contains(rest), "{text}");
        assert!(!text.contains("\n\n") && text.ends_with('\n'), "{text:?}");
    }

    #[test]
    fn the_copyright_file() {
        let maintainer = parse("Jo <jo@example.org>").unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let about = About { license: Some("Apache-2.0".into()), ..About::default() };
        let text = copyright(&about, &maintainer, root).unwrap();
        assert!(
            text.starts_with("Copyright: Jo <jo@example.org>\nLicense: Apache-2.0\n\n"),
            "{text}"
        );
        assert!(text.contains("Apache License"), "{text}");
        let text = copyright(&About::default(), &maintainer, Path::new("/nonexistent")).unwrap();
        assert!(text.ends_with("License: not stated in Cargo.toml\n"), "{text}");
    }
}
