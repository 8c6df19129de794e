//! libclang's shared library, looked for where clang-sys (and so bindgen) looks at run time:
//! `LIBCLANG_PATH` alone if it is set, then `llvm-config`'s folders, `LD_LIBRARY_PATH`,
//! `LIBRARY_PATH`, and the usual places. The newest wins.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug)]
pub(crate) struct Libclang {
    pub(crate) path: PathBuf,
    /// `14.0.6`, or as much as the file's name tells.
    pub(crate) version: String,
}

#[derive(Debug)]
pub(crate) struct NoLibclang {
    pub(crate) what: String,
    /// True if a variable says where it is, and it is not there.
    pub(crate) is_environment: bool,
}

/// Finds the library that bindgen would load.
pub(crate) fn locate() -> Result<Libclang, NoLibclang> {
    if let Some(value) = std::env::var_os("LIBCLANG_PATH").filter(|value| !value.is_empty()) {
        return asked_for(Path::new(&value)).ok_or_else(|| NoLibclang {
            what: format!(
                "LIBCLANG_PATH \"{}\": no libclang found; correct the variable, or unset it to \
                 search again",
                Path::new(&value).display()
            ),
            is_environment: true,
        });
    }
    newest(folders().iter().flat_map(|folder| libraries(folder))).ok_or_else(|| NoLibclang {
        what: "no libclang in the folders of llvm-config, LD_LIBRARY_PATH and the system".into(),
        is_environment: false,
    })
}

/// `LIBCLANG_PATH` holds the library or its folder.
fn asked_for(path: &Path) -> Option<Libclang> {
    if is_libclang(path.file_name()?.to_str()?) && path.is_file() {
        return Some(describe(path.to_owned()));
    }
    newest(libraries(path))
}

fn folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let llvm_config = std::env::var_os("LLVM_CONFIG_PATH").unwrap_or_else(|| "llvm-config".into());
    if let Some(prefix) = prefix(llvm_config) {
        folders.extend(["bin", "lib", "lib64"].map(|name| prefix.join(name)));
    }
    for variable in ["LD_LIBRARY_PATH", "LIBRARY_PATH"] {
        folders.extend(std::env::split_paths(&std::env::var_os(variable).unwrap_or_default()));
    }
    if cfg!(target_os = "macos") {
        folders.push("/Library/Developer/CommandLineTools/usr/lib".into());
        folders.push("/opt/homebrew/opt/llvm/lib".into());
        folders.push("/usr/local/opt/llvm/lib".into());
        return folders;
    }
    for root in ["/usr/local", "/usr"] {
        for lib in subfolders(Path::new(root), "lib") {
            for inner in subfolders(&lib, "") {
                folders.extend(subfolders(&inner, ""));
                folders.push(inner);
            }
            folders.push(lib);
        }
        for llvm in subfolders(Path::new(root), "llvm") {
            folders.extend(subfolders(&llvm, "lib"));
        }
    }
    folders
}

fn prefix(llvm_config: OsString) -> Option<PathBuf> {
    let output = Command::new(llvm_config).arg("--prefix").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(PathBuf::from)
}

/// Returns the folders in `folder` whose names begin with `start`.
fn subfolders(folder: &Path, start: &str) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(start)))
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

fn libraries(folder: &Path) -> Vec<Libclang> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_libclang))
        // A link to a package that is gone is no library.
        .filter(|entry| entry.path().is_file())
        .map(|entry| describe(entry.path()))
        .collect()
}

fn newest(found: impl IntoIterator<Item = Libclang>) -> Option<Libclang> {
    found.into_iter().max_by_key(|found| numbers(&found.version))
}

fn describe(path: PathBuf) -> Libclang {
    // libclang.so.1 is a link; the file behind it has the version in its name.
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    let version_of = |path: &Path| version(path.file_name()?.to_str()?);
    let version = version_of(&real).or_else(|| version_of(&path));
    Libclang { path, version: version.unwrap_or_else(|| "unknown version".to_owned()) }
}

/// `libclang.so`, `libclang.so.1`, `libclang-14.so.14.0.6`, `libclang.dylib`; not
/// `libclang-cpp.so`.
fn is_libclang(name: &str) -> bool {
    if cfg!(target_os = "macos") {
        return name == "libclang.dylib";
    }
    let Some(rest) = name.strip_prefix("libclang") else { return false };
    let suffix = match rest.strip_prefix('-').map(|rest| (rest, rest.find(".so"))) {
        None => rest,
        Some((rest, Some(end))) if rest.starts_with(|c: char| c.is_ascii_digit()) => &rest[end..],
        Some(_) => return false,
    };
    suffix == ".so" || suffix.starts_with(".so.")
}

fn version(name: &str) -> Option<String> {
    let after = name.split_once(".so.").map(|(_, after)| after);
    let before = name.strip_prefix("libclang-").and_then(|rest| rest.split_once(".so"));
    after
        .filter(|version| version.contains('.'))
        .or(before.map(|(version, _)| version))
        .or(after)
        .filter(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
#[cfg(not(target_os = "macos"))]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        for name in [
            "libclang.so",
            "libclang.so.1",
            "libclang-14.so",
            "libclang-14.so.14.0.6",
            "libclang-3.9.so",
        ] {
            assert!(is_libclang(name), "{name}");
        }
        for name in
            ["libclang-cpp.so", "libclang-cpp.so.14", "libclangAST.a", "libclang.a", "libclang"]
        {
            assert!(!is_libclang(name), "{name}");
        }
    }

    #[test]
    fn versions() {
        let of = |name| version(name).unwrap_or_default();
        assert_eq!(of("libclang-14.so.14.0.6"), "14.0.6");
        assert_eq!(of("libclang-14.so.1"), "14");
        assert_eq!(of("libclang-3.9.so"), "3.9");
        assert_eq!(of("libclang.so.18.1.8"), "18.1.8");
        assert_eq!(of("libclang.so.1"), "1");
        assert_eq!(of("libclang.so"), "");
        assert!(numbers("14.0.6") > numbers("9.0.1"));
        assert!(numbers("unknown version") < numbers("1"));
    }

    #[test]
    fn a_path_without_it_finds_nothing() {
        assert!(asked_for(Path::new("/nonexistent/libclang.so")).is_none());
        assert!(asked_for(Path::new("/etc")).is_none());
    }
}
