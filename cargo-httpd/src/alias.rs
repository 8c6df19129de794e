//! The alias `httpd` of a checkout, where `cargo-httpd` is installed as well.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use crate::ensure::program;
use crate::progress::say;

/// Explains cargo's warning that the alias shadows the installed program: it names neither the one
/// that runs nor the way to call the other.
pub(crate) fn explain_shadowing() {
    // cargo sets it for `cargo run`, which is what the alias is.
    let is_alias = std::env::var_os("CARGO_MANIFEST_DIR")
        .is_some_and(|folder| Path::new(&folder) == Path::new(env!("CARGO_MANIFEST_DIR")));
    if !is_alias || !std::io::stderr().is_terminal() {
        return;
    }
    let me = std::env::current_exe().unwrap_or_default();
    if let Some(installed) = installed().filter(|program| *program != me) {
        say(&format!(
            "note: the alias `httpd` of this checkout runs, not {}, hence cargo's warning; call \
             that as `cargo-httpd`",
            installed.display()
        ));
    }
}

/// Returns the program that `cargo httpd` is without the alias.
fn installed() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let in_home = home.map(|home| home.join("bin/cargo-httpd")).filter(|file| file.is_file());
    in_home.or_else(|| program("cargo-httpd"))
}
