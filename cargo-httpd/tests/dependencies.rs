//! Checks the dependencies by deny.toml without cargo-deny, which takes minutes to install.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package of a build on Linux.
struct Package {
    name: String,
    version: String,
    /// The folder or the repository, for one that is not from crates.io.
    source: String,
    licence: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Returns the dependencies of the workspace, but for those of the benchmark's rival.
fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--exclude", "axum-backend", "--all-features", "--locked"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--no-dedupe", "--prefix", "none"])
        .args(["--format", "{p}|{l}"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: BTreeSet<_> =
        String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect();
    let package = |line: &String| {
        let (package, licence) = line.split_once('|')?;
        let mut words = package.splitn(3, ' ').map(str::to_owned);
        let (name, version) = (words.next()?, words.next()?);
        let source = words.next().unwrap_or_default().replace("(proc-macro)", "");
        Some(Package { name, version, source: source.trim().into(), licence: licence.into() })
    };
    lines.iter().filter_map(package).collect()
}

/// Returns the licences that deny.toml allows.
fn allowed_licences() -> BTreeSet<String> {
    let deny = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let list = deny.lines().find_map(|line| line.strip_prefix("allow = [")).expect("the licences");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Tells whether `expression`, an AND of ORs, is satisfied by the licences that are allowed.
fn is_satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let clean = expression.replace(['(', ')'], "").replace('/', " OR ");
    let one_of = |part: &str| part.split(" OR ").any(|name| allowed.contains(name.trim()));
    clean.split(" AND ").all(one_of)
}

#[test]
fn licences_are_allowed() {
    let allowed = allowed_licences();
    let packages = packages();
    assert!(packages.len() > 50, "{} packages", packages.len());
    let refused: Vec<_> = packages
        .iter()
        .filter(|package| !is_satisfied(&package.licence, &allowed))
        .map(|package| format!("{}: {}", package.name, package.licence))
        .collect();
    assert!(refused.is_empty(), "deny.toml does not allow {refused:?}");
}

#[test]
fn each_package_has_one_version_and_comes_from_crates_io() {
    let root = root().display().to_string();
    let mut versions = BTreeMap::<_, BTreeSet<_>>::new();
    for Package { name, version, source, .. } in packages() {
        let is_known = source.is_empty() || source.starts_with(&format!("({root}"));
        assert!(is_known, "{name} comes from {source}");
        versions.entry(name).or_default().insert(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "several versions: {versions:?}");
}
