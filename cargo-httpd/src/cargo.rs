//! Calls of cargo: the same one that called this tool.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::ensure::is_root;

/// Returns a command that runs cargo, free of what `cargo run` told this process about itself.
pub(crate) fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    forget_this_tool(&mut command);
    command
}

/// Returns `command` at a lower priority; that of 19 is the lowest.
pub(crate) fn nice(command: &Command, level: u8) -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", &level.to_string()]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => nice.env(name, value),
            None => nice.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        nice.current_dir(folder);
    }
    nice
}

/// Runs `command` as the user who called `sudo`, if HOME and the current folder are that user's.
/// Files of root's in the target folder would stop the user's next build.
pub(crate) fn as_caller(command: &mut Command) {
    let number = |name| std::env::var(name).ok()?.parse().ok();
    let owner = |path: PathBuf| path.metadata().ok().map(|meta| meta.uid());
    let owners =
        [std::env::home_dir().and_then(owner), std::env::current_dir().ok().and_then(owner)];
    let user = caller(number("SUDO_UID"), &owners).filter(|_| is_root());
    if let Some((user, group)) = user.zip(number("SUDO_GID")) {
        command.uid(user).gid(group);
    }
}

/// Returns the user of `sudo` who owns all of these.
fn caller(user: Option<u32>, owners: &[Option<u32>]) -> Option<u32> {
    user.filter(|user| owners.iter().all(|owner| *owner == Some(*user)))
}

/// Keeps the folder of this machine's crates out of what `command` builds: a panic's place, which
/// an application's log shows, would name it. Flags of the user's stay in force.
pub(crate) fn hide_crates(command: &mut Command) {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))) else { return };
    let flags = with_remapped(std::env::var(BUILD_FLAGS).ok().as_deref(), &home);
    if let Some(flags) = flags {
        command.env(BUILD_FLAGS, flags);
    }
}

/// Flags that cargo adds to those of its configuration files. It overlooks them where RUSTFLAGS is
/// set.
const BUILD_FLAGS: &str = "CARGO_BUILD_RUSTFLAGS";

/// Returns the flags with one more. `None` where cargo would take a part of the path for another
/// flag.
fn with_remapped(flags: Option<&str>, home: &Path) -> Option<String> {
    let home = home.to_str().filter(|home| !home.contains([' ', '=']))?;
    let flag = format!("--remap-path-prefix={home}=cargo");
    Some(flags.into_iter().chain([flag.as_str()]).collect::<Vec<_>>().join(" "))
}

/// Keeps from a program that is no part of the build, like httpd, what cargo set for this process:
/// an application would find it in its environ.
pub(crate) fn keep_from(command: &mut Command, target_dir: &Path) {
    const LIBRARIES: &str = "LD_LIBRARY_PATH";
    forget_this_tool(command);
    let Some(value) = std::env::var_os(LIBRARIES) else { return };
    match without_rust(&value, target_dir) {
        Some(value) => command.env(LIBRARIES, value),
        None => command.env_remove(LIBRARIES),
    };
}

/// Removes the variables that cargo sets for this process alone.
pub(crate) fn forget_this_tool(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_about_this_tool) {
            command.env_remove(name);
        }
    }
}

/// Returns a search path without the folders that `cargo run` and rustup put there. `None` if
/// nothing is left.
fn without_rust(path: &OsStr, target_dir: &Path) -> Option<OsString> {
    let is_rusts = |folder: &Path| {
        folder.starts_with(target_dir)
            || folder.iter().any(|name| name == "rustlib")
            || folder.parent().is_some_and(|toolchain| toolchain.join("bin/rustc").exists())
    };
    let left: Vec<_> = std::env::split_paths(path)
        .filter(|folder| !folder.as_os_str().is_empty() && !is_rusts(folder))
        .collect();
    if left.is_empty() { None } else { std::env::join_paths(left).ok() }
}

/// Returns the line to type for what `command` does. Its program goes by its name.
pub(crate) fn shown(command: &Command) -> String {
    let args = command.get_args().map(|arg| quoted(&arg.to_string_lossy()));
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    std::iter::once(quoted(&name)).chain(args).collect::<Vec<_>>().join(" ")
}

/// A library or example of crate type cdylib, as cargo built it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Artifact {
    /// The cargo target's name.
    pub(crate) target: String,
    pub(crate) file: PathBuf,
}

