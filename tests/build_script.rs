//! Missing headers or a missing libclang end the build with two lines, what is missing and the
//! remedy, and not with a panic: the very build script of this build is run without them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Returns mod_rust's build scripts in this target folder, of every set of features, the newest
/// first.
fn build_scripts() -> Vec<PathBuf> {
    let test = std::env::current_exe().expect("the test's own path");
    let profile = test.ancestors().nth(2).expect("target/debug/deps/test").join("build");
    let folders = std::fs::read_dir(profile).expect("the build folder");
    let named = |path: &Path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mod_rust-"))
    };
    let folders = folders.flatten().map(|entry| entry.path()).filter(|path| named(path));
    let built = |path: &PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let mut scripts: Vec<_> = folders
        .map(|path| path.join("build-script-build"))
        .filter_map(|path| Some((built(&path)?, path)))
        .collect();
    scripts.sort();
    scripts.into_iter().rev().map(|(_, path)| path).collect()
}

/// Returns their messages without `variables`. A script without the feature `httpd` prints nothing.
fn without(variables: &[(&str, &str)]) -> String {
    let out = tempfile();
    let mut said = String::new();
    for script in build_scripts() {
        if !said.is_empty() {
            break;
        }
        let host = host();
        let output: Output = Command::new(script)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .envs([("OUT_DIR", out.to_str().expect("UTF-8")), ("TARGET", &host), ("HOST", &host)])
            .envs([("OPT_LEVEL", "0"), ("DEBUG", "false"), ("PROFILE", "debug")])
            .envs(variables.iter().copied())
            .output()
            .expect("the build script runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!errors.contains("panicked"), "{errors}");
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors: Vec<_> =
            lines.lines().filter_map(|line| line.strip_prefix("cargo::error=")).collect();
        if !errors.is_empty() {
            said = errors.join("\n");
        }
    }
    std::fs::remove_dir_all(out).expect("the folder can be removed");
    said
}

fn host() -> String {
    let version = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8(version.stdout).expect("UTF-8");
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc says its host").to_owned()
}

fn tempfile() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name =
        format!("mod_rust-build-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).expect("a folder of our own");
    folder
}

#[test]
fn without_headers() {
    let said = without(&[("APXS", "/nonexistent"), ("HTTPD_INCLUDEDIR", "/nonexistent")]);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("APXS") && said.contains("/nonexistent"), "{said}");
}

#[test]
fn without_libclang() {
    let said = without(&[("LIBCLANG_PATH", "/nonexistent")]);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("libclang"), "{said}");
    assert!(said.contains("libclang-dev") && said.contains("--no-default-features"), "{said}");
}

/// Returns bindgen's output without its checks of sizes, which hold on one architecture only.
fn without_layout_checks(bindings: &str) -> String {
    let mut kept = String::new();
    let mut lines = bindings.lines();
    while let Some(line) = lines.next() {
        if line == "#[allow(clippy::unnecessary_operation, clippy::identity_op)]" {
            lines.by_ref().find(|line| *line == "};");
        } else {
            kept.extend([line, "\n"]);
        }
    }
    kept
}

/// Returns the names of the items in `bindings`.
fn items(bindings: &str) -> BTreeSet<&str> {
    let kinds = ["pub fn ", "pub const ", "pub static ", "pub struct ", "pub type ", "pub union "];
    let lines = bindings.lines().map(str::trim_start);
    let named = lines.filter_map(|line| kinds.iter().find_map(|kind| line.strip_prefix(kind)));
    let named = named.map(|rest| rest.strip_prefix("mut ").unwrap_or(rest));
    named.filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()).collect()
}

/// Compares the bindings for docs.rs with those of this machine; `RENEW_BINDINGS=1` renews them.
#[test]
fn docs_rs_sees_the_same_items() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/bindings-docs.rs");
    let made = fs::read_to_string(concat!(env!("OUT_DIR"), "/bindings.rs")).expect("the bindings");
    if std::env::var_os("RENEW_BINDINGS").is_some() {
        fs::write(&file, without_layout_checks(&made)).expect("the bindings can be written");
    }
    let pre_made = fs::read_to_string(&file).expect("the pre-made bindings");
    let (made, pre_made) = (items(&made), items(&pre_made));
    assert!(made.len() > 400, "{} items", made.len());
    // Another release of httpd or APR may have fewer items.
    let missing: Vec<_> = made.difference(&pre_made).collect();
    assert!(
        missing.is_empty(),
        "include/bindings-docs.rs lacks {missing:?}; run this test with RENEW_BINDINGS=1"
    );
}
