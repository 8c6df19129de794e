//! `cargo httpd completion` and `cargo httpd man`: shell completion and man pages.
//!
//! clap's generators write both from the definition of the command line, so neither can differ
//! from it.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;

/// The name of the program, of its man page and of its completion.
const PROGRAM: &str = "cargo-httpd";

/// Print a completion script for a shell.
///
/// It completes the options of `cargo-httpd`, the name of this program without cargo. For bash:
/// `cargo httpd completion bash > ~/.local/share/bash-completion/completions/cargo-httpd`.
#[derive(Args, Debug)]
pub(crate) struct CompletionArgs {
    /// The shell.
    shell: Shell,
}

/// Write the man pages, one for each command.
///
/// For `man cargo-httpd`, install them: `cargo httpd man ~/.local/share/man/man1`.
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// The folder to write to; it is made if it is missing.
    folder: PathBuf,
}

impl CompletionArgs {
    /// Prints the script for `command`, the tool's whole command line.
    pub(crate) fn execute(&self, mut command: Command) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, PROGRAM, &mut script);
        Ok(std::io::stdout().write_all(&script)?)
    }
}

impl ManArgs {
    /// Writes the pages for `command`, the tool's whole command line.
    pub(crate) fn execute(&self, command: Command) -> Result<()> {
        let folder = &self.folder;
        std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(command, folder))
            .with_context(|| format!("folder \"{}\": cannot be written", folder.display()))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn each_shell_completes_each_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }

    #[test]
    fn each_command_has_a_man_page() {
        let folder = std::env::temp_dir().join(format!("cargo-httpd-man-{}", std::process::id()));
        ManArgs { folder: folder.clone() }.execute(Cli::command()).unwrap();
        let page = |name: &str| std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
        assert!(page(PROGRAM).contains(".SH SUBCOMMANDS"));
        for command in Cli::command().get_subcommands() {
            let text = page(&format!("{PROGRAM}-{}", command.get_name()));
            assert!(text.contains(".SH SYNOPSIS"), "{}", command.get_name());
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