/// Reads what `cargo build --message-format=json` prints: every cdylib among the artifacts of the
/// packages with these ids.
pub(crate) fn cdylibs(messages: &str, packages: &[&str]) -> Vec<Artifact> {
    let artifact = |line: &str| -> Option<Artifact> {
        let message: Value = serde_json::from_str(line).ok()?;
        if message["reason"] != "compiler-artifact"
            || !packages.contains(&message["package_id"].as_str()?)
        {
            return None;
        }
        let types = message["target"]["crate_types"].as_array()?;
        if !types.iter().any(|kind| kind == "cdylib") {
            return None;
        }
        let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
        let file = files.map(PathBuf::from).find(|file| {
            file.extension().is_some_and(|ext| ext == std::env::consts::DLL_EXTENSION)
        })?;
        Some(Artifact { target: message["target"]["name"].as_str()?.to_owned(), file })
    };
    messages.lines().filter_map(artifact).collect()
}

/// Returns the program `name` of a package, as `cargo build --message-format=json` prints it.
pub(crate) fn executable(messages: &str, package: &str, name: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let fits = message["reason"] == "compiler-artifact"
            && message["package_id"] == package
            && message["target"]["name"] == name;
        fits.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    })
}

/// Returns true for the variables that cargo sets for the program that `cargo run` starts.
fn is_about_this_tool(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_BIN_NAME", "CARGO_CRATE_NAME"]
            .contains(&name)
}

/// Quotes `arg` for a shell, where that is needed.
pub(crate) fn quoted(arg: &str) -> String {
    shlex::try_quote(arg).map_or_else(|_| arg.to_owned(), Into::into)
}

/// Extends `command` by arguments, in the way of a builder that can branch.
pub(crate) fn args<I, S>(mut command: Command, args: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: Into<OsString>,
{
    command.args(args.into_iter().map(Into::into));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_cdylibs_of_the_package() {
        let message = |package: &str, kind: &str, name: &str, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{package}","target":{{"name":"{name}","crate_types":["{kind}"]}},"filenames":["{file}"]}}"#
            )
        };
        let ext = std::env::consts::DLL_EXTENSION;
        let messages = [
            message("one", "cdylib", "stock", &format!("/t/release/libstock.{ext}")),
            message("two", "cdylib", "other", &format!("/t/release/libother.{ext}")),
            message("one", "rlib", "plain", "/t/release/libplain.rlib"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
            "not json".to_owned(),
        ]
        .join("\n");
        let expected = Artifact {
            target: "stock".to_owned(),
            file: format!("/t/release/libstock.{ext}").into(),
        };
        assert_eq!(cdylibs(&messages, &["one"]), [expected]);
        assert_eq!(cdylibs(&messages, &["three"]), []);
    }

    #[test]
    fn the_program_among_the_messages() {
        let message = |package: &str, name: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{package}","target":{{"name":"{name}"}},"executable":{executable}}}"#
            )
        };
        let messages = [
            message("p", "shop", "null"),
            message("q", "gate", r#""/t/other""#),
            message("p", "gate", r#""/t/gate""#),
        ]
        .join("\n");
        assert_eq!(executable(&messages, "p", "gate"), Some("/t/gate".into()));
        assert_eq!(executable(&messages, "p", "shop"), None);
    }

    #[test]
    fn the_folder_of_crates_is_remapped_beside_the_users_flags() {
        let flag = "--remap-path-prefix=/home/a/.cargo=cargo";
        let home = Path::new("/home/a/.cargo");
        assert_eq!(with_remapped(None, home).as_deref(), Some(flag));
        assert_eq!(with_remapped(Some("-Cx=y"), home), Some(format!("-Cx=y {flag}")));
        assert_eq!(with_remapped(None, Path::new("/home/a b/.cargo")), None);
    }

    #[test]
    fn shows_what_to_type() {
        let command = args(command(), ["test", "--workspace", "--", "a b", "it's"]);
        assert_eq!(shown(&command), r#"cargo test --workspace -- 'a b' "it's""#);
    }

    #[test]
    fn the_library_path_keeps_what_is_the_users() {
        let of = |path: &str| without_rust(OsStr::new(path), Path::new("/w/target"));
        let cargos = "/w/target/debug/deps:/w/target/debug:/opt/rust/lib/rustlib/x/lib";
        assert_eq!(of(cargos), None);
        assert_eq!(of(&format!("{cargos}:/opt/mine/lib:")), Some("/opt/mine/lib".into()));
        assert_eq!(of(""), None);
    }

    #[test]
    fn only_the_owner_of_the_project_builds_for_root() {
        assert_eq!(caller(Some(1000), &[Some(1000), Some(1000)]), Some(1000));
        for owners in [[Some(0), Some(1000)], [Some(1000), Some(0)], [None, Some(1000)]] {
            assert_eq!(caller(Some(1000), &owners), None);
        }
        assert_eq!(caller(None, &[Some(1000)]), None);
    }

    #[test]
    fn only_variables_of_the_tool_are_dropped() {
        assert!(is_about_this_tool("CARGO_PKG_NAME"));
        assert!(!is_about_this_tool("CARGO_TARGET_DIR"));
        assert!(!is_about_this_tool("CARGO_TERM_COLOR"));
    }
}
