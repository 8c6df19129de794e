//! Finds modules: the one under test in the build's folder, httpd's own in httpd's.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use httpd_config::Httpd;

/// Returns the httpd of this machine, looked for once in a process.
///
/// # Errors
/// Fails when there is none: the text names the package to install.
pub fn httpd() -> Result<&'static Httpd, String> {
    static FOUND: OnceLock<Result<Httpd, String>> = OnceLock::new();
    FOUND
        .get_or_init(|| Httpd::locate().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(String::clone)
}

/// Returns the file of a module under test.
///
/// A path (with a slash) is taken as it is. A bare name like `mod_x.so` is looked for in
/// `$HTTPD_TESTKIT_MODULES`, if that is set, else in `target/<profile>` of the running test and in
/// `examples` below it, also under the names that Cargo gives to a cdylib (`libmod_x.so`,
/// `libx.so`, `libmod_x_so.so`). The newest one is meant.
///
/// # Errors
/// Fails when there is none: the text lists the places.
pub fn find_module(file: &str) -> Result<PathBuf, String> {
    if file.contains('/') {
        let path = PathBuf::from(file);
        return match path.canonicalize() {
            Ok(path) => Ok(path),
            Err(error) => Err(format!("the module {file} cannot be used: {error}")),
        };
    }
    let places = places()?;
    let found = places.iter().flat_map(|place| names(file).map(|name| place.join(name)));
    found.filter_map(|path| Some((modified(&path)?, path))).max().map(|(_, path)| path).ok_or_else(
        || {
            let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
            format!(
                "the module {file} is not in {}: build it first (cargo build, cargo build \
                 --examples), or set HTTPD_TESTKIT_MODULES to its folder",
                places.join(" or ")
            )
        },
    )
}

/// `x` of `mod_x.so`, `libmod_x.so`, `libx.so`, `libmod_x_so.so` and `x_module`.
pub(crate) fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    let name = name.strip_suffix(".so").unwrap_or(name);
    let name = name.strip_prefix("lib").unwrap_or(name);
    let name = name.strip_suffix("_module").or_else(|| name.strip_suffix("_so")).unwrap_or(name);
    name.strip_prefix("mod_").unwrap_or(name)
}

/// Returns the line that makes httpd's own module `name` usable: `headers`, `mod_headers`,
/// `headers_module`.
pub(crate) fn stock_line(httpd: &Httpd, name: &str) -> Result<String, String> {
    let bare = name.strip_suffix(".so").unwrap_or(name);
    let bare = bare.strip_prefix("mod_").unwrap_or(bare);
    let bare = bare.strip_suffix("_module").unwrap_or(bare);
    httpd.module(bare).load_line(bare).ok_or_else(|| {
        format!(
            "httpd has no module mod_{bare}: it is neither compiled in nor in {}. Install the \
             package that brings it.",
            httpd.modules_dir().display()
        )
    })
}

fn names(file: &str) -> impl Iterator<Item = String> {
    let x = stem(file);
    [
        file.to_owned(),
        format!("mod_{x}.so"),
        format!("libmod_{x}.so"),
        format!("lib{x}.so"),
        format!("libmod_{x}_so.so"),
    ]
    .into_iter()
}

/// Returns the time of a file's last change, if the file exists.
pub(crate) fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok().filter(std::fs::Metadata::is_file)?.modified().ok()
}

/// Returns the folders to search for modules.
pub(crate) fn places() -> Result<Vec<PathBuf>, String> {
    if let Some(folder) = std::env::var_os("HTTPD_TESTKIT_MODULES").filter(|v| !v.is_empty()) {
        return Ok(vec![folder.into()]);
    }
    profile_folders()
}

/// Returns the folders of what was built with the running test.
pub(crate) fn profile_folders() -> Result<Vec<PathBuf>, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("this program has no path: {error}"))?;
    // target/debug/deps/test-0123, target/debug/examples/name or target/debug/name.
    let folder = program.parent().unwrap_or(Path::new("/"));
    let is_below = folder.ends_with("deps") || folder.ends_with("examples");
    let profile = if is_below { folder.parent().unwrap_or(folder) } else { folder };
    Ok(vec![profile.to_owned(), profile.join("examples")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems() {
        for file in [
            "mod_rust.so",
            "libmod_rust.so",
            "librust.so",
            "/a/b/libmod_rust_so.so",
            "rust_module",
            "rust",
        ] {
            assert_eq!(stem(file), "rust", "{file}");
        }
        assert_eq!(stem("mod_two_modules.so"), "two_modules");
    }

    #[test]
    fn a_missing_module_is_explained() {
        let error = find_module("mod_no_such.so").unwrap_err();
        assert!(error.contains("mod_no_such.so"), "{error}");
        assert!(error.contains("HTTPD_TESTKIT_MODULES"), "{error}");
        assert!(find_module("./no/mod_x.so").unwrap_err().contains("./no/mod_x.so"));
    }
}
