//! The places and the names that a project may have.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::text;
use crate::made::{base, tool};

/// Returns the refusal of `cargo httpd new ARGS`, in a folder that must stay unchanged.
fn refused(folder: &Path, args: &[&str]) -> String {
    let before: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    let output = tool(folder).arg("new").args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    let after: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(before, after, "{args:?}");
    text(&output.stderr)
}

#[test]
fn nothing_is_overwritten_and_every_refusal_has_a_reason() {
    let folder = base().join("names");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("shop")).unwrap();
    fs::write(folder.join("shop/mine"), "mine").unwrap();

    let said = refused(&folder, &["shop"]);
    assert!(said.contains("exists already; choose another name"), "{said}");
    assert_eq!(fs::read_to_string(folder.join("shop/mine")).unwrap(), "mine");

    for (name, why) in [
        ("Shop", "2 to 40 small letters"),
        ("match", "reserved by Rust"),
        ("proxy", "httpd has a module mod_proxy"),
        ("nowhere/shop", "not a folder to make a project in"),
    ] {
        let said = refused(&folder, &[name]);
        assert!(said.contains(why), "{said}");
    }
    let said = refused(&folder, &["other", "--kit", "/etc"]);
    assert!(said.contains("--kit \"/etc\""), "{said}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn in_the_checkout_the_alias_is_the_projects_own() {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    // Git ignores it.
    let folder = kit.join("target").join(format!("new-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let output = tool(&folder).args(["new", "inner-shop"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));

    let project = folder.join("inner-shop");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let output = Command::new("cargo")
        .args(["httpd", "--version"])
        .current_dir(&project)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let version = format!("cargo-httpd {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&output.stdout), version, "{}", text(&output.stderr));
    fs::remove_dir_all(folder).unwrap();
}
