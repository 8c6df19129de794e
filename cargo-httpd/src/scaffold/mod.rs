//! A project of one's own: what `cargo httpd new` writes.
//!
//! The files are those of `templates/new/`, which the tool carries in it: the shared ones, and
//! those of the template that was chosen.

mod files;
mod finish;
pub(crate) mod init;
mod kit;
mod name;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

pub(crate) use finish::{init_git, tidy};
pub(crate) use kit::{Kit, KitArgs};
pub(crate) use name::Name;

use crate::fill::fill;

/// The kind of a new application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// One function.
    #[default]
    Hello,
    /// An axum `Router` with state, JSON and options.
    Axum,
    /// Several applications with options, and a directive of the module's own.
    Module,
}

/// Makes the folder `folder` and the project in it, and returns the names of its files.
///
/// # Errors
/// Fails when there is something of that name already, or it cannot be written. Nothing is left
/// behind then.
pub(crate) fn create(
    folder: &Path,
    name: &Name,
    template: Template,
    kit: &Kit,
) -> Result<Vec<&'static str>> {
    let files = files::of(template);
    if let Err(error) = fs::create_dir(folder) {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            bail!(
                "path \"{}\": exists already; choose another name, or move it away",
                folder.display()
            );
        }
        return Err(error).with_context(|| format!("{} cannot be made", folder.display()));
    }
    let write = || -> Result<()> {
        let values = values(folder, name, template, kit)?;
        let values: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
        for (path, text) in &files {
            put(&folder.join(path), &fill(text, &values))?;
        }
        if let Some(alias) = kit.alias(folder)? {
            put(&folder.join(".cargo/config.toml"), &alias)?;
        }
        // The versions that the kit is tested with; cargo drops those that are not used here.
        if let Some(lock) = kit.lock() {
            put(&folder.join("Cargo.lock"), &lock)?;
        }
        Ok(())
    };
    if let Err(error) = write() {
        // Made above, by this call.
        let _ = fs::remove_dir_all(folder);
        return Err(error);
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

fn values(
    folder: &Path,
    name: &Name,
    template: Template,
    kit: &Kit,
) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("NAME", name.as_str().to_owned()),
        ("CRATE", name.ident()),
        ("UPPER", name.upper()),
        ("CAMEL", name.camel()),
        ("DEFINE", format!("{}_DAEMON", name.upper())),
        ("KIT", kit.library(folder)?),
        ("TESTKIT", kit.testkit(folder)?),
        ("RUST_VERSION", env!("CARGO_PKG_RUST_VERSION").to_owned()),
        ("DEPENDENCIES", files::dependencies(template).to_owned()),
        ("GATEWAY_OPTIONS", fill(files::gateway_options(template), &[("NAME", name.as_str())])),
        ("TEMPLATE_README", files::readme(template).to_owned()),
    ])
}

fn put(path: &Path, text: &str) -> Result<()> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, text)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// Returns a path as a basic string of TOML.
fn toml_string(path: &Path) -> Result<String> {
    let Some(text) = path.to_str().filter(|text| !text.contains(char::is_control)) else {
        bail!("path \"{}\": not usable in a Cargo.toml; move the checkout", path.display())
    };
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// `folder` as an absolute path, where its parent exists.
pub(crate) fn destination(folder: &Path) -> Result<PathBuf> {
    let name = folder.file_name().with_context(|| {
        format!(
            "path \"{}\": not a name for a project; expected one such as shop",
            folder.display()
        )
    })?;
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let parent = parent.canonicalize().with_context(|| {
        format!("path \"{}\": not a folder to make a project in", parent.display())
    })?;
    Ok(parent.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_filled_in() {
        let name: Name = "my-shop".parse().unwrap();
        let kit = KitArgs::default().find().unwrap();
        let base = std::env::temp_dir().join(format!("cargo-httpd-new-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        for template in Template::value_variants() {
            let folder = base.join(format!("{template:?}"));
            let files = create(&folder, &name, *template, &kit).unwrap();
            for file in files {
                let text = fs::read_to_string(folder.join(file)).unwrap();
                assert!(!text.contains('@'), "{template:?}: {file}:\n{text}");
            }
            // Without the feature, tracing's events are dropped without a word.
            for package in ["module", "gateway"] {
                let text = fs::read_to_string(folder.join(package).join("Cargo.toml")).unwrap();
                assert!(text.contains("\"tracing\"]"), "{template:?}: {package}:\n{text}");
            }
            let error = create(&folder, &name, *template, &kit).unwrap_err().to_string();
            assert!(error.ends_with("exists already; choose another name, or move it away"));
            assert!(folder.join("module/src/lib.rs").is_file(), "an existing folder was touched");
        }
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn paths_are_quoted_for_toml() {
        assert_eq!(toml_string(Path::new("/a b")).unwrap(), "\"/a b\"");
        assert_eq!(toml_string(Path::new("/a\"b\\c")).unwrap(), "\"/a\\\"b\\\\c\"");
        assert!(toml_string(Path::new("/a\nb")).is_err());
    }

    #[test]
    fn a_new_folder_needs_a_parent() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(destination(Path::new("shop")).unwrap(), here.join("shop"));
        assert!(destination(Path::new("/nonexistent/shop")).is_err());
        assert!(destination(Path::new("/")).is_err());
    }
}
